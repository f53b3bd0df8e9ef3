//! For the tests of this crate: models and observations made by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use probes::observation::{Answer, Observation, Outcome, Witness};
use topology::fault::{Fault, FaultKind, Reason};
use topology::level::Health;
use topology::model::Model;

struct Nothing;

impl topology::Environment for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Err("none".to_owned())
    }
}

/// A model from lines such as `order x2 -> order-db, mq:async`, every component probed by http.
pub(crate) fn model(lines: &str) -> Model {
    use std::fmt::Write as _;
    let mut text = String::from("name: test\ndefaults: { interval: 3s, timeout: 1500ms }\ncomponents:\n");
    for (n, line) in lines.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        let (head, needs) = line.split_once("->").unwrap_or((line, ""));
        let mut words = head.split_whitespace();
        let name = words.next().unwrap();
        let (mut count, mut kind) = ("1", "http");
        for word in words {
            match word.strip_prefix('x') {
                Some(number) => count = number,
                None => kind = word,
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
            "  {name}: {{ instances: [\"127.0.{n}.[1-{count}]:80\"], probe: {{ {kind}: {{}} }}, depends_on: [{}] }}",
            needs.join(", ")
        )
        .unwrap();
    }
    text.push_str("alerts: { receivers: { ops: { webhook: { url: \"http://127.0.0.1:1/\" } } } }\n");
    read(&text)
}

/// A model from a whole file.
pub(crate) fn read(text: &str) -> Model {
    topology::read(text, &probes::specs(), &Nothing).unwrap_or_else(|d| panic!("{text}\n{d:#?}")).0
}

fn observation(outcome: Outcome) -> Observation {
    Observation::of(Duration::from_millis(2), outcome)
}

pub(crate) fn answer(signals: &[(&str, f64)]) -> Observation {
    let signals: BTreeMap<String, f64> = signals.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect();
    observation(Outcome::Answer(Answer { signals, ..Answer::default() }))
}

pub(crate) fn fault(kind: FaultKind, words: &str) -> Observation {
    observation(Outcome::Fault(Fault::new(kind, "ask", words)))
}

pub(crate) fn local() -> Observation {
    observation(Outcome::Local("out of files".to_owned()))
}

/// 503, naming `on`.
pub(crate) fn blames(on: &str) -> Observation {
    let mut observation = fault(FaultKind::BadAnswer, &format!("503: {on} fail"));
    if let Outcome::Fault(fault) = &mut observation.outcome {
        fault.reason = Some(Reason::Status5xx);
    }
    observation.witnesses.push(Witness {
        on: on.to_owned(),
        health: Health::Red,
        words: "no answer in 400 ms".to_owned(),
        latency: None,
    });
    observation
}

/// A good answer that names `on` as well.
pub(crate) fn praises(on: &str) -> Observation {
    let mut observation = answer(&[]);
    observation.witnesses.push(Witness {
        on: on.to_owned(),
        health: Health::Green,
        words: String::new(),
        latency: None,
    });
    observation
}

/// Two components, and one receiver of messages.
pub(crate) fn model_with_receiver() -> Model {
    with_receiver(model("web x2 -> db\ndb tcp"))
}

/// The same topology with one receiver of messages.
pub(crate) fn with_receiver(mut model: Model) -> Model {
    model.alerting.receivers.push(topology::alerting::Receiver {
        name: "ops".to_owned(),
        channel: topology::alerting::Channel::Webhook {
            url: "http://127.0.0.1:1/".to_owned().into(),
            secret: None,
        },
        lang: topology::text::Lang::En,
        fallback: None,
        limits: Vec::new(),
        template: topology::alerting::Template::default(),
    });
    model
}
