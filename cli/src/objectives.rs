//! `topowatch objectives`: what was promised, what was kept, and what is left of the error budget.

use anyhow::Result;
use serde_json::Value;

use crate::args::ObjectivesArgs;
use crate::client::Client;
use crate::exit::Exit;
use crate::output;

pub(crate) async fn run(args: &ObjectivesArgs) -> Result<Exit> {
    let client = Client::new(&args.server.url)?;
    let answer = client.get("/api/v1/objectives").await?;
    if args.server.json {
        output::line(&serde_json::to_string_pretty(&answer)?);
        return Ok(exit(&answer));
    }
    let objectives = answer["objectives"].as_array().map(Vec::as_slice).unwrap_or_default();
    if objectives.is_empty() {
        output::line("the file promises nothing: write `objectives: { gateway: { availability: 99.9% } }`");
    }
    for one in objectives {
        output::line(&line(one));
    }
    Ok(exit(&answer))
}

/// 2 when a budget is overdrawn, 1 when one burns so fast that somebody is to be called.
fn exit(answer: &Value) -> Exit {
    let all = || answer["objectives"].as_array().into_iter().flatten();
    if all().any(|one| one["budget_left"].as_f64().is_some_and(|left| left < 0.0)) {
        return Exit::Red;
    }
    if all().any(|one| one["burning"] == true) {
        return Exit::Failed;
    }
    Exit::Good
}

fn line(one: &Value) -> String {
    let number = |key: &str| one[key].as_f64();
    let percent = |key: &str, digits: usize| {
        number(key).map_or_else(|| "unknown".to_owned(), |share| format!("{:.digits$} %", share * 100.0))
    };
    let days = number("window_s").unwrap_or_default() / 86_400.0;
    format!(
        "{}: {} of {} over {days:.0} d ({} seen); red {:.0} s by itself, {:.0} s by others; budget left {}; burns {} x",
        output::plain(one["component"].as_str().unwrap_or_default()),
        percent("availability", 4),
        percent("target", 4),
        percent("coverage", 1),
        number("red_own_s").unwrap_or_default(),
        number("red_inherited_s").unwrap_or_default(),
        percent("budget_left", 1),
        number("burn_rate_1h").map_or_else(|| "?".to_owned(), |rate| format!("{rate:.1}")),
    )
}
