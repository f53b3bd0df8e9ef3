//! One probe of a component, by the table of its kind.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use secrecy::SecretString;

use super::common::read_timing;
use crate::decode::{Context, Fields};
use crate::kind::{KindSpec, LabelledSpec, OptionForm, SignalSpec};
use crate::merge;
use crate::model::{OptionValue, Probe, Threshold};
use crate::yaml::{Node, Value};

pub(super) fn read_probe(
    kind: &'static KindSpec,
    node: &Node,
    mut interval: Duration,
    mut timeout: Duration,
    cx: &mut Context<'_>,
) -> Option<Probe> {
    let what = format!("probe `{}`", kind.name);
    let empty = Node::empty(node.place);
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

/// Reads `defaults: { probe: { http: {...} } }`. Each kind is read as a probe, so that a mistake is found here.
pub(super) fn read_defaults(
    node: &Node,
    kinds: &[&'static KindSpec],
    (interval, timeout): (Duration, Duration),
    cx: &mut Context<'_>,
) -> HashMap<&'static str, Node> {
    let Value::Map(entries) = &node.value else {
        cx.expected(
            node,
            "`probe` is a map from a kind to its options, such as `{ http: { path: /health } }`",
        );
        return HashMap::new();
    };
    let mut defaults = HashMap::new();
    for (key, options) in entries {
        let Some(kind) = kinds.iter().find(|kind| kind.name == key.name) else {
            let names: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
            cx.unknown_word(key.place, "unknown probe kind", &key.name, &names);
            continue;
        };
        if read_probe(kind, options, interval, timeout, cx).is_some() {
            defaults.insert(kind.name, options.clone());
        }
    }
    defaults
}

/// A probe's options over the defaults of its kind; none when it says everything itself.
pub(super) fn over_defaults(
    options: &Node,
    defaults: Option<&Node>,
    own_timing: &[&str],
    cx: &mut Context<'_>,
) -> Option<Node> {
    let defaults = defaults.filter(|defaults| cx.may_copy(defaults, options.place))?;
    let mut merged = defaults.clone();
    merged.place = options.place;
    // What the component says of its timing is nearer than what holds for all probes of a kind.
    for name in own_timing {
        merged.remove(name);
    }
    if !matches!(options.value, Value::Null) {
        merge::over(&mut merged, options.clone());
    }
    Some(merged)
}

pub(super) fn read_labelled(
    group: &LabelledSpec,
    node: &Node,
    labels: &mut Vec<String>,
    thresholds: &mut Vec<Threshold>,
    cx: &mut Context<'_>,
) {
    let Value::Map(entries) = &node.value else {
        cx.expected(node, &format!("`{}` is a map from a name to its thresholds", group.key));
        return;
    };
    for (key, node) in entries {
        labels.push(key.name.clone());
        let what = format!("`{}`", key.name);
        let empty = Node::empty(node.place);
        let node = if matches!(node.value, Value::Null) { &empty } else { node };
        let Some(mut fields) = Fields::of(node, &what, cx) else { continue };
        for signal in group.signals {
            let node = fields.take(signal.key);
            thresholds.extend(read_threshold(signal, format!("{}[{}]", signal.name, key.name), node, cx));
        }
        fields.finish(&what, cx);
    }
}

pub(super) fn read_option(
    name: &str,
    form: OptionForm,
    node: &Node,
    cx: &mut Context<'_>,
) -> Option<OptionValue> {
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

pub(super) fn read_threshold(
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
