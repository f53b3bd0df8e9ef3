//! Deep links to other tools: `links`, of the whole file and of one component.

use crate::decode::{Context, note_duplicates, shortened};
use crate::links::{LinkError, LinkTemplate, PLACES};
use crate::yaml::{Key, Node, Value};

/// Links of one map, at most: they stand beside each other on a page.
const MAX_LINKS: usize = 20;

/// Lays the links of `node` over `links`: one of the same name replaces, `null` removes.
pub(super) fn read_links(node: &Node, links: &mut Vec<LinkTemplate>, cx: &mut Context<'_>) {
    let Value::Map(entries) = &node.value else {
        cx.expected(node, "`links` is a map from a name to an address");
        return;
    };
    note_duplicates(entries, cx);
    if entries.len() > MAX_LINKS {
        cx.diagnostics.error(node.place, format!("more than {MAX_LINKS} links"));
        return;
    }
    for (key, value) in entries {
        let old = links.iter().position(|link| link.name == key.name);
        if matches!(value.value, Value::Null) {
            if let Some(old) = old {
                links.remove(old);
            }
            continue;
        }
        let Some(link) = read_link(key, value, cx) else { continue };
        match old {
            Some(old) => links[old] = link,
            None => links.push(link),
        }
    }
}

fn read_link(key: &Key, node: &Node, cx: &mut Context<'_>) -> Option<LinkTemplate> {
    let text = cx.text(node, &format!("link `{}`", shortened(&key.name)))?;
    match LinkTemplate::parse(&key.name, &text) {
        Ok(link) => Some(link),
        Err(LinkError::Unknown(place)) => {
            cx.unknown_word(node.place, "unknown place in a link", &place, &PLACES);
            None
        }
        Err(error) => {
            let help = format!(
                "write it as `https://cat.example/app/{{component}}`; the places are {}",
                PLACES.map(|place| format!("{{{place}}}")).join(", ")
            );
            cx.diagnostics.error(node.place, error.to_string()).help(help);
            None
        }
    }
}
