//! What of a page changed between two views, as the script takes it.

use serde_json::{Map, Value, json};

use super::{CardView, View};

/// The differences, or nothing when the two look the same. Both are of one topology.
pub(crate) fn patch(old: &View, new: &View) -> Option<Map<String, Value>> {
    let mut out = Map::new();
    if old.header != new.header {
        out.insert("header".to_owned(), json!(new.header));
    }
    let cards: Map<String, Value> = old
        .cards
        .iter()
        .zip(&new.cards)
        .enumerate()
        .filter_map(|(i, (old, new))| Some((i.to_string(), Value::Object(card(old, new)?))))
        .collect();
    let lit: Map<String, Value> = old
        .lit
        .iter()
        .zip(&new.lit)
        .enumerate()
        .filter(|(_, (old, new))| old != new)
        .map(|(i, (_, new))| (i.to_string(), json!(new)))
        .collect();
    let lanes: Map<String, Value> = old
        .lanes
        .iter()
        .zip(&new.lanes)
        .enumerate()
        .filter(|(_, (old, new))| old != new)
        .map(|(i, (_, new))| (i.to_string(), json!(new)))
        .collect();
    for (name, part) in [("cards", cards), ("lit", lit), ("lanes", lanes)] {
        if !part.is_empty() {
            out.insert(name.to_owned(), Value::Object(part));
        }
    }
    if old.strip != new.strip {
        out.insert("strip".to_owned(), json!(new.strip));
    }
    (!out.is_empty()).then_some(out)
}

/// The fields of a card that changed.
fn card(old: &CardView, new: &CardView) -> Option<Map<String, Value>> {
    if old == new {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (json!(old), json!(new)) else { return None };
    Some(new.into_iter().filter(|(name, value)| old.get(name) != Some(value)).collect())
}
