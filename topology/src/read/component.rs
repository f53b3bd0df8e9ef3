//! The components: their instances, probes and dependencies.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::common::{read_confirm, read_labels, read_policy, read_timing, read_title};
use super::probe::read_probe;
use super::{Reader, Wanted};
use crate::decode::{Context, Fields, note_duplicates};
use crate::diagnostic::Place;
use crate::model::{Component, ComponentId, Dependency, Instance, Policy, Probe, Strength, Tier};
use crate::range;
use crate::text::Text;
use crate::yaml::{Node, Value};

/// Instances in all, at most. One process watches thousands; this bounds a typing mistake.
const MAX_INSTANCES: usize = 100_000;

impl Reader<'_> {
    /// Gives `name` to a node; a name belongs to one node only.
    fn claim(&mut self, name: &str, place: Place, cx: &mut Context<'_>) {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 100 || !name.chars().all(plain) {
            cx.diagnostics
                .error(place, format!("`{name}` cannot be a name"))
                .help("names have letters, digits, `-`, `_` and `.`, at most 100");
        }
        if let Some(first) = self.names.insert(name.to_owned(), place) {
            cx.diagnostics
                .error(place, format!("two nodes are named `{name}`"))
                .help(format!("the first is in line {}; give one of them another `name`", first.line));
        }
    }

    pub(super) fn component(&mut self, name: &str, place: Place, node: &Node, cx: &mut Context<'_>) {
        let id = ComponentId(self.components.len() as u32);
        // The component keeps its place in the list even when half of it is wrong, so that what depends
        // on it is not reported as depending on nothing.
        let mut component = Component {
            name: name.to_owned(),
            title: Text::same(name),
            tier: None,
            policy: Policy::DEFAULT,
            instances: 0..0,
            probes: Vec::new(),
            confirm: self.defaults.confirm,
            runbook: None,
        };
        if !self.components.iter().any(|other| other.name == name) {
            self.claim(name, place, cx);
        }
        let what = format!("component `{name}`");
        if let Some(mut fields) = Fields::of(node, &what, cx) {
            if let Some(title) = fields.take("title").and_then(|node| read_title(node, cx)) {
                component.title = title;
            }
            component.tier = fields.take("tier").and_then(|node| self.tier(node, cx));
            if let Some(policy) = fields.take("policy").and_then(|node| read_policy(node, cx)) {
                component.policy = policy;
            }
            component.runbook = fields.take("runbook").and_then(|node| cx.text(node, "`runbook`"));
            let (mut interval, mut timeout) = (self.defaults.interval, self.defaults.timeout);
            read_timing(&mut fields, &mut interval, &mut timeout, cx);
            read_confirm(&mut fields, &mut component.confirm, cx);
            let labels = fields.take("labels").map(|node| read_labels(node, cx)).unwrap_or_default();
            let start = self.instances.len() as u32;
            match fields.take("instances") {
                Some(node) => self.instances(id, name, node, &labels, cx),
                None => {
                    cx.diagnostics
                        .error(place, format!("{what} has no `instances`"))
                        .help("write `instances: [\"10.0.0.[1-3]:8080\"]`");
                }
            }
            component.instances = start..self.instances.len() as u32;
            match fields.take("probe") {
                Some(node) => {
                    component.probes =
                        self.probes(node, interval, timeout, cx).into_iter().map(Arc::new).collect();
                }
                None => {
                    cx.diagnostics
                        .error(place, format!("{what} has no `probe`"))
                        .help("write `probe: { tcp: {} }` if nothing deeper can be asked");
                }
            }
            if let Some(node) = fields.take("depends_on") {
                self.depends_on(id, node, cx);
            }
            fields.finish(&what, cx);
        }
        self.components.push(component);
    }

    fn tier(&mut self, node: &Node, cx: &mut Context<'_>) -> Option<usize> {
        let name = cx.text(node, "`tier`")?;
        if let Some(found) = self.tiers.iter().position(|tier| tier.name == name) {
            return Some(found);
        }
        self.tiers.push(Tier { title: Text::same(name.clone()), name });
        Some(self.tiers.len() - 1)
    }

    fn instances(
        &mut self,
        component: ComponentId,
        component_name: &str,
        node: &Node,
        labels: &BTreeMap<String, String>,
        cx: &mut Context<'_>,
    ) {
        let Value::List(items) = &node.value else {
            cx.expected(node, "`instances` is a list of addresses");
            return;
        };
        if items.is_empty() {
            cx.diagnostics.error(node.place, "`instances` is an empty list");
        }
        // Names count through the whole component, also past instances that carry their own.
        let mut number = 0;
        for item in items {
            let mut labels = labels.clone();
            let mut own_name = None;
            let address = if let Value::Map(_) = item.value {
                let Some(mut fields) = Fields::of(item, "an instance", cx) else { continue };
                own_name = fields
                    .take("name")
                    .and_then(|node| cx.text(node, "`name`").map(|name| (name, node.place)));
                if let Some(node) = fields.take("labels") {
                    labels.extend(read_labels(node, cx));
                }
                let address = fields.take("address");
                if address.is_none() {
                    cx.diagnostics.error(item.place, "an instance needs an `address`");
                }
                fields.finish("an instance", cx);
                address
            } else {
                Some(item)
            };
            let addresses = address.and_then(|node| {
                let text = cx.text(node, "an address")?;
                range::expand(&text).map_err(|message| cx.diagnostics.error(node.place, message)).ok()
            });
            let Some(addresses) = addresses else {
                if let Some((name, place)) = &own_name {
                    self.claim(name, *place, cx);
                }
                continue;
            };
            if self.instances.len() + addresses.len() > MAX_INSTANCES {
                cx.diagnostics.error(item.place, format!("more than {MAX_INSTANCES} instances in all"));
                continue;
            }
            let several = addresses.len() > 1;
            for (i, address) in addresses.into_iter().enumerate() {
                number += 1;
                let (name, place) = match &own_name {
                    Some((name, place)) if several => (format!("{name}-{}", i + 1), *place),
                    Some((name, place)) => (name.clone(), *place),
                    None => (format!("{component_name}-{number}"), item.place),
                };
                self.claim(&name, place, cx);
                self.instances.push(Instance { name, component, address, labels: labels.clone() });
            }
        }
    }

    fn probes(&self, node: &Node, interval: Duration, timeout: Duration, cx: &mut Context<'_>) -> Vec<Probe> {
        let entries = match &node.value {
            Value::Map(entries) if !entries.is_empty() => entries,
            Value::Text(word) => {
                let known = self.kinds.iter().any(|kind| kind.name == word);
                let help = if known { word.as_str() } else { "http" };
                cx.diagnostics
                    .error(node.place, "`probe` is a map from a kind to its options")
                    .help(format!("write `probe: {{ {help}: {{}} }}`"));
                return Vec::new();
            }
            _ => {
                cx.expected(node, "`probe` is a map from a kind to its options, such as `{ tcp: {} }`");
                return Vec::new();
            }
        };
        note_duplicates(entries, cx);
        let names: Vec<&str> = self.kinds.iter().map(|kind| kind.name).collect();
        entries
            .iter()
            .filter_map(|(key, options)| {
                let Some(kind) = self.kinds.iter().find(|kind| kind.name == key.name) else {
                    cx.unknown_word(key.place, "unknown probe kind", &key.name, &names);
                    return None;
                };
                read_probe(kind, options, interval, timeout, cx)
            })
            .collect()
    }

    fn depends_on(&mut self, from: ComponentId, node: &Node, cx: &mut Context<'_>) {
        const STRENGTHS: [&str; 3] = ["required", "optional", "async"];
        let Value::List(items) = &node.value else {
            cx.expected(node, "`depends_on` is a list of components");
            return;
        };
        for item in items {
            let (to, strength, place) = if let Value::Map(_) = item.value {
                let Some(mut fields) = Fields::of(item, "a dependency", cx) else { continue };
                let on = fields.take("on");
                let strength = fields.take("strength").and_then(|node| {
                    let word = cx.text(node, "`strength`")?;
                    let found = match word.as_str() {
                        "required" => Some(Strength::Required),
                        "optional" => Some(Strength::Optional),
                        "async" => Some(Strength::Async),
                        _ => None,
                    };
                    if found.is_none() {
                        cx.unknown_word(node.place, "unknown strength", &word, &STRENGTHS);
                    }
                    found
                });
                if on.is_none() {
                    cx.diagnostics
                        .error(item.place, "a dependency needs `on`")
                        .help("write `{ on: order-mq, strength: async }`");
                }
                fields.finish("a dependency", cx);
                let Some(on) = on else { continue };
                (cx.text(on, "`on`"), strength.unwrap_or(Strength::Required), on.place)
            } else {
                (cx.text(item, "a dependency"), Strength::Required, item.place)
            };
            let Some(to) = to else { continue };
            self.wanted.push(Wanted { from, to, place, strength });
        }
    }

    /// Every dependency with its target, now that all components are known.
    pub(super) fn resolve(&mut self, cx: &mut Context<'_>) -> Vec<Dependency> {
        let ids: HashMap<&str, ComponentId> = self
            .components
            .iter()
            .enumerate()
            .map(|(i, c)| (c.name.as_str(), ComponentId(i as u32)))
            .collect();
        let mut names: Vec<&str> = ids.keys().copied().collect();
        names.sort_unstable();
        let mut seen = HashMap::new();
        let mut dependencies = Vec::new();
        for wanted in std::mem::take(&mut self.wanted) {
            let from_name = &self.components[wanted.from.index()].name;
            let Some(&to) = ids.get(wanted.to.as_str()) else {
                cx.unknown_word(
                    wanted.place,
                    &format!("`{from_name}` depends on nothing"),
                    &wanted.to,
                    &names,
                );
                continue;
            };
            if to == wanted.from {
                cx.diagnostics.error(wanted.place, format!("`{from_name}` depends on itself"));
                continue;
            }
            if let Some(first) = seen.insert((wanted.from, to), wanted.place) {
                let first: Place = first;
                cx.diagnostics
                    .error(wanted.place, format!("`{from_name}` depends on `{}` twice", wanted.to))
                    .help(format!("the first is in line {}", first.line));
                continue;
            }
            dependencies.push(Dependency {
                from: wanted.from,
                to,
                strength: wanted.strength,
                from_part: Vec::new(),
                to_part: Vec::new(),
                one_of: None,
            });
        }
        dependencies
    }
}
