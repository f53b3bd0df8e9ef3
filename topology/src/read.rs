//! topology.yaml into a checked [`Model`]: all mistakes at once, each with its place.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::decode::{Context, Fields, note_duplicates};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::kind::{KindSpec, OptionForm, SignalSpec};
use crate::model::{
    Channel, Component, ComponentId, Confirm, DEFAULT_INTERVAL, DEFAULT_TIMEOUT, Dependency, Instance, Model,
    OptionValue, Policy, Probe, Receiver, Strength, Threshold, Tier,
};
use crate::range;
use crate::text::Text;
use crate::yaml::{self, Node, Value};

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

/// Instances in all, at most. One process watches thousands; this bounds a typing mistake.
const MAX_INSTANCES: usize = 100_000;
/// The shortest interval: below it a monitor is a load test.
const MIN_INTERVAL: Duration = Duration::from_millis(200);

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

fn read_alerts(node: &Node, cx: &mut Context<'_>) -> Vec<Receiver> {
    let Some(mut fields) = Fields::of(node, "`alerts`", cx) else { return Vec::new() };
    let mut receivers = Vec::new();
    match fields.take("receivers") {
        Some(Node { value: Value::Map(entries), .. }) => {
            note_duplicates(entries, cx);
            for (key, node) in entries {
                receivers.extend(read_receiver(&key.name, node, cx));
            }
        }
        Some(node) => cx.expected(node, "`receivers` is a map of receivers by name"),
        None => {}
    }
    fields.finish("`alerts`", cx);
    receivers
}

fn read_receiver(name: &str, node: &Node, cx: &mut Context<'_>) -> Option<Receiver> {
    let what = format!("receiver `{name}`");
    let mut fields = Fields::of(node, &what, cx)?;
    let webhook = fields.take("webhook");
    let place = fields.place;
    fields.finish(&what, cx);
    let Some(webhook) = webhook else {
        cx.diagnostics
            .error(place, format!("{what} says not how it is told"))
            .help("write `{ webhook: { url: \"${env:OPS_WEBHOOK}\" } }`");
        return None;
    };
    let mut inner = Fields::of(webhook, "`webhook`", cx)?;
    let secret = inner.take("secret").and_then(|node| cx.text(node, "`secret`")).map(SecretString::from);
    let url = inner.take("url");
    inner.finish("`webhook`", cx);
    let Some(url) = url else {
        cx.diagnostics.error(webhook.place, "a webhook needs a `url`");
        return None;
    };
    let text = cx.text(url, "`url`")?;
    if !text.starts_with("http://") && !text.starts_with("https://") {
        // The address may hold a token: it is not repeated here.
        cx.diagnostics.error(url.place, "`url` begins with `http://` or `https://`");
        return None;
    }
    Some(Receiver {
        name: name.to_owned(),
        channel: Channel::Webhook { url: SecretString::from(text), secret },
    })
}

fn read_title(node: &Node, cx: &mut Context<'_>) -> Option<Text> {
    if let Value::Map(_) = node.value {
        let mut fields = Fields::of(node, "a title", cx)?;
        let en = fields.take("en").and_then(|node| cx.text(node, "a title"));
        let zh = fields.take("zh").and_then(|node| cx.text(node, "a title"));
        fields.finish("a title", cx);
        let any = en.clone().or_else(|| zh.clone())?;
        return Some(Text { en: en.unwrap_or_else(|| any.clone()), zh: zh.unwrap_or(any) });
    }
    cx.text(node, "a title").map(Text::same)
}

/// Reads `interval` and `timeout` over what holds so far.
fn read_timing(
    fields: &mut Fields<'_>,
    interval: &mut Duration,
    timeout: &mut Duration,
    cx: &mut Context<'_>,
) {
    if let Some(node) = fields.take("interval")
        && let Some(value) = cx.duration(node, "`interval`")
    {
        if value < MIN_INTERVAL {
            cx.diagnostics
                .error(node.place, format!("`interval` is less than {} ms", MIN_INTERVAL.as_millis()))
                .help("a target is looked at again at once when something is wrong; 3s or 5s is usual");
        }
        *interval = value;
    }
    if let Some(node) = fields.take("timeout")
        && let Some(value) = cx.duration(node, "`timeout`")
    {
        if value > *interval {
            cx.diagnostics
                .error(node.place, "`timeout` is longer than `interval`")
                .help("a look must be over before the next one is due");
        }
        *timeout = value;
    }
}

fn read_confirm(fields: &mut Fields<'_>, confirm: &mut Confirm, cx: &mut Context<'_>) {
    let Some(mut inner) = fields.take("confirm").and_then(|node| Fields::of(node, "`confirm`", cx)) else {
        return;
    };
    for (name, target) in [("red_after", &mut confirm.red_after), ("green_after", &mut confirm.green_after)] {
        if let Some(count) = inner.take(name).and_then(|node| cx.count(node, &format!("`{name}`"), 1)) {
            *target = u32::try_from(count).unwrap_or(u32::MAX);
        }
    }
    inner.finish("`confirm`", cx);
}

fn read_policy(node: &Node, cx: &mut Context<'_>) -> Option<Policy> {
    const WORDS: [&str; 5] = ["replicas", "shards", "primary_replica", "any", "standby"];
    let plain = |word: &str| match word {
        "replicas" => Some(Policy::DEFAULT),
        "shards" => Some(Policy::Shards),
        "primary_replica" => Some(Policy::PrimaryReplica),
        "any" => Some(Policy::Any),
        "standby" => Some(Policy::Standby),
        _ => None,
    };
    match &node.value {
        Value::Text(word) => {
            let policy = plain(word);
            if policy.is_none() {
                cx.unknown_word(node.place, "unknown policy", word, &WORDS);
            }
            policy
        }
        Value::Map(entries) if entries.len() == 1 && entries[0].0.name == "replicas" => {
            let mut inner = Fields::of(&entries[0].1, "`replicas`", cx)?;
            let min_healthy = match inner.take("min_healthy") {
                Some(node) => cx.ratio(node, "`min_healthy`")?,
                None => 0.5,
            };
            inner.finish("`replicas`", cx);
            Some(Policy::Replicas { min_healthy })
        }
        _ => {
            cx.diagnostics
                .error(node.place, "`policy` is one word, or `{ replicas: { min_healthy: 60% } }`")
                .help(format!("the words are {}", WORDS.join(", ")));
            None
        }
    }
}

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

    fn component(&mut self, name: &str, place: Place, node: &Node, cx: &mut Context<'_>) {
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
    fn resolve(&mut self, cx: &mut Context<'_>) -> Vec<Dependency> {
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
            dependencies.push(Dependency { from: wanted.from, to, strength: wanted.strength });
        }
        dependencies
    }
}

fn read_labels(node: &Node, cx: &mut Context<'_>) -> BTreeMap<String, String> {
    let Value::Map(entries) = &node.value else {
        cx.expected(node, "`labels` is a map of texts");
        return BTreeMap::new();
    };
    note_duplicates(entries, cx);
    entries
        .iter()
        .filter_map(|(key, value)| {
            Some((key.name.clone(), cx.text(value, &format!("label `{}`", key.name))?))
        })
        .collect()
}

fn read_probe(
    kind: &'static KindSpec,
    node: &Node,
    mut interval: Duration,
    mut timeout: Duration,
    cx: &mut Context<'_>,
) -> Option<Probe> {
    let what = format!("probe `{}`", kind.name);
    let empty = Node { place: node.place, value: Value::Map(Vec::new()) };
    let node = if matches!(node.value, Value::Null) { &empty } else { node };
    let mut fields = Fields::of(node, &what, cx)?;
    read_timing(&mut fields, &mut interval, &mut timeout, cx);
    let mut options = BTreeMap::new();
    for spec in kind.options {
        let value = match (fields.take(spec.name), spec.default) {
            (Some(node), _) => read_option(spec.name, spec.form, node, cx),
            (None, Some(default)) => {
                let value = match spec.form {
                    OptionForm::Truth => Value::Bool(default == "true"),
                    OptionForm::Count => Value::Int(default.parse().unwrap_or_default()),
                    _ => Value::Text(default.to_owned()),
                };
                read_option(spec.name, spec.form, &Node { place: fields.place, value }, cx)
            }
            (None, None) => None,
        };
        if let Some(value) = value {
            options.insert(spec.name, value);
        }
    }
    let mut thresholds = Vec::new();
    for signal in kind.signals {
        let node = fields.take(signal.key);
        thresholds.extend(read_threshold(signal, signal.name.to_owned(), node, cx));
    }
    let mut labels = Vec::new();
    if let Some(group) = kind.labelled
        && let Some(node) = fields.take(group.key)
    {
        read_labelled(group, node, &mut labels, &mut thresholds, cx);
    }
    fields.finish(&what, cx);
    Some(Probe { kind, interval, timeout, options, thresholds, labels })
}

fn read_labelled(
    group: &crate::kind::LabelledSpec,
    node: &Node,
    labels: &mut Vec<String>,
    thresholds: &mut Vec<Threshold>,
    cx: &mut Context<'_>,
) {
    let Value::Map(entries) = &node.value else {
        cx.expected(node, &format!("`{}` is a map from a name to its thresholds", group.key));
        return;
    };
    note_duplicates(entries, cx);
    for (key, node) in entries {
        labels.push(key.name.clone());
        let what = format!("`{}`", key.name);
        let empty = Node { place: node.place, value: Value::Map(Vec::new()) };
        let node = if matches!(node.value, Value::Null) { &empty } else { node };
        let Some(mut fields) = Fields::of(node, &what, cx) else { continue };
        for signal in group.signals {
            let node = fields.take(signal.key);
            thresholds.extend(read_threshold(signal, format!("{}[{}]", signal.name, key.name), node, cx));
        }
        fields.finish(&what, cx);
    }
}

fn read_option(name: &str, form: OptionForm, node: &Node, cx: &mut Context<'_>) -> Option<OptionValue> {
    let what = format!("`{name}`");
    match form {
        OptionForm::Text => cx.text(node, &what).map(OptionValue::Text),
        OptionForm::Secret => cx.text(node, &what).map(|text| OptionValue::Secret(SecretString::from(text))),
        // `witness: off` is a truth to YAML 1.1 readers and a word to us.
        OptionForm::Truth => cx.truth(node, &what).map(OptionValue::Truth),
        OptionForm::Count => cx.count(node, &what, 0).map(OptionValue::Count),
        OptionForm::Path => {
            let text = cx.text(node, &what)?;
            if text.starts_with('/') && !text.contains(char::is_whitespace) {
                return Some(OptionValue::Text(text));
            }
            cx.diagnostics.error(node.place, format!("{what} is a path that begins with `/`"));
            None
        }
        OptionForm::Word(words) => {
            let text = match &node.value {
                Value::Bool(truth) => if *truth { "on" } else { "off" }.to_owned(),
                _ => cx.text(node, &what)?,
            };
            if words.contains(&text.as_str()) {
                return Some(OptionValue::Text(text));
            }
            cx.unknown_word(node.place, &format!("unknown word for {what}"), &text, words);
            None
        }
    }
}

fn read_threshold(
    spec: &SignalSpec,
    signal: String,
    node: Option<&Node>,
    cx: &mut Context<'_>,
) -> Option<Threshold> {
    let (mut yellow, mut red) = (spec.yellow, spec.red);
    if let Some(node) = node {
        let what = format!("`{}`", spec.key);
        let mut fields = Fields::of(node, &format!("{what} (write `{{ yellow: …, red: … }}`)"), cx)?;
        // Who sets one of the two keeps the other only where the two still fit together.
        let own = |cx: &mut Context<'_>, node: Option<&Node>, color: &str| {
            node.map(|node| cx.quantity(node, spec.unit, &format!("`{color}` of {what}")))
        };
        let yellow_node = fields.take("yellow");
        let red_node = fields.take("red");
        let own_yellow = own(cx, yellow_node, "yellow");
        let own_red = own(cx, red_node, "red");
        let place = fields.key_place("red");
        fields.finish(&what, cx);
        match (own_yellow, own_red) {
            (Some(a), Some(b)) => {
                (yellow, red) = (a, b);
                if let (Some(a), Some(b)) = (a, b)
                    && !spec.bad.in_order(a, b)
                {
                    cx.diagnostics
                        .error(place, format!("red is milder than yellow in {what}"))
                        .help("exchange the two: yellow comes first");
                }
            }
            (Some(a), None) => {
                yellow = a;
                red = red.filter(|b| a.is_none_or(|a| spec.bad.in_order(a, *b)));
            }
            (None, Some(b)) => {
                red = b;
                yellow = yellow.filter(|a| b.is_none_or(|b| spec.bad.in_order(*a, b)));
            }
            (None, None) => {
                cx.diagnostics.error(node.place, format!("{what} sets neither `yellow` nor `red`"));
            }
        }
    }
    (yellow.is_some() || red.is_some()).then_some(Threshold {
        signal,
        unit: spec.unit,
        bad: spec.bad,
        yellow,
        red,
        effect: spec.effect,
    })
}
