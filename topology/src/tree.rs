//! From the YAML parser's events to the tree of [`crate::yaml`], within bounds.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};

use crate::diagnostic::{FileId, Place};
use crate::yaml::{Key, Node, Value};

/// Values of one file, and lists and maps inside each other, at most.
const MAX_NODES: usize = 1_000_000;
const MAX_DEPTH: usize = 64;

/// Values that anchors and aliases may stand for: honest files use them sparingly, and a bomb is refused before it
/// has cost anything.
const MAX_COPIED: usize = 100_000;

/// Why a text is not a tree.
pub(crate) struct Slip {
    pub(crate) place: Place,
    pub(crate) words: String,
    /// False when the file is no file of ours at all, or tries to cost too much.
    pub(crate) may_go_on: bool,
}

/// The tree of `text`; none when there is nothing in it.
pub(crate) fn parse(text: &str, file: FileId) -> Result<Option<Node>, Slip> {
    let roots = parse_documents(text, file, 1)?;
    Ok(roots
        .into_iter()
        .next()
        .or_else(|| Some(Node { place: crate::syntax::start_of(file), value: Value::Null })))
}

/// The trees of the documents of `text`, at most `documents` of them.
pub(crate) fn parse_documents(text: &str, file: FileId, documents: usize) -> Result<Vec<Node>, Slip> {
    let mut builder = Builder {
        file,
        stack: Vec::new(),
        anchors: HashMap::new(),
        roots: Vec::new(),
        most: documents,
        documents: 0,
        nodes: 0,
        copied: 0,
    };
    for next in Parser::new_from_str(text) {
        match next {
            Ok((event, span)) => builder.take(event, span)?,
            Err(error) => {
                let mark = error.marker();
                return Err(Builder::slip(builder.place(mark.line(), mark.col()), error.info()));
            }
        }
    }
    Ok(builder.roots)
}

struct Builder {
    file: FileId,
    /// What is open, outermost first.
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    roots: Vec<Node>,
    /// So many documents there may be.
    most: usize,
    documents: usize,
    nodes: usize,
    copied: usize,
}

/// A list or a map that is being read.
struct Frame {
    place: Place,
    anchor: usize,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    Map {
        entries: Vec<(Key, Node)>,
        /// The key whose value comes next.
        key: Option<Key>,
        /// Whether that key is `<<`.
        merges: bool,
        /// What `<<` brought: it goes behind what the map says itself.
        merged: Vec<(Key, Node)>,
    },
}

impl Builder {
    /// Lines count from 1, columns of the parser from 0.
    fn place(&self, line: usize, column: usize) -> Place {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).max(1);
        Place { file: self.file, line: number(line), column: number(column.saturating_add(1)) }
    }

    fn slip(place: Place, words: impl Into<String>) -> Slip {
        Slip { place, words: words.into(), may_go_on: true }
    }

    fn too_much(place: Place, words: impl Into<String>) -> Slip {
        Slip { place, words: words.into(), may_go_on: false }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Slip> {
        let place = self.place(span.start.line(), span.start.col());
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > self.most {
                    let words = match self.most {
                        1 => "a second document begins here".to_owned(),
                        most => format!("the file holds more than {most} documents"),
                    };
                    return Err(Self::too_much(place, words));
                }
                self.anchors.clear();
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                if self.awaits_key() {
                    let merges = text == "<<" && style == ScalarStyle::Plain;
                    if anchor > 0 {
                        self.anchors.insert(anchor, Node { place, value: Value::Text(text.to_string()) });
                    }
                    self.key(place, text.into_owned(), merges);
                    return Ok(());
                }
                let value = scalar(text, style, tag.as_deref());
                self.value(Node { place, value }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.open(place, anchor, Items::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => self.open(
                place,
                anchor,
                Items::Map { entries: Vec::new(), key: None, merges: false, merged: Vec::new() },
            ),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => self.alias(place, anchor),
            Event::UnresolvedAlias(_) => Err(Self::slip(place, "alias references unknown anchor")),
            _ => Ok(()),
        }
    }

    fn awaits_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame { items: Items::Map { key: None, .. }, .. }))
    }

    fn key(&mut self, place: Place, name: String, is_merge: bool) {
        if let Some(Frame { items: Items::Map { key, merges, .. }, .. }) = self.stack.last_mut() {
            *key = Some(Key { place, name });
            *merges = is_merge;
        }
    }

    fn open(&mut self, place: Place, anchor: usize, items: Items) -> Result<(), Slip> {
        if self.awaits_key() {
            return Err(Self::slip(place, "a key is a text, and this is a list or a map"));
        }
        if self.stack.len() >= MAX_DEPTH {
            let words = format!("lists and maps lie more than {MAX_DEPTH} deep inside each other");
            return Err(Self::too_much(place, words));
        }
        self.stack.push(Frame { place, anchor, items });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Slip> {
        let Some(Frame { place, anchor, items }) = self.stack.pop() else { return Ok(()) };
        let value = match items {
            Items::List(items) => Value::List(items),
            Items::Map { mut entries, merged, .. } => {
                for (key, node) in merged {
                    if !entries.iter().any(|(known, _)| known.name == key.name) {
                        entries.push((key, node));
                    }
                }
                Value::Map(entries)
            }
        };
        self.value(Node { place, value }, anchor)
    }

    fn alias(&mut self, place: Place, anchor: usize) -> Result<(), Slip> {
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(Self::slip(place, "an alias inside what it stands for"));
        };
        if self.awaits_key() {
            let Value::Text(name) = &node.value else {
                return Err(Self::slip(place, "a key is a text, and this alias stands for none"));
            };
            let name = name.clone();
            self.key(place, name, false);
            return Ok(());
        }
        let size = node.size();
        self.may_copy(size, place)?;
        let mut node = self.anchors[&anchor].clone();
        node.place = place;
        self.nodes += size;
        self.value(node, 0)
    }

    fn may_copy(&mut self, size: usize, place: Place) -> Result<(), Slip> {
        self.copied += size;
        if self.copied > MAX_COPIED {
            let words = format!("the aliases stand for more than {MAX_COPIED} values");
            return Err(Self::too_much(place, words));
        }
        Ok(())
    }

    /// Puts a finished value where it belongs.
    fn value(&mut self, node: Node, anchor: usize) -> Result<(), Slip> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Self::too_much(node.place, format!("the file holds more than {MAX_NODES} values")));
        }
        if anchor > 0 {
            self.may_copy(node.size(), node.place)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.stack.last_mut().map(|frame| &mut frame.items) {
            None => self.roots.push(node),
            Some(Items::List(items)) => items.push(node),
            Some(Items::Map { entries, key, merges, merged }) => {
                let Some(key) = key.take() else { return Ok(()) };
                if !*merges {
                    entries.push((key, node));
                    return Ok(());
                }
                let place = node.place;
                let maps = match node.value {
                    Value::List(items) => items,
                    value => vec![Node { place, value }],
                };
                for map in maps {
                    let Value::Map(entries) = map.value else {
                        return Err(Self::slip(map.place, "`<<` takes a map, best an alias: `<<: *common`"));
                    };
                    merged.extend(entries);
                }
            }
        }
        Ok(())
    }
}

/// What a scalar means, by the core schema of YAML 1.2. Numbers that begin with zero stay texts: they are names.
fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let is_text = tag.is_some_and(|tag| tag.core_suffix() == Some("str"));
    if style != ScalarStyle::Plain || is_text {
        return Value::Text(text.into_owned());
    }
    match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    number(&text).unwrap_or_else(|| Value::Text(text.into_owned()))
}

fn number(text: &str) -> Option<Value> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') || digits.ends_with(['e', 'E']) {
        return None;
    }
    if let Some(hexadecimal) = digits.strip_prefix("0x") {
        return i64::from_str_radix(hexadecimal, 16).ok().filter(|_| digits == text).map(Value::Int);
    }
    let zero_in_front = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    if zero_in_front || !digits.chars().all(plain) {
        return None;
    }
    match text.parse() {
        Ok(whole) => Some(Value::Int(whole)),
        Err(_) => text.parse().ok().map(Value::Float),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        fn show(node: &Node) -> String {
            match &node.value {
                Value::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
                Value::Map(entries) => {
                    let all: Vec<String> =
                        entries.iter().map(|(key, value)| format!("{}: {}", key.name, show(value))).collect();
                    format!("{{{}}}", all.join(", "))
                }
                value => format!("{value:?}"),
            }
        }
        match parse(text, FileId::default()) {
            Ok(Some(root)) => show(&root),
            Ok(None) => "nothing".to_owned(),
            Err(slip) => format!("{}:{} {}", slip.place.line, slip.place.column, slip.words),
        }
    }

    #[test]
    fn scalars_mean_what_yaml_1_2_says() {
        assert_eq!(
            shown(
                "[~, null, true, off, 3, -3, 0, 07, 0x1F, 1.5, 1e3, .5, 1_000, 3s, '3', !!str 3, 10.0.0.1, 1-3]"
            ),
            "[Null, Null, Bool(true), Text(\"off\"), Int(3), Int(-3), Int(0), Text(\"07\"), Int(31), Float(1.5), \
             Float(1000.0), Float(0.5), Text(\"1_000\"), Text(\"3s\"), Text(\"3\"), Text(\"3\"), \
             Text(\"10.0.0.1\"), Text(\"1-3\")]"
        );
        assert_eq!(
            shown("1: a\ntrue: b\n\"c\": d\ne:\n"),
            r#"{1: Text("a"), true: Text("b"), c: Text("d"), e: Null}"#
        );
        assert_eq!(shown("# nothing\n"), "Null");
    }

    #[test]
    fn anchors_aliases_and_merge_keys() {
        assert_eq!(
            shown("x: &a {p: 1, q: 2}\ny: {<<: *a, q: 3}\nz: *a\nw: {<<: [*a, {r: 4}]}"),
            "{x: {p: Int(1), q: Int(2)}, y: {q: Int(3), p: Int(1)}, z: {p: Int(1), q: Int(2)}, \
             w: {p: Int(1), q: Int(2), r: Int(4)}}"
        );
        assert_eq!(shown("a: &a [*a]"), "1:8 an alias inside what it stands for");
        assert_eq!(shown("<<: 3"), "1:5 `<<` takes a map, best an alias: `<<: *common`");
        assert_eq!(shown("[a]: b"), "1:1 a key is a text, and this is a list or a map");
    }

    #[test]
    fn what_would_cost_too_much_is_refused() {
        assert!(shown(&format!("{}1{}", "[".repeat(65), "]".repeat(65))).contains("more than 64 deep"));
        assert!(shown(&format!("[{}]", "1,".repeat(1_000_001))).contains("more than 1000000 values"));
        assert_eq!(shown("a: 1\n---\nb: 2\n"), "2:1 a second document begins here");
    }
}
