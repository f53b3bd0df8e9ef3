//! The orders that clients were told are accepted, one line each: what an audit holds the platform to.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::clock;
use crate::deployment::Deployment;

/// Several processes may write to it at once.
#[derive(Debug)]
pub(crate) struct Accepted {
    file: File,
}

impl Accepted {
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let path = Deployment::require(dir)?.accepted();
        let file = OpenOptions::new()
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
        if let Err(error) = (&self.file).write_all(line.as_bytes()) {
            tracing::error!("order {id} is accepted and cannot be written down: {error}");
        }
        Some(id)
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
