//! Findings quote what they find, and what they find may have come from `${env:…}` or `${file:…}`: on a page it is
//! shown as it was written, not what it stands for.

use std::path::{Path, PathBuf};

use topology::Environment as _;

use crate::environment::Around;

/// A shorter value is no secret, and stands in many words.
const SHORTEST: usize = 4;
/// Bytes that are looked through of each file.
const MOST: usize = 4 << 20;

/// What stands for what.
pub(crate) struct Scrub {
    /// The value, and the way it was written; the longest value first.
    values: Vec<(String, String)>,
}

impl Scrub {
    /// All that `files` take from elsewhere.
    pub(crate) fn of(files: &[PathBuf]) -> Self {
        let mut values: Vec<(String, String)> = files.iter().flat_map(|file| taken(file)).collect();
        values.retain(|(value, _)| value.len() >= SHORTEST);
        values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        values.dedup();
        Self { values }
    }

    /// `text` without those values.
    pub(crate) fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (value, written) in &self.values {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), written);
            }
        }
        text
    }
}

fn taken(file: &Path) -> Vec<(String, String)> {
    let Ok(bytes) = std::fs::read(file) else { return Vec::new() };
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST)]);
    let around = Around::file(file);
    let pieces = text.split("${").skip(1).filter_map(|rest| rest.split_once('}')).map(|(inside, _)| inside);
    pieces
        .filter_map(|inside| {
            let (kind, name) = inside.split_once(':')?;
            let value = match kind.trim() {
                "env" => around.variable(name.trim())?,
                "file" => around.file(name.trim()).ok()?.trim().to_owned(),
                _ => return None,
            };
            Some((value, format!("${{{inside}}}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_from_elsewhere_is_shown_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret"), "hunter2hunter2\n").unwrap();
        std::fs::write(dir.path().join("short"), "on\n").unwrap();
        let file = dir.path().join("t.yaml");
        std::fs::write(&file, "a: ${file:secret}\nb: ${file:short}\nc: ${env:NO_SUCH}\nd: ${open").unwrap();
        let scrub = Scrub::of(&[file]);
        assert_eq!(
            scrub.clean("`hunter2hunter2` is not `host:port`, and so on"),
            "`${file:secret}` is not `host:port`, and so on"
        );
    }
}
