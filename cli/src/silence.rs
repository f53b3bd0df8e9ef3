//! `topowatch silence`: what is to be kept quiet, for how long, and why.

use anyhow::Result;
use serde_json::{Value, json};

use crate::args::SilenceArgs;
use crate::client::Client;
use crate::exit::{Exit, fail};
use crate::output;
use crate::token;

pub(crate) async fn run(args: &SilenceArgs) -> Result<Exit> {
    let client = Client::new(&args.server.url)?.with_token(token::token(args.token_file.as_deref())?);
    let words: Vec<&str> = args.nodes.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["list"] => list(args, &client).await,
        ["end"] => Err(fail(Exit::Usage, "say which: topowatch silence end ID")),
        ["end", ids @ ..] => end(args, &client, ids).await,
        nodes => begin(args, &client, nodes).await,
    }
}

async fn begin(args: &SilenceArgs, client: &Client, nodes: &[&str]) -> Result<Exit> {
    let by = args.by.clone().or_else(|| std::env::var("USER").ok().filter(|user| !user.is_empty()));
    let mut wish = json!({ "nodes": nodes, "for": args.lasts });
    for (key, value) in [("from", &args.from), ("by", &by), ("why", &args.why)] {
        if let Some(value) = value {
            wish[key] = json!(value);
        }
    }
    let path = if args.maintenance { "/api/v1/maintenance" } else { "/api/v1/silences" };
    let (status, answer) = client.post(path, &wish).await?;
    if !(200..300).contains(&status) {
        return Err(client.refused(status, &answer));
    }
    show(args, &answer, || output::line(&line(&answer)))
}

async fn end(args: &SilenceArgs, client: &Client, beginnings: &[&str]) -> Result<Exit> {
    let all = client.get("/api/v1/silences").await?;
    let ids: Vec<&str> = all["silences"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|silence| silence["id"].as_str())
        .collect();
    let mut answers = Vec::new();
    for beginning in beginnings {
        let found: Vec<&str> = ids.iter().copied().filter(|id| id.starts_with(beginning)).collect();
        let [id] = found.as_slice() else {
            let what = if found.is_empty() { "no silence begins" } else { "several silences begin" };
            return Err(fail(Exit::Usage, format!("{what} with `{beginning}`")));
        };
        let (status, answer) = client.delete(&format!("/api/v1/silences/{id}")).await?;
        if !(200..300).contains(&status) {
            return Err(client.refused(status, &answer));
        }
        answers.push(answer);
    }
    let answers = Value::from(answers);
    show(args, &answers, || {
        for answer in answers.as_array().into_iter().flatten() {
            output::line(&format!("ended {}", line(answer)));
        }
    })
}

async fn list(args: &SilenceArgs, client: &Client) -> Result<Exit> {
    let all = client.get("/api/v1/silences").await?;
    let of = |kind: &str| all[kind].as_array().map(Vec::as_slice).unwrap_or_default();
    show(args, &all, || {
        for silence in of("silences") {
            output::line(&line(silence));
        }
        for window in of("maintenance") {
            let why =
                window["why"].as_str().map(|why| format!(": {}", output::plain(why))).unwrap_or_default();
            output::line(&format!("window {}{why}", text(window, "name")));
            if window["current"].is_object() {
                output::line(&format!("  now, until {}", text(&window["current"], "until")));
            }
            for next in window["next"].as_array().into_iter().flatten() {
                output::line(&format!("  {} to {}", text(next, "from"), text(next, "until")));
            }
        }
        if of("silences").is_empty() && of("maintenance").is_empty() {
            output::line("nothing is kept quiet");
        }
    })
}

fn show(args: &SilenceArgs, answer: &Value, words: impl FnOnce()) -> Result<Exit> {
    if args.server.json {
        output::line(&serde_json::to_string_pretty(answer)?);
    } else {
        words();
    }
    Ok(Exit::Good)
}

fn text(value: &Value, key: &str) -> String {
    output::plain(value[key].as_str().unwrap_or_default())
}

/// `0193… silence order-db, web until 2026-…: why (matches 3 instances, 1 open incident)`.
fn line(silence: &Value) -> String {
    let nodes: Vec<&str> =
        silence["nodes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let why = silence["why"].as_str().map(|why| format!(": {}", output::plain(why))).unwrap_or_default();
    let instances = silence["matches"]["instances"].as_u64().unwrap_or(0);
    let incidents = silence["matches"]["incidents"].as_array().map_or(0, Vec::len);
    let matches = match silence["note"].as_str() {
        Some(note) => output::plain(note),
        None => format!("{instances} instances, {incidents} open incidents"),
    };
    let state = if silence["active"] == true { "" } else { " (not now)" };
    format!(
        "{} {}{state} {} from {} until {}{why} ({matches})",
        text(silence, "id"),
        text(silence, "kind"),
        output::plain(&nodes.join(", ")),
        text(silence, "from"),
        text(silence, "until"),
    )
}
