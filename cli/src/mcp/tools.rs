//! The tools: each asks the API once or twice, and answers with what it says.

use serde_json::{Value, json};

use crate::client::{Client, find};

/// What an assistant is told of the server as a whole.
pub(super) const INSTRUCTIONS: &str = "topowatch watches a platform from outside and names the root cause of an outage. \
Ask `health` for the state, `why` for the verdict with its evidence when something is not green, `node` for one \
component or instance, `impact` for what breaks if a node breaks, `incidents` and `history` for the past. Nothing here \
changes anything.";

/// Why a call gave nothing.
#[derive(Debug)]
pub(super) enum Refusal {
    /// No such tool, or arguments that make no sense.
    Unknown(String),
    /// The server did not answer, or refused.
    Failed(String),
}

/// Name, description, and its arguments: name, description, whether it is needed.
type Tool = (&'static str, &'static str, &'static [(&'static str, &'static str, bool)]);

const TOOLS: [Tool; 6] = [
    (
        "health",
        "The level of the whole platform: red, yellow, green or unknown, with every component's level and the open incidents' ids.",
        &[],
    ),
    (
        "why",
        "The verdict of an open incident: root cause, confidence, evidence, who is affected. Without a subject the worst, then oldest, open one.",
        &[(
            "subject",
            "An incident's id, or a component or an instance that is a root cause or affected",
            false,
        )],
    ),
    (
        "node",
        "One component or instance: its level, since when and why, its signals, what it depends on.",
        &[("name", "Its name; a prefix will do while it is unambiguous", true)],
    ),
    (
        "impact",
        "What breaks if a node breaks, by the dependency graph: who needs it, directly and through others.",
        &[("name", "A component or an instance", true)],
    ),
    (
        "incidents",
        "Incidents, worst and oldest first.",
        &[("state", "open or resolved; both unless given", false)],
    ),
    (
        "history",
        "Changes of level in a window, oldest first; or with availability=true how available each node was.",
        &[
            ("from", "RFC 3339, such as 2026-11-28T00:00:00Z; a day before `to` unless given", false),
            ("to", "RFC 3339; now unless given", false),
            ("node", "Only this node", false),
            ("availability", "true: availability instead of changes", false),
        ],
    ),
];

/// The tools, as tools/list gives them.
pub(super) fn list() -> Vec<Value> {
    TOOLS
        .iter()
        .map(|(name, description, arguments)| {
            let properties: serde_json::Map<String, Value> = arguments
                .iter()
                .map(|(name, help, _)| {
                    let kind = if *name == "availability" { "boolean" } else { "string" };
                    ((*name).to_owned(), json!({ "type": kind, "description": help }))
                })
                .collect();
            let required: Vec<&str> = arguments.iter().filter(|(.., needed)| *needed).map(|(name, ..)| *name).collect();
            json!({
                "name": name,
                "description": description,
                "inputSchema": { "type": "object", "properties": properties, "required": required, "additionalProperties": false },
                "annotations": { "readOnlyHint": true, "idempotentHint": true, "openWorldHint": false },
            })
        })
        .collect()
}

/// Calls a tool.
pub(super) async fn call(client: &Client, parameters: &Value) -> Result<Value, Refusal> {
    let name = parameters["name"].as_str().unwrap_or_default();
    let Some((_, _, known)) = TOOLS.iter().find(|(tool, ..)| *tool == name) else {
        return Err(Refusal::Unknown(format!("there is no tool `{name}`")));
    };
    let arguments = &parameters["arguments"];
    for (key, value) in arguments.as_object().into_iter().flatten() {
        if !known.iter().any(|(argument, ..)| argument == key) {
            return Err(Refusal::Unknown(format!("`{name}` has no argument `{key}`")));
        }
        if !(value.is_string() || key == "availability" && value.is_boolean()) {
            return Err(Refusal::Unknown(format!("`{key}` is a text")));
        }
    }
    if let Some((missing, ..)) =
        known.iter().find(|(argument, _, needed)| *needed && !arguments[*argument].is_string())
    {
        return Err(Refusal::Unknown(format!("`{name}` needs `{missing}`")));
    }
    let text = |key: &str| arguments[key].as_str().filter(|text| !text.is_empty());
    let get =
        async |path: String| client.get(&path).await.map_err(|error| Refusal::Failed(format!("{error:#}")));
    match name {
        "health" => get("/api/v1/health".to_owned()).await,
        "why" => why(client, text("subject")).await.map_err(|error| Refusal::Failed(format!("{error:#}"))),
        "node" => {
            let board = get("/api/v1/board".to_owned()).await?;
            let node = find(&board, text("name").unwrap_or_default())
                .map_err(|error| Refusal::Failed(error.to_string()))?;
            get(format!("/api/v1/nodes/{}", escaped(node["name"].as_str().unwrap_or_default()))).await
        }
        "impact" => {
            let board = get("/api/v1/board".to_owned()).await?;
            let node = find(&board, text("name").unwrap_or_default())
                .map_err(|error| Refusal::Failed(error.to_string()))?;
            Ok(impact(&board, node))
        }
        "incidents" => {
            let state = match text("state") {
                None => String::new(),
                Some(state @ ("open" | "resolved")) => format!("?state={state}"),
                Some(other) => {
                    return Err(Refusal::Unknown(format!("`state` is open or resolved, not `{other}`")));
                }
            };
            get(format!("/api/v1/incidents{state}")).await
        }
        _ => {
            let asked = arguments["availability"] == true || text("availability") == Some("true");
            let page = if asked { "availability" } else { "changes" };
            let query: Vec<String> = ["from", "to", "node"]
                .into_iter()
                .filter_map(|key| Some(format!("{key}={}", escaped(text(key)?))))
                .collect();
            get(format!("/api/v1/history/{page}?{}", query.join("&"))).await
        }
    }
}

async fn why(client: &Client, subject: Option<&str>) -> anyhow::Result<Value> {
    Ok(match crate::why::incident(client, subject).await? {
        Some(incident) => incident,
        None => crate::why::nothing(),
    })
}

/// Who needs a node, directly and through others, from the board's own edges.
fn impact(board: &Value, node: &Value) -> Value {
    let name = node["name"].as_str().unwrap_or_default();
    let component = node["component"].as_str().unwrap_or(name);
    let all = board["edges"].as_array().map(Vec::as_slice).unwrap_or_default();
    let edges: Vec<(&str, &str, &str)> = all
        .iter()
        .filter_map(|edge| {
            Some((
                edge["from"].as_str()?,
                edge["to"].as_str()?,
                edge["strength"].as_str().unwrap_or("required"),
            ))
        })
        .collect();
    let mut reached: Vec<Value> = Vec::new();
    let mut known = vec![component];
    let mut at = 0;
    while at < known.len() {
        let on = known[at];
        for (from, _, strength) in edges.iter().filter(|(_, to, _)| *to == on) {
            if !known.contains(from) {
                known.push(from);
                reached.push(
                    json!({ "node": from, "needs": on, "strength": strength, "direct": on == component }),
                );
            }
        }
        at += 1;
    }
    let siblings = board["instances"]
        .as_array()
        .map_or(0, |list| list.iter().filter(|i| i["component"] == component).count());
    json!({
        "node": name,
        "component": component,
        "instances": siblings,
        "reached": reached,
        "note": "through required dependencies trouble spreads; through optional and async ones it is felt, and does not spread",
    })
}

fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
