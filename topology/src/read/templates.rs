//! `templates` and `like`: what repeated components share.

use std::collections::HashMap;

use crate::decode::Context;
use crate::merge;
use crate::yaml::{Key, Node, Value};

/// Templates that are like each other, one behind the other, at most.
const MAX_CHAIN: usize = 16;

/// The templates by name, each with what it is like filled in once it is asked for.
pub(super) struct Templates {
    written: HashMap<String, (Key, Node)>,
    filled: HashMap<String, Option<Node>>,
    names: Vec<String>,
    used: std::collections::HashSet<String>,
}

impl Templates {
    pub(super) fn new(node: Option<Node>, cx: &mut Context<'_>) -> Self {
        let mut written = HashMap::new();
        let mut names = Vec::new();
        match node {
            Some(Node { value: Value::Map(entries), .. }) => {
                for (key, node) in entries {
                    if matches!(node.value, Value::Map(_)) {
                        names.push(key.name.clone());
                        written.entry(key.name.clone()).or_insert((key, node));
                    } else {
                        cx.expected(&node, &format!("template `{}` is a map like a component", key.name));
                        cx.lost.push(key.name);
                    }
                }
            }
            Some(Node { value: Value::Null, .. }) | None => {}
            Some(node) => cx.expected(&node, "`templates` is a map of templates by name"),
        }
        Self { written, filled: HashMap::new(), names, used: std::collections::HashSet::new() }
    }

    /// `node` with everything of its template that it does not say itself; false when that is not known.
    pub(super) fn fill(&mut self, mut node: Node, cx: &mut Context<'_>) -> (Node, bool) {
        let Some((_, like)) = node.remove("like") else { return (node, true) };
        let Some(name) = cx.text(&like, "`like`") else { return (node, false) };
        let Some(template) = self.template(&name, &like, cx) else { return (node, false) };
        if !cx.may_copy(template, like.place) {
            return (node, false);
        }
        let mut filled = template.clone();
        filled.place = node.place;
        merge::over(&mut filled, node);
        (filled, true)
    }

    fn template(&mut self, name: &str, asked: &Node, cx: &mut Context<'_>) -> Option<&Node> {
        if self.filled.contains_key(name) {
            return self.filled.get(name).and_then(Option::as_ref);
        }
        // From the one that is asked for to the one that is like no other.
        let mut chain: Vec<(String, Node)> = vec![(name.to_owned(), asked.clone())];
        let mut base = loop {
            let (last, like) = chain.last()?.clone();
            if let Some(done) = self.filled.get(&last) {
                let done = done.clone();
                chain.pop();
                break done;
            }
            let Some((_, node)) = self.written.get(&last) else {
                if !cx.is_lost(&last) {
                    let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
                    cx.unknown_word(like.place, "there is no template of this name", &last, &names);
                }
                chain.pop();
                break None;
            };
            self.used.insert(last.clone());
            let Some(next) = node.get("like").cloned() else {
                break Some(Node::empty(node.place));
            };
            let next_name = cx.text(&next, "`like`")?;
            if let Some(at) = chain.iter().position(|(known, _)| *known == next_name) {
                let way: Vec<&str> = chain[at..].iter().map(|(known, _)| known.as_str()).collect();
                let message =
                    format!("templates are like each other in a circle: {} -> {next_name}", way.join(" -> "));
                cx.diagnostics.error(next.place, message).help("delete one `like`");
                break None;
            }
            if chain.len() >= MAX_CHAIN {
                let message = format!("more than {MAX_CHAIN} templates are like each other");
                cx.diagnostics.error(next.place, message);
                break None;
            }
            chain.push((next_name, next));
        };
        for (name, like) in chain.into_iter().rev() {
            base = match (base, self.written.get(&name)) {
                (Some(mut base), Some((_, node))) if cx.may_copy(node, like.place) => {
                    let mut node = node.clone();
                    node.remove("like");
                    merge::over(&mut base, node);
                    Some(base)
                }
                _ => None,
            };
            self.filled.insert(name, base.clone());
        }
        self.filled.get(name).and_then(Option::as_ref)
    }

    /// Every template, filled, to be checked; one that nothing is like is warned of.
    pub(super) fn finish(mut self, cx: &mut Context<'_>) -> Vec<(Key, Node)> {
        let mut all = Vec::new();
        for name in std::mem::take(&mut self.names) {
            let Some((key, node)) = self.written.get(&name).cloned() else { continue };
            if !self.used.contains(&name) {
                cx.diagnostics
                    .warning(key.place, format!("nothing is like the template `{name}`"))
                    .help("delete it, or write `like` in a component");
            }
            let asked = Node { place: key.place, ..node };
            if let Some(filled) = self.template(&name, &asked, cx) {
                all.push((key, filled.clone()));
            }
        }
        all
    }
}
