//! What the stores have taken and made, on disk before anything is done about it: a POS that was killed
//! makes no drink twice and forgets none. One line an event: `take`, `made` or `told` (the OMS has the
//! pickup code), then the store and the order.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};

pub(crate) const JOURNAL: &str = "journal";
/// A journal of this size is written anew, without older orders that are done.
const LARGEST: u64 = 16 << 20;
/// Lines that are kept, whatever they say: for whoever checks.
const KEPT: usize = 100_000;

/// What is still to be done, from what was written down.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Open {
    /// Taken and not made, by store.
    pub(super) taken: BTreeMap<i64, Vec<i64>>,
    /// Made, and the OMS may not know.
    pub(super) made: BTreeMap<i64, Vec<i64>>,
}

pub(super) struct Journal {
    path: PathBuf,
    file: Mutex<Written>,
}

struct Written {
    file: File,
    length: u64,
}

impl Journal {
    pub(super) fn open(home: &Path) -> Result<(Self, Open)> {
        let path = home.join(JOURNAL);
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(|| format!("cannot read {}", path.display()))?;
        if !text.is_empty() && !text.ends_with('\n') {
            // A kill cut the last line off: it must not swallow the next.
            file.write_all(b"\n")?;
        }
        let written = Written { file, length: text.len() as u64 };
        Ok((Self { path, file: Mutex::new(written) }, read(&text)))
    }

    pub(super) fn take(&self, store: i64, order: i64) -> std::io::Result<()> {
        self.write(&format!("take {store} {order}\n"))
    }

    pub(super) fn made(&self, store: i64, order: i64) -> std::io::Result<()> {
        self.write(&format!("made {store} {order}\n"))
    }

    pub(super) fn told(&self, store: i64, order: i64) -> std::io::Result<()> {
        self.write(&format!("told {store} {order}\n"))
    }

    /// One write: lines of different stores do not mix, and what a kill leaves is whole lines.
    fn write(&self, line: &str) -> std::io::Result<()> {
        let mut written = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        written.file.write_all(line.as_bytes())?;
        written.length += line.len() as u64;
        if written.length > LARGEST {
            *written = shorten(&self.path, KEPT)?;
        }
        Ok(())
    }
}

/// Whatever is not done stays, however old. The new file takes the old one's place in one step.
fn shorten(path: &Path, kept: usize) -> std::io::Result<Written> {
    let text = std::fs::read_to_string(path)?;
    let order = |line: &str| number(line.split(' ').nth(2));
    let done: HashSet<i64> =
        text.lines().filter(|line| line.starts_with("told ")).filter_map(order).collect();
    let old = text.lines().count().saturating_sub(kept);
    let mut short = String::new();
    for (index, line) in text.lines().enumerate() {
        if index >= old || order(line).is_some_and(|order| !done.contains(&order)) {
            short.push_str(line);
            short.push('\n');
        }
    }
    let draft = path.with_extension("new");
    std::fs::write(&draft, &short)?;
    std::fs::rename(&draft, path)?;
    let file = OpenOptions::new().append(true).open(path)?;
    Ok(Written { file, length: short.len() as u64 })
}

fn read(text: &str) -> Open {
    let mut orders: HashMap<i64, (i64, &str)> = HashMap::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let (word, store, order) = (words.next(), number(words.next()), number(words.next()));
        let (Some(word), Some(store), Some(order)) = (word, store, order) else { continue };
        orders.insert(order, (store, word));
    }
    let mut open = Open::default();
    for (order, (store, word)) in orders {
        match word {
            "take" => open.taken.entry(store).or_default().push(order),
            "made" => open.made.entry(store).or_default().push(order),
            _ => {}
        }
    }
    open
}

fn number(word: Option<&str>) -> Option<i64> {
    word?.parse().ok()
}

/// How often each order was taken by a kitchen, for whoever checks.
pub(crate) fn takes(home: &Path) -> Result<HashMap<i64, u32>> {
    let path = home.join(JOURNAL);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut takes = HashMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("take ")) {
        if let Some(order) = number(line.split(' ').nth(1)) {
            *takes.entry(order).or_default() += 1;
        }
    }
    Ok(takes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_and_not_made_is_open_after_a_kill() {
        let home = tempfile::tempdir().unwrap();
        let (journal, open) = Journal::open(home.path()).unwrap();
        assert_eq!(open, Open::default());
        journal.take(3, 30).unwrap();
        journal.take(3, 31).unwrap();
        journal.made(3, 30).unwrap();
        journal.take(3, 32).unwrap();
        journal.made(3, 32).unwrap();
        journal.told(3, 32).unwrap();
        journal.write("take 4").unwrap();
        drop(journal);
        let (journal, open) = Journal::open(home.path()).unwrap();
        assert_eq!(open.taken, BTreeMap::from([(3, vec![31])]));
        assert_eq!(open.made, BTreeMap::from([(3, vec![30])]));
        journal.take(5, 50).unwrap();
        assert_eq!(takes(home.path()).unwrap(), HashMap::from([(30, 1), (31, 1), (32, 1), (50, 1)]));
    }

    #[test]
    fn a_long_journal_loses_old_orders_that_are_done_and_no_other() {
        let home = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(home.path()).unwrap();
        journal.take(1, 10).unwrap();
        for order in 20..30 {
            journal.take(2, order).unwrap();
            journal.made(2, order).unwrap();
            journal.told(2, order).unwrap();
        }
        *journal.file.lock().unwrap() = shorten(&journal.path, 6).unwrap();
        journal.made(1, 10).unwrap();
        let text = std::fs::read_to_string(&journal.path).unwrap();
        assert_eq!(text.lines().count(), 8, "{text}");
        assert_eq!(read(&text).made, BTreeMap::from([(1, vec![10])]));
        assert_eq!(takes(home.path()).unwrap(), HashMap::from([(10, 1), (28, 1), (29, 1)]));
    }
}
