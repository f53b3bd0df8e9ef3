//! PagerDuty, Events API v2: triggered and resolved under one key, the incident's id.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use topology::alerting::Receiver;

use super::super::message::Letter;
use super::super::words::{Style, cut};
use super::Trouble;
use super::http::post;

/// Its limit for a summary, in characters.
const MOST_SUMMARY: usize = 1_024;

/// The requests that tell `letter`. A test is resolved at once: nobody is to be woken by it for long.
pub(super) fn bodies(
    letter: &Letter,
    key: &SecretString,
    receiver: &Receiver,
    style: &Style<'_>,
) -> Vec<Value> {
    let incident = &letter.incident;
    let words = style.one(letter);
    let source = incident.verdict.roots.first().map_or("topowatch", |root| root.node.as_str());
    let request = |action: &str| {
        let links: Vec<Value> =
            words.links.iter().map(|(name, url)| json!({ "href": url, "text": name })).collect();
        json!({
            "routing_key": key.expose_secret(),
            "event_action": action,
            "dedup_key": incident.id,
            "client": "topowatch",
            "payload": {
                "summary": cut(&words.title, MOST_SUMMARY),
                "source": cut(source, MOST_SUMMARY),
                "severity": if incident.level == "red" { "critical" } else { "warning" },
                "timestamp": incident.opened_at.to_string(),
                "custom_details": { "text": words.lines.join("\n"), "key": letter.key, "receiver": receiver.name },
            },
            "links": links,
        })
    };
    if letter.event == "test" {
        vec![request("trigger"), request("resolve")]
    } else if letter.is_end() {
        vec![request("resolve")]
    } else {
        vec![request("trigger")]
    }
}

pub(super) async fn tell(http: &reqwest::Client, url: &str, body: &Value) -> Result<(), Trouble> {
    post(http, url, &[], body.to_string()).await?.by_status()
}
