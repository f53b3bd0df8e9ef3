//! A group robot of WeCom: Markdown of at most 4,096 bytes, 20 messages a minute; errors come with HTTP 200.
//! developer.work.weixin.qq.com/document/path/99110

use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};

use super::super::words::{Tone, Words, neutral};
use super::http::{Answer, post_secret};
use super::{Parcel, Trouble};

/// A little below 4,096, for the quotes and the colour around it.
const MOST: usize = 3_900;
/// "api freq out of limit".
const TOO_MANY: i64 = 45_009;
/// "exceed max length 4096".
const TOO_LONG: i64 = 40_058;

pub(super) fn body(words: &Words, mention: &[String], parcel: &Parcel<'_>) -> Value {
    // The three colours that the robot has.
    let color = match words.tone {
        Tone::Red => "warning",
        Tone::Green => "info",
        Tone::Yellow | Tone::Grey => "comment",
    };
    let mut head = format!("**<font color=\"{color}\">{}</font>**\n", neutral(&words.title));
    // It rings in `markdown`, not in `markdown_v2`.
    let rings = parcel.letters.iter().any(super::super::message::Letter::rings);
    for user in mention.iter().filter(|_| rings) {
        head += "<@";
        head += &neutral(user);
        head.push('>');
    }
    if rings && !mention.is_empty() {
        head.push('\n');
    }
    let rest =
        words.text(MOST.saturating_sub(head.len()), neutral, |name, url| format!("[{name}]({url})"), "\n");
    json!({ "msgtype": "markdown", "markdown": { "content": head + &rest } })
}

pub(super) async fn tell(http: &reqwest::Client, url: &SecretString, body: &Value) -> Result<(), Trouble> {
    judge(&post_secret(http, url, &[], body.to_string()).await?)
}

pub(super) fn judge(answer: &Answer) -> Result<(), Trouble> {
    match answer.number("errcode") {
        Some(0) if answer.status < 300 => Ok(()),
        Some(TOO_MANY) => {
            Err(Trouble::throttled(format!("errcode {TOO_MANY}{}", answer.said()), Duration::from_mins(1)))
        }
        Some(TOO_LONG) => Err(Trouble::refused(format!("errcode {TOO_LONG}{}", answer.said()))),
        Some(code) => Err(Trouble::away(format!("errcode {code}{}", answer.said()))),
        None => Err(Trouble::away(format!("no errcode, status {}{}", answer.status, answer.said()))),
    }
}
