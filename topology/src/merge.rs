//! One tree laid over another: overlays over the base, a component over its template, a probe over the defaults
//! of its kind. Maps merge, everything else replaces, and nothing (`null`) removes.

use std::collections::HashMap;

use crate::decode::{Context, shortened};
use crate::yaml::{Key, Node, Value};

/// What `null` does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Null {
    /// Removes the key; where there is none that is noted.
    Removes,
    /// Removes the key; where there is none it stays, as "no options".
    RemovesOrStays,
    /// Stays, to remove the key of a template later.
    Stays,
}

/// `upper` laid over `base`: a component over its template, a probe over the defaults of its kind.
pub(crate) fn over(base: &mut Node, upper: Node) {
    lay(base, upper, Null::RemovesOrStays, &mut Vec::new());
}

/// Lays a whole overlay over the base.
pub(crate) fn overlay(root: &mut Node, over: Node, cx: &mut Context<'_>) {
    let Value::Map(entries) = over.value else { return };
    let Value::Map(base) = &mut root.value else { return };
    let mut missing = Vec::new();
    for (key, node) in entries {
        let old = base.iter_mut().find(|(known, _)| known.name == key.name);
        match (old, node.value) {
            (Some((_, Node { value: Value::Map(old), .. })), Value::Map(new))
                if matches!(key.name.as_str(), "components" | "templates") =>
            {
                overlay_components(old, new, key.name == "components", &mut missing, cx);
            }
            (_, value) if key.name != "include" && !key.name.starts_with("x-") => {
                let node = Node { place: node.place, value };
                lay_entries(base, vec![(key, node)], Null::Removes, &mut missing);
            }
            _ => {}
        }
    }
    for key in missing {
        cx.diagnostics
            .warning(key.place, format!("`{}` is not in the base: nothing is removed", shortened(&key.name)))
            .help(format!("write `{}: {{}}` to add it without options", shortened(&key.name)));
    }
}

fn overlay_components(
    base: &mut Vec<(Key, Node)>,
    over: Vec<(Key, Node)>,
    whole: bool,
    missing: &mut Vec<Key>,
    cx: &mut Context<'_>,
) {
    let at: HashMap<String, usize> =
        base.iter().enumerate().rev().map(|(i, (key, _))| (key.name.clone(), i)).collect();
    let (mut changed, mut added) = (Vec::new(), Vec::new());
    for (key, node) in over {
        if at.contains_key(&key.name) {
            changed.push((key, node));
        } else if matches!(node.value, Value::Null) {
            missing.push(key);
        } else if whole
            && node.get("like").is_none()
            && !(node.get("instances").is_some() && node.get("probe").is_some())
        {
            let near = cx.diagnostics.suggest(&key.name, at.keys().map(String::as_str));
            let help = near.map_or_else(
                || "one that the overlay adds needs `instances` and `probe`, or `like`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            cx.diagnostics
                .error(key.place, format!("the base has no component `{}`", shortened(&key.name)))
                .help(help);
            cx.lost.push(key.name);
        } else {
            added.push((key, node));
        }
    }
    for (key, node) in changed {
        // With a template behind the component, only the template can say whether there is anything to remove.
        let templated = |node: &Node| node.get("like").is_some();
        let i = at[&key.name];
        let stays = !matches!(node.value, Value::Null) && (templated(&node) || templated(&base[i].1));
        let null = if stays { Null::Stays } else { Null::Removes };
        if matches!(node.value, Value::Null) {
            // Taken out below, so that the places of the others stay good.
            base[i].1.value = Value::Null;
        } else {
            lay(&mut base[i].1, node, null, missing);
        }
    }
    base.retain(|(_, node)| !matches!(node.value, Value::Null));
    base.extend(added);
}

/// Lays `upper` over `base`. Keys that were to be removed and are not there go to `missing`.
fn lay(base: &mut Node, upper: Node, null: Null, missing: &mut Vec<Key>) {
    match (&mut base.value, upper.value) {
        (Value::Map(old), Value::Map(new)) => lay_entries(old, new, null, missing),
        (_, value) => *base = Node { place: upper.place, value },
    }
}

fn lay_entries(old: &mut Vec<(Key, Node)>, new: Vec<(Key, Node)>, null: Null, missing: &mut Vec<Key>) {
    let mut at: HashMap<String, usize> =
        old.iter().enumerate().rev().map(|(i, (key, _))| (key.name.clone(), i)).collect();
    let mut gone = vec![false; old.len()];
    for (key, node) in new {
        match at.get(&key.name).copied() {
            Some(i) if matches!(node.value, Value::Null) && null != Null::Stays => {
                // What was nothing already is "no options", and stays.
                gone[i] = !matches!(old[i].1.value, Value::Null);
            }
            Some(i) if gone.get(i) == Some(&false) => {
                let replaces = !matches!((&old[i].1.value, &node.value), (Value::Map(_), Value::Map(_)));
                if replaces {
                    old[i] = (key, node);
                } else {
                    lay(&mut old[i].1, node, null, missing);
                }
            }
            _ if matches!(node.value, Value::Null) && null == Null::Removes => missing.push(key),
            _ => {
                at.insert(key.name.clone(), old.len());
                old.push((key, node));
                gone.push(false);
            }
        }
    }
    let mut gone = gone.into_iter();
    old.retain(|_| gone.next() != Some(true));
}
