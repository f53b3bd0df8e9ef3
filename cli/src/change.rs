//! `topowatch change`: tells the monitor that something was changed out there.

use anyhow::Result;
use serde_json::json;

use crate::args::ChangeArgs;
use crate::client::Client;
use crate::exit::Exit;
use crate::output;
use crate::token;

pub(crate) async fn run(args: &ChangeArgs) -> Result<Exit> {
    let client = Client::new(&args.server.url)?.with_token(token::token(args.token_file.as_deref())?);
    let by = args.by.clone().or_else(|| std::env::var("USER").ok().filter(|user| !user.is_empty()));
    let mut change = json!({ "node": args.node, "what": args.what });
    for (key, value) in [("at", &args.at), ("by", &by), ("link", &args.link)] {
        if let Some(value) = value {
            change[key] = json!(value);
        }
    }
    let (status, answer) = client.post("/api/v1/changes", &change).await?;
    if !(200..300).contains(&status) {
        return Err(client.refused(status, &answer));
    }
    if args.server.json {
        output::line(&serde_json::to_string_pretty(&answer)?);
    } else {
        let text = |key: &str| output::plain(answer[key].as_str().unwrap_or_default());
        let known = if status == 200 { " (noted before)" } else { "" };
        output::line(&format!("{} {}: {}{known}", text("at"), text("node"), text("what")));
    }
    Ok(Exit::Good)
}
