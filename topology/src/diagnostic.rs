//! What is wrong with a topology.yaml: every mistake, with its place and what to write instead.

use std::fmt;

/// A place in a file, both counted from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
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

/// All mistakes of one file, collected while reading it.
#[derive(Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Notes an error.
    pub fn error(&mut self, place: Place, message: impl Into<String>) -> &mut Diagnostic {
        self.push(place, Severity::Error, message.into())
    }

    /// Notes a warning.
    pub fn warning(&mut self, place: Place, message: impl Into<String>) -> &mut Diagnostic {
        self.push(place, Severity::Warning, message.into())
    }

    fn push(&mut self, place: Place, severity: Severity, message: String) -> &mut Diagnostic {
        self.list.push(Diagnostic { place, severity, message, help: None });
        let last = self.list.len() - 1;
        &mut self.list[last]
    }

    /// True when at least one is an error.
    pub fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    /// How many of them are errors, so far.
    pub fn errors(&self) -> usize {
        self.list.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
    }

    /// All of them, sorted by place.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.list.sort_by(|a, b| a.place.cmp(&b.place).then_with(|| a.message.cmp(&b.message)));
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
    let limit = (wrong.chars().count() / 3).max(1);
    valid
        .into_iter()
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
        all.error(Place { line: 9, column: 1 }, "late");
        all.warning(Place { line: 2, column: 5 }, "early").help("write less");
        let sorted = all.into_sorted();
        assert_eq!(sorted[0].line("t.yaml").to_string(), "t.yaml:2:5: warning: early");
        assert_eq!(sorted[0].help.as_deref(), Some("write less"));
        assert_eq!(sorted[1].message, "late");
    }
}
