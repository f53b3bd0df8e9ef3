//! A custom robot of Feishu: a post of plain pieces, 100 messages a minute and 5 a second, 20 KB; `code` 0 is
//! success, whatever the status says.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::super::words::{Words, cut};
use super::http::{Answer, post_secret};
use super::{Parcel, Trouble, sign};

const MOST: usize = 12_000;
/// "too many request", and the one of full hours.
const TOO_MANY: [i64; 2] = [9499, 11_232];

pub(super) fn body(
    words: &Words,
    mention: &[String],
    secret: Option<&SecretString>,
    parcel: &Parcel<'_>,
) -> Value {
    // Pieces of text carry no markup: nothing needs to be escaped.
    let text = words.text(MOST, str::to_owned, |_, _| String::new(), "\n");
    let mut lines: Vec<Value> = text
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| json!([{ "tag": "text", "text": line }]))
        .collect();
    let reference = lines.pop();
    lines.extend(words.links.iter().map(|(name, url)| json!([{ "tag": "a", "text": name, "href": url }])));
    lines.extend(reference);
    if parcel.letters.iter().any(super::super::message::Letter::rings) && !mention.is_empty() {
        let at: Vec<Value> = mention.iter().map(|who| json!({ "tag": "at", "user_id": who })).collect();
        lines.push(json!(at));
    }
    let mut body = json!({
        "msg_type": "post",
        "content": { "post": { "zh_cn": { "title": cut(&words.title, 500), "content": lines } } },
    });
    if let Some(secret) = secret {
        let at = parcel.now.as_second();
        body["timestamp"] = json!(at.to_string());
        body["sign"] = json!(signature(secret, at));
    }
    body
}

/// HMAC-SHA-256 of nothing under `timestamp\nsecret`, in Base64.
pub(super) fn signature(secret: &SecretString, at: i64) -> String {
    sign::base64(format!("{at}\n{}", secret.expose_secret()).as_bytes(), b"")
}

pub(super) async fn tell(http: &reqwest::Client, url: &SecretString, body: &Value) -> Result<(), Trouble> {
    judge(&post_secret(http, url, &[], body.to_string()).await?)
}

pub(super) fn judge(answer: &Answer) -> Result<(), Trouble> {
    // `StatusCode` is what it said before `code`.
    match answer.number("code").or_else(|| answer.number("StatusCode")) {
        Some(0) if answer.status < 300 => Ok(()),
        Some(code) if TOO_MANY.contains(&code) => {
            Err(Trouble::throttled(format!("code {code}{}", answer.said()), Duration::from_mins(1)))
        }
        Some(code) => Err(Trouble::away(format!("code {code}{}", answer.said()))),
        None => Err(Trouble::away(format!("no code, status {}{}", answer.status, answer.said()))),
    }
}
