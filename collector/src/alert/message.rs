//! The generic webhook's body.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use topology::model::Model;

use crate::announce::Event;
use crate::incident::Incident;
use crate::report::{IncidentReport, time};

#[derive(Serialize)]
struct Body<'a> {
    version: u32,
    event: &'static str,
    key: &'a str,
    incident: IncidentReport,
}

/// The body, but for what is known only when it is sent.
pub(crate) fn body(
    model: &Model,
    incident: &Incident,
    event: Event,
    key: &str,
) -> Result<String, serde_json::Error> {
    let incident = IncidentReport::of(model, incident);
    serde_json::to_string(&Body { version: 1, event: event.as_str(), key, incident })
}

/// The body as it is sent now: with the time, and how late that is.
pub(crate) fn stamped(body: &str, created: Timestamp, now: Timestamp) -> Result<String, serde_json::Error> {
    let mut value: Value = serde_json::from_str(body)?;
    value["sent_at"] = json!(time(now));
    value["late_s"] = json!((crate::clock::between(created, now).as_secs_f64() * 1000.0).round() / 1000.0);
    serde_json::to_string(&value)
}
