//! `topowatch reload`.

use anyhow::Result;
use serde_json::{Value, json};

use crate::args::ReloadArgs;
use crate::client::Client;
use crate::exit::Exit;
use crate::output;
use crate::token;

/// Names that are listed at most.
const MOST: usize = 10;

pub(crate) async fn run(args: &ReloadArgs) -> Result<Exit> {
    let client = Client::new(&args.server.url)?.with_token(token::token(args.token_file.as_deref())?);
    let (status, answer) = client.post("/api/v1/reload", &json!({})).await?;
    if status != 422 && !(200..300).contains(&status) {
        return Err(client.refused(status, &answer));
    }
    if args.server.json {
        output::line(&serde_json::to_string_pretty(&answer)?);
    } else {
        let findings = if status == 422 { &answer["diagnostics"] } else { &answer["warnings"] };
        findings.as_array().into_iter().flatten().for_each(tell);
        if status == 422 {
            output::note(&output::plain(answer["detail"].as_str().unwrap_or_default()));
        } else {
            output::line(&summary(&answer));
        }
    }
    Ok(if status == 422 { Exit::Red } else { Exit::Good })
}

fn tell(finding: &Value) {
    let text = |key: &str| output::plain(finding[key].as_str().unwrap_or_default());
    let number = |key: &str| finding[key].as_u64().unwrap_or_default();
    let (file, line, column) = (text("file"), number("line"), number("column"));
    output::note(&format!("{file}:{line}:{column}: {}: {}", text("severity"), text("message")));
    if finding["help"].is_string() {
        output::note(&format!("  help: {}", text("help")));
    }
}

/// What the reload did, in a line or several.
fn summary(answer: &Value) -> String {
    let number = |key: &str| answer[key].as_u64().unwrap_or_default();
    let mut lines = vec![format!(
        "in force: {} components, {} instances ({} as before)",
        number("components"),
        number("instances"),
        number("kept").saturating_sub(answer["changed"].as_array().map_or(0, Vec::len) as u64)
    )];
    for (word, key) in [("new", "added"), ("gone", "removed"), ("changed", "changed")] {
        let names: Vec<String> = answer[key]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(output::plain)
            .collect();
        let more = names.len().saturating_sub(MOST);
        let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
        if !names.is_empty() {
            lines.push(format!("  {word}: {}{tail}", names[..names.len() - more].join(", ")));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_is_told_in_a_few_lines() {
        let added: Vec<String> = (1..=12).map(|n| format!("web-{n}")).collect();
        let answer = json!({
            "components": 3, "instances": 20, "kept": 8, "added": added, "removed": [], "changed": ["db-1"]
        });
        assert_eq!(
            summary(&answer),
            "in force: 3 components, 20 instances (7 as before)\n  new: web-1, web-2, web-3, web-4, web-5, web-6, \
             web-7, web-8, web-9, web-10 and 2 more\n  changed: db-1"
        );
    }
}
