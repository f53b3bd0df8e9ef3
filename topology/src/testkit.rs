//! For the tests of this crate: a model from a few lines, and a small table of kinds.

use crate::Environment;
use crate::diagnostic::Diagnostic;
use crate::kind::{Bad, KindSpec, LabelledSpec, OptionForm, OptionSpec, SignalSpec, Unit};
use crate::level::Kind;
use crate::model::{InstanceId, Model};

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
    labelled: None,
    exercises_dependencies: true,
};

static TCP: KindSpec = KindSpec {
    name: "tcp",
    summary: "",
    options: &[],
    signals: &[],
    labelled: None,
    exercises_dependencies: false,
};

static AMQP: KindSpec = KindSpec {
    name: "amqp",
    summary: "",
    options: &[],
    signals: &[],
    labelled: Some(&LabelledSpec {
        key: "queues",
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
