//! What is wrong with a topology.yaml: every mistake, with its place and what to write instead.

use std::fmt;

/// Which of the files that make a topology; the first one read is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u16);

/// A place in a file: line and column are counted from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub file: FileId,
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

/// Whether the file can be used all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, and something is probably not meant so.
    Warning,
}

/// A file as it was read, so that a place can be named and shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its path, as it was asked for.
    pub path: String,
    /// Its text; empty when it could not be read.
    pub text: String,
}

impl Source {
    /// A path as it stands in this file, from where the file itself was found.
    pub fn beside(&self, path: &str) -> String {
        crate::files::join(crate::files::directory(&self.path), path)
    }

    /// The line with this number, counted from 1.
    pub fn line(&self, number: u32) -> Option<&str> {
        self.text.lines().nth((number as usize).checked_sub(1)?)
    }
}

impl Severity {
    /// The word in front of the message.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where.
    pub place: Place,
    /// How bad.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

/// At most this many are reported; then a count.
pub const MAX_REPORTED: usize = 50;

/// Past this many, no name is suggested any more: comparing names costs time, and nobody reads so far.
const MAX_SUGGESTED: usize = 200;

/// So many are kept; the file is broken enough by then.
const MAX_KEPT: usize = 10_000;

/// All mistakes of one topology, collected while reading it.
#[derive(Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    /// Takes what comes when the list is full.
    surplus: Option<Diagnostic>,
    errors: usize,
}

impl Diagnostics {
    /// True when there are so many that a suggestion helps nobody.
    pub fn are_many(&self) -> bool {
        self.list.len() > MAX_SUGGESTED
    }

    /// The name in `valid` that `wrong` was probably meant to be.
    pub fn suggest<'a>(&self, wrong: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        if self.are_many() { None } else { did_you_mean(wrong, valid) }
    }

    /// Notes an error.
    pub fn error(&mut self, place: Place, message: impl Into<String>) -> &mut Diagnostic {
        self.push(place, Severity::Error, message.into())
    }

    /// Notes a warning.
    pub fn warning(&mut self, place: Place, message: impl Into<String>) -> &mut Diagnostic {
        self.push(place, Severity::Warning, message.into())
    }

    fn push(&mut self, place: Place, severity: Severity, message: String) -> &mut Diagnostic {
        let diagnostic = Diagnostic { place, severity, message, help: None };
        self.errors += usize::from(severity == Severity::Error);
        if self.list.len() >= MAX_KEPT {
            // A late error must not be lost behind early warnings.
            if severity == Severity::Error
                && let Some(last) = self.list.last_mut()
            {
                last.severity = Severity::Error;
            }
            return self.surplus.insert(diagnostic);
        }
        self.list.push(diagnostic);
        let last = self.list.len() - 1;
        &mut self.list[last]
    }

    /// True when at least one is an error.
    pub fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    /// How many of them are errors, so far.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// All of them, sorted by place.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        // A template's mistake is found once for each of its users.
        self.list.sort_by(|a, b| (a.place, &a.message, &a.help).cmp(&(b.place, &b.message, &b.help)));
        self.list.dedup();
        self.list
    }
}

impl Diagnostic {
    /// Adds what to write instead.
    pub fn help(&mut self, help: impl Into<String>) {
        self.help = Some(help.into());
    }

    /// One line for a terminal or a log: `file:line:column: error: message`.
    pub fn line<'a>(&'a self, file: &'a str) -> impl fmt::Display + 'a {
        struct Line<'a>(&'a Diagnostic, &'a str);
        impl fmt::Display for Line<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let Self(d, file) = self;
                let (line, column) = (d.place.line, d.place.column);
                write!(f, "{file}:{line}:{column}: {}: {}", d.severity.as_str(), d.message)
            }
        }
        Line(self, file)
    }
}

/// The name in `valid` that `wrong` was probably meant to be: at most a third of its letters differ.
pub fn did_you_mean<'a>(wrong: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = wrong.chars().count();
    if length > 100 {
        return None;
    }
    let limit = (length / 3).max(1);
    valid
        .into_iter()
        // Every letter more or less is a difference: the costly comparison is for names of like length.
        .filter(|name| name.chars().count().abs_diff(length) <= limit)
        .map(|name| (strsim::damerau_levenshtein(wrong, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_name_and_nonsense_finds_none() {
        let names = ["miniapp-server", "member-service", "order-service"];
        assert_eq!(did_you_mean("miniap-server", names), Some("miniapp-server"));
        assert_eq!(did_you_mean("zzz", names), None);
    }

    #[test]
    fn they_come_sorted_by_place() {
        let mut all = Diagnostics::default();
        let at = |line, column| Place { file: FileId(0), line, column };
        all.error(at(9, 1), "late");
        all.warning(at(2, 5), "early").help("write less");
        let sorted = all.into_sorted();
        assert_eq!(sorted[0].line("t.yaml").to_string(), "t.yaml:2:5: warning: early");
        assert_eq!(sorted[0].help.as_deref(), Some("write less"));
        assert_eq!(sorted[1].message, "late");
    }
}
