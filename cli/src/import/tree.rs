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

/// JSON writes what lies beyond 16 bits as two escapes (`\ud83d\ude00`), which YAML does not know: the character itself
/// stands for both.
pub(super) fn without_surrogates(bytes: Vec<u8>) -> Vec<u8> {
    let unit = |at: usize| -> Option<u32> {
        let escape = bytes.get(at..at + 6).filter(|escape| escape.starts_with(b"\\u"))?;
        u32::from_str_radix(std::str::from_utf8(&escape[2..]).ok()?, 16).ok()
    };
    let is_json = bytes.trim_ascii_start().starts_with(b"{") || bytes.trim_ascii_start().starts_with(b"[");
    if !is_json || !bytes.windows(3).any(|three| three.eq_ignore_ascii_case(b"\\ud")) {
        return bytes;
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let pair = unit(at)
            .zip(unit(at + 6))
            .filter(|(high, low)| (0xd800..0xdc00).contains(high) && (0xdc00..0xe000).contains(low));
        if let Some(c) =
            pair.and_then(|(high, low)| char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)))
        {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            at += 12;
        } else if *byte == b'\\' {
            // An escaped backslash begins no escape.
            out.extend(bytes.iter().skip(at).take(2));
            at += 2;
        } else {
            out.push(*byte);
            at += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_escapes_of_json_are_one_character() {
        let read = |text: &str| String::from_utf8(without_surrogates(text.as_bytes().to_vec())).unwrap();
        assert_eq!(read(r#"{"a": "\ud83d\ude00 \u00e9"}"#), r#"{"a": "😀 \u00e9"}"#);
        assert_eq!(read(r#"{"a": "\\ud83d\ude00"}"#), r#"{"a": "\\ud83d\ude00"}"#);
        assert_eq!(read(r#"{"a": "\ud83d"}"#), r#"{"a": "\ud83d"}"#);
        assert_eq!(read("a: \\ud83d\\ude00"), "a: \\ud83d\\ude00");
    }
}
