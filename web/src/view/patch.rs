//! What of a page changed between two views, as the script takes it.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Tree, View};

/// The differences, or nothing when the two look the same. Both are of one stage.
pub(crate) fn patch(old: &View, new: &View) -> Option<Map<String, Value>> {
    let mut out = Map::new();
    if let Some(header) = fields(&old.header, &new.header) {
        out.insert("header".to_owned(), header);
    }
    let cards = by_index(&old.cards, &new.cards, fields);
    let lit = by_index(&old.lit, &new.lit, |_, new| Some(json!(new)));
    let lanes = by_index(&old.lanes, &new.lanes, |_, new| Some(json!(new)));
    for (name, part) in [("cards", cards), ("lit", lit), ("lanes", lanes)] {
        if !part.is_empty() {
            out.insert(name.to_owned(), Value::Object(part));
        }
    }
    for (name, old, new) in [("strip", &old.strip, &new.strip), ("orders", &old.orders, &new.orders)] {
        let changes = old.changes(new);
        if !changes.is_empty() {
            out.insert(name.to_owned(), json!(changes));
        }
    }
    (!out.is_empty()).then_some(out)
}

/// Everything, for a page of which nothing is known but that it is of this stage.
pub(crate) fn whole(view: &View) -> Map<String, Value> {
    fn all<T: Serialize>(list: &[T]) -> Value {
        Value::Object(list.iter().enumerate().map(|(i, part)| (i.to_string(), json!(part))).collect())
    }
    let tree = |tree: &Tree| json!([(Vec::<usize>::new(), tree)]);
    Map::from_iter([
        ("header".to_owned(), json!(view.header)),
        ("cards".to_owned(), all(&view.cards)),
        ("lit".to_owned(), all(&view.lit)),
        ("lanes".to_owned(), all(&view.lanes)),
        ("strip".to_owned(), tree(&view.strip)),
        ("orders".to_owned(), tree(&view.orders)),
    ])
}

fn by_index<T: PartialEq>(
    old: &[T],
    new: &[T],
    change: impl Fn(&T, &T) -> Option<Value>,
) -> Map<String, Value> {
    let differing = old.iter().zip(new).enumerate().filter(|(_, (old, new))| old != new);
    differing.filter_map(|(i, (old, new))| Some((i.to_string(), change(old, new)?))).collect()
}

/// The fields that changed.
fn fields<T: Serialize + PartialEq>(old: &T, new: &T) -> Option<Value> {
    if old == new {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (json!(old), json!(new)) else { return None };
    Some(Value::Object(new.into_iter().filter(|(name, value)| old.get(name) != Some(value)).collect()))
}
