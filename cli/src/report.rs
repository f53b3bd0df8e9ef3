//! What is wrong with a topology, for a person: the place, the line itself with a mark under it, and the way out.

use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use topology::Glob;
use topology::diagnostic::{Diagnostic, MAX_REPORTED, Severity, Source};
use unicode_width::UnicodeWidthChar;

use crate::output;

/// What reading a topology brought besides the model.
pub(crate) struct Report {
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// The topology's files, by the diagnostics' file numbers.
    pub(crate) sources: Vec<Source>,
    /// Every file that was asked for, secrets included: when one changes, the topology has.
    pub(crate) files: Vec<PathBuf>,
    /// The globs of `include`: a new file that matches one changes the topology too.
    pub(crate) globs: Vec<Glob>,
}

impl Report {
    /// The path of the file that a diagnostic is about.
    pub(crate) fn path(&self, diagnostic: &Diagnostic) -> &str {
        self.sources.get(diagnostic.place.file.0 as usize).map_or("", |source| source.path.as_str())
    }

    /// How many are errors.
    pub(crate) fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|d| d.severity == Severity::Error).count()
    }

    /// Prints all of it to standard error.
    pub(crate) fn print(&self) {
        for diagnostic in self.diagnostics.iter().take(MAX_REPORTED) {
            output::note(&self.show(diagnostic));
        }
        if self.diagnostics.len() > MAX_REPORTED {
            output::note(&format!("… and {} more", self.diagnostics.len() - MAX_REPORTED));
        }
    }

    fn show(&self, diagnostic: &Diagnostic) -> String {
        let color = match diagnostic.severity {
            Severity::Error => AnsiColor::Red,
            Severity::Warning => AnsiColor::Yellow,
        };
        let (strong, marked, faint) =
            (Style::new().bold(), color.on_default().bold(), AnsiColor::Blue.on_default());
        let (line, column) = (diagnostic.place.line, diagnostic.place.column);
        let (word, message) = (diagnostic.severity.as_str(), output::plain(&diagnostic.message));
        let path = output::plain(self.path(diagnostic));
        let mut out = format!(
            "{strong}{path}:{line}:{column}:{strong:#} {marked}{word}{marked:#}{strong}: {message}{strong:#}"
        );
        let source = self.sources.get(diagnostic.place.file.0 as usize);
        if let Some(text) = source.and_then(|source| source.line(line)) {
            let excerpt = Excerpt::of(text, column);
            let (number, gap) = (format!("{line:>5}"), "     ");
            let shown = format!("\n{faint}{number} |{faint:#} {}", excerpt.text);
            let under = format!("\n{faint}{gap} |{faint:#} {marked}{}{marked:#}", excerpt.mark);
            out.extend([shown, under]);
        }
        if let Some(help) = &diagnostic.help {
            out.extend([format!("\n  {strong}help{strong:#}: {}", output::plain(help))]);
        }
        out
    }
}

/// A line of a file and the mark that goes under it.
struct Excerpt {
    text: String,
    mark: String,
}

/// So much of a line is shown, and so much of it before the place.
const WIDTH: usize = 100;
const BEFORE: usize = 60;

impl Excerpt {
    fn of(line: &str, column: u32) -> Self {
        let characters: Vec<char> = masked(line).chars().collect();
        let at = (column as usize).saturating_sub(1).min(characters.len());
        let start = if at > WIDTH - 20 { at - BEFORE } else { 0 };
        let end = characters.len().min(start + WIDTH);
        let length = token(&characters[at..end]).max(1);
        let shown = |c: char| if c.is_control() { ' ' } else { c };
        let width = |part: &[char]| part.iter().map(|c| shown(*c).width().unwrap_or(0)).sum::<usize>();
        let (left, right) = (if start > 0 { "…" } else { "" }, if end < characters.len() { "…" } else { "" });
        let text: String = characters[start..end].iter().map(|c| shown(*c)).collect();
        let indent = left.chars().count() + width(&characters[start..at]);
        let marked = characters.get(at..at + length).map_or(1, width).max(1);
        Self {
            text: format!("{left}{text}{right}").trim_end().to_owned(),
            mark: format!("{}{}", " ".repeat(indent), "^".repeat(marked)),
        }
    }
}

/// How many characters the word at the beginning of `rest` has: a quoted text, a bracket, or a plain text.
fn token(rest: &[char]) -> usize {
    match rest.first() {
        Some(quote @ ('"' | '\'')) => {
            rest[1..].iter().position(|c| c == quote).map_or(rest.len(), |close| close + 2)
        }
        Some('[' | ']' | '{' | '}') | None => 1,
        _ => rest
            .iter()
            .enumerate()
            .position(|(i, c)| match c {
                ',' | ']' | '}' => true,
                ':' => rest.get(i + 1).is_none_or(|next| next.is_whitespace()),
                _ => c.is_whitespace(),
            })
            .unwrap_or(rest.len()),
    }
}

/// The line without the secrets in it: an error may stand in a log.
fn masked(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    let secret = |rest: &str| {
        ["password:", "secret:", "token:", "url:"]
            .iter()
            .filter_map(|key| Some(rest.find(key)? + key.len()))
            .min()
    };
    while let Some(at) = secret(rest) {
        let (key, value) = rest.split_at(at);
        out.push_str(key);
        let blank = value.len() - value.trim_start().len();
        let characters: Vec<char> = value[blank..].chars().collect();
        let length = if characters.is_empty() { 0 } else { token(&characters).min(characters.len()) };
        let word: String = characters[..length].iter().collect();
        out.push_str(&value[..blank]);
        // A reference to a secret is none, and a map or the host of an address is not secret.
        if word.contains("${") || word.starts_with(['{', '[', '&', '*']) {
            out.push_str(&word);
        } else {
            let open =
                if key.ends_with("url:") { word.find("://").map_or(0, |scheme| scheme + 3) } else { 0 };
            out.push_str(&word[..open]);
            out.extend(word[open..].chars().map(|c| if matches!(c, '"' | '\'') { c } else { '*' }));
        }
        rest = &value[blank + word.len()..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stands_under_the_word_also_after_wide_characters() {
        let shown = |line: &str, column| {
            let excerpt = Excerpt::of(line, column);
            format!("{}\n{}", excerpt.text, excerpt.mark)
        };
        assert_eq!(shown("a: [b, cde]", 8), "a: [b, cde]\n       ^^^");
        assert_eq!(shown("标题: x y", 5), "标题: x y\n      ^");
        assert_eq!(shown("a: \"b c\" # d", 4), "a: \"b c\" # d\n   ^^^^^");
        assert_eq!(shown("a:", 9), "a:\n  ^");
        let long = format!("{}word: x{}", " ".repeat(200), "y".repeat(200));
        let excerpt = Excerpt::of(&long, 201);
        assert_eq!(excerpt.mark.find('^'), excerpt.text.chars().position(|c| c == 'w'));
        assert!(excerpt.text.ends_with('…'));
    }

    #[test]
    fn secrets_are_not_repeated() {
        assert_eq!(masked("{ user: a, password: hunter2, x: y }"), "{ user: a, password: *******, x: y }");
        assert_eq!(masked("password: \"${env:X}\""), "password: \"${env:X}\"");
        assert_eq!(masked("  url: \"https://h/t?k=1\""), "  url: \"https://*******\"");
    }
}
