//! topology.yaml into a checked [`Model`]: all mistakes at once, each with its place.

mod alerts;
mod common;
mod component;
mod probe;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use crate::decode::{Context, Fields, note_duplicates};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::kind::KindSpec;
use crate::model::{
    Component, ComponentId, Confirm, DEFAULT_INTERVAL, DEFAULT_TIMEOUT, Instance, Model, Strength, Tier,
};
use crate::text::Text;
use crate::yaml::{self, Node, Value};

use alerts::read_alerts;
use common::{read_confirm, read_timing, read_title};

/// Where `${env:NAME}` and `${file:PATH}` are looked up, so that reading a file needs no I/O here.
pub trait Environment {
    /// The environment variable, if it is set.
    fn variable(&self, name: &str) -> Option<String>;
    /// The content of a file, its path relative to the directory of topology.yaml.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    fn file(&self, path: &str) -> Result<String, String>;
}

/// Reads `text`. `kinds` are the probe kinds there are.
///
/// # Errors
/// Every diagnostic, sorted by place, when at least one is an error. On success the warnings come with
/// the model.
pub fn read(
    text: &str,
    kinds: &[&'static KindSpec],
    environment: &dyn Environment,
) -> Result<(Model, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut cx = Context { diagnostics: Diagnostics::default(), environment };
    let model = yaml::read(text, &mut cx.diagnostics).and_then(|root| read_root(&root, kinds, &mut cx));
    let failed = cx.diagnostics.has_errors();
    let diagnostics = cx.diagnostics.into_sorted();
    match model {
        Some(model) if !failed => Ok((model, diagnostics)),
        _ => Err(diagnostics),
    }
}

#[derive(Clone, Copy)]
struct Defaults {
    interval: Duration,
    timeout: Duration,
    confirm: Confirm,
}

/// A dependency before its target is known to exist.
struct Wanted {
    from: ComponentId,
    to: String,
    place: Place,
    strength: Strength,
}

struct Reader<'k> {
    kinds: &'k [&'static KindSpec],
    defaults: Defaults,
    tiers: Vec<Tier>,
    components: Vec<Component>,
    instances: Vec<Instance>,
    /// Every node's name and the place it was given at.
    names: HashMap<String, Place>,
    wanted: Vec<Wanted>,
}

fn read_root(root: &Node, kinds: &[&'static KindSpec], cx: &mut Context<'_>) -> Option<Model> {
    if matches!(root.value, Value::Null) {
        cx.diagnostics
            .error(root.place, "the file is empty")
            .help("it needs at least `components:` with one component");
        return None;
    }
    let mut fields = Fields::of(root, "topology.yaml", cx)?;
    let name = match fields.take("name") {
        Some(node) => cx.text(node, "`name`").unwrap_or_default(),
        None => "topology".to_owned(),
    };
    let mut defaults =
        Defaults { interval: DEFAULT_INTERVAL, timeout: DEFAULT_TIMEOUT, confirm: Confirm::default() };
    if let Some(mut inner) = fields.take("defaults").and_then(|node| Fields::of(node, "`defaults`", cx)) {
        read_timing(&mut inner, &mut defaults.interval, &mut defaults.timeout, cx);
        read_confirm(&mut inner, &mut defaults.confirm, cx);
        inner.finish("`defaults`", cx);
    }
    let tiers = fields.take("tiers").map(|node| read_tiers(node, cx)).unwrap_or_default();
    let mut reader = Reader {
        kinds,
        defaults,
        tiers,
        components: Vec::new(),
        instances: Vec::new(),
        names: HashMap::new(),
        wanted: Vec::new(),
    };
    match fields.take("components") {
        Some(Node { value: Value::Map(entries), .. }) if !entries.is_empty() => {
            note_duplicates(entries, cx);
            for (key, node) in entries {
                reader.component(&key.name, key.place, node, cx);
            }
        }
        Some(node) if matches!(node.value, Value::Map(_) | Value::Null) => {
            cx.diagnostics.error(node.place, "`components` has no component");
        }
        Some(node) => cx.expected(node, "`components` is a map of components by name"),
        None => {
            cx.diagnostics.error(fields.place, "there are no `components`");
        }
    }
    let receivers = fields.take("alerts").map(|node| read_alerts(node, cx)).unwrap_or_default();
    fields.finish("topology.yaml", cx);
    let dependencies = reader.resolve(cx);
    Some(Model {
        name,
        tiers: reader.tiers,
        components: reader.components,
        instances: reader.instances,
        dependencies,
        receivers,
    })
}

fn read_tiers(node: &Node, cx: &mut Context<'_>) -> Vec<Tier> {
    let Value::Map(entries) = &node.value else {
        cx.expected(node, "`tiers` is a map of titles by tier, in drawing order");
        return Vec::new();
    };
    note_duplicates(entries, cx);
    let tier = |(key, value): &(yaml::Key, Node), cx: &mut Context<'_>| Tier {
        name: key.name.clone(),
        title: read_title(value, cx).unwrap_or_else(|| Text::same(key.name.clone())),
    };
    entries.iter().map(|entry| tier(entry, cx)).collect()
}
