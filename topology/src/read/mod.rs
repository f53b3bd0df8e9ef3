//! topology.yaml into a checked [`Model`]: all mistakes at once, each with its place.

mod alerts;
mod common;
mod component;
mod curves;
mod cycle;
mod depends;
mod instances;
mod links;
mod objectives;
mod probe;
mod receivers;
mod templates;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_alerts;
#[cfg(test)]
mod tests_bombs;
#[cfg(test)]
mod tests_files;

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use crate::decode::{Context, Fields};
use crate::diagnostic::{Diagnostic, Place, Source};
use crate::files::Loader;
use crate::kind::KindSpec;
use crate::links::LinkTemplate;
use crate::model::{
    Component, ComponentId, Confirm, DEFAULT_INTERVAL, DEFAULT_TIMEOUT, Instance, InstanceId, Model, Tier,
};
use crate::text::Text;
use crate::yaml::{Key, Node, Value};

use alerts::read_alerts;
use common::{read_confirm, read_timing, read_title};
use curves::read_curves;
use depends::Wanted;
use links::read_links;
use objectives::read_objectives;
use templates::Templates;

/// Where files, `${env:NAME}` and `${file:PATH}` are looked up, so that reading a topology needs no I/O here.
///
/// A relative path is what stands in a file behind the directory of that file's own path: with the main file
/// `conf/topology.yaml` the reference `${file:db.secret}` asks for `conf/db.secret`.
pub trait Environment {
    /// The environment variable, if it is set.
    fn variable(&self, name: &str) -> Option<String>;
    /// The content of a file of `${file:PATH}`.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    fn file(&self, path: &str) -> Result<String, String>;
    /// The bytes of a file that makes part of the topology.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    fn source(&self, path: &str) -> Result<Vec<u8>, String> {
        let _ = path;
        Err("no other files can be read here".to_owned())
    }
    /// The paths of the files that the glob `pattern` means from `directory` (empty, or ending in `/`), sorted.
    ///
    /// # Errors
    /// What is wrong with the pattern, in words.
    fn matching(&self, directory: &str, pattern: &str) -> Result<Vec<String>, String> {
        let _ = (directory, pattern);
        Err("no other files can be read here".to_owned())
    }
}

/// An `include` as it stands in a file of `directory`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    /// The file's directory: empty, or ending in `/`.
    pub directory: String,
    /// The pattern.
    pub pattern: String,
}

/// What came of reading a topology.
#[derive(Debug)]
pub struct Reading {
    /// The model; none when at least one diagnostic is an error.
    pub model: Option<Model>,
    /// All diagnostics, sorted by place.
    pub diagnostics: Vec<Diagnostic>,
    /// The files that were read, by [`crate::diagnostic::FileId`]: the main one, what it includes, the overlays.
    pub sources: Vec<Source>,
    /// Every `include`, for [`Environment::matching`]: a new file that matches belongs to the topology too.
    pub globs: Vec<Glob>,
}

/// Reads the topology of the main file at `path`, with `overlays` laid over it in their order. `kinds` are the
/// probe kinds there are.
pub fn read_files(
    path: &str,
    overlays: &[String],
    kinds: &[&'static KindSpec],
    environment: &dyn Environment,
) -> Reading {
    reading(path, None, overlays, kinds, environment)
}

/// Reads the topology that is `text`, as if it stood in a file `topology.yaml`.
///
/// # Errors
/// Every diagnostic, sorted by place, when at least one is an error. On success the warnings come with
/// the model.
pub fn read(
    text: &str,
    kinds: &[&'static KindSpec],
    environment: &dyn Environment,
) -> Result<(Model, Vec<Diagnostic>), Vec<Diagnostic>> {
    let reading = reading("topology.yaml", Some(text.to_owned()), &[], kinds, environment);
    match reading.model {
        Some(model) => Ok((model, reading.diagnostics)),
        None => Err(reading.diagnostics),
    }
}

fn reading(
    path: &str,
    text: Option<String>,
    overlays: &[String],
    kinds: &[&'static KindSpec],
    environment: &dyn Environment,
) -> Reading {
    let mut cx = Context::new(environment);
    let (root, globs) = Loader::new(&mut cx).load(path, text, overlays);
    let model = root.and_then(|root| read_root(root, kinds, &mut cx));
    let failed = cx.diagnostics.has_errors();
    Reading {
        model: model.filter(|_| !failed),
        diagnostics: cx.diagnostics.into_sorted(),
        sources: cx.sources,
        globs,
    }
}

struct Defaults {
    interval: Duration,
    timeout: Duration,
    confirm: Confirm,
    /// What probes of a kind say unless they say something else.
    probes: HashMap<&'static str, Node>,
    /// Where else to look, of every component.
    links: Vec<LinkTemplate>,
}

struct Reader<'k> {
    kinds: &'k [&'static KindSpec],
    defaults: Rc<Defaults>,
    tiers: Vec<Tier>,
    tier_ids: HashMap<String, usize>,
    components: Vec<Component>,
    /// Components whose instances are not all known, because some are wrong.
    flawed: Vec<bool>,
    instances: Vec<Instance>,
    /// Every node's name, the place it was given at, and the instance when it is one.
    names: HashMap<String, (Place, Option<InstanceId>)>,
    ids: HashMap<String, ComponentId>,
    wanted: Vec<Wanted>,
}

fn read_root(mut root: Node, kinds: &[&'static KindSpec], cx: &mut Context<'_>) -> Option<Model> {
    if matches!(root.value, Value::Null) {
        if !cx.lost.is_empty() {
            return None;
        }
        cx.diagnostics
            .error(root.place, "the file is empty")
            .help("it needs at least `components:` with one component");
        return None;
    }
    let components = root.remove("components");
    let templates = root.remove("templates").map(|(_, node)| node);
    let mut fields = Fields::of(&root, "topology.yaml", cx)?;
    let place = fields.place;
    // Read already, and still keys that can be written.
    for known in ["components", "templates", "include"] {
        fields.take(known);
    }
    fields.take_anchors();
    let name = match fields.take("name") {
        Some(node) => cx.text(node, "`name`").unwrap_or_default(),
        None => "topology".to_owned(),
    };
    let mut defaults = read_defaults(fields.take("defaults"), kinds, cx);
    if let Some(node) = fields.take("links") {
        read_links(node, &mut defaults.links, cx);
    }
    let tiers = fields.take("tiers").map(|node| read_tiers(node, cx)).unwrap_or_default();
    let mut reader = Reader {
        kinds,
        defaults: Rc::new(defaults),
        tier_ids: tiers.iter().enumerate().rev().map(|(i, tier)| (tier.name.clone(), i)).collect(),
        tiers,
        components: Vec::new(),
        flawed: Vec::new(),
        instances: Vec::new(),
        names: HashMap::new(),
        ids: HashMap::new(),
        wanted: Vec::new(),
    };
    let mut templates = Templates::new(templates, cx);
    read_components(components, place, &mut reader, &mut templates, cx);
    reader.check_templates(templates, cx);
    let alerting = fields.take("alerts").map(|node| read_alerts(node, &reader, cx)).unwrap_or_default();
    let curves = fields.take("curves").map(|node| read_curves(node, &reader, cx)).unwrap_or_default();
    let objectives =
        fields.take("objectives").map(|node| read_objectives(node, &reader, cx)).unwrap_or_default();
    fields.finish("topology.yaml", cx);
    let (dependencies, places) = reader.resolve(cx);
    let model = Model {
        name,
        tiers: reader.tiers,
        components: reader.components,
        instances: reader.instances,
        dependencies,
        alerting,
        curves,
        objectives,
    };
    cycle::warn(&model, &places, cx);
    Some(model)
}

fn read_components(
    section: Option<(Key, Node)>,
    start: Place,
    reader: &mut Reader<'_>,
    templates: &mut Templates,
    cx: &mut Context<'_>,
) {
    match section {
        Some((_, Node { value: Value::Map(entries), .. })) if !entries.is_empty() => {
            crate::decode::note_duplicates(&entries, cx);
            for (key, node) in entries {
                let (node, whole) = templates.fill(node, cx);
                reader.component(&key.name, key.place, &node, whole, cx);
            }
        }
        // What is missing here was there, and could not be read.
        _ if !cx.lost.is_empty() => {}
        Some((_, node)) if matches!(node.value, Value::Map(_) | Value::Null) => {
            cx.diagnostics
                .error(node.place, "`components` has no component")
                .help("write `web: { instances: [\"10.0.0.1:80\"], probe: { http: {} } }` below it");
        }
        Some((_, node)) => cx.expected(&node, "`components` is a map of components by name"),
        None => {
            cx.diagnostics
                .error(start, "there are no `components`")
                .help("write `components:` and below it `web: { instances: [\"10.0.0.1:80\"], probe: { http: {} } }`");
        }
    }
}

fn read_defaults(node: Option<&Node>, kinds: &[&'static KindSpec], cx: &mut Context<'_>) -> Defaults {
    let mut defaults = Defaults {
        interval: DEFAULT_INTERVAL,
        timeout: DEFAULT_TIMEOUT,
        confirm: Confirm::default(),
        probes: HashMap::new(),
        links: Vec::new(),
    };
    let Some(mut inner) = node.and_then(|node| Fields::of(node, "`defaults`", cx)) else { return defaults };
    read_timing(&mut inner, &mut defaults.interval, &mut defaults.timeout, cx);
    read_confirm(&mut inner, &mut defaults.confirm, cx);
    if let Some(node) = inner.take("probe") {
        defaults.probes = probe::read_defaults(node, kinds, (defaults.interval, defaults.timeout), cx);
    }
    inner.finish("`defaults`", cx);
    defaults
}

fn read_tiers(node: &Node, cx: &mut Context<'_>) -> Vec<Tier> {
    let Value::Map(entries) = &node.value else {
        cx.expected(node, "`tiers` is a map of titles by tier, in drawing order");
        return Vec::new();
    };
    crate::decode::note_duplicates(entries, cx);
    let tier = |(key, value): &(Key, Node), cx: &mut Context<'_>| Tier {
        name: key.name.clone(),
        title: read_title(value, cx).unwrap_or_else(|| Text::same(key.name.clone())),
    };
    entries.iter().map(|entry| tier(entry, cx)).collect()
}
