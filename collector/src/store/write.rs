//! Writing: everything of one moment in one transaction, messages with the incident they are of.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, AnyPool};
use topology::model::Model;

use super::past::{self, LookRow, Past};
use super::record::{self, ConfirmedRecord};
use super::{Store, StoreError};
use crate::alert::message;
use crate::announce::Event;
use crate::changes::{ChangeNote, MAX_KEPT};
use crate::endings::is_ending;
use crate::history::AuditEntry;
use crate::incidents::Change;
use crate::silence::Silence;

/// Level changes held while the database is away, at most; then the oldest go.
const MAX_HELD_CHANGES: usize = 50_000;

/// Changes out there are kept for 90 days.
const KEEP_NOTED_MS: i64 = 90 * 86_400_000;

/// What is to be written.
#[derive(Debug, Default)]
pub struct Batch {
    nodes: BTreeMap<String, NodeLevel>,
    confirmed: BTreeMap<(String, String), ConfirmedRecord>,
    changes: Vec<LevelChange>,
    incidents: BTreeMap<String, IncidentRow>,
    messages: Vec<MessageRow>,
    noted: Vec<ChangeNote>,
    silences: BTreeMap<String, Silence>,
    pub(super) past: Past,
    /// Nodes that the file no longer has.
    gone: BTreeSet<String>,
}

/// A node's level and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeLevel {
    /// Component or instance.
    pub name: String,
    /// The level's word.
    pub level: String,
    /// Unix milliseconds.
    pub since_ms: i64,
}

/// A node has changed its level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LevelChange {
    /// Component or instance.
    pub node: String,
    /// When.
    pub at: Timestamp,
    /// The new level's word.
    pub level: String,
    /// What is wrong, if something is.
    pub words: String,
    /// The rest of it.
    pub detail: LevelDetail,
    /// Nothing changed: the level is only said again.
    pub again: bool,
}

/// What is kept of a level beside its word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LevelDetail {
    /// The level with its kind of yellow: `green`, `at_risk`, `impaired`, `red`, `unknown`, `paused`.
    pub health: String,
    /// Of a component: the same from its own instances only.
    pub own: String,
    /// Its own level is bad, and this one's doing.
    pub explained_by: Option<String>,
    /// Of a component: the dependencies that carry what it inherits.
    pub inherited_from: Vec<String>,
    /// Since when, Unix milliseconds.
    pub since_ms: i64,
    /// Chinese for what is wrong.
    pub zh: String,
    /// The short word, in English and Chinese.
    pub short: (String, String),
    /// Held at its worst level.
    pub flapping: bool,
}

#[derive(Debug)]
struct IncidentRow {
    state: &'static str,
    opened_ms: i64,
    resolved_ms: Option<i64>,
    body: String,
}

#[derive(Debug)]
struct MessageRow {
    key: String,
    receiver: String,
    created_ms: i64,
    incident: String,
    event: Event,
    body: String,
}

impl Batch {
    /// True when there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
            && self.confirmed.is_empty()
            && self.changes.is_empty()
            && self.incidents.is_empty()
            && self.messages.is_empty()
            && self.noted.is_empty()
            && self.silences.is_empty()
            && self.past.is_empty()
            && self.gone.is_empty()
    }

    /// Forgets the level of a node that the file no longer has; its history stays.
    pub fn forget(&mut self, node: String) {
        self.nodes.remove(&node);
        self.confirmed.retain(|(instance, _), _| *instance != node);
        self.gone.insert(node);
    }

    /// Notes a change that was made out there.
    pub fn noted(&mut self, note: ChangeNote) {
        self.noted.push(note);
    }

    /// Notes a silence as it is now.
    pub fn silence(&mut self, silence: Silence) {
        self.silences.insert(silence.id.clone(), silence);
    }

    /// Notes a change of level.
    pub fn level(&mut self, change: LevelChange, since: Timestamp) {
        let since_ms = since.as_millisecond();
        let level = NodeLevel { name: change.node.clone(), level: change.level.clone(), since_ms };
        self.nodes.insert(change.node.clone(), level);
        self.changes.push(change);
    }

    /// The newest moment it tells of, Unix milliseconds, if it tells of a time.
    pub fn newest(&self) -> Option<i64> {
        self.past.newest()
    }

    /// Notes a look and what it measured.
    pub fn look(&mut self, look: LookRow) {
        self.past.looks.push(look);
    }

    /// Notes a value of a curve.
    pub fn curve(&mut self, name: String, at: Timestamp, value: f64) {
        self.past.curves.push((name, at.as_millisecond(), value));
    }

    /// Notes a line of the audit log.
    pub fn audit(&mut self, entry: AuditEntry) {
        self.past.audit.push(entry);
    }

    /// Notes that the monitor has been watching from `start` until `end`.
    pub fn watched(&mut self, start: Timestamp, end: Timestamp) {
        self.past.watched.insert(start.as_millisecond(), end.as_millisecond());
    }

    /// Notes what a probe has confirmed.
    pub fn confirmed(&mut self, instance: String, probe: String, record: ConfirmedRecord) {
        self.confirmed.insert((instance, probe), record);
    }

    /// Notes an incident as it is now, and its message for each receiver.
    ///
    /// # Errors
    /// When it cannot be put into words of JSON, which is a bug.
    pub fn incident(&mut self, model: &Model, change: &Change, at: Timestamp) -> Result<(), StoreError> {
        let incident = &change.incident;
        let row = IncidentRow {
            // One whose end is still to be told goes on after a restart.
            state: if is_ending(incident, &change.told) { "ending" } else { incident.state.as_str() },
            opened_ms: incident.opened_at.as_millisecond(),
            resolved_ms: incident.resolved_at.map(Timestamp::as_millisecond),
            body: record::write(model, incident, &change.told)?,
        };
        self.incidents.insert(incident.id.clone(), row);
        let key = format!("{}-{}", incident.id, change.told.messages);
        for message in &change.messages {
            self.messages.push(MessageRow {
                key: key.clone(),
                receiver: message.receiver.clone(),
                created_ms: at.as_millisecond(),
                incident: incident.id.clone(),
                event: message.event,
                body: message::body(model, incident, message.event, &key)?,
            });
        }
        Ok(())
    }

    /// Adds a later batch.
    pub fn append(&mut self, later: Self) {
        for node in later.gone {
            self.forget(node);
        }
        self.noted.extend(later.noted);
        let surplus = self.noted.len().saturating_sub(MAX_KEPT);
        self.noted.drain(..surplus);
        self.past.append(later.past);
        self.nodes.extend(later.nodes);
        self.confirmed.extend(later.confirmed);
        self.changes.extend(later.changes);
        self.incidents.extend(later.incidents);
        self.messages.extend(later.messages);
        self.silences.extend(later.silences);
        if self.changes.len() > MAX_HELD_CHANGES {
            self.changes.drain(..self.changes.len() - MAX_HELD_CHANGES);
        }
    }
}

impl Store {
    /// Writes `batch` whole or not at all.
    ///
    /// # Errors
    /// When the database does not take it; it can be tried again as it is.
    pub async fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        let written = self.try_write(batch).await;
        // A database in memory would be gone with its connection.
        if written.is_err() && self.sqlite && self.reading.is_some() {
            self.reconnect().await;
        }
        written
    }

    async fn try_write(&self, batch: &Batch) -> Result<(), StoreError> {
        self.get_ready(i64::MAX).await?;
        let pool: &AnyPool = &self.pool;
        let mut tx = pool.begin().await?;
        // What is gone goes first: a node may be back by now.
        forget(&mut tx, batch).await?;
        write_levels(&mut tx, batch).await?;
        write_noted(&mut tx, batch).await?;
        write_silences(&mut tx, batch).await?;
        write_incidents(&mut tx, batch).await?;
        let mut numbers = self.numbers.lock().await;
        // Until it is committed nobody knows which names have which numbers.
        let mut now = std::mem::take(&mut *numbers);
        past::write(&mut tx, &batch.past, &mut now).await?;
        tx.commit().await?;
        *numbers = now;
        Ok(())
    }
}

async fn forget(tx: &mut AnyConnection, batch: &Batch) -> Result<(), StoreError> {
    for node in &batch.gone {
        for query in ["DELETE FROM nodes WHERE name = $1", "DELETE FROM confirmed WHERE instance = $1"] {
            sqlx::query(query).bind(node.as_str()).execute(&mut *tx).await?;
        }
    }
    Ok(())
}

async fn write_noted(tx: &mut AnyConnection, batch: &Batch) -> Result<(), StoreError> {
    for note in &batch.noted {
        sqlx::query(
            "INSERT INTO changes (at_ms, node, what, by_whom, link) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (at_ms, node, what) DO NOTHING",
        )
        .bind(note.at.as_millisecond())
        .bind(note.node.as_str())
        .bind(note.what.as_str())
        .bind(note.by.as_deref())
        .bind(note.link.as_deref())
        .execute(&mut *tx)
        .await?;
    }
    if let Some(newest) = batch.noted.iter().map(|note| note.at.as_millisecond()).max() {
        sqlx::query("DELETE FROM changes WHERE at_ms < $1")
            .bind(newest - KEEP_NOTED_MS)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

async fn write_silences(tx: &mut AnyConnection, batch: &Batch) -> Result<(), StoreError> {
    for silence in batch.silences.values() {
        sqlx::query(
            "INSERT INTO silences (id, until_ms, body) VALUES ($1, $2, $3) \
             ON CONFLICT (id) DO UPDATE SET until_ms = excluded.until_ms, body = excluded.body",
        )
        .bind(silence.id.as_str())
        .bind(silence.until.as_millisecond())
        .bind(serde_json::to_string(silence)?)
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

async fn write_levels(tx: &mut AnyConnection, batch: &Batch) -> Result<(), StoreError> {
    for node in batch.nodes.values() {
        sqlx::query(
            "INSERT INTO nodes (name, level, since_ms) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET level = excluded.level, since_ms = excluded.since_ms",
        )
        .bind(node.name.as_str())
        .bind(node.level.as_str())
        .bind(node.since_ms)
        .execute(&mut *tx)
        .await?;
    }
    for ((instance, probe), detail) in &batch.confirmed {
        sqlx::query(
            "INSERT INTO confirmed (instance, probe, detail) VALUES ($1, $2, $3) \
             ON CONFLICT (instance, probe) DO UPDATE SET detail = excluded.detail",
        )
        .bind(instance.as_str())
        .bind(probe.as_str())
        .bind(serde_json::to_string(detail)?)
        .execute(&mut *tx)
        .await?;
    }
    for change in &batch.changes {
        sqlx::query("INSERT INTO level_changes (node, at_ms, level, words, detail, again) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(change.node.as_str())
            .bind(change.at.as_millisecond())
            .bind(change.level.as_str())
            .bind(change.words.as_str())
            .bind(serde_json::to_string(&change.detail)?)
            .bind(i64::from(change.again))
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

async fn write_incidents(tx: &mut AnyConnection, batch: &Batch) -> Result<(), StoreError> {
    for (id, row) in &batch.incidents {
        sqlx::query(
            "INSERT INTO incidents (id, state, opened_ms, resolved_ms, body) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (id) DO UPDATE SET state = excluded.state, resolved_ms = excluded.resolved_ms, body = excluded.body",
        )
        .bind(id.as_str())
        .bind(row.state)
        .bind(row.opened_ms)
        .bind(row.resolved_ms)
        .bind(row.body.as_str())
        .execute(&mut *tx)
        .await?;
    }
    for message in &batch.messages {
        // The next place in this receiver's queue; one writer, so nobody else takes it.
        sqlx::query(
            "INSERT INTO outbox (key, receiver, position, created_ms, body, attempts, incident, event) \
             SELECT $1, $2, COALESCE(MAX(position), 0) + 1, $3, $4, 0, $5, $6 FROM outbox WHERE receiver = $2 \
             ON CONFLICT (receiver, key) DO NOTHING",
        )
        .bind(message.key.as_str())
        .bind(message.receiver.as_str())
        .bind(message.created_ms)
        .bind(message.body.as_str())
        .bind(message.incident.as_str())
        .bind(message.event.as_str())
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}
