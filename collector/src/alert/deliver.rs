//! One task a receiver: its messages in order, each until it is taken. A receiver that hangs delays no probe
//! and no other receiver.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use topology::alerting::Channel;
use topology::model::Model;

use super::message;
use crate::clock::Clock;
use crate::store::{OutboxRow, Store};

/// One try takes at most this long.
const TRY: Duration = Duration::from_secs(10);
/// The first retry comes after this, then the pauses double.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Pauses grow no longer than this: a receiver that was away for a day learns soon after it is back.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// The outbox is looked at this often even when nobody says that there is news.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// Where a receiver's messages go.
struct Webhook {
    name: String,
    url: SecretString,
    secret: Option<SecretString>,
    http: reqwest::Client,
}

/// The tasks that deliver, one a receiver.
pub struct Deliveries {
    store: Store,
    news: Arc<Notify>,
    clock: Clock,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    running: BTreeMap<String, Running>,
}

/// A delivering task.
struct Running {
    webhook: Arc<Webhook>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Receivers that are ready to be delivered to; nothing has been sent yet.
pub struct Prepared {
    webhooks: Vec<Webhook>,
}

impl Prepared {
    /// Sets up the receivers of `model`.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn of(model: &Model) -> Result<Self, reqwest::Error> {
        let webhooks = model.alerting.receivers.iter().filter_map(|receiver| match &receiver.channel {
            Channel::Webhook { url, secret } => Some((receiver, url, secret)),
            _ => None,
        });
        let webhooks = webhooks.map(|(receiver, url, secret)| {
            let http = reqwest::Client::builder()
                .timeout(TRY)
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .user_agent(concat!("topowatch/", env!("CARGO_PKG_VERSION")))
                .build()?;
            Ok(Webhook { name: receiver.name.clone(), url: url.clone(), secret: secret.clone(), http })
        });
        Ok(Self { webhooks: webhooks.collect::<Result<_, _>>()? })
    }
}

impl Deliveries {
    /// Nothing is delivered yet. `news` is rung when a message was written; all ends with `shutdown`.
    pub fn new(
        store: Store,
        news: Arc<Notify>,
        clock: Clock,
        tasks: TaskTracker,
        shutdown: CancellationToken,
    ) -> Self {
        Self { store, news, clock, tasks, shutdown, running: BTreeMap::new() }
    }

    /// Delivers to these receivers from now on. One that stays as it was goes on undisturbed; messages that a
    /// receiver has not taken wait for it under its name, also when it has another address now.
    pub async fn switch(&mut self, prepared: Prepared) {
        let mut before = std::mem::take(&mut self.running);
        for webhook in prepared.webhooks {
            let name = webhook.name.clone();
            let running = match before.remove(&name) {
                Some(running) if running.webhook.goes_where(&webhook) => running,
                other => {
                    // Never two at once for one receiver: the order of its messages would be lost.
                    if let Some(old) = other {
                        old.end().await;
                    }
                    self.start(webhook)
                }
            };
            self.running.insert(name, running);
        }
        for running in before.into_values() {
            running.end().await;
        }
    }

    fn start(&self, webhook: Webhook) -> Running {
        let (webhook, stop) = (Arc::new(webhook), self.shutdown.child_token());
        let (ours, stopped) = (Arc::clone(&webhook), stop.clone());
        let (store, news, clock) = (self.store.clone(), Arc::clone(&self.news), self.clock);
        let task = self.tasks.spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = ours.run(&store, &news, clock) => {}
            }
        });
        Running { webhook, stop, task }
    }
}

impl Running {
    async fn end(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "a delivering task ended badly");
        }
    }
}

impl Webhook {
    /// True when `other` is reached and signed for in the same way.
    fn goes_where(&self, other: &Self) -> bool {
        let text = |secret: &SecretString| secret.expose_secret().to_owned();
        text(&self.url) == text(&other.url)
            && self.secret.as_ref().map(text) == other.secret.as_ref().map(text)
    }

    async fn run(&self, store: &Store, news: &Notify, clock: Clock) {
        let mut failed = 0;
        loop {
            // Asked for before the look, so that a message written in between is not slept through.
            let rung = news.notified();
            match store.next_message(&self.name).await {
                Ok(Some(row)) => {
                    if self.try_once(store, &row, clock).await {
                        failed = 0;
                    } else {
                        sleep(pause(failed)).await;
                        failed += 1;
                    }
                }
                Ok(None) => {
                    tokio::select! {
                        () = rung => {}
                        () = sleep(LOOK_EVERY) => {}
                    }
                }
                Err(error) => {
                    tracing::warn!(receiver = %self.name, %error, "the outbox cannot be read");
                    sleep(pause(failed)).await;
                    failed += 1;
                }
            }
        }
    }

    /// True when the receiver took it.
    async fn try_once(&self, store: &Store, row: &OutboxRow, clock: Clock) -> bool {
        let now = clock.now();
        let created = Timestamp::from_millisecond(row.created_ms).unwrap_or(now);
        let trouble = match message::stamped(&row.body, created, now) {
            Ok(body) => self.post(&row.key, body).await.err(),
            Err(error) => Some(format!("the message cannot be read back: {error}")),
        };
        let delivered_ms = trouble.is_none().then(|| clock.now().as_millisecond());
        if let Err(error) = store.tried(&self.name, &row.key, delivered_ms, trouble.as_deref()).await {
            tracing::warn!(receiver = %self.name, %error, "a delivery cannot be noted: it will be repeated with its key");
            return false;
        }
        match trouble {
            None => tracing::info!(receiver = %self.name, key = %row.key, "told"),
            Some(trouble) => {
                tracing::warn!(receiver = %self.name, key = %row.key, attempt = row.attempts + 1, "not taken: {trouble}");
            }
        }
        delivered_ms.is_some()
    }

    async fn post(&self, key: &str, body: String) -> Result<(), String> {
        let mut request = self
            .http
            .post(self.url.expose_secret())
            .header("content-type", "application/json")
            .header("idempotency-key", key);
        if let Some(secret) = &self.secret {
            request = request.header("x-topowatch-signature", sign(secret, body.as_bytes()));
        }
        // The address may hold a token: it is kept out of every message.
        let response = request.body(body).send().await.map_err(|error| error.without_url().to_string())?;
        if response.status().is_success() {
            Ok(())
        } else {
            Err(format!("status {}", response.status().as_u16()))
        }
    }
}

/// The signature of a body: `sha256=` and the hexadecimal HMAC-SHA-256 under the receiver's secret.
fn sign(secret: &SecretString, body: &[u8]) -> String {
    use std::fmt::Write as _;
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else {
        return String::new();
    };
    mac.update(body);
    let mut out = String::from("sha256=");
    for byte in mac.finalize().into_bytes() {
        let written = write!(out, "{byte:02x}");
        debug_assert!(written.is_ok());
    }
    out
}

/// The pause after so many failures in a row.
fn pause(failed: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << failed.min(10)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_delivery_is_tried_again_within_a_second_then_ever_more_slowly() {
        assert!(pause(0) < Duration::from_secs(1));
        assert_eq!(pause(1), pause(0) * 2);
        assert_eq!(pause(40), LONGEST_PAUSE);
    }

    #[test]
    fn the_signature_is_the_one_of_rfc_4231_case_2() {
        let signed = sign(&SecretString::from("Jefe"), b"what do ya want for nothing?");
        assert_eq!(signed, "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
