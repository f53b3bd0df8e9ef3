//! An incoming webhook of Slack: blocks of plain text, so that nothing in them is markup; `ok` means taken.

use secrecy::SecretString;
use serde_json::{Value, json};

use super::super::words::{Words, cut};
use super::http::post_secret;
use super::{Parcel, Trouble};

/// A header takes 150 characters, a section 3,000; bytes are never fewer than characters.
const MOST_TITLE: usize = 150;
const MOST: usize = 2_900;

/// What stands between `<` and `>` is a link or a mention there.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

pub(super) fn body(words: &Words, mention: &[String], parcel: &Parcel<'_>) -> Value {
    let text = words.text(MOST, str::to_owned, |_, _| String::new(), "\n");
    let text: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let mut blocks = vec![
        json!({ "type": "header", "text": { "type": "plain_text", "text": cut(&words.title, MOST_TITLE), "emoji": false } }),
        json!({ "type": "section", "text": { "type": "plain_text", "text": text.join("\n"), "emoji": false } }),
    ];
    let mut foot: Vec<String> = words
        .links
        .iter()
        .map(|(name, url)| format!("<{}|{}>", escaped(url).replace('|', "%7C"), escaped(name)))
        .collect();
    if parcel.letters.iter().any(super::super::message::Letter::rings) {
        foot.extend(mention.iter().map(|who| match who.as_str() {
            "channel" | "here" | "everyone" => format!("<!{who}>"),
            user => format!("<@{}>", escaped(user)),
        }));
    }
    if !foot.is_empty() {
        blocks.push(json!({ "type": "section", "text": { "type": "mrkdwn", "text": foot.join(" ") } }));
    }
    json!({ "text": escaped(&cut(&words.title, MOST)), "blocks": blocks })
}

pub(super) async fn tell(http: &reqwest::Client, url: &SecretString, body: &Value) -> Result<(), Trouble> {
    let answer = post_secret(http, url, &[], body.to_string()).await?;
    answer.by_status()?;
    if answer.body.trim() == "ok" {
        return Ok(());
    }
    Err(Trouble::away(format!("status {}{}", answer.status, answer.said())))
}
