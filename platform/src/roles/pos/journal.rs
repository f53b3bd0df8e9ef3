//! What the stores have taken and made, on disk before anything is done about it: a POS that was killed
//! makes no drink twice and forgets none. One line an event: `take`, `made` or `told` (the OMS has the
//! pickup code), then the store and the order.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};

pub(crate) const JOURNAL: &str = "journal";

/// What is still to be done, from what was written down.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Open {
    /// Taken and not made, by store.
    pub(super) taken: BTreeMap<i64, Vec<i64>>,
    /// Made, and the OMS may not know.
    pub(super) made: BTreeMap<i64, Vec<i64>>,
}

pub(super) struct Journal {
    file: Mutex<File>,
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
        Ok((Self { file: Mutex::new(file) }, read(&text)))
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
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes())
    }
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
}
