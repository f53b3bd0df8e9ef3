//! `topowatch why`.

use anyhow::Result;
use serde_json::{Value, json};

use crate::args::WhyArgs;
use crate::client::{Client, find};
use crate::exit::{Exit, fail};
use crate::output;

pub(crate) async fn run(args: &WhyArgs) -> Result<Exit> {
    let client = Client::new(&args.server.url)?;
    let Some(incident) = incident(&client, args.subject.as_deref()).await? else {
        if args.server.json {
            output::line(&serde_json::to_string_pretty(&nothing())?);
        } else {
            output::line(NOTHING);
        }
        return Ok(Exit::Good);
    };
    if args.server.json {
        output::line(&serde_json::to_string_pretty(&incident)?);
    } else {
        for line in render(&incident) {
            output::line(&line);
        }
    }
    Ok(Exit::Good)
}

/// The incident that is asked for; without a subject the worst, then oldest, open one.
pub(crate) async fn incident(client: &Client, subject: Option<&str>) -> Result<Option<Value>> {
    let incidents = client.get("/api/v1/incidents?state=open").await?;
    let open = incidents["incidents"].as_array().map(Vec::as_slice).unwrap_or_default();
    match subject {
        // The server lists the worst first, and the oldest of the worst.
        None => Ok(open.first().cloned()),
        Some(subject) => by_subject(client, open, subject).await,
    }
}

/// What is said in JSON when there is none.
pub(crate) fn nothing() -> Value {
    json!({
        "id": null, "state": null, "title": NOTHING, "roots": [],
        "verdict": { "roots": [], "suspects": [] }, "affected": [], "timeline": [],
    })
}

const NOTHING: &str = "Nothing to explain: no incident is open.";

/// The incident with that id, else the open one in which that node is a root or affected.
async fn by_subject(client: &Client, open: &[Value], subject: &str) -> Result<Option<Value>> {
    let ids: Vec<&Value> =
        open.iter().filter(|i| i["id"].as_str().is_some_and(|id| id.starts_with(subject))).collect();
    if let [one] = ids.as_slice() {
        return Ok(Some((*one).clone()));
    }
    let board = client.get("/api/v1/board").await?;
    let node = match find(&board, subject) {
        Ok(node) => node,
        // It may be an incident that is over.
        Err(error) => {
            let plain = subject.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
            return match (plain, client.get(&format!("/api/v1/incidents/{subject}")).await) {
                (true, Ok(incident)) => Ok(Some(incident)),
                _ => Err(error),
            };
        }
    };
    let name = node["name"].as_str().unwrap_or_default();
    let component = node["component"].as_str().unwrap_or(name);
    let about = |incident: &&Value| {
        let roots = incident["verdict"]["roots"].as_array().map(Vec::as_slice).unwrap_or_default();
        let affected = incident["affected"].as_array().map(Vec::as_slice).unwrap_or_default();
        let instance_of = |node: &str| {
            node == name
                || node == component
                || node.split(" -> ").any(|end| end == component)
                || board["instances"]
                    .as_array()
                    .is_some_and(|list| list.iter().any(|i| i["name"] == node && i["component"] == component))
        };
        roots.iter().chain(affected).filter_map(|one| one["node"].as_str()).any(instance_of)
    };
    match open.iter().find(about) {
        Some(incident) => Ok(Some(incident.clone())),
        None if node["level"] == "green" => Ok(None),
        None => Err(fail(
            Exit::Good,
            format!(
                "{name} is {} and part of no incident: {}",
                node["level"].as_str().unwrap_or("unknown"),
                output::plain(node["words"].as_str().unwrap_or_default())
            ),
        )),
    }
}

/// The incident as lines for a terminal.
fn render(incident: &Value) -> Vec<String> {
    let text = |value: &Value| output::plain(value.as_str().unwrap_or_default());
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut lines = vec![output::bold(&text(&incident["title"]))];
    let since = text(&incident["opened_at"]);
    let age =
        incident["duration_s"].as_f64().map(|s| format!(" ({})", output::duration(s))).unwrap_or_default();
    lines.push(format!(
        "{}  {} since {since}{age}",
        output::level(&text(&incident["level"])),
        text(&incident["state"])
    ));
    for root in list(&incident["verdict"]["roots"]) {
        let confidence = root["confidence"].as_f64().unwrap_or_default();
        lines.push(String::new());
        lines.push(format!(
            "{} {}  ({}, confidence {:.0} %)",
            output::bold("Root cause:"),
            output::bold(&text(&root["node"])),
            text(&root["kind"]),
            confidence * 100.0
        ));
        for evidence in list(&root["evidence"]) {
            lines.push(format!("  - {}", text(&evidence["text"])));
        }
    }
    let affected = list(&incident["affected"]);
    // That nobody else is affected stands among the evidence.
    if !affected.is_empty() {
        lines.push(String::new());
        lines.push(output::bold("Affected, not broken:"));
        let width = affected.iter().map(|one| text(&one["node"]).chars().count()).max().unwrap_or(0);
        for one in affected {
            let node = text(&one["node"]);
            let pad = " ".repeat(width - node.chars().count());
            lines.push(format!(
                "  {}  {node}{pad}  {}",
                output::level(&text(&one["level"])),
                text(&one["because"])
            ));
        }
    }
    let roots = list(&incident["verdict"]["roots"]);
    let rejected: Vec<String> = list(&incident["verdict"]["suspects"])
        .iter()
        .filter(|suspect| !roots.iter().any(|root| root["node"] == suspect["node"]))
        .take(6)
        .map(|suspect| text(&suspect["node"]))
        .collect();
    if !rejected.is_empty() {
        lines.push(String::new());
        lines.push(format!("Looked at and set aside: {}", rejected.join(", ")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_reads_from_the_cause_down() {
        let incident = json!({
            "id": "x", "state": "open", "level": "red", "opened_at": "2026-11-24T12:07:41Z", "duration_s": 202.0,
            "title": "Member DB is down: 2 others affected",
            "verdict": {
                "roots": [{ "node": "member-db-1", "kind": "instance", "confidence": 0.93, "evidence": [
                    { "kind": "own_fault", "text": "member-db-1 at 10.0.0.1:3306 refuses connections\u{1b}[2J" },
                    { "kind": "witnesses", "text": "2 of 2 member-service instances name member-db" } ] }],
                "suspects": [{ "node": "member-db-1" }, { "node": "member-service" }]
            },
            "affected": [
                { "node": "member-service", "level": "red", "because": "it needs member-db-1" },
                { "node": "gateway", "level": "yellow", "because": "it needs Mini-program server" }
            ],
            "timeline": []
        });
        let shown: Vec<String> =
            render(&incident).iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        insta::assert_snapshot!(shown.join("\n"));
    }
}
