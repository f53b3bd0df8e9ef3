//! Reading other programs' documents: forgiving, since they are not ours to correct.

use topology::document::{Key, Node, Value};

/// A scalar as text.
pub(super) fn text(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// The scalar under a key, as text.
pub(super) fn text_at(node: &Node, key: &str) -> Option<String> {
    node.get(key).and_then(text).filter(|text| !text.is_empty())
}

/// The value at the end of a way of keys.
pub(super) fn at<'a>(node: &'a Node, way: &[&str]) -> Option<&'a Node> {
    way.iter().try_fold(node, |node, key| node.get(key))
}

/// The items of a list; of anything else none.
pub(super) fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

/// The entries of a map; of anything else none.
pub(super) fn entries(node: Option<&Node>) -> &[(Key, Node)] {
    match node.map(|node| &node.value) {
        Some(Value::Map(entries)) => entries,
        _ => &[],
    }
}

/// A port number.
pub(super) fn port(node: Option<&Node>) -> Option<u16> {
    text(node?)?.parse().ok().filter(|port| *port > 0)
}

/// Whether a truth is set, however it is written.
pub(super) fn truth(node: Option<&Node>) -> Option<bool> {
    match &node?.value {
        Value::Bool(truth) => Some(*truth),
        Value::Int(number) => Some(*number != 0),
        Value::Text(text) => match text.as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    }
}
