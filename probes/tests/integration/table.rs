//! The tables of docs/probes.md, each made, or compared, by the test that provokes its rows.

use std::path::PathBuf;

use probes::observation::{Observation, Outcome};

use crate::support::summary;

/// The rows of one kind.
pub(crate) struct Table {
    kind: &'static str,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(kind: &'static str) -> Self {
        Self::with_head(kind, &["provoked by", "the probe says", "in these words"])
    }

    /// A table of another shape.
    pub(crate) fn with_head(kind: &'static str, head: &[&str]) -> Self {
        Self { kind, head: head.iter().map(|word| (*word).to_owned()).collect(), rows: Vec::new() }
    }

    /// A row as it is.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// A fault, and how it was provoked.
    pub(crate) fn fault(&mut self, how: &str, seen: &Observation, expected: &str) {
        assert_eq!(summary(seen), expected, "{how}: {seen:?}");
        let words = seen.fault().map(|fault| fault.words.as_str()).unwrap_or_default();
        self.rows.push(vec![how.to_owned(), format!("`{expected}`"), steady(words)]);
    }

    /// An answer with a bad signal, and how it was provoked.
    pub(crate) fn signal(
        &mut self,
        how: &str,
        seen: &Observation,
        signal: &str,
        expected: impl Fn(f64) -> bool,
    ) {
        let Outcome::Answer(answer) = &seen.outcome else { panic!("{how}: {:?}", seen.outcome) };
        let value = *answer.signals.get(signal).unwrap_or_else(|| panic!("{how}: no {signal} in {answer:?}"));
        assert!(expected(value), "{how}: {signal} is {value}; {:?}", answer.notes);
        let shown =
            if value.fract() == 0.0 && value.abs() < 1e6 { format!(" = {value}") } else { String::new() };
        let said = answer.notes.first().map(|note| steady(note)).unwrap_or_default();
        self.rows.push(vec![how.to_owned(), format!("`{signal}`{shown}"), said]);
    }

    /// An answer in which the target itself says that something is wrong.
    pub(crate) fn reported(&mut self, how: &str, seen: &Observation, level: &str) {
        let Outcome::Answer(answer) = &seen.outcome else { panic!("{how}: {:?}", seen.outcome) };
        let (health, words) = answer.reported.as_ref().unwrap_or_else(|| panic!("{how}: {answer:?}"));
        assert_eq!(health.level().as_str(), level, "{how}: {words}");
        self.rows.push(vec![how.to_owned(), format!("reported {level}"), steady(words)]);
    }

    /// Compares the table with the one in docs/probes.md, or puts it there with `UPDATE_DOCS=1`.
    pub(crate) fn finish(self) {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut table = line(&self.head);
        table.push_str(&line(&vec!["---".to_owned(); self.head.len()]));
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
            table.push_str(&line(&cells));
        }
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/probes.md");
        // Tests run side by side: one at a time reads and writes the file.
        let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
        file.lock().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let begin = format!("<!-- table: {} -->\n", self.kind);
        let (before, rest) =
            text.split_once(&begin).unwrap_or_else(|| panic!("docs/probes.md has no {begin}"));
        let (old, after) = rest.split_once("<!-- end -->").unwrap();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, format!("{before}{begin}{table}<!-- end -->{after}")).unwrap();
        } else {
            assert!(
                old == table,
                "docs/probes.md is old: UPDATE_DOCS=1 cargo nextest run -p probes\n{table}"
            );
        }
    }
}

/// Words without what differs from run to run: times, ports, numbers of processes, which of two equal members.
fn steady(words: &str) -> String {
    let time = regex::Regex::new(r"\b\d+(\.\d+)? (s|ms|µs|min|h)\b").unwrap();
    let port = regex::Regex::new(r"127\.0\.0\.1:\d+").unwrap();
    let number = regex::Regex::new(r"\b\d{3,}(\.\d+)+\b|\b\d{5,}\b").unwrap();
    let member = regex::Regex::new(r"\b(first|second)@localhost\b").unwrap();
    let words = time.replace_all(words, "N $2");
    let words = port.replace_all(&words, "ADDRESS");
    let words = number.replace_all(&words, "N");
    member.replace_all(&words, "MEMBER").into_owned()
}
