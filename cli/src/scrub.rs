//! Findings quote what they find, and what they find may have come from `${env:…}` or `${file:…}`: on a page it is
//! shown as it was written, not what it stands for.

use topology::Environment as _;
use topology::diagnostic::Source;

use crate::environment::Around;

/// A shorter value is no secret, and stands in many words.
const SHORTEST: usize = 4;

/// What stands for what.
pub(crate) struct Scrub {
    /// The value, and the way it was written; the longest value first.
    values: Vec<(String, String)>,
}

impl Scrub {
    /// All that `files` take from elsewhere.
    pub(crate) fn of(files: &[Source]) -> Self {
        let mut values: Vec<(String, String)> = files.iter().flat_map(taken).collect();
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

fn taken(file: &Source) -> Vec<(String, String)> {
    let around = Around::default();
    let pieces =
        file.text.split("${").skip(1).filter_map(|rest| rest.split_once('}')).map(|(inside, _)| inside);
    pieces
        .filter_map(|inside| {
            let (kind, name) = inside.split_once(':')?;
            let value = match kind.trim() {
                "env" => around.variable(name.trim())?,
                "file" => around.file(&file.beside(name.trim())).ok()?.trim().to_owned(),
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
        let path = dir.path().join("t.yaml").display().to_string();
        let text = "a: ${file:secret}\nb: ${file:short}\nc: ${env:NO_SUCH}\nd: ${open".to_owned();
        let scrub = Scrub::of(&[Source { path, text }]);
        assert_eq!(
            scrub.clean("`hunter2hunter2` is not `host:port`, and so on"),
            "`${file:secret}` is not `host:port`, and so on"
        );
    }
}
