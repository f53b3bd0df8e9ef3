//! One bounded HTTP POST.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use topology::fault::clean_words;

use super::{TRY, Trouble};

/// What is read of an answer at most.
const MAX_ANSWER: usize = 16 << 10;
/// A receiver may ask for a pause of so long at most: it is asked again then.
const LONGEST_WAIT: Duration = Duration::from_mins(15);

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) retry_after: Option<Duration>,
}

/// A client that follows no redirect and asks no proxy: a message goes where the file says.
pub(super) fn client() -> Result<reqwest::Client, reqwest::Error> {
    crate::http_client::builder()
        .timeout(TRY)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("topowatch/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Sends `body`, which is JSON.
pub(super) async fn post(
    http: &reqwest::Client,
    url: &str,
    headers: &[(&str, &str)],
    body: String,
) -> Result<Answer, Trouble> {
    let mut request = http.post(url).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    // The address may hold a token: it is kept out of every message.
    let away = |error: reqwest::Error| Trouble::away(error.without_url().to_string());
    let mut response = request.body(body).send().await.map_err(away)?;
    let status = response.status().as_u16();
    let seconds = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let retry_after = seconds.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(away)? {
        let room = MAX_ANSWER - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if bytes.len() == MAX_ANSWER {
            break;
        }
    }
    let retry_after = retry_after.map(|wait| wait.min(LONGEST_WAIT));
    Ok(Answer { status, body: String::from_utf8_lossy(&bytes).into_owned(), retry_after })
}

/// The same to an address that is a secret.
pub(super) async fn post_secret(
    http: &reqwest::Client,
    url: &SecretString,
    headers: &[(&str, &str)],
    body: String,
) -> Result<Answer, Trouble> {
    post(http, url.expose_secret(), headers, body).await
}

impl Answer {
    /// Taken when the status says so: 2xx.
    pub(super) fn by_status(&self) -> Result<(), Trouble> {
        if (200..300).contains(&self.status) {
            return Ok(());
        }
        let words = format!("status {}{}", self.status, self.said());
        Err(match self.status {
            429 => Trouble::throttled(words, self.retry_after.unwrap_or(Duration::from_secs(30))),
            503 if self.retry_after.is_some() => {
                Trouble::throttled(words, self.retry_after.unwrap_or_default())
            }
            400 | 413 | 422 => Trouble::refused(words),
            _ => Trouble::away(words),
        })
    }

    /// The answer's own words, cleaned and cut.
    pub(super) fn said(&self) -> String {
        let words = clean_words(&self.body);
        if words.is_empty() { String::new() } else { format!(": {words}") }
    }

    /// A number of a JSON answer.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        let value: serde_json::Value = serde_json::from_str(&self.body).ok()?;
        value.get(name)?.as_i64()
    }
}
