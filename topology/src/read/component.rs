//! The components: what they are, and how they are probed.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::Reader;
use super::common::{read_confirm, read_labels, read_policy, read_timing, read_title};
use super::depends::Selection;
use super::links::read_links;
use super::probe::{over_defaults, read_probe};
use super::templates::Templates;
use crate::decode::{Context, Fields, shortened};
use crate::diagnostic::Place;
use crate::model::{Component, ComponentId, InstanceId, Policy, Probe, Tier};
use crate::text::Text;
use crate::yaml::{Node, Value};

impl Reader<'_> {
    /// Gives `name` to a node; a name belongs to one node only.
    pub(super) fn claim(
        &mut self,
        name: &str,
        place: Place,
        instance: Option<InstanceId>,
        cx: &mut Context<'_>,
    ) {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 100 || !name.chars().all(plain) {
            cx.diagnostics
                .error(place, format!("`{}` cannot be a name", shortened(name)))
                .help("names have letters, digits, `-`, `_` and `.`, at most 100");
        }
        if let Some((first, _)) = self.names.insert(name.to_owned(), (place, instance)) {
            let help = format!("the first is in {}; give one of them another `name`", cx.at(first, place));
            cx.diagnostics.error(place, format!("two nodes are named `{}`", shortened(name))).help(help);
        }
    }

    /// The instance of this name.
    pub(super) fn instance_named(&self, name: &str) -> Option<InstanceId> {
        self.names.get(name).and_then(|(_, instance)| *instance)
    }

    /// Reads a component. One that is not `whole`, because its template is not known, is not blamed for what it
    /// lacks.
    pub(super) fn component(
        &mut self,
        name: &str,
        place: Place,
        node: &Node,
        whole: bool,
        cx: &mut Context<'_>,
    ) {
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
            links: self.defaults.links.clone(),
            group: None,
            short: None,
        };
        if self.ids.contains_key(name) {
            // That the name stands twice is said already; the names of its instances would only repeat it.
            self.alone().component(name, place, node, whole, cx);
            return;
        }
        self.claim(name, place, None, cx);
        self.ids.insert(name.to_owned(), id);
        self.flawed.push(!whole);
        let what = format!("component `{name}`");
        if let Some(mut fields) = Fields::of(node, &what, cx) {
            // Filled in by now, and still a key that can be written.
            fields.take("like");
            if let Some(title) = fields.take("title").and_then(|node| read_title(node, cx)) {
                component.title = title;
            }
            component.tier = fields.take("tier").and_then(|node| self.tier(node, cx));
            if let Some(policy) = fields.take("policy").and_then(|node| read_policy(node, cx)) {
                component.policy = policy;
            }
            component.runbook = fields.take("runbook").and_then(|node| cx.text(node, "`runbook`"));
            if let Some(node) = fields.take("links") {
                read_links(node, &mut component.links, cx);
            }
            component.group = fields.take("group").and_then(|node| cx.text(node, "`group`"));
            component.short = fields.take("short").and_then(|node| read_title(node, cx));
            let own_timing: Vec<&str> =
                ["interval", "timeout"].into_iter().filter(|name| node.get(name).is_some()).collect();
            let (mut interval, mut timeout) = (self.defaults.interval, self.defaults.timeout);
            read_timing(&mut fields, &mut interval, &mut timeout, cx);
            read_confirm(&mut fields, &mut component.confirm, cx);
            let labels = fields.take("labels").map(|node| read_labels(node, cx)).unwrap_or_default();
            let start = self.instances.len() as u32;
            match fields.take("instances") {
                Some(node) => self.instances(id, name, node, &labels, cx),
                None if !whole => {}
                None => {
                    self.flawed[id.index()] = true;
                    cx.diagnostics
                        .error(place, format!("{what} has no `instances`"))
                        .help("write `instances: [\"10.0.0.[1-3]:8080\"]`");
                }
            }
            component.instances = start..self.instances.len() as u32;
            match fields.take("probe") {
                Some(node) => {
                    component.probes = self
                        .probes(node, (interval, timeout), &own_timing, cx)
                        .into_iter()
                        .map(Arc::new)
                        .collect();
                    self.deeper_probe(&component, node.place, cx);
                }
                None if !whole => {}
                None => {
                    cx.diagnostics
                        .error(place, format!("{what} has no `probe`"))
                        .help("write `probe: { tcp: {} }` if nothing deeper can be asked");
                }
            }
            if let Some(node) = fields.take("depends_on") {
                self.depends_on(id, &Selection::All, node, cx);
            }
            fields.finish("a component", cx);
        }
        self.components.push(component);
    }

    /// Warns of a bare connect to a server that can be asked: it finds no hung one, and a database counts it as an
    /// aborted login (MySQL shuts a host out after `max_connect_errors` of them).
    fn deeper_probe(&self, component: &Component, place: Place, cx: &mut Context<'_>) {
        if component.probes.iter().any(|probe| probe.kind.name != "tcp") {
            return;
        }
        let instances = &self.instances[component.instances.start as usize..];
        let deeper = |port: &u16| self.kinds.iter().find(|kind| kind.ports.contains(port));
        let found = instances.iter().find_map(|i| Some((i.address.port, deeper(&i.address.port)?)));
        if let Some((port, kind)) = found {
            let message = format!("a bare connect to port {port} does not see a hung server");
            let help = format!("`probe: {{ {}: {{}} }}` asks it", kind.name);
            cx.diagnostics.warning(place, message).help(help);
        }
    }

    /// Reads every template as a component of its own, so that one nobody uses yet is right too. What its users
    /// were told already is not told twice.
    pub(super) fn check_templates(&self, templates: Templates, cx: &mut Context<'_>) {
        for (key, node) in templates.finish(cx) {
            self.alone().component("template", key.place, &node, false, cx);
        }
    }

    /// A reader whose findings count and whose components do not.
    fn alone(&self) -> Self {
        Self {
            kinds: self.kinds,
            defaults: Rc::clone(&self.defaults),
            tiers: Vec::new(),
            tier_ids: self.tier_ids.clone(),
            components: Vec::new(),
            flawed: Vec::new(),
            instances: Vec::new(),
            names: HashMap::new(),
            ids: HashMap::new(),
            wanted: Vec::new(),
        }
    }

    fn tier(&mut self, node: &Node, cx: &mut Context<'_>) -> Option<usize> {
        let name = cx.text(node, "`tier`")?;
        if let Some(found) = self.tier_ids.get(&name) {
            return Some(*found);
        }
        self.tier_ids.insert(name.clone(), self.tiers.len());
        self.tiers.push(Tier { title: Text::same(name.clone()), name });
        Some(self.tiers.len() - 1)
    }

    fn probes(
        &self,
        node: &Node,
        (interval, timeout): (Duration, Duration),
        own_timing: &[&str],
        cx: &mut Context<'_>,
    ) -> Vec<Probe> {
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
        let names: Vec<&str> = self.kinds.iter().map(|kind| kind.name).collect();
        entries
            .iter()
            .filter_map(|(key, options)| {
                let Some(kind) = self.kinds.iter().find(|kind| kind.name == key.name) else {
                    cx.unknown_word(key.place, "unknown probe kind", &key.name, &names);
                    return None;
                };
                let merged = over_defaults(options, self.defaults.probes.get(kind.name), own_timing, cx);
                read_probe(kind, merged.as_ref().unwrap_or(options), interval, timeout, cx)
            })
            .collect()
    }
}
