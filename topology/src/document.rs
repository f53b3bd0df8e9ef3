//! Files of other programs (YAML, and JSON, which is YAML) as trees in which every value knows its place, within the
//! bounds of topology.yaml itself: for whoever makes a topology of what is written elsewhere.

use crate::diagnostic::{Diagnostic, Diagnostics, FileId};
use crate::syntax;
use crate::tree;
use crate::yaml::utf8;
pub use crate::yaml::{Key, Node, Value};

/// Documents of one file, at most.
const MAX_DOCUMENTS: usize = 10_000;

/// The documents of a file, in their order. Empty ones are left out.
///
/// # Errors
/// What makes it no YAML, or too much of it, with its place.
pub fn read(bytes: Vec<u8>, file: FileId) -> Result<Vec<Node>, Diagnostic> {
    let mut diagnostics = Diagnostics::default();
    let read = utf8(bytes, file, &mut diagnostics).map(|text| {
        // JSON may be indented with tabs, which mean nothing there.
        let json = text.trim_start().starts_with(['{', '[']);
        let text = if json { text.replace('\t', " ") } else { text };
        tree::parse_documents(&text, file, MAX_DOCUMENTS)
            .map_err(|slip| syntax::note(&slip.words, slip.place, &text, &mut diagnostics))
    });
    match read {
        Some(Ok(roots)) => Ok(roots.into_iter().filter(|root| !matches!(root.value, Value::Null)).collect()),
        _ => Err(diagnostics.into_sorted().swap_remove(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8]) -> String {
        match read(bytes.to_vec(), FileId(0)) {
            Ok(roots) => {
                let one = |root: &Node| {
                    let a = root.get("a").map(|node| format!("{:?}", node.value));
                    format!("{} {}", root.place.line, a.unwrap_or_default())
                };
                roots.iter().map(one).collect::<Vec<_>>().join("; ")
            }
            Err(wrong) => wrong.line("f").to_string(),
        }
    }

    #[test]
    fn documents_stand_one_behind_the_other_and_json_is_yaml() {
        assert_eq!(shown(b"a: 1\n---\n---\na: x\n"), "1 Int(1); 4 Text(\"x\")");
        assert_eq!(shown(b"{\n\t\"a\":\t\"\\u00e9\\/\"\n}"), "1 Text(\"é/\")");
        // An anchor is known in its own document only.
        assert!(shown(b"a: &x 1\n---\na: *x\n").starts_with("f:3:4: error: this is not YAML: `*` names"));
    }

    #[test]
    fn what_is_no_document_has_its_place() {
        assert_eq!(shown(b"a: 1\nb: \xff\n"), "f:2:4: error: this is not UTF-8");
        let deep = format!("{}1{}", "[".repeat(70), "]".repeat(70));
        assert!(
            shown(deep.as_bytes()).contains("f:1:65: error: ") && shown(deep.as_bytes()).contains("64 deep")
        );
        assert!(shown("---\na: 1\n".repeat(10_001).as_bytes()).contains("more than 10000 documents"));
    }
}
