//! What is said of a text that is not YAML, and how the rest of it is read all the same.

use crate::diagnostic::{Diagnostics, FileId, Place};

/// Notes the parser's complaint `words` at `place`, moved to where the slip was made and with a way out.
pub(crate) fn note(words: &str, place: Place, text: &str, diagnostics: &mut Diagnostics) -> Place {
    let line = text.lines().nth(place.line.saturating_sub(1) as usize).unwrap_or_default();
    let indented_by_tab = line.trim_start_matches(' ').starts_with('\t');
    let (place, words, help) = if indented_by_tab {
        (place, "the line is indented with a tab".to_owned(), "YAML takes spaces only".to_owned())
    } else if words.contains("second document") {
        let help = "delete the `---`, or put it into a file of its own";
        (place, "a second document begins here".to_owned(), help.to_owned())
    } else if let Some((opened, quote)) = unclosed_quote(text, place, words) {
        (opened, "this quote is not closed".to_owned(), format!("close it with {quote} in its line"))
    } else if let Some((opened, bracket)) = unclosed_bracket(text, place, words) {
        let help = format!("close it with `{}`", if bracket == '[' { ']' } else { '}' });
        (opened, format!("this `{bracket}` is not closed"), help)
    } else if words.contains("did not find expected ','") {
        let help = "a comma is missing, or a text with brackets needs quotes";
        (place, "a list or map in brackets goes on without a comma".to_owned(), help.to_owned())
    } else if words.contains("aliases stand for") {
        let help = "`templates` and `like` say the same more plainly";
        (place, words.to_owned(), help.to_owned())
    } else if words.contains("unknown anchor") {
        let help = "quote a text that begins with `*`";
        (place, "`*` names an anchor that is not there".to_owned(), help.to_owned())
    } else if words.contains("mapping values are not allowed") {
        let help = "a text with `: ` in it needs quotes; a key needs a space after its `:`; \
                    all keys of a map begin in one column";
        (place, "a `:` where no key can be".to_owned(), help.to_owned())
    } else if words.contains("expected key") || words.contains("'-' indicator") {
        let help = "all keys of a map, and all `-` of a list, begin in one column";
        (place, "the indentation fits nothing above".to_owned(), help.to_owned())
    } else if words.contains("unexpected character") {
        (place, words.to_owned(), "quote a text that begins with this character".to_owned())
    } else {
        diagnostics.error(place, format!("this is not YAML: {words}"));
        return place;
    };
    diagnostics.error(place, format!("this is not YAML: {words}")).help(help);
    place
}

/// Where the quote was opened that swallowed what follows.
fn unclosed_quote(text: &str, place: Place, words: &str) -> Option<(Place, char)> {
    let never = words.contains("unclosed quote");
    if !never && !words.contains("trailing content after") {
        return None;
    }
    // The end of a scalar that began in an earlier line is most likely the beginning of the next one.
    let opened = scan(text, place).quote?;
    (never || opened.0.line < place.line).then_some(opened)
}

/// The last bracket before `place` that nothing closes.
fn unclosed_bracket(text: &str, place: Place, words: &str) -> Option<(Place, char)> {
    let may_be = ["did not find expected", "illegal placement", "mapping values", "mismatched", "unclosed"];
    if !may_be.iter().any(|part| words.contains(part)) {
        return None;
    }
    if words.contains("mismatched") || words.contains("unclosed") {
        let bracket = character_at(text, place)?;
        return matches!(bracket, '[' | '{').then_some((place, bracket));
    }
    let before = scan(text, place).brackets;
    let end = Place { line: u32::MAX, ..place };
    let at_end = scan(text, end).brackets;
    before.into_iter().rev().find(|opened| at_end.contains(opened))
}

fn character_at(text: &str, place: Place) -> Option<char> {
    text.lines().nth(place.line as usize - 1)?.chars().nth(place.column as usize - 1)
}

/// What is open at a place.
#[derive(Default)]
struct Open {
    /// Brackets, outermost first.
    brackets: Vec<(Place, char)>,
    /// The last quote that was opened, whether or not it is closed by now.
    quote: Option<(Place, char)>,
}

/// Reads quotes, brackets and comments up to `end`, as a person's eye does. Block texts (`|`) may mislead it:
/// it only words a mistake that is known to be there.
fn scan(text: &str, end: Place) -> Open {
    let mut open = Open::default();
    let mut inside: Option<char> = None;
    for (l, line) in text.lines().enumerate() {
        let mut before = ' ';
        let mut may_open = true;
        let mut characters = line.chars().enumerate().peekable();
        while let Some((c, character)) = characters.next() {
            let place = Place { file: end.file, line: l as u32 + 1, column: c as u32 + 1 };
            if (place.line, place.column) >= (end.line, end.column) {
                return open;
            }
            if let Some(quote) = inside {
                if character == '\\' && quote == '"' {
                    characters.next();
                } else if character == quote {
                    if quote == '\'' && characters.peek().is_some_and(|(_, next)| *next == '\'') {
                        characters.next();
                    } else {
                        inside = None;
                        may_open = false;
                    }
                }
                continue;
            }
            match character {
                '#' if before == ' ' => break,
                '"' | '\'' if may_open => {
                    inside = Some(character);
                    open.quote = Some((place, character));
                }
                '[' | '{' if may_open => open.brackets.push((place, character)),
                // Inside a plain text such as 10.0.0.[1-3] a bracket closes nothing of ours outside a flow.
                ']' | '}' if !open.brackets.is_empty() => {
                    open.brackets.pop();
                }
                _ => {}
            }
            may_open = match character {
                ' ' => may_open || before == ':' || before == '-' || before == ',',
                '[' | '{' | ',' => true,
                _ => false,
            };
            before = character;
        }
    }
    open
}

/// `text` with the entry around `line` blanked, and the entry's name. The lines keep their numbers.
///
/// The entry is the component (or whatever stands at that depth) that holds the line; a line at the margin goes
/// alone with what hangs on it.
pub(crate) fn leave_out(text: &str, line: u32) -> Option<(String, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let at = (line as usize).checked_sub(1)?.min(lines.len().checked_sub(1)?);
    // How deep a line lies that is indented by a tab nobody knows: it belongs to what is above it.
    let indent = |line: &str| {
        let rest = line.trim_start_matches(' ');
        (!rest.is_empty() && !rest.starts_with(['#', '\t'])).then(|| line.len() - rest.len())
    };
    let margin = (0..=at).rev().find(|i| indent(lines[*i]) == Some(0))?;
    let depth = lines[margin + 1..].iter().find_map(|line| indent(line)).unwrap_or(0);
    let start = if margin == at || depth == 0 {
        margin
    } else {
        (margin + 1..=at).rev().find(|i| indent(lines[*i]).is_some_and(|d| d <= depth)).unwrap_or(margin)
    };
    let own = indent(lines[start])?;
    let end = (start + 1..lines.len())
        .find(|i| *i > at && indent(lines[*i]).is_some_and(|d| d <= own))
        .unwrap_or(lines.len());
    let name = lines[start].trim().split(':').next().unwrap_or_default().trim_matches(['"', '\'']).to_owned();
    let kept: Vec<&str> = lines
        .iter()
        .enumerate()
        .map(|(i, line)| if (start..end).contains(&i) { "" } else { *line })
        .collect();
    Some((kept.join("\n"), name))
}

/// The first place of a file.
pub(crate) const fn start_of(file: FileId) -> Place {
    Place { file, line: 1, column: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_entry_is_blanked_and_the_lines_keep_their_numbers() {
        let text = "name: x\ncomponents:\n  web:\n    a: 'b\n  # two\n  db:\n    c: d\ntiers: {}\n";
        let (rest, name) = leave_out(text, 4).unwrap();
        assert_eq!(name, "web");
        assert_eq!(rest, "name: x\ncomponents:\n\n\n\n  db:\n    c: d\ntiers: {}");
        let (rest, name) = leave_out(text, 1).unwrap();
        assert_eq!((rest.lines().next(), name.as_str()), (Some(""), "name"));
    }

    #[test]
    fn a_line_indented_by_a_tab_goes_with_what_is_above_it() {
        let text = "components:\n  web:\n    instances:\n\t- x\n  db: {}\n";
        let (rest, name) = leave_out(text, 4).unwrap();
        assert_eq!((rest.as_str(), name.as_str()), ("components:\n\n\n\n  db: {}", "web"));
    }

    #[test]
    fn the_scanner_sees_quotes_brackets_and_comments() {
        let end = Place { line: u32::MAX, ..Place::default() };
        let open = |text: &str| {
            let open = scan(text, end);
            (open.brackets.len(), open.quote.map(|(place, _)| place.column))
        };
        assert_eq!(open("a: [x, {y: 'it''s ]'}"), (1, Some(12)));
        assert_eq!(open("a: b # [ {"), (0, None));
        assert_eq!(open("a: it's [fine]"), (0, None));
        assert_eq!(open("a: \"\\\"[\" "), (0, Some(4)));
    }
}
