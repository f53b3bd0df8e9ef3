//! The orders that clients were told are accepted, one line each: what an audit holds the platform to.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::clock;
use crate::deployment::Deployment;

/// A file of this size loses its older half: some 300,000 orders stay.
const LARGEST: u64 = 16 << 20;

/// Several processes may write to it at once.
#[derive(Debug)]
pub(crate) struct Accepted {
    file: File,
}

impl Accepted {
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let path = Deployment::require(dir)?.accepted();
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o644)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Self { file })
    }

    /// Writes down the order that an answer of the gateway speaks of. Its id, when it speaks of one.
    pub(crate) fn note(&self, answer: &[u8]) -> Option<i64> {
        let id = serde_json::from_slice::<Value>(answer).ok()?.get("id")?.as_i64()?;
        // One write a line: appended whole, whoever else writes.
        let line = format!("{id} {}\n", clock::unix_ms());
        if let Err(error) = self.append(&line) {
            tracing::error!("order {id} is accepted and cannot be written down: {error}");
        }
        Some(id)
    }

    /// Other writers may be at it, but nobody who makes it shorter.
    fn append(&self, line: &str) -> std::io::Result<()> {
        self.file.lock_shared()?;
        let written = (&self.file).write_all(line.as_bytes());
        let length = self.file.metadata().map_or(0, |about| about.len());
        self.file.unlock()?;
        written?;
        if length > LARGEST { self.halve() } else { Ok(()) }
    }

    /// In place: whoever writes here may not be allowed to make another file beside it.
    fn halve(&self) -> std::io::Result<()> {
        self.file.lock()?;
        let halved = self.halve_locked();
        self.file.unlock()?;
        halved
    }

    fn halve_locked(&self) -> std::io::Result<()> {
        let mut file = &self.file;
        let length = file.metadata()?.len();
        if length <= LARGEST {
            // Another writer was faster.
            return Ok(());
        }
        file.seek(SeekFrom::Start(length / 2))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let begin = text.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        file.set_len(0)?;
        file.write_all(text.get(begin..).unwrap_or_default())
    }
}

/// The ids in the file, in order. None when nobody has ordered anything.
pub(crate) fn read(deployment: &Deployment) -> Result<Vec<i64>> {
    let path = deployment.accepted();
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().filter_map(|line| line.split(' ').next()?.parse().ok()).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_loses_its_older_half_and_no_line_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("accepted.log");
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path).unwrap();
        let accepted = Accepted { file };
        std::fs::write(&path, "1000000 17\n".repeat((LARGEST / 11) as usize)).unwrap();
        accepted.append("2000000 18\n").unwrap();
        accepted.append("2000001 18\n").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!((text.len() as u64) < LARGEST * 2 / 3, "{}", text.len());
        assert!(text.lines().all(|line| line.len() == 10));
        assert!(text.ends_with("2000000 18\n2000001 18\n"));
    }
}
