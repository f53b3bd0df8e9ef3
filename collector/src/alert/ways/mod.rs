//! The ways in which receivers are told, a file each: what a message looks like there, and what counts as taken.

mod alertmanager;
mod dingtalk;
mod email;
mod exec;
mod feishu;
mod http;
mod pagerduty;
mod sign;
mod slack;
mod teams;
mod webhook;
mod wecom;

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use topology::alerting::{Channel, Receiver};

use super::message::Letter;
use super::words::{Style, Words};

/// One try takes at most this long.
pub(crate) const TRY: Duration = Duration::from_secs(10);

/// What goes out together.
pub(crate) struct Parcel<'a> {
    /// The idempotency key, the same on every try.
    pub(crate) key: &'a str,
    /// The JSON of the webhook.
    pub(crate) json: &'a str,
    /// One message, or those of a digest.
    pub(crate) letters: &'a [Letter],
    /// It was refused before, perhaps for its form: the title alone.
    pub(crate) terse: bool,
    /// Now.
    pub(crate) now: Timestamp,
}

/// Why a message was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// In words, without the receiver's address.
    pub(crate) words: String,
    /// The receiver wants nothing for so long.
    pub(crate) wait: Option<Duration>,
    /// It is not that the receiver is away: it does not want this message as it is.
    pub(crate) refused: bool,
}

impl Trouble {
    pub(crate) fn away(words: impl Into<String>) -> Self {
        Self { words: words.into(), wait: None, refused: false }
    }

    pub(crate) fn refused(words: impl Into<String>) -> Self {
        Self { words: words.into(), wait: None, refused: true }
    }

    pub(crate) fn throttled(words: impl Into<String>, wait: Duration) -> Self {
        Self { words: words.into(), wait: Some(wait), refused: false }
    }
}

/// A receiver that is ready to be told.
pub(crate) struct Way {
    pub(crate) receiver: Receiver,
    http: reqwest::Client,
    zone: TimeZone,
}

/// A way cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("receiver `{receiver}` cannot be set up: {why}")]
pub struct SetupError {
    /// Which.
    pub receiver: String,
    /// Why, in words.
    pub why: String,
}

impl Way {
    /// Sets a receiver up; nothing is sent yet.
    pub(crate) fn new(receiver: Receiver, zone: TimeZone) -> Result<Self, SetupError> {
        let failed = |why: String| SetupError { receiver: receiver.name.clone(), why };
        let http = http::client().map_err(|error| failed(error.to_string()))?;
        if let Channel::Email(email) = &receiver.channel {
            email::transport(email).map_err(failed)?;
        }
        Ok(Self { receiver, http, zone })
    }

    /// True when several messages can go out as one.
    pub(crate) fn takes_digests(&self) -> bool {
        self.receiver.channel.takes_digests()
    }

    /// Tells it; whoever answers gets ten seconds.
    pub(crate) async fn tell(&self, parcel: &Parcel<'_>) -> Result<(), Trouble> {
        let patience = match &self.receiver.channel {
            Channel::Exec { timeout, .. } => *timeout,
            _ => TRY,
        };
        let told = tokio::time::timeout(patience, self.tell_somehow(parcel)).await;
        told.unwrap_or_else(|_| Err(Trouble::away(format!("no answer within {} s", patience.as_secs()))))
    }

    async fn tell_somehow(&self, parcel: &Parcel<'_>) -> Result<(), Trouble> {
        let (http, words) = (&self.http, self.words(parcel));
        match &self.receiver.channel {
            Channel::Webhook { url, secret } => webhook::tell(http, url, secret.as_ref(), parcel).await,
            Channel::Wecom { url, mention } => {
                wecom::tell(http, url, &wecom::body(&words, mention, parcel)).await
            }
            Channel::Dingtalk { url, secret, mention } => {
                let body = dingtalk::body(&words, mention, parcel);
                dingtalk::tell(http, url, secret.as_ref(), parcel.now, &body).await
            }
            Channel::Feishu { url, secret, mention } => {
                let body = feishu::body(&words, mention, secret.as_ref(), parcel);
                feishu::tell(http, url, &body).await
            }
            Channel::Slack { url, mention } => {
                slack::tell(http, url, &slack::body(&words, mention, parcel)).await
            }
            Channel::Teams { url } => teams::tell(http, url, &teams::body(&words)).await,
            Channel::PagerDuty { routing_key, url } => {
                for letter in parcel.letters {
                    for body in pagerduty::bodies(letter, routing_key, &self.receiver, &self.style(parcel)) {
                        pagerduty::tell(http, url, &body).await?;
                    }
                }
                Ok(())
            }
            Channel::Alertmanager { url, labels, token } => {
                let style = self.style(parcel);
                let alerts: Vec<_> = parcel
                    .letters
                    .iter()
                    .flat_map(|letter| alertmanager::alerts(letter, labels, &style))
                    .collect();
                alertmanager::tell(http, url, token.as_ref(), &alerts).await
            }
            Channel::Email(email) => email::tell(email, &words, parcel).await,
            Channel::Exec { command, .. } => exec::tell(command, parcel).await,
        }
    }

    fn style<'s>(&'s self, parcel: &Parcel<'_>) -> Style<'s> {
        Style {
            lang: self.receiver.lang,
            template: &self.receiver.template,
            zone: &self.zone,
            now: parcel.now,
        }
    }

    fn words(&self, parcel: &Parcel<'_>) -> Words {
        let style = self.style(parcel);
        let mut words = match parcel.letters {
            [letter] => style.one(letter),
            letters => style.digest(letters, parcel.key),
        };
        // A digest's lines are its messages: they are not left out.
        if parcel.terse && parcel.letters.len() == 1 {
            words.lines.clear();
        }
        words
    }
}

#[cfg(test)]
mod tests;
