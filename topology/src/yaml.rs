//! YAML into a tree in which every key and value knows its place.
//!
//! Serde's derive stops at the first mistake and loses places inside "a text or a map" forms, of
//! which topology.yaml is full. So the text becomes this tree first, and [`crate::decode`] walks it
//! and collects every mistake. The tree is made from the parser's own events in [`crate::tree`]: through serde
//! with a place at every value the same file takes three times as long.

use crate::diagnostic::{Diagnostics, FileId, Place};
use crate::syntax;
use crate::tree::{self, Slip};

/// A value with its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// A YAML value.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing: an empty value, `~` or `null`.
    Null,
    /// A truth.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text, quoted or plain.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file; a key may stand in it twice.
    Map(Vec<(Key, Node)>),
}

impl Node {
    /// A map without entries, at `place`.
    pub(crate) const fn empty(place: Place) -> Self {
        Self { place, value: Value::Map(Vec::new()) }
    }

    /// How many values it holds, itself included.
    pub(crate) fn size(&self) -> usize {
        1 + match &self.value {
            Value::List(items) => items.iter().map(Self::size).sum::<usize>(),
            Value::Map(entries) => entries.iter().map(|(_, value)| value.size()).sum(),
            _ => 0,
        }
    }

    /// The value under `name`, when this is a map that has it.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(key, _)| key.name == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Takes the value under `name` out of a map.
    pub(crate) fn remove(&mut self, name: &str) -> Option<(Key, Self)> {
        match &mut self.value {
            Value::Map(entries) => {
                let at = entries.iter().position(|(key, _)| key.name == name)?;
                Some(entries.remove(at))
            }
            _ => None,
        }
    }
}

/// A key with its place.
#[derive(Clone, Debug)]
pub struct Key {
    /// Where it stands.
    pub place: Place,
    /// The key itself; a number or a truth as written.
    pub name: String,
}

impl Value {
    /// What it is, for "expected …, found …".
    pub fn what(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// Bytes of one file at most: 20,000 instances written one by one take about 2 MiB.
pub(crate) const MAX_BYTES: usize = 8 << 20;

/// A file's tree, and what had to be left out of it.
#[derive(Default)]
pub(crate) struct Tree {
    pub(crate) root: Option<Node>,
    /// Names of entries that are not YAML: they are missing from the tree, not from the file.
    pub(crate) lost: Vec<String>,
}

/// Reads the bytes of a file: UTF-8, with or without a byte order mark.
pub(crate) fn text_of(bytes: Vec<u8>, file: FileId, diagnostics: &mut Diagnostics) -> Option<String> {
    if bytes.len() > MAX_BYTES {
        diagnostics
            .error(
                syntax::start_of(file),
                format!("the file has {} bytes, more than {MAX_BYTES}", bytes.len()),
            )
            .help("address ranges such as \"10.0.1.[1-100]:8080\" keep it short, `include:` divides it");
        return None;
    }
    utf8(bytes, file, diagnostics)
}

/// The text of `bytes`, with or without a byte order mark in front.
pub(crate) fn utf8(bytes: Vec<u8>, file: FileId, diagnostics: &mut Diagnostics) -> Option<String> {
    let start = syntax::start_of(file);
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        diagnostics.error(start, "this is UTF-16").help("save the file as UTF-8");
        return None;
    }
    match String::from_utf8(bytes) {
        Ok(mut text) => {
            if text.starts_with('\u{feff}') {
                text.drain(..'\u{feff}'.len_utf8());
            }
            Some(text)
        }
        Err(error) => {
            let good = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
            let line = good.split('\n').count();
            let column = good.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
            let place = Place { file, line: line as u32, column: column as u32 };
            diagnostics.error(place, "this is not UTF-8").help("save the file as UTF-8");
            None
        }
    }
}

/// Reads `text`. After a syntax error the entry that holds it is left out and the rest is read all the same, so
/// that one forgotten quote hides no other mistake.
pub(crate) fn read(text: &str, file: FileId, diagnostics: &mut Diagnostics) -> Tree {
    let mut tree = Tree::default();
    let mut rest = std::borrow::Cow::Borrowed(text);
    let mut last = None;
    for _ in 0..MAX_SYNTAX_ERRORS {
        match tree::parse(&rest, file) {
            Ok(root) => {
                tree.root = root;
                break;
            }
            // Leaving the entry out did not help.
            Err(slip) if last == Some(slip.place) => break,
            // The anchor may stand in what was left out.
            Err(slip) if !tree.lost.is_empty() && slip.words.contains("unknown anchor") => break,
            Err(Slip { place, words, may_go_on }) => {
                last = Some(place);
                let place = syntax::note(&words, place, &rest, diagnostics);
                if !may_go_on {
                    break;
                }
                let Some((without, name)) = syntax::leave_out(&rest, place.line) else { break };
                tree.lost.push(name);
                rest = without.into();
            }
        }
    }
    tree
}

/// So many syntax errors of one file are looked for.
const MAX_SYNTAX_ERRORS: usize = 10;
