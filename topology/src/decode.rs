//! Small readers of the YAML tree that note every mistake and go on.

use std::time::Duration;

use crate::diagnostic::{Diagnostics, Place, Source};
use crate::kind::Unit;
use crate::read::Environment;
use crate::yaml::{Key, Node, Value};

/// Where mistakes are noted, and where `${env:…}` and `${file:…}` are looked up.
pub(crate) struct Context<'a> {
    pub(crate) diagnostics: Diagnostics,
    pub(crate) environment: &'a dyn Environment,
    /// The files read so far, by [`crate::diagnostic::FileId`].
    pub(crate) sources: Vec<Source>,
    /// Names whose entry could not be read and was reported: not to be called unknown on top of that.
    pub(crate) lost: Vec<String>,
    /// Bytes that came out of `${…}`.
    interpolated: usize,
    /// Nodes that templates and defaults were copied into.
    copied: usize,
}

/// Bytes that `${…}` may bring in, over all files: passwords and addresses, not data.
const MAX_INTERPOLATED: usize = 16 << 20;

/// Values that templates and defaults may be copied into: 20,000 components of 50 values.
const MAX_COPIED: usize = 1_000_000;

/// The entries of a map, each to be taken once.
pub(crate) struct Fields<'a> {
    pub(crate) place: Place,
    entries: &'a [(Key, Node)],
    known: Vec<&'static str>,
    anchors: bool,
}

impl<'a> Fields<'a> {
    /// The map's entries.
    pub(crate) fn of(node: &'a Node, what: &str, cx: &mut Context<'_>) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            cx.expected(node, &format!("{what} is a map"));
            return None;
        };
        Some(Self { place: node.place, entries, known: Vec::new(), anchors: false })
    }

    /// The value of `name`, if it is there; `name` is then a known key.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<&'a Node> {
        self.known.push(name);
        self.entries.iter().find(|(key, _)| key.name == name).map(|(_, value)| value)
    }

    /// Lets every key that begins with `x-` pass: a place for YAML anchors.
    pub(crate) fn take_anchors(&mut self) {
        self.anchors = true;
    }

    /// The place of the key `name`, else of the map.
    pub(crate) fn key_place(&self, name: &str) -> Place {
        self.entries.iter().find(|(key, _)| key.name == name).map_or(self.place, |(key, _)| key.place)
    }

    /// Notes every key that nobody asked for.
    pub(crate) fn finish(self, what: &str, cx: &mut Context<'_>) {
        for (key, _) in self.entries {
            let passes = self.anchors && key.name.starts_with("x-");
            if !passes && !self.known.contains(&key.name.as_str()) {
                cx.unknown_word(key.place, &format!("unknown key in {what}"), &key.name, &self.known);
            }
        }
    }
}

/// So many valid words are listed where none is near.
const MAX_LISTED: usize = 60;

/// A word of the file for a message: what is too long for a line is cut.
pub(crate) fn shortened(word: &str) -> String {
    const LONGEST: usize = 80;
    match word.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &word[..cut]),
        None => word.to_owned(),
    }
}

/// Notes each key that stands twice in a map, in the whole tree.
pub(crate) fn note_all_duplicates(node: &Node, cx: &mut Context<'_>) {
    match &node.value {
        Value::Map(entries) => {
            note_duplicates(entries, cx);
            for (_, value) in entries {
                note_all_duplicates(value, cx);
            }
        }
        Value::List(items) => {
            for item in items {
                note_all_duplicates(item, cx);
            }
        }
        _ => {}
    }
}

/// Notes each key that stands twice in this map.
pub(crate) fn note_duplicates(entries: &[(Key, Node)], cx: &mut Context<'_>) {
    // Most maps are small, and comparing is cheaper than hashing then.
    if entries.len() <= 8
        && !entries
            .iter()
            .enumerate()
            .any(|(i, (key, _))| entries[..i].iter().any(|(earlier, _)| earlier.name == key.name))
    {
        return;
    }
    let mut seen = std::collections::HashMap::with_capacity(entries.len());
    for (key, _) in entries {
        if let Some(first) = seen.insert(key.name.as_str(), key.place) {
            let first: Place = first;
            let two = if first.file == key.place.file { "twice in this map" } else { "in two files" };
            let help = format!("the first is in {}; join the two or delete one", cx.at(first, key.place));
            cx.diagnostics.error(key.place, format!("`{}` stands {two}", key.name)).help(help);
        }
    }
}

impl<'a> Context<'a> {
    pub(crate) fn new(environment: &'a dyn Environment) -> Self {
        Self {
            diagnostics: Diagnostics::default(),
            environment,
            sources: Vec::new(),
            lost: Vec::new(),
            interpolated: 0,
            copied: 0,
        }
    }

    /// A place in words, seen from another: `line 12`, or `teams/a.yaml, line 12`.
    pub(crate) fn at(&self, place: Place, from: Place) -> String {
        match self.sources.get(place.file.0 as usize) {
            Some(source) if place.file != from.file => format!("{}, line {}", source.path, place.line),
            _ => format!("line {}", place.line),
        }
    }

    /// True when `node` may be copied once more; notes it when the copies become too many.
    pub(crate) fn may_copy(&mut self, node: &Node, place: Place) -> bool {
        let before = self.copied;
        // Counting costs as well.
        if before > MAX_COPIED {
            return false;
        }
        self.copied = self.copied.saturating_add(node.size());
        if self.copied > MAX_COPIED {
            self.diagnostics
                .error(place, format!("templates and defaults make more than {MAX_COPIED} values of this"))
                .help("address ranges make many instances of one component");
        }
        self.copied <= MAX_COPIED
    }

    /// True when `name` was in the file, in an entry that could not be read.
    pub(crate) fn is_lost(&self, name: &str) -> bool {
        let of = |lost: &String| {
            name.strip_prefix(lost.as_str()).is_some_and(|rest| {
                rest.is_empty()
                    || rest.strip_prefix('-').is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()))
            })
        };
        self.lost.iter().any(of)
    }

    /// Notes that something else was expected at `node`.
    pub(crate) fn expected(&mut self, node: &Node, what: &str) {
        let found = node.value.what();
        self.diagnostics.error(node.place, format!("{what}, and this is {found}"));
    }

    /// Notes a word that is none of `valid`, with the nearest one or the list.
    pub(crate) fn unknown_word(&mut self, place: Place, message: &str, word: &str, valid: &[&str]) {
        if self.diagnostics.are_many() {
            self.diagnostics.error(place, format!("{message}: `{}`", shortened(word)));
            return;
        }
        let near = self.diagnostics.suggest(word, valid.iter().copied());
        let diagnostic = self.diagnostics.error(place, format!("{message}: `{}`", shortened(word)));
        if let Some(near) = near {
            diagnostic.help(format!("did you mean `{near}`?"));
        } else if !valid.is_empty() {
            let mut sorted = valid.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            let more = if sorted.len() > MAX_LISTED { ", …" } else { "" };
            sorted.truncate(MAX_LISTED);
            diagnostic.help(format!("it takes {}{more}", sorted.join(", ")));
        }
    }

    /// A text, with `${env:…}` and `${file:…}` filled in. Numbers and truths are taken as written.
    pub(crate) fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.value {
            Value::Text(text) => self.interpolate(node.place, text),
            Value::Int(number) => Some(number.to_string()),
            Value::Float(number) => Some(number.to_string()),
            Value::Bool(truth) => Some(truth.to_string()),
            _ => {
                self.expected(node, &format!("{what} is a text"));
                None
            }
        }
    }

    fn interpolate(&mut self, place: Place, text: &str) -> Option<String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let (before, after) = rest.split_at(start);
            out.push_str(before);
            let Some(end) = after.find('}') else {
                self.diagnostics.error(place, "`${` without `}`").help(
                    "write `${env:NAME}` or `${file:PATH}`; a text of its own with `$` needs no escape",
                );
                return None;
            };
            let reference = &after[2..end];
            let looked_up = match reference.split_once(':') {
                Some(("env", name)) => {
                    let (name, otherwise) =
                        name.split_once(":-").map_or((name, None), |(name, text)| (name, Some(text)));
                    let set =
                        self.environment.variable(name).filter(|v| otherwise.is_none() || !v.is_empty());
                    set.or_else(|| otherwise.map(str::to_owned)).ok_or_else(|| {
                        (
                            format!("the environment variable `{name}` is not set"),
                            format!(
                                "start topowatch with {name}=… in its environment, or use `${{file:PATH}}`"
                            ),
                        )
                    })
                }
                Some(("file", path)) => self.environment.file(&self.beside(place, path)).map_err(|why| {
                    (
                        format!("the file `{path}` cannot be read: {why}"),
                        "the path is relative to the directory of this file".to_owned(),
                    )
                }),
                _ => Err((
                    format!("`${{{reference}}}` is neither `${{env:NAME}}` nor `${{file:PATH}}`"),
                    "write one of the two".to_owned(),
                )),
            };
            match looked_up {
                Ok(value) if self.interpolated + value.len() > MAX_INTERPOLATED => {
                    let message = format!("`${{…}}` brings in more than {} MiB", MAX_INTERPOLATED >> 20);
                    self.diagnostics.error(place, message);
                    return None;
                }
                Ok(value) => {
                    self.interpolated += {
                        out.push_str(value.trim_end_matches(['\r', '\n']));
                        value.len()
                    }
                }
                Err((message, help)) => {
                    self.diagnostics.error(place, message).help(help);
                    return None;
                }
            }
            rest = &after[end + 1..];
        }
        out.push_str(rest);
        Some(out)
    }

    /// `path` as written in the file of `place`, from that file's directory.
    fn beside(&self, place: Place, path: &str) -> String {
        let file = self.sources.get(place.file.0 as usize);
        file.map_or_else(|| path.to_owned(), |file| file.beside(path))
    }

    /// A truth.
    pub(crate) fn truth(&mut self, node: &Node, what: &str) -> Option<bool> {
        if let Value::Bool(truth) = node.value {
            return Some(truth);
        }
        self.expected(node, &format!("{what} is `true` or `false`"));
        None
    }

    /// A whole number of at least `least`.
    pub(crate) fn count(&mut self, node: &Node, what: &str, least: u64) -> Option<u64> {
        match node.value {
            Value::Int(number) if number >= 0 && number as u64 >= least => Some(number as u64),
            _ => {
                self.diagnostics.error(node.place, format!("{what} is a whole number from {least} on"));
                None
            }
        }
    }

    /// A duration such as `300ms`, `3s`, `1m 30s`; more than zero.
    pub(crate) fn duration(&mut self, node: &Node, what: &str) -> Option<Duration> {
        let text = self.text(node, what)?;
        match parse_duration(&text) {
            Some(duration) if !duration.is_zero() => Some(duration),
            _ => {
                let diagnostic = self
                    .diagnostics
                    .error(node.place, format!("{what} is a duration, and `{}` is none", shortened(&text)));
                if text.parse::<f64>().is_ok() {
                    diagnostic.help(format!("the unit is missing: `{text}s` or `{text}ms`"));
                } else {
                    diagnostic.help("write it as `300ms`, `3s` or `1m 30s`");
                }
                None
            }
        }
    }

    /// A value of a signal in its unit.
    pub(crate) fn quantity(&mut self, node: &Node, unit: Unit, what: &str) -> Option<f64> {
        if unit == Unit::Seconds {
            return self.duration(node, what).map(|duration| duration.as_secs_f64());
        }
        let (value, forms) = match unit {
            Unit::Ratio => (self.text(node, what).and_then(|text| parse_ratio(&text)), "`85%` or `0.85`"),
            Unit::Bytes => (self.text(node, what).and_then(|text| parse_bytes(&text)), "`64MiB` or a number"),
            _ => (self.text(node, what).and_then(|text| text.parse::<f64>().ok()), "a number"),
        };
        let value = value.filter(|value| value.is_finite() && *value >= 0.0);
        if value.is_none() && !matches!(node.value, Value::List(_) | Value::Map(_)) {
            self.diagnostics.error(node.place, format!("{what} is {forms}"));
        }
        value
    }

    /// A ratio of 0 to 1.
    pub(crate) fn ratio(&mut self, node: &Node, what: &str) -> Option<f64> {
        let value = self.quantity(node, Unit::Ratio, what)?;
        if value <= 1.0 {
            return Some(value);
        }
        self.diagnostics.error(node.place, format!("{what} is more than 100 %")).help("write `60%` or `0.6`");
        None
    }
}

/// `300ms`, `3s`, `1m 30s`, `2h`, `1d`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut total = 0.0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let amount: f64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic() && c != 'µ').unwrap_or(rest.len());
        total += amount
            * match &rest[..letters] {
                "us" | "µs" => 1e-6,
                "ms" => 1e-3,
                "s" | "sec" => 1.0,
                "m" | "min" => 60.0,
                "h" => 3600.0,
                "d" => 86_400.0,
                _ => return None,
            };
        rest = rest[letters..].trim_start();
    }
    // A year is longer than anything here may last.
    (total <= 366.0 * 86_400.0).then(|| Duration::from_secs_f64(total))
}

fn parse_ratio(text: &str) -> Option<f64> {
    match text.trim().strip_suffix('%') {
        Some(number) => number.trim().parse::<f64>().ok().map(|percent| percent / 100.0),
        None => text.trim().parse().ok(),
    }
}

fn parse_bytes(text: &str) -> Option<f64> {
    let text = text.trim();
    let letters = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let amount: f64 = text[..letters].trim().parse().ok()?;
    let factor = match &text[letters..] {
        "" | "B" => 1.0,
        "kB" => 1e3,
        "KiB" => 1024.0,
        "MB" => 1e6,
        "MiB" => 1_048_576.0,
        "GB" => 1e9,
        "GiB" => 1_073_741_824.0,
        _ => return None,
    };
    Some(amount * factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, seconds) in
            [("300ms", 0.3), ("3s", 3.0), ("1m 30s", 90.0), ("1m30s", 90.0), ("1.5 s", 1.5), ("2h", 7200.0)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        for text in ["", "3", "3 parsecs", "s", "-3s", "1e9d", "3s and"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn ratios_and_bytes() {
        assert_eq!(parse_ratio("85%"), Some(0.85));
        assert_eq!(parse_ratio("0.85"), Some(0.85));
        assert_eq!(parse_bytes("64MiB"), Some(67_108_864.0));
        assert_eq!(parse_bytes("64 XB"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,12}") {
            let _ = (parse_duration(&text), parse_ratio(&text), parse_bytes(&text));
        }
    }
}
