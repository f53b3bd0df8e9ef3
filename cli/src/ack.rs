//! `topowatch ack`: somebody takes an incident on.

use anyhow::Result;
use serde_json::json;

use crate::args::AckArgs;
use crate::client::Client;
use crate::exit::{Exit, fail};
use crate::output;
use crate::token;

pub(crate) async fn run(args: &AckArgs) -> Result<Exit> {
    let client = Client::new(&args.server.url)?.with_token(token::token(args.token_file.as_deref())?);
    let incidents = client.get("/api/v1/incidents?state=open").await?;
    let ids: Vec<&str> =
        incidents["incidents"].as_array().into_iter().flatten().filter_map(|i| i["id"].as_str()).collect();
    let id = match &args.incident {
        None => ids.first().copied().ok_or_else(|| fail(Exit::Usage, "no incident is open"))?,
        Some(beginning) => {
            let found: Vec<&str> =
                ids.iter().copied().filter(|id| id.starts_with(beginning.as_str())).collect();
            match found.as_slice() {
                [one] => *one,
                [] => return Err(fail(Exit::Usage, format!("no open incident begins with `{beginning}`"))),
                several => {
                    return Err(fail(
                        Exit::Usage,
                        format!("`{beginning}` may be any of {}", several.join(", ")),
                    ));
                }
            }
        }
    };
    let path = format!("/api/v1/incidents/{id}/acknowledge");
    let (status, answer) = if args.undo {
        client.delete(&path).await?
    } else {
        let by = args.by.clone().or_else(|| std::env::var("USER").ok().filter(|user| !user.is_empty()));
        let by = by.ok_or_else(|| fail(Exit::Usage, "say who takes it on: --by NAME"))?;
        client.post(&path, &json!({ "by": by, "note": args.note })).await?
    };
    if !(200..300).contains(&status) {
        return Err(client.refused(status, &answer));
    }
    if args.server.json {
        output::line(&serde_json::to_string_pretty(&answer)?);
    } else {
        let title = output::plain(answer["title"].as_str().unwrap_or_default());
        let who = answer["acknowledged"]["by"].as_str().map(output::plain);
        let what = who.map_or_else(|| "nobody has it".to_owned(), |who| format!("{who} has it"));
        output::line(&format!("{id} {what}: {title}"));
    }
    Ok(Exit::Good)
}
