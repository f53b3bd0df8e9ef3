//! A workflow of Microsoft Teams that posts an adaptive card; the old connectors say errors with HTTP 200.

use secrecy::SecretString;
use serde_json::{Value, json};

use super::super::words::{Tone, Words, neutral};
use super::Trouble;
use super::http::post_secret;

/// A message takes 28 KB, the card around it included.
const MOST: usize = 15_000;

pub(super) fn body(words: &Words) -> Value {
    let color = match words.tone {
        Tone::Red => "Attention",
        Tone::Yellow => "Warning",
        Tone::Green => "Good",
        Tone::Grey => "Default",
    };
    let text = words.text(MOST, neutral, |_, _| String::new(), "\n");
    // A text block is Markdown: a line of its own each keeps them apart.
    let mut blocks = vec![json!({
        "type": "TextBlock", "text": neutral(&words.title), "weight": "Bolder", "size": "Medium", "color": color, "wrap": true,
    })];
    let lines = text.lines().filter(|line| !line.is_empty());
    blocks.extend(
        lines.map(|line| json!({ "type": "TextBlock", "text": line, "wrap": true, "spacing": "Small" })),
    );
    let actions: Vec<Value> = words
        .links
        .iter()
        .map(|(name, url)| json!({ "type": "Action.OpenUrl", "title": name, "url": url }))
        .collect();
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": blocks,
                "actions": actions,
            },
        }],
    })
}

pub(super) async fn tell(http: &reqwest::Client, url: &SecretString, body: &Value) -> Result<(), Trouble> {
    let answer = post_secret(http, url, &[], body.to_string()).await?;
    answer.by_status()?;
    if answer.body.contains("HTTP error 429") {
        return Err(Trouble::throttled(
            format!("throttled{}", answer.said()),
            std::time::Duration::from_secs(30),
        ));
    }
    if answer.body.contains("failed with error") || answer.body.contains("\"error\"") {
        return Err(Trouble::away(format!("status {}{}", answer.status, answer.said())));
    }
    Ok(())
}
