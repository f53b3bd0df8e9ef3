//! One probe of a component, by the table of its kind.

use std::collections::HashMap;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::common::read_timing;
use crate::decode::{Context, Fields};
use crate::kind::{KindSpec, LabelledSpec, OptionForm, OptionSpec, SignalSpec, Unit};
use crate::merge;
use crate::model::{OptionValue, Options, Probe, Threshold};
use crate::normal::Times;
use crate::yaml::{Node, Value};

pub(super) fn read_probe(
    kind: &'static KindSpec,
    node: &Node,
    interval: Duration,
    timeout: Duration,
    cx: &mut Context<'_>,
) -> Option<Probe> {
    let mistakes = cx.diagnostics.errors();
    let probe = read_parts(kind, node, interval, timeout, cx)?;
    // What could not be read is missing only because of its own mistake.
    if cx.diagnostics.errors() == mistakes
        && let Some(wrong) = kind.wrong.and_then(|check| check(&probe))
    {
        cx.diagnostics.error(node.place, format!("probe `{}`: {wrong}", kind.name));
        return None;
    }
    Some(probe)
}

/// A probe that need not be complete.
fn read_parts(
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
    let options = read_options(kind.options, &mut fields, cx);
    let mut thresholds = Vec::new();
    for signal in kind.signals {
        let node = fields.take(signal.key);
        thresholds.extend(read_threshold(signal, signal.name.to_owned(), node, cx));
    }
    let (mut labels, mut entries) = (Vec::new(), Vec::new());
    if let Some(group) = kind.labelled
        && let Some(node) = fields.take(group.key)
    {
        read_labelled(group, node, &mut labels, &mut entries, &mut thresholds, cx);
    }
    fields.finish(&what, cx);
    Some(Probe { kind, interval, timeout, options, thresholds, labels, entries })
}

/// The options of a table, defaults filled in.
fn read_options(specs: &'static [OptionSpec], fields: &mut Fields<'_>, cx: &mut Context<'_>) -> Options {
    let mut options = Options::new();
    for spec in specs {
        let value = match (fields.take(spec.name), spec.default) {
            (Some(node), _) => read_option(spec.name, spec.form, node, cx),
            (None, Some(default)) => {
                let value = match spec.form {
                    OptionForm::Truth | OptionForm::Either(OptionForm::Truth, _) => {
                        Value::Bool(default == "true")
                    }
                    OptionForm::Count => Value::Int(default.parse().unwrap_or_default()),
                    _ => Value::Text(default.to_owned()),
                };
                read_option(spec.name, spec.form, &Node { place: fields.place, value }, cx)
            }
            (None, None) => None,
        };
        // An empty password is none: `${env:PASSWORD:-}` where nobody has set it yet.
        let is_empty =
            matches!(&value, Some(OptionValue::Secret(secret)) if secret.expose_secret().is_empty());
        if let Some(value) = value.filter(|_| !is_empty) {
            options.insert(spec.name, value);
        }
    }
    options
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
        // A default may leave out what every probe says itself.
        if read_parts(kind, options, interval, timeout, cx).is_some() {
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
    read: &mut Vec<Options>,
    thresholds: &mut Vec<Threshold>,
    cx: &mut Context<'_>,
) {
    let Value::Map(entries) = &node.value else {
        cx.expected(node, &format!("`{}` is a map from a name to its settings", group.key));
        return;
    };
    for (key, node) in entries {
        let what = format!("`{}`", key.name);
        let empty = Node::empty(node.place);
        let node = if matches!(node.value, Value::Null) { &empty } else { node };
        let Some(mut fields) = Fields::of(node, &what, cx) else { continue };
        labels.push(key.name.clone());
        read.push(read_options(group.options, &mut fields, cx));
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
        OptionForm::Number => read_number(node, &what, cx),
        OptionForm::Bytes => cx.quantity(node, Unit::Bytes, &what).map(|n| OptionValue::Count(n as u64)),
        OptionForm::Duration => cx.duration(node, &what).map(OptionValue::Duration),
        OptionForm::Checked(check) => {
            let text = cx.text(node, &what)?;
            let Some(wrong) = (check.wrong)(&text) else { return Some(OptionValue::Text(text)) };
            cx.diagnostics.error(node.place, format!("{what} is {}: {wrong}", check.what));
            None
        }
        OptionForm::Scalar => match &node.value {
            Value::Bool(truth) => Some(OptionValue::Truth(*truth)),
            Value::Int(_) | Value::Float(_) => read_number(node, &what, cx),
            _ => cx.text(node, &what).map(OptionValue::Text),
        },
        OptionForm::List(form) => {
            let one = std::slice::from_ref(node);
            let nodes = if let Value::List(nodes) = &node.value { nodes } else { one };
            let read = nodes.iter().map(|node| read_option(name, *form, node, cx)).collect::<Vec<_>>();
            read.into_iter().collect::<Option<_>>().map(OptionValue::List)
        }
        OptionForm::Map(names, form) => {
            let Value::Map(entries) = &node.value else {
                cx.expected(node, &format!("{what} is a map"));
                return None;
            };
            let read = entries
                .iter()
                .map(|(key, node)| {
                    let wrong = names.and_then(|check| Some((check, (check.wrong)(&key.name)?)));
                    if let Some((check, wrong)) = wrong {
                        cx.diagnostics
                            .error(key.place, format!("a key of {what} is {}: {wrong}", check.what));
                        return None;
                    }
                    Some((key.name.clone(), read_option(&key.name, *form, node, cx)?))
                })
                .collect::<Vec<_>>();
            read.into_iter().collect::<Option<_>>().map(OptionValue::Map)
        }
        OptionForm::Record(specs) => {
            let mut fields = Fields::of(node, &what, cx)?;
            let record = read_options(specs, &mut fields, cx);
            fields.finish(&what, cx);
            Some(OptionValue::Record(record))
        }
        OptionForm::Either(_, specs) if matches!(node.value, Value::Map(_)) => {
            read_option(name, OptionForm::Record(specs), node, cx)
        }
        OptionForm::Either(short, _) => read_option(name, *short, node, cx),
    }
}

fn read_number(node: &Node, what: &str, cx: &mut Context<'_>) -> Option<OptionValue> {
    let number = cx.text(node, what)?.parse::<f64>().ok().filter(|number| number.is_finite());
    if number.is_none() {
        cx.diagnostics.error(node.place, format!("{what} is a number"));
    }
    number.map(OptionValue::Number)
}

pub(super) fn read_threshold(
    spec: &SignalSpec,
    signal: String,
    node: Option<&Node>,
    cx: &mut Context<'_>,
) -> Option<Threshold> {
    let (mut yellow, mut red) = (spec.yellow, spec.red);
    let mut times = None;
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
        times = fields.take("normal").and_then(|node| read_times(node, &what, cx));
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
            // Judged by its own normal only: a fixed limit that nobody set does not stand beside it.
            (None, None) if times.is_some() => (yellow, red) = (None, None),
            (None, None) => {
                cx.diagnostics.error(node.place, format!("{what} sets neither `yellow` nor `red`"));
            }
        }
    }
    (yellow.is_some() || red.is_some() || times.is_some()).then_some(Threshold {
        signal,
        unit: spec.unit,
        bad: spec.bad,
        yellow,
        red,
        times,
        effect: spec.effect,
    })
}

/// Reads `normal: { yellow: 3x, red: 10x }`.
fn read_times(node: &Node, what: &str, cx: &mut Context<'_>) -> Option<Times> {
    let name = format!("`normal` of {what} (write `{{ yellow: 3x, red: 10x }}`)");
    let mut fields = Fields::of(node, &name, cx)?;
    let mut one = |color: &'static str, cx: &mut Context<'_>| {
        let node = fields.take(color)?;
        let text = cx.text(node, &format!("`{color}` of `normal`"))?;
        let times = text.strip_suffix(['x', 'X']).and_then(|number| number.trim().parse::<f64>().ok());
        if times.is_none_or(|times| !times.is_finite() || times <= 1.0) {
            cx.diagnostics
                .error(node.place, format!("`{text}` is not how many times its normal {what} may be"))
                .help("write it as `3x`; it is more than 1x");
            return None;
        }
        times
    };
    let (yellow, red) = (one("yellow", cx), one("red", cx));
    fields.finish(&name, cx);
    if let (Some(yellow), Some(red)) = (yellow, red)
        && red < yellow
    {
        cx.diagnostics
            .error(node.place, format!("red is milder than yellow in `normal` of {what}"))
            .help("exchange the two: yellow comes first");
    }
    if yellow.is_none() && red.is_none() {
        cx.diagnostics.error(node.place, format!("`normal` of {what} sets neither `yellow` nor `red`"));
        return None;
    }
    Some(Times { yellow, red })
}
