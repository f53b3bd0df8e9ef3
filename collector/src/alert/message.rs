//! A message: the JSON of the generic webhook, which the outbox keeps, and what the other receivers read of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use topology::model::Model;

use crate::announce::Event;
use crate::incident::Incident;
use crate::report::{IncidentReport, time};

#[derive(Serialize)]
struct Body<'a> {
    version: u32,
    event: &'a str,
    key: &'a str,
    links: Links,
    incident: IncidentReport,
}

/// Where to read on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Links {
    /// The incident's page, where the file says how this server is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) incident: Option<String>,
    /// The runbook of the first root cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) runbook: Option<String>,
}

/// The body, but for what is known only when it is sent.
pub(crate) fn body(
    model: &Model,
    incident: &Incident,
    event: Event,
    key: &str,
) -> Result<String, serde_json::Error> {
    body_of(model, incident, event.as_str(), key)
}

/// The same of any event's word.
pub(crate) fn body_of(
    model: &Model,
    incident: &Incident,
    event: &str,
    key: &str,
) -> Result<String, serde_json::Error> {
    let first = incident.verdict.roots.first().and_then(|root| root.culprit.component(model));
    let links = Links {
        incident: model.alerting.page.as_ref().map(|page| format!("{page}/incidents/{}", incident.id)),
        runbook: first.and_then(|component| model.component(component).runbook.clone()),
    };
    let incident = IncidentReport::of(model, incident);
    serde_json::to_string(&Body { version: 1, event, key, links, incident })
}

/// The same message under another event: who did not hear of an incident before hears that it is open.
pub(crate) fn as_event(body: &str, event: Event) -> Result<String, serde_json::Error> {
    let mut value: Value = serde_json::from_str(body)?;
    value["event"] = json!(event.as_str());
    serde_json::to_string(&value)
}

/// The body as it is sent now: with the time, and how late that is.
pub(crate) fn stamped(body: &str, created: Timestamp, now: Timestamp) -> Result<String, serde_json::Error> {
    let mut value: Value = serde_json::from_str(body)?;
    value["sent_at"] = json!(time(now));
    value["late_s"] = json!(late(created, now));
    serde_json::to_string(&value)
}

/// Several in one: the whole messages in their order. It is as late as its first.
pub(crate) fn digest(
    key: &str,
    messages: &[(&str, Timestamp)],
    now: Timestamp,
) -> Result<String, serde_json::Error> {
    let whole: Vec<Value> =
        messages.iter().map(|(body, _)| serde_json::from_str(body)).collect::<Result<_, _>>()?;
    let first = messages.iter().map(|(_, created)| *created).min().unwrap_or(now);
    serde_json::to_string(&json!({
        "version": 1,
        "event": "digest",
        "key": key,
        "sent_at": time(now),
        "late_s": late(first, now),
        "messages": whole,
    }))
}

fn late(created: Timestamp, now: Timestamp) -> f64 {
    (crate::clock::between(created, now).as_secs_f64() * 1000.0).round() / 1000.0
}

/// What receivers other than the webhook read of a message. What a version before did not write is empty.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Letter {
    pub(crate) event: String,
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) links: Links,
    pub(crate) incident: Told,
    /// When it was made.
    #[serde(skip)]
    pub(crate) created: Timestamp,
}

/// The incident of a letter.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Told {
    pub(crate) id: String,
    pub(crate) level: String,
    pub(crate) opened_at: Timestamp,
    pub(crate) resolved_at: Option<Timestamp>,
    pub(crate) title: String,
    pub(crate) title_zh: String,
    #[serde(default)]
    pub(crate) advice: String,
    #[serde(default)]
    pub(crate) advice_zh: String,
    pub(crate) verdict: ToldVerdict,
    #[serde(default)]
    pub(crate) affected: Vec<ToldAffected>,
    #[serde(default)]
    pub(crate) subsumed_by: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ToldVerdict {
    #[serde(default)]
    pub(crate) roots: Vec<ToldRoot>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ToldRoot {
    pub(crate) node: String,
    #[serde(default)]
    pub(crate) confidence: f64,
    #[serde(default)]
    pub(crate) evidence: Vec<ToldEvidence>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ToldEvidence {
    pub(crate) text: String,
    pub(crate) text_zh: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ToldAffected {
    pub(crate) node: String,
}

impl Letter {
    /// The letter in a row of the outbox.
    pub(crate) fn read(body: &str, created: Timestamp) -> Result<Self, serde_json::Error> {
        let letter: Self = serde_json::from_str(body)?;
        Ok(Self { created, ..letter })
    }

    /// True when the incident is over with it.
    pub(crate) fn is_end(&self) -> bool {
        self.event == Event::Resolve.as_str() || self.event == Event::Subsume.as_str()
    }

    /// True when somebody is to look up: it is new, or worse.
    pub(crate) fn rings(&self) -> bool {
        self.event == Event::Open.as_str()
    }
}
