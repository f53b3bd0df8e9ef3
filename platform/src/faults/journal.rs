//! What has to be undone, on disk before it is done: so a fault whose command was killed is undone, too, by
//! `repair`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::undo::Undo;
use crate::deployment::write_atomically;
use crate::process::{Life, Process};

/// In `--dir`: a file for each `break` at work.
pub(crate) const BREAKS: &str = "breaks";

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Journal {
    pub(super) fault: String,
    /// The command that broke it.
    by: Process,
    /// The last step is undone first.
    pub(super) undo: Vec<Undo>,
    #[serde(skip)]
    path: PathBuf,
}

impl Journal {
    pub(super) fn begin(dir: &Path, fault: &str) -> Result<Self> {
        let pid = std::process::id().cast_signed();
        let by = Process::current(pid).context("cannot tell when this process was started")?;
        let dir = dir.join(BREAKS);
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let path = dir.join(format!("{pid}.json"));
        Ok(Self { fault: fault.to_owned(), by, undo: Vec::new(), path })
    }

    /// Before the step is taken.
    pub(super) fn note(&mut self, undo: Undo) -> Result<()> {
        self.undo.push(undo);
        self.save()
    }

    fn save(&self) -> Result<()> {
        write_atomically(&self.path, &serde_json::to_string_pretty(self)?)
    }

    /// Everything is as it was.
    pub(super) fn end(&self) {
        std::fs::remove_file(&self.path).ok();
    }

    /// Faults whose command is gone.
    pub(super) fn left(dir: &Path) -> Result<Vec<Self>> {
        let Ok(entries) = std::fs::read_dir(dir.join(BREAKS)) else { return Ok(Vec::new()) };
        let mut left = Vec::new();
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            // One that cannot be read has just been undone by its command.
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let journal: Self = serde_json::from_str(&text)
                .with_context(|| format!("cannot understand {}", path.display()))?;
            if journal.by.life() == Life::Dead {
                left.push(Self { path, ..journal });
            }
        }
        Ok(left)
    }
}
