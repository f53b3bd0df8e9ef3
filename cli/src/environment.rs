//! The environment of a topology file: variables of this process, files beside it.

use std::path::{Path, PathBuf};

/// Bytes of a `${file:…}` at most: a password, not a disk.
const MAX_FILE: u64 = 64 << 10;

/// Looks `${env:…}` and `${file:…}` up.
pub(crate) struct Around {
    directory: PathBuf,
}

impl Around {
    /// Around the topology file at `file`.
    pub(crate) fn file(file: &Path) -> Self {
        Self { directory: file.parent().map(Path::to_owned).unwrap_or_default() }
    }
}

impl topology::Environment for Around {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &str) -> Result<String, String> {
        let path = self.directory.join(path);
        let in_words = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
            std::io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
            _ => error.to_string(),
        };
        let meta = std::fs::metadata(&path).map_err(in_words)?;
        if !meta.is_file() {
            return Err("it is not a file".to_owned());
        }
        if meta.len() > MAX_FILE {
            return Err(format!("it has {} bytes, more than {MAX_FILE}", meta.len()));
        }
        let text = std::fs::read_to_string(&path).map_err(in_words)?;
        if text.trim().is_empty() {
            return Err("it is empty".to_owned());
        }
        Ok(text)
    }
}
