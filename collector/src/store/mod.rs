//! What outlives the process: levels, incidents and messages, in SQLite or PostgreSQL by the same queries.
//!
//! Storage trouble never changes a level: the engine hands its changes over and goes on.

mod access;
mod past;
mod record;
mod rows;
pub mod upkeep;
mod write;

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, AnyPool, Connection as _, Row};
use tokio::sync::Mutex;
use topology::model::Model;

use crate::changes::{ChangeNote, MAX_KEPT};
use crate::incident::Incident;
use crate::incidents::Kept;
use crate::names::Names;
use crate::silence::{MAX_SILENCES, Silence};

pub use access::TokenRow;
pub use past::LookRow;
pub use record::ConfirmedRecord;
pub(crate) use record::{carry_over, health_of, health_word, level_of, read as incident_of};
pub use rows::OutboxRow;
pub use write::{Batch, LevelChange, LevelDetail, NodeLevel};

/// What goes wrong with storage, in words for the page and the log.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL is of no database this can use.
    #[error("`{0}` is no database URL: write sqlite://FILE or postgres://USER@HOST/NAME")]
    Url(String),
    /// The database cannot be opened or brought to its schema.
    #[error("the database cannot be opened: {0}")]
    Open(#[source] sqlx::Error),
    /// A migration failed.
    #[error("the database cannot be brought to its schema: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A query failed.
    #[error("{0}")]
    Query(#[from] sqlx::Error),
    /// A row cannot be read back.
    #[error("a row cannot be read back: {0}")]
    Row(#[from] serde_json::Error),
}

/// The migrations, oldest first: version, name, text.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "history", include_str!("../../migrations/0001_history.sql")),
    (2, "changes", include_str!("../../migrations/0002_changes.sql")),
    (3, "alerts", include_str!("../../migrations/0003_alerts.sql")),
    (4, "past", include_str!("../../migrations/0004_past.sql")),
    (5, "curves", include_str!("../../migrations/0005_curves.sql")),
    (6, "access", include_str!("../../migrations/0006_access.sql")),
];

/// Connections at once: one writes, one delivers, one reads.
const CONNECTIONS: u32 = 3;
/// A database that does not answer within this is in trouble.
const PATIENCE: Duration = Duration::from_secs(5);

/// An open database.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    /// What the reading side connects with; a database in memory has one connection for all.
    reading: Option<AnyConnectOptions>,
    sqlite: bool,
    budget: upkeep::Budget,
    /// The schema is there.
    ready: Arc<AtomicBool>,
    numbers: Arc<Mutex<past::Numbers>>,
}

/// What a database kept over a restart.
#[derive(Debug, Default)]
pub struct Restored {
    /// Open incidents.
    pub open: Vec<Kept>,
    /// The latest resolved ones.
    pub resolved: Vec<Incident>,
    /// Levels of nodes with their `since`.
    pub nodes: Vec<NodeLevel>,
    /// Confirmed states by instance and probe kind.
    pub confirmed: Vec<(String, String, ConfirmedRecord)>,
    /// The latest changes out there.
    pub changes: Vec<ChangeNote>,
    /// What is to be kept quiet.
    pub silences: Vec<Silence>,
    /// Values of curves, oldest first.
    pub curves: Vec<(String, Timestamp, f64)>,
}

impl Store {
    /// Opens the database at `url`, made if it is a SQLite file that is missing, and brings it to the schema.
    ///
    /// # Errors
    /// When the URL makes no sense, or the database does not take it.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_at(url, i64::MAX).await
    }

    /// The same, but the schema is that of version `newest`: for tests of what came before.
    ///
    /// # Errors
    /// As [`Self::open`].
    #[doc(hidden)]
    pub async fn open_at(url: &str, newest: i64) -> Result<Self, StoreError> {
        let store = Self::later(url)?;
        drop(store.pool.acquire().await.map_err(StoreError::Open)?);
        store.get_ready(newest).await?;
        Ok(store)
    }

    /// The same database, that is opened with the first write which it takes: for one that is in trouble now.
    ///
    /// # Errors
    /// When the URL makes no sense.
    pub fn later(url: &str) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let sqlite = url.starts_with("sqlite:");
        if !sqlite && !url.starts_with("postgres:") && !url.starts_with("postgresql:") {
            return Err(StoreError::Url(without_password(url)));
        }
        let with_create = if sqlite && !url.contains("mode=") && !url.contains(":memory:") {
            format!("{url}{}mode=rwc", if url.contains('?') { '&' } else { '?' })
        } else {
            url.to_owned()
        };
        let options =
            AnyConnectOptions::from_str(&with_create).map_err(|_| StoreError::Url(without_password(url)))?;
        let in_memory = url.contains(":memory:");
        let reading = (!in_memory).then(|| options.clone());
        let pool = AnyPoolOptions::new()
            .max_connections(if in_memory { 1 } else { CONNECTIONS })
            .acquire_timeout(PATIENCE)
            .after_connect(move |connection, _| {
                Box::pin(async move { if sqlite { set_up(connection).await } else { Ok(()) } })
            })
            .after_release(move |connection, _| {
                Box::pin(async move { Ok(in_memory || is_clean(connection).await?) })
            })
            .connect_lazy_with(options);
        let (ready, budget) = (Arc::default(), upkeep::Budget::default());
        Ok(Self { pool, reading, sqlite, budget, ready, numbers: Arc::default() })
    }

    /// Brings the schema up, once.
    async fn get_ready(&self, newest: i64) -> Result<(), StoreError> {
        if !self.ready.load(Ordering::Relaxed) {
            migrator(newest).run(&self.pool).await?;
            self.ready.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Ends it in good order: what stands beside a SQLite file is taken into it.
    pub async fn close(self) {
        self.pool.close().await;
    }

    /// Closes the connections that nobody uses: one that was opened while the file could only be read stays so.
    async fn reconnect(&self) {
        for _ in 0..CONNECTIONS {
            let Some(connection) = self.pool.try_acquire() else { break };
            // It is given up in any case.
            let _closed = connection.close().await;
        }
    }

    /// Keeps its history within `budget`.
    #[must_use]
    pub fn within(self, budget: upkeep::Budget) -> Self {
        Self { budget, ..self }
    }

    /// What the reading side connects with, and whether that is SQLite; none for a database in memory.
    pub(crate) fn reading(&self) -> Option<(AnyConnectOptions, bool)> {
        Some((self.reading.clone()?, self.sqlite))
    }

    pub(crate) const fn budget(&self) -> upkeep::Budget {
        self.budget
    }

    pub(crate) const fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Reads back what a restart needs; nodes that `model` no longer has are left out.
    ///
    /// # Errors
    /// When the database fails or holds what cannot be read.
    pub async fn restore(&self, model: &Model) -> Result<Restored, StoreError> {
        let mut restored = Restored::default();
        let names = Names::of(model);
        for row in
            sqlx::query("SELECT body FROM incidents WHERE state IN ('open', 'ending') ORDER BY opened_ms")
                .fetch_all(&self.pool)
                .await?
        {
            restored.open.push(record::read(&names, row.try_get::<&str, _>(0)?)?);
        }
        let resolved =
            "SELECT body FROM incidents WHERE state = 'resolved' ORDER BY resolved_ms DESC LIMIT 50";
        for row in sqlx::query(resolved).fetch_all(&self.pool).await? {
            restored.resolved.push(record::read(&names, row.try_get::<&str, _>(0)?)?.incident);
        }
        for row in sqlx::query("SELECT name, level, since_ms FROM nodes").fetch_all(&self.pool).await? {
            restored.nodes.push(NodeLevel {
                name: row.try_get(0)?,
                level: row.try_get(1)?,
                since_ms: row.try_get(2)?,
            });
        }
        for row in sqlx::query("SELECT instance, probe, detail FROM confirmed").fetch_all(&self.pool).await? {
            let detail = serde_json::from_str(row.try_get::<&str, _>(2)?)?;
            restored.confirmed.push((row.try_get(0)?, row.try_get(1)?, detail));
        }
        let changes = "SELECT at_ms, node, what, by_whom, link FROM changes ORDER BY at_ms DESC LIMIT $1";
        for row in sqlx::query(changes)
            .bind(i64::try_from(MAX_KEPT).unwrap_or(i64::MAX))
            .fetch_all(&self.pool)
            .await?
        {
            // A time that no calendar has was not written here.
            let Ok(at) = Timestamp::from_millisecond(row.try_get(0)?) else { continue };
            restored.changes.push(ChangeNote {
                at,
                node: row.try_get(1)?,
                what: row.try_get(2)?,
                by: row.try_get(3)?,
                link: row.try_get(4)?,
            });
        }
        // The latest first: they are bounded where they are taken, too.
        let silences = "SELECT body FROM silences ORDER BY until_ms DESC LIMIT $1";
        for row in sqlx::query(silences)
            .bind(i64::try_from(MAX_SILENCES).unwrap_or(i64::MAX))
            .fetch_all(&self.pool)
            .await?
        {
            restored.silences.push(serde_json::from_str(row.try_get::<&str, _>(0)?)?);
        }
        restored.curves = past::curves(&self.pool, model).await?;
        Ok(restored)
    }
}

/// False for a connection that must not be used again. A full disk makes SQLite end a transaction by itself, the
/// rollback that follows then fails, and sqlx goes on counting a transaction that there is none of: what is written next
/// becomes part of one that nobody ever commits, and is lost when the connection ends.
async fn is_clean(connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
    // A rollback may still be under way; this comes after it.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// What every connection to SQLite is set to.
async fn set_up(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    let tables = sqlx::query("SELECT COUNT(*) FROM sqlite_master").fetch_one(&mut *connection).await?;
    if tables.try_get::<i64, _>(0)? == 0 {
        // Room that is given back can only be asked for before the first table is made.
        sqlx::query("PRAGMA auto_vacuum = INCREMENTAL").execute(&mut *connection).await?;
    }
    // Readers beside the writer; a full sync at checkpoints only: a power cut may cost the last second of history,
    // never the file.
    for pragma in ["PRAGMA busy_timeout = 5000", "PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL"] {
        sqlx::query(pragma).execute(&mut *connection).await?;
    }
    Ok(())
}

/// The versions that a schema may have, oldest first.
#[doc(hidden)]
pub fn versions() -> impl Iterator<Item = i64> {
    MIGRATIONS.iter().map(|(version, ..)| *version)
}

/// Brings a database to the schema of version `newest`.
fn migrator(newest: i64) -> Migrator {
    let all = MIGRATIONS.iter().filter(|(version, ..)| *version <= newest).map(|(version, name, sql)| {
        let sql = sqlx::SqlSafeStr::into_sql_str(sqlx::AssertSqlSafe(*sql));
        Migration::new(*version, (*name).into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(all.collect())
}

/// A URL that can be shown.
fn without_password(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}://…{}", &url[..scheme], &url[at..]),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests;
