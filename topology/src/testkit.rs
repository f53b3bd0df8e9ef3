//! For the tests of this crate: a model from a few lines, and a small table of kinds.

use crate::Environment;
use crate::diagnostic::Diagnostic;
use crate::kind::{Bad, KindSpec, LabelledSpec, OptionForm, OptionSpec, SignalSpec, Unit};
use crate::level::Kind;
use crate::model::{Dependency, InstanceId, Model, Strength};

static HTTP: KindSpec = KindSpec {
    name: "http",
    summary: "",
    options: &[
        OptionSpec { name: "path", form: OptionForm::Path, default: Some("/"), help: "" },
        OptionSpec { name: "password", form: OptionForm::Secret, default: None, help: "" },
        OptionSpec {
            name: "witness",
            form: OptionForm::Word(&["auto", "off"]),
            default: Some("auto"),
            help: "",
        },
    ],
    signals: &[SignalSpec {
        name: "http.latency_seconds",
        key: "slow",
        unit: Unit::Seconds,
        bad: Bad::Above,
        yellow: Some(0.3),
        red: Some(1.0),
        effect: Kind::Impaired,
        help: "",
    }],
    exercises_dependencies: true,
    ..KindSpec::EMPTY
};

static TCP: KindSpec =
    KindSpec { name: "tcp", summary: "", exercises_dependencies: false, ..KindSpec::EMPTY };

static AMQP: KindSpec = KindSpec {
    name: "amqp",
    summary: "",
    labelled: Some(&LabelledSpec {
        key: "queues",
        options: &[],
        signals: &[SignalSpec {
            name: "amqp.queue_messages",
            key: "messages",
            unit: Unit::Count,
            bad: Bad::Above,
            yellow: Some(1000.0),
            red: Some(10_000.0),
            effect: Kind::AtRisk,
            help: "",
        }],
    }),
    exercises_dependencies: false,
    ..KindSpec::EMPTY
};

pub(crate) static KINDS: [&KindSpec; 3] = [&HTTP, &TCP, &AMQP];

/// One variable and one file.
pub(crate) struct Fixed;

impl Environment for Fixed {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "HOST").then(|| "10.0.0.9".to_owned())
    }

    fn file(&self, path: &str) -> Result<String, String> {
        if path == "secrets/db" { Ok("s3cret\n".to_owned()) } else { Err("no such file".to_owned()) }
    }
}

pub(crate) fn read(text: &str) -> Result<(Model, Vec<Diagnostic>), Vec<Diagnostic>> {
    crate::read(text, &KINDS, &Fixed)
}

/// A model from lines such as `order x2 -> order-db, mq:async` or `db x4 shards`.
pub(crate) fn model(lines: &str) -> Model {
    use std::fmt::Write as _;
    let mut text = String::from("components:\n");
    for (n, line) in lines.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        let (head, needs) = line.split_once("->").unwrap_or((line, ""));
        let mut words = head.split_whitespace();
        let name = words.next().unwrap();
        let (mut count, mut policy, mut kind) = ("1".to_owned(), "replicas", "http");
        for word in words {
            match word {
                "tcp" | "amqp" => kind = word,
                _ if word.starts_with('x') => count = word[1..].to_owned(),
                _ => policy = word,
            }
        }
        let needs: Vec<String> = needs
            .split(',')
            .map(str::trim)
            .filter(|need| !need.is_empty())
            .map(|need| {
                let (on, strength) = need.split_once(':').unwrap_or((need, "required"));
                format!("{{ on: {on}, strength: {strength} }}")
            })
            .collect();
        writeln!(
            text,
            "  {name}: {{ instances: [\"10.0.{n}.[1-{count}]:80\"], policy: {policy}, probe: {{ {kind}: {{}} }}, depends_on: [{}] }}",
            needs.join(", ")
        )
        .unwrap();
    }
    match read(&text) {
        Ok((model, _)) => model,
        Err(diagnostics) => panic!("{text}\n{diagnostics:#?}"),
    }
}

/// The instance called `name`.
pub(crate) fn instance(model: &Model, name: &str) -> InstanceId {
    InstanceId(
        model.instances.iter().position(|i| i.name == name).unwrap_or_else(|| panic!("no {name}")) as u32
    )
}

/// One more dependency: `a -> b optional`, `a-1, a-2 -> b-1`, `a -> b one_of:1`; an end is a component or a
/// list of instances of one.
pub(crate) fn add(model: &mut Model, line: &str) {
    let (from, rest) = line.split_once("->").unwrap();
    let words = |text: &str| -> Vec<String> {
        text.replace(',', " ").split_whitespace().map(str::to_owned).collect()
    };
    let (mut strength, mut one_of, mut to) = (Strength::Required, None, Vec::new());
    for word in words(rest) {
        match word.as_str() {
            "required" => {}
            "optional" => strength = Strength::Optional,
            "async" => strength = Strength::Async,
            _ => match word.strip_prefix("one_of:") {
                Some(group) => one_of = Some(group.parse().unwrap()),
                None => to.push(word),
            },
        }
    }
    let end = |names: &[String]| {
        if let Some(component) = model.component_by_name(&names[0]) {
            return (component, Vec::new());
        }
        let part: Vec<InstanceId> = names.iter().map(|name| instance(model, name)).collect();
        (model.instance(part[0]).component, part)
    };
    let ((from, from_part), (to, to_part)) = (end(&words(from)), end(&to));
    model.dependencies.push(Dependency { from, to, strength, from_part, to_part, one_of });
}

/// Gives an instance a label.
pub(crate) fn label(model: &mut Model, name: &str, key: &str, value: &str) {
    let id = instance(model, name);
    model.instances[id.index()].labels.insert(key.to_owned(), value.to_owned());
}
