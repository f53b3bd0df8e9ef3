//! A custom robot of DingTalk: Markdown, 20 messages a minute and then nothing for ten; errors come with HTTP 200.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::super::words::{Words, neutral};
use super::http::{Answer, post};
use super::{Parcel, Trouble, sign};

/// Its limit is said to be about 20 kB; phones show far less.
const MOST: usize = 15_000;
/// "send too fast, exceed 20 times per minute": from here on nothing is taken for ten minutes.
const TOO_MANY: i64 = 130_101;

pub(super) fn body(words: &Words, mention: &[String], parcel: &Parcel<'_>) -> Value {
    let mut head = format!("#### {}\n\n", neutral(&words.title));
    let rings = parcel.letters.iter().any(super::super::message::Letter::rings);
    let mobiles: Vec<&str> =
        mention.iter().filter(|_| rings).map(String::as_str).filter(|who| *who != "all").collect();
    // Whoever is to be rung must stand in the text as well.
    for mobile in &mobiles {
        head.push('@');
        head += &neutral(mobile);
        head.push(' ');
    }
    if !mobiles.is_empty() {
        head += "\n\n";
    }
    let rest =
        words.text(MOST.saturating_sub(head.len()), neutral, |name, url| format!("[{name}]({url})"), "\n\n");
    let all = rings && mention.iter().any(|who| who == "all");
    json!({
        "msgtype": "markdown",
        "markdown": { "title": words.title, "text": head + &rest },
        "at": { "atMobiles": mobiles, "isAtAll": all },
    })
}

/// `&timestamp=…&sign=…`: HMAC-SHA-256 of `timestamp\nsecret` under the secret, in Base64, percent-encoded.
pub(super) fn signature(secret: &SecretString, now: Timestamp) -> String {
    let (at, secret) = (now.as_millisecond(), secret.expose_secret());
    let signed = sign::base64(secret.as_bytes(), format!("{at}\n{secret}").as_bytes());
    let encoded: String = signed
        .chars()
        .map(|c| match c {
            '+' => "%2B".to_owned(),
            '/' => "%2F".to_owned(),
            '=' => "%3D".to_owned(),
            c => c.to_string(),
        })
        .collect();
    format!("timestamp={at}&sign={encoded}")
}

pub(super) async fn tell(
    http: &reqwest::Client,
    url: &SecretString,
    secret: Option<&SecretString>,
    now: Timestamp,
    body: &Value,
) -> Result<(), Trouble> {
    let mut address = url.expose_secret().to_owned();
    if let Some(secret) = secret {
        address.push(if address.contains('?') { '&' } else { '?' });
        address += &signature(secret, now);
    }
    judge(&post(http, &address, &[], body.to_string()).await?)
}

pub(super) fn judge(answer: &Answer) -> Result<(), Trouble> {
    match answer.number("errcode") {
        Some(0) if answer.status < 300 => Ok(()),
        Some(TOO_MANY) => {
            Err(Trouble::throttled(format!("errcode {TOO_MANY}{}", answer.said()), Duration::from_mins(10)))
        }
        Some(code) => Err(Trouble::away(format!("errcode {code}{}", answer.said()))),
        None => Err(Trouble::away(format!("no errcode, status {}{}", answer.status, answer.said()))),
    }
}
