//! One task a receiver: its messages in order, each until it is taken. A receiver that hangs delays no probe
//! and no other receiver.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use topology::model::Model;

use super::message::{self, Letter};
use super::ways::{Parcel, SetupError, Trouble, Way};
use super::{backoff, pace};
use crate::clock::Clock;
use crate::store::{OutboxRow, Store, StoreError};

/// The outbox is looked at this often even when nobody says that there is news.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// What has not been taken for so long goes to the fallback as well.
const FALLBACK_AFTER: Duration = Duration::from_mins(2);
/// Messages of one digest at most.
const MOST_TOGETHER: usize = 20;
/// Messages that are looked at together.
const WINDOW: i64 = 100;
/// What is refused so often is sent in fewer words: perhaps it is the words.
const TERSE_AFTER: i64 = 2;
/// Taken messages are kept for so long.
const KEEP: Duration = Duration::from_hours(90 * 24);

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
    way: Arc<Way>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Receivers that are ready to be delivered to; nothing has been sent yet.
pub struct Prepared {
    ways: Vec<Way>,
}

impl Prepared {
    /// Sets up the receivers of `model`.
    ///
    /// # Errors
    /// When one cannot be set up: a certificate that is none, or no HTTP client.
    pub fn of(model: &Model) -> Result<Self, SetupError> {
        let zone = TimeZone::system();
        let receivers = model.alerting.receivers.iter();
        let ways = receivers.map(|receiver| Way::new(receiver.clone(), zone.clone()));
        Ok(Self { ways: ways.collect::<Result<_, _>>()? })
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
        for way in prepared.ways {
            let name = way.receiver.name.clone();
            let running = match before.remove(&name) {
                Some(running) if running.way.receiver.is_told_like(&way.receiver) => running,
                other => {
                    // Never two at once for one receiver: the order of its messages would be lost.
                    if let Some(old) = other {
                        old.end().await;
                    }
                    self.start(way)
                }
            };
            self.running.insert(name, running);
        }
        for running in before.into_values() {
            running.end().await;
        }
    }

    fn start(&self, way: Way) -> Running {
        let (way, stop) = (Arc::new(way), self.shutdown.child_token());
        let delivery = Delivery {
            way: Arc::clone(&way),
            store: self.store.clone(),
            news: Arc::clone(&self.news),
            clock: self.clock,
        };
        let stopped = stop.clone();
        let task = self.tasks.spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = delivery.run() => {}
            }
        });
        Running { way, stop, task }
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

/// What one task has.
struct Delivery {
    way: Arc<Way>,
    store: Store,
    news: Arc<Notify>,
    clock: Clock,
}

/// What came of one round.
enum Round {
    /// Something was taken: on with the next.
    Taken,
    /// Nothing waits.
    Idle,
    /// Nothing may be sent for so long.
    Wait(Duration),
    /// It was not taken.
    Failed,
}

impl Delivery {
    fn name(&self) -> &str {
        &self.way.receiver.name
    }

    async fn run(&self) {
        let mut failed = 0;
        self.forget().await;
        loop {
            // Asked for before the look, so that a message written in between is not slept through.
            let rung = self.news.notified();
            let round = self.round().await.unwrap_or_else(|error| {
                tracing::warn!(receiver = %self.name(), %error, "the outbox cannot be read or written");
                Round::Failed
            });
            match round {
                Round::Taken => failed = 0,
                Round::Idle => {
                    tokio::select! {
                        () = rung => {}
                        () = sleep(LOOK_EVERY) => {}
                    }
                }
                // What comes meanwhile goes out together, or to the fallback.
                Round::Wait(pause) => {
                    tokio::select! {
                        () = rung => {}
                        () = sleep(pause.min(LOOK_EVERY)) => {}
                    }
                }
                Round::Failed => {
                    let chance = backoff::chance((self.name(), failed, self.clock.now().as_millisecond()));
                    sleep(backoff::pause(failed, chance)).await;
                    failed += 1;
                }
            }
        }
    }

    async fn forget(&self) {
        let now = self.clock.now().as_millisecond();
        let before = now - i64::try_from(KEEP.as_millis()).unwrap_or(i64::MAX / 4);
        if let Err(error) = self.store.forget_deliveries(before).await {
            tracing::warn!(%error, "old deliveries cannot be let go");
        }
    }

    async fn round(&self) -> Result<Round, StoreError> {
        let rows = self.store.waiting(self.name(), WINDOW).await?;
        if rows.is_empty() {
            return Ok(Round::Idle);
        }
        let now = self.clock.now().as_millisecond();
        let penalty = self.store.penalty(self.name()).await?.filter(|until| *until > now);
        self.fall_back(&rows, penalty.is_some(), now).await?;
        if let Some(until) = penalty {
            return Ok(Round::Wait(millis(until - now)));
        }
        let limits = &self.way.receiver.limits;
        let since = now - pace::reach(limits);
        let sent =
            if limits.is_empty() { Vec::new() } else { self.store.sendings(self.name(), since).await? };
        let wait = pace::wait(&sent, limits, now);
        if !wait.is_zero() {
            return Ok(Round::Wait(wait));
        }
        let (batch, rows) = self.parcel(rows, pace::room(&sent, limits, now)).await?;
        if !limits.is_empty() {
            self.store.sending(self.name(), now, since).await?;
        }
        self.send(&batch, &rows).await
    }

    /// What goes out next, and under which key: a digest that was begun, a new one, or the first message.
    async fn parcel(
        &self,
        mut rows: Vec<OutboxRow>,
        room: Option<usize>,
    ) -> Result<(String, Vec<OutboxRow>), StoreError> {
        if let Some(batch) = rows[0].batch.clone() {
            rows.retain(|row| row.batch.as_ref() == Some(&batch));
            return Ok((batch, rows));
        }
        let unbound = rows.iter().take_while(|row| row.batch.is_none()).count();
        let room = room.filter(|_| self.way.takes_digests());
        let n = pace::together(unbound, room, MOST_TOGETHER);
        rows.truncate(n);
        if n == 1 {
            return Ok((rows[0].key.clone(), rows));
        }
        let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        // A row is in one digest for ever: its first key and their number name no other.
        let batch = format!("{}+{}", keys[0], n - 1);
        self.store.bind(self.name(), &keys, &batch).await?;
        Ok((batch, rows))
    }

    /// What the receiver has not taken for a while, or is not to be sent for a while, goes to its fallback.
    async fn fall_back(&self, rows: &[OutboxRow], penalty: bool, now: i64) -> Result<(), StoreError> {
        let Some(fallback) = &self.way.receiver.fallback else { return Ok(()) };
        let due = |row: &&OutboxRow| {
            let old = millis(now - row.created_ms) >= FALLBACK_AFTER;
            // A message that waits only for its turn is not lost.
            !row.handed && (penalty || old && rows[0].attempts > 0)
        };
        let due: Vec<OutboxRow> = rows.iter().filter(due).cloned().collect();
        if !due.is_empty() && self.store.hand_over(self.name(), fallback, &due, now).await? {
            tracing::warn!(receiver = %self.name(), %fallback, messages = due.len(), "not taken for long: told the fallback as well");
            self.news.notify_waiters();
        }
        Ok(())
    }

    async fn send(&self, key: &str, rows: &[OutboxRow]) -> Result<Round, StoreError> {
        let now = self.clock.now();
        let outcome = match parcel_of(key, rows, now) {
            Ok((json, letters)) => {
                let terse = rows[0].attempts >= TERSE_AFTER;
                self.way.tell(&Parcel { key, json: &json, letters: &letters, terse, now }).await
            }
            Err(error) => Err(Trouble::away(format!("the message cannot be read back: {error}"))),
        };
        let after = self.clock.now().as_millisecond();
        let trouble = outcome.err();
        let taken = trouble.is_none().then_some(after);
        let words = trouble.as_ref().map(|trouble| trouble.words.as_str());
        let fallback = self.way.receiver.fallback.as_deref();
        // A delivery that cannot be noted is repeated with its key.
        self.store.tried(self.name(), rows, taken, words, fallback).await?;
        let Some(Trouble { words, wait, .. }) = trouble else {
            tracing::info!(receiver = %self.name(), key, messages = rows.len(), "told");
            if fallback.is_some() {
                self.news.notify_waiters();
            }
            return Ok(Round::Taken);
        };
        tracing::warn!(receiver = %self.name(), key, attempt = rows[0].attempts + 1, "not taken: {words}");
        if let Some(wait) = wait {
            let until = after + i64::try_from(wait.as_millis()).unwrap_or(0);
            self.store.penalize(self.name(), until).await?;
            return Ok(Round::Wait(Duration::ZERO));
        }
        Ok(Round::Failed)
    }
}

/// The JSON of what goes out, and its letters.
fn parcel_of(
    key: &str,
    rows: &[OutboxRow],
    now: Timestamp,
) -> Result<(String, Vec<Letter>), serde_json::Error> {
    let made = |row: &OutboxRow| Timestamp::from_millisecond(row.created_ms).unwrap_or(now);
    let letters = rows.iter().map(|row| Letter::read(&row.body, made(row))).collect::<Result<_, _>>()?;
    let json = match rows {
        [row] if row.batch.is_none() => message::stamped(&row.body, made(row), now)?,
        rows => {
            let bodies: Vec<(&str, Timestamp)> =
                rows.iter().map(|row| (row.body.as_str(), made(row))).collect();
            message::digest(key, &bodies, now)?
        }
    };
    Ok((json, letters))
}

fn millis(span: i64) -> Duration {
    Duration::from_millis(u64::try_from(span).unwrap_or(0))
}
