//! `topowatch health`.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::args::HealthArgs;
use crate::client::{Client, find};
use crate::exit::{Exit, fail};
use crate::{nagios, output};

/// How often a waiting query asks.
const ASK_EVERY: Duration = Duration::from_millis(500);

pub(crate) async fn run(args: &HealthArgs) -> Result<Exit> {
    match answer(args).await {
        // Who runs plug-ins reads standard output alone, and takes other statuses for a broken plug-in.
        Err(error) if args.nagios => {
            output::line(&nagios::no_answer(&format!("{error:#}")));
            Ok(Exit::Unknown)
        }
        answered => answered,
    }
}

async fn answer(args: &HealthArgs) -> Result<Exit> {
    if args.once {
        return crate::once::run(args).await;
    }
    let client = Client::new(&args.server.url)?;
    let deadline = deadline(args.timeout);
    loop {
        let answer = ask(&client, args.node.as_deref()).await;
        let Some(wanted) = &args.wait else {
            return show(&answer?, args);
        };
        match answer {
            Ok(answer) if answer["level"].as_str() == Some(wanted) => return show(&answer, args),
            // A wrong name does not become right by waiting.
            Err(error) if is_usage(&error) => return Err(error),
            answer if past(deadline) => {
                let waited = output::duration(args.timeout.as_secs_f64());
                if let Ok(answer) = &answer {
                    let exit = show(answer, args)?;
                    output::note(&format!("not {wanted} after {waited}"));
                    return Ok(if exit == Exit::Good { Exit::Failed } else { exit });
                }
                return answer.map(|_| Exit::Unknown);
            }
            // A server that restarts is waited for as well.
            _ => sleep(ASK_EVERY).await,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a deadline on the command line needs the clock")]
fn deadline(timeout: Duration) -> Instant {
    Instant::now() + timeout
}

#[expect(clippy::disallowed_methods, reason = "a deadline on the command line needs the clock")]
fn past(deadline: Instant) -> bool {
    Instant::now() >= deadline
}

fn is_usage(error: &anyhow::Error) -> bool {
    error.downcast_ref::<crate::exit::Code>().is_some_and(|code| code.0 == Exit::Usage)
}

async fn ask(client: &Client, node: Option<&str>) -> Result<Value> {
    match node {
        None => client.get("/api/v1/health").await,
        Some(name) => {
            let board = client.get("/api/v1/board").await?;
            find(&board, name).cloned()
        }
    }
}

pub(crate) fn show(answer: &Value, args: &HealthArgs) -> Result<Exit> {
    let word = answer["level"].as_str().ok_or_else(|| fail(Exit::Unknown, "the answer has no level"))?;
    if args.server.json {
        output::line(&serde_json::to_string_pretty(answer)?);
    } else if args.nagios {
        output::line(&nagios::text(answer, args.node.is_some()));
    } else if args.node.is_some() {
        show_node(answer, word);
    } else {
        show_platform(answer, word);
    }
    Ok(match word {
        "green" | "paused" => Exit::Good,
        "yellow" => Exit::Failed,
        "red" => Exit::Red,
        _ => Exit::Unknown,
    })
}

fn show_platform(answer: &Value, word: &str) {
    let name = output::plain(answer["name"].as_str().unwrap_or_default());
    let sentence = output::plain(answer["sentence"].as_str().unwrap_or_default());
    output::line(&format!("{}  {name}: {}", output::level(word), output::bold(&sentence)));
    let components = answer["components"].as_array().map(Vec::as_slice).unwrap_or_default();
    let counts: Vec<String> = ["red", "yellow", "unknown", "paused", "green"]
        .into_iter()
        .filter_map(|level| {
            answer["counts"][level].as_u64().filter(|n| *n > 0).map(|n| format!("{n} {level}"))
        })
        .collect();
    let told = output::count(components.len(), "component", "components");
    output::line(&format!("{told}: {}", counts.join(", ")));
    for level in ["red", "yellow", "unknown", "paused"] {
        for component in components.iter().filter(|component| component["level"] == level) {
            let name = output::plain(component["name"].as_str().unwrap_or_default());
            output::line(&format!("  {}  {name}", output::level(level)));
        }
    }
    if answer["incidents"].as_array().is_some_and(|incidents| !incidents.is_empty()) {
        output::line("`topowatch why` says what is really broken");
    }
}

fn show_node(node: &Value, word: &str) {
    let name = output::plain(node["name"].as_str().unwrap_or_default());
    let words = output::plain(node["words"].as_str().unwrap_or_default());
    let colon = if words.is_empty() { "" } else { ": " };
    output::line(&format!("{}  {name}{colon}{words}", output::level(word)));
    let names = |key: &str| -> Vec<String> {
        let list = node[key].as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(Value::as_str).map(output::plain).collect()
    };
    if let Some(explained) = node["explained_by"].as_str() {
        output::line(&format!("  because of {}", output::plain(explained)));
    } else if !names("inherited_from").is_empty() {
        output::line(&format!("  inherited from {}", names("inherited_from").join(", ")));
    }
    if let Some(since) = node["since"].as_str() {
        output::line(&format!("  since {}", output::plain(since)));
    }
}
