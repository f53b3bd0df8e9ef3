//! The environment of a topology file: variables of this process, files beside it.

use std::cell::RefCell;
use std::collections::BTreeMap;
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

/// The same, with something else in place of what is missing here.
///
/// What a value must look like depends on where it stands: a number does for a port, a host, a name and a
/// password, but not for a URL. So it is a number first, and a URL where that was wrong.
pub(crate) struct Placeholders {
    around: Around,
    /// What was missing, by `env:NAME` or `file:PATH`: its number, and whether it is a URL now.
    given: RefCell<BTreeMap<String, (usize, bool)>>,
}

impl Placeholders {
    /// Around the topology file at `file`.
    pub(crate) fn file(file: &Path) -> Self {
        Self { around: Around::file(file), given: RefCell::default() }
    }

    /// Gives URLs for what is named on these lines. False when that changes nothing.
    pub(crate) fn try_others<'a>(&mut self, lines: impl Iterator<Item = &'a str>) -> bool {
        let mut changed = false;
        for line in lines {
            for (name, (_, url)) in self.given.get_mut() {
                changed |= line.contains(&format!("${{{name}}}")) && !std::mem::replace(url, true);
            }
        }
        changed
    }

    fn placeholder(&self, name: String) -> String {
        let mut given = self.given.borrow_mut();
        // Each another one: two instances must not have one address.
        let next = given.len() + 1;
        match *given.entry(name).or_insert((next, false)) {
            (number, false) => number.to_string(),
            (number, true) => format!("http://127.0.0.1:{number}/"),
        }
    }
}

impl topology::Environment for Placeholders {
    fn variable(&self, name: &str) -> Option<String> {
        Some(self.around.variable(name).unwrap_or_else(|| self.placeholder(format!("env:{name}"))))
    }

    fn file(&self, path: &str) -> Result<String, String> {
        Ok(self.around.file(path).unwrap_or_else(|_| self.placeholder(format!("file:{path}"))))
    }
}
