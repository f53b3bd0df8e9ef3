//! A topology in the making: what was found elsewhere, before it is a file.
//!
//! Readers of other programs' files and of this host fill it; [`write`] makes a commented topology.yaml of it,
//! [`finish`] sees to it that the file is good, [`report`] says what could not be carried over.

pub(crate) mod finish;
pub(crate) mod known;
pub(crate) mod report;
pub(crate) mod write;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// A topology that is not written yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    /// The platform's name.
    pub(crate) name: String,
    /// Words for the head of the file.
    pub(crate) heading: Vec<String>,
    pub(crate) components: Vec<Component>,
    /// What a person should know, and what could not be carried over.
    pub(crate) notes: Vec<Note>,
}

/// A component that is not written yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Component {
    pub(crate) name: String,
    pub(crate) title: Option<String>,
    pub(crate) tier: Option<String>,
    pub(crate) group: Option<String>,
    /// Lines above it: where it was found, what was guessed.
    pub(crate) comments: Vec<String>,
    pub(crate) instances: Vec<Instance>,
    pub(crate) probes: Vec<Probe>,
    pub(crate) policy: Option<&'static str>,
    pub(crate) interval: Option<String>,
    pub(crate) timeout: Option<String>,
    pub(crate) depends_on: Vec<Dependency>,
}

/// One running copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Instance {
    /// Its own name, where it is not to be `component-N`.
    pub(crate) name: Option<String>,
    /// `host:port`.
    pub(crate) address: String,
    pub(crate) labels: BTreeMap<String, String>,
}

/// How it is asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Probe {
    pub(crate) kind: &'static str,
    pub(crate) options: Vec<(String, Setting)>,
}

/// The value of an option.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Setting {
    /// A text from elsewhere; one with `${` in it means nothing here and is left out.
    Text(String),
    /// A text of ours, in which `${env:NAME:-}` stands for what was not copied.
    Template(String),
    Number(i64),
    Truth(bool),
    List(Vec<Setting>),
    Map(Vec<(String, Setting)>),
}

/// What the loss of a dependency does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Strength {
    #[default]
    Required,
    Optional,
    Async,
}

/// A component that another one needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) on: String,
    pub(crate) strength: Strength,
    /// How it was found.
    pub(crate) because: String,
}

/// A place in a file that was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Where {
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// What a person should know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Note {
    #[serde(flatten)]
    pub(crate) place: Option<Where>,
    /// What it is about.
    pub(crate) what: String,
    /// What was done with it, and why.
    pub(crate) why: String,
}

impl Draft {
    /// Notes something.
    pub(crate) fn note(&mut self, place: Option<Where>, what: impl Into<String>, why: impl Into<String>) {
        let note = Note { place, what: shortened(&what.into()), why: shortened(&why.into()) };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// The component of this name.
    pub(crate) fn get(&mut self, name: &str) -> Option<&mut Component> {
        self.components.iter_mut().find(|component| component.name == name)
    }

    /// Every variable of the environment that the file will ask for.
    pub(crate) fn variables(&self) -> BTreeSet<String> {
        fn of(setting: &Setting, found: &mut BTreeSet<String>) {
            match setting {
                Setting::Template(text) => {
                    let names = text.split("${env:").skip(1).filter_map(|rest| rest.split([':', '}']).next());
                    found.extend(names.map(str::to_owned));
                }
                Setting::List(items) => items.iter().for_each(|item| of(item, found)),
                Setting::Map(items) => items.iter().for_each(|(_, item)| of(item, found)),
                _ => {}
            }
        }
        let mut found = BTreeSet::new();
        let settings = self.components.iter().flat_map(|c| &c.probes).flat_map(|probe| &probe.options);
        settings.for_each(|(_, setting)| of(setting, &mut found));
        found
    }
}

impl Component {
    /// A component at one address.
    pub(crate) fn at(name: impl Into<String>, address: impl Into<String>, probe: Probe) -> Self {
        Self {
            name: name.into(),
            tier: Some(known::tier_of(probe.kind).to_owned()),
            instances: vec![Instance { address: address.into(), ..Instance::default() }],
            probes: vec![probe],
            ..Self::default()
        }
    }

    /// Adds a dependency; the first word on its strength stays.
    pub(crate) fn needs(&mut self, on: &str, strength: Strength, because: impl Into<String>) {
        if on != self.name && !self.depends_on.iter().any(|known| known.on == on) {
            self.depends_on.push(Dependency { on: on.to_owned(), strength, because: because.into() });
        }
    }
}

impl Probe {
    /// A probe without options.
    pub(crate) fn of(kind: &'static str) -> Self {
        Self { kind, options: Vec::new() }
    }

    /// The same with one more option.
    pub(crate) fn with(mut self, key: &str, setting: Setting) -> Self {
        self.options.push((key.to_owned(), setting));
        self
    }

    /// The same with a text, where there is one.
    pub(crate) fn with_text(self, key: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.with(key, Setting::Text(text.to_owned())),
            None => self,
        }
    }

    /// The same with headers, where there are some.
    pub(crate) fn with_headers(self, headers: Vec<(String, Setting)>) -> Self {
        if headers.is_empty() { self } else { self.with("headers", Setting::Map(headers)) }
    }
}

/// `${env:…}` for a secret of `owner`, without a value of its own: `orders-db` and `password` make
/// `${env:ORDERS_DB_PASSWORD:-}`.
pub(crate) fn secret(owner: &str, what: &str) -> Setting {
    let name: String = format!("{owner}_{what}")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect();
    let first = if name.starts_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
    Setting::Template(format!("${{env:{first}{name}:-}}"))
}

/// The header that stands for an account of elsewhere, out of a variable of `owner`; `lost` is told of it.
pub(crate) fn authorization(owner: &str, lost: &mut Vec<String>) -> (String, Setting) {
    lost.push(
        "its account is not copied: the variable holds the whole header, as `Basic …` or `Bearer …`"
            .to_owned(),
    );
    ("Authorization".to_owned(), secret(owner, "authorization"))
}

/// A text of elsewhere for a message: what is too long for a few lines is cut.
pub(crate) fn shortened(text: &str) -> String {
    const LONGEST: usize = 300;
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

/// A name as topology.yaml takes it: other characters become `-`.
pub(crate) fn slug(text: &str) -> String {
    let mut out = String::new();
    for c in text.trim().chars() {
        let plain = c.is_alphanumeric() || matches!(c, '_' | '.');
        if plain {
            out.extend(c.to_lowercase());
        } else if !out.ends_with('-') {
            out.push('-');
        }
    }
    let mut cut = out.trim_matches(['-', '.']).to_owned();
    while cut.len() > 90 {
        cut.pop();
    }
    if cut.is_empty() { "node".to_owned() } else { cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_variables_are_made_of_any_text() {
        assert_eq!(slug(" Front end (EU) "), "front-end-eu");
        assert_eq!(slug("门店 API"), "门店-api");
        assert_eq!(shortened(&"é".repeat(1000)).chars().count(), 301);
        assert_eq!(slug("//"), "node");
        assert!(slug(&"é".repeat(300)).len() <= 90);
        assert_eq!(secret("orders-db", "password"), Setting::Template("${env:ORDERS_DB_PASSWORD:-}".into()));
        assert_eq!(secret("7-db", "user"), Setting::Template("${env:_7_DB_USER:-}".into()));
    }
}
