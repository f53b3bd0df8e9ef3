//! Where a topology looks things up: variables of this process, files on this disk.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Bytes of a `${file:…}` at most: a password, not a disk.
const MAX_SECRET: u64 = 64 << 10;

/// Bytes of a topology file that are looked at: one more than the reader takes, so that it can say so.
const MAX_SOURCE: u64 = (8 << 20) + 1;

/// Looks up files, `${env:…}` and `${file:…}`, and remembers which files were asked for.
#[derive(Default)]
pub(crate) struct Around {
    secrets: RefCell<Vec<PathBuf>>,
}

impl Around {
    /// The files of all `${file:…}`.
    pub(crate) fn into_secrets(self) -> Vec<PathBuf> {
        self.secrets.into_inner()
    }
}

impl topology::Environment for Around {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &str) -> Result<String, String> {
        self.secrets.borrow_mut().push(PathBuf::from(path));
        let meta = std::fs::metadata(path).map_err(|error| in_words(&error))?;
        if !meta.is_file() {
            return Err("it is not a file".to_owned());
        }
        if meta.len() > MAX_SECRET {
            return Err(format!("it has {} bytes, more than {MAX_SECRET}", meta.len()));
        }
        let text = std::fs::read_to_string(path).map_err(|error| in_words(&error))?;
        if text.trim().is_empty() {
            return Err("it is empty".to_owned());
        }
        Ok(text)
    }

    fn source(&self, path: &str) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(MAX_SOURCE).read_to_end(&mut bytes))
            .map_err(|error| in_words(&error))?;
        Ok(bytes)
    }

    fn matching(&self, directory: &str, pattern: &str) -> Result<Vec<String>, String> {
        let whole = if pattern.starts_with('/') {
            pattern.to_owned()
        } else {
            format!("{}{pattern}", glob::Pattern::escape(directory))
        };
        // A hidden file, such as an editor's, is meant only when it is named.
        let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
        let found = glob::glob_with(&whole, options).map_err(|error| error.to_string())?;
        let mut paths = Vec::new();
        for path in found {
            let path = path.map_err(|error| in_words(error.error()))?;
            if path.is_file() {
                paths.push(plain(&path).display().to_string());
            }
        }
        Ok(paths)
    }
}

/// The path without its `..`, where that is the same file: so that a file is known when it comes again.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir if out.file_name().is_some() => {
                out.pop();
            }
            _ => out.push(part),
        }
    }
    match (std::fs::canonicalize(&out), std::fs::canonicalize(path)) {
        (Ok(a), Ok(b)) if a == b => out,
        _ => path.to_owned(),
    }
}

fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        _ => error.to_string(),
    }
}

/// The same, with something else in place of what is missing here.
///
/// What a value must look like depends on where it stands: a number does for a port, a host, a name and a
/// password, but not for a URL. So it is a number first, and a URL where that was wrong.
#[derive(Default)]
pub(crate) struct Placeholders {
    around: Around,
    /// What was missing, by `env:NAME` or `file:PATH`: its number, and whether it is a URL now.
    given: RefCell<BTreeMap<String, (usize, bool)>>,
}

impl Placeholders {
    /// Gives URLs for what is named on these lines. False when that changes nothing.
    pub(crate) fn try_others<'a>(&mut self, lines: impl Iterator<Item = &'a str>) -> bool {
        let mut changed = false;
        for line in lines {
            for (name, (_, url)) in self.given.get_mut() {
                changed |= refers(line, name) && !std::mem::replace(url, true);
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

    fn source(&self, path: &str) -> Result<Vec<u8>, String> {
        self.around.source(path)
    }

    fn matching(&self, directory: &str, pattern: &str) -> Result<Vec<String>, String> {
        self.around.matching(directory, pattern)
    }
}

/// True when `line` has the reference `name`: as it is, or a file's with the directory of its own file in front.
fn refers(line: &str, name: &str) -> bool {
    let references = line.split("${").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
    let named = |reference: &str| reference.split_once(":-").map_or(reference.len(), |(name, _)| name.len());
    let same = |reference: &str| match (reference.strip_prefix("file:"), name.strip_prefix("file:")) {
        (Some(written), Some(path)) => {
            path.strip_suffix(written).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
        }
        _ => &reference[..named(reference)] == name,
    };
    references.into_iter().any(same)
}
