//! Prometheus Alertmanager, API v2: an alert for each incident, so that routes that exist there keep working.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use super::super::message::Letter;
use super::super::words::Style;
use super::Trouble;
use super::http::post;

/// An alert without an end is over there after five minutes: ours ends when it ends.
const NO_END: SignedDuration = SignedDuration::from_hours(24 * 365);

/// The alerts of a letter. The severity is a label, since routes ask for it, and so part of what an alert is: with
/// every message the other severity's alert ends.
pub(super) fn alerts(letter: &Letter, labels: &BTreeMap<String, String>, style: &Style<'_>) -> Vec<Value> {
    let incident = &letter.incident;
    let words = style.one(letter);
    let ends = letter.is_end() || letter.event == "test";
    let now = incident.resolved_at.filter(|_| ends).unwrap_or(style.now);
    let is = if incident.level == "red" { "critical" } else { "warning" };
    let alert = |severity: &str, over: bool| {
        let until = if over { now } else { far(style.now) };
        let mut all: Map<String, Value> = labels.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
        all.insert("alertname".to_owned(), json!("TopowatchIncident"));
        all.insert("severity".to_owned(), json!(severity));
        all.insert("incident".to_owned(), json!(incident.id));
        let link = letter.links.incident.clone().unwrap_or_default();
        let roots: Vec<&str> = incident.verdict.roots.iter().map(|root| root.node.as_str()).collect();
        json!({
            "labels": all,
            "annotations": {
                "summary": words.title,
                "description": words.lines.join("\n"),
                "roots": roots.join(", "),
                "key": letter.key,
                "runbook_url": letter.links.runbook.clone().unwrap_or_default(),
            },
            "startsAt": incident.opened_at.min(until).to_string(),
            "endsAt": until.to_string(),
            "generatorURL": link,
        })
    };
    let other = if is == "critical" { "warning" } else { "critical" };
    vec![alert(is, ends && letter.event != "test"), alert(other, true)]
}

fn far(now: Timestamp) -> Timestamp {
    now.checked_add(NO_END).unwrap_or(Timestamp::MAX)
}

pub(super) async fn tell(
    http: &reqwest::Client,
    url: &SecretString,
    token: Option<&SecretString>,
    alerts: &[Value],
) -> Result<(), Trouble> {
    let address = format!("{}/api/v2/alerts", url.expose_secret().trim_end_matches('/'));
    let bearer = token.map(|token| format!("Bearer {}", token.expose_secret()));
    let headers: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
    post(http, &address, &headers, json!(alerts).to_string()).await?.by_status()
}
