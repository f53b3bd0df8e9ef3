//! What happened: incidents, messages to receivers, who changed what.

use std::sync::Arc;

use jiff::Timestamp;
use sqlx::Row as _;
use topology::model::Model;

use super::{History, HistoryError, Window, timestamp};
use crate::incident::Incident;
use crate::names::Names;
use crate::store::incident_of;

/// A message to a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its idempotency key: the incident's id and the number of the message.
    pub key: String,
    /// Whom to.
    pub receiver: String,
    /// What about: `open`, `update`, `subsume` or `resolve`; empty in what a version before wrote.
    pub event: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was taken.
    pub delivered_at: Option<Timestamp>,
    /// Deliveries tried.
    pub attempts: u32,
    /// What went wrong the last time.
    pub trouble: Option<String>,
}

/// A line of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// The name of the token, or `this machine`.
    pub who: String,
    /// The address it came from.
    pub peer: String,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The status it was answered with.
    pub status: u16,
}

impl History {
    /// The incidents that touch `window`, newest first, at most `limit`. What `model` no longer has is left out of
    /// them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn incidents(
        &self,
        model: &Model,
        window: Window,
        limit: u32,
    ) -> Result<Vec<Arc<Incident>>, HistoryError> {
        let names = Names::of(model);
        self.timed(async {
            let rows = sqlx::query(
                "SELECT body FROM incidents \
                 WHERE opened_ms < $1 AND (resolved_ms IS NULL OR resolved_ms >= $2) \
                 ORDER BY opened_ms DESC LIMIT $3",
            )
            .bind(window.to)
            .bind(window.from)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
            rows.iter()
                .map(|row| Ok(Arc::new(incident_of(&names, row.try_get::<&str, _>(0)?)?.incident)))
                .collect()
        })
        .await
    }

    /// One incident, however old.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn incident(&self, model: &Model, id: &str) -> Result<Option<Arc<Incident>>, HistoryError> {
        let names = Names::of(model);
        self.timed(async {
            let row = sqlx::query("SELECT body FROM incidents WHERE id = $1")
                .bind(id)
                .fetch_optional(&self.pool)
                .await?;
            row.map(|row| Ok(Arc::new(incident_of(&names, row.try_get::<&str, _>(0)?)?.incident))).transpose()
        })
        .await
    }

    /// The messages that were made in `window`, newest first, at most `limit`; only those of one incident when it is
    /// named.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn deliveries(
        &self,
        window: Window,
        incident: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Delivery>, HistoryError> {
        self.timed(async {
            // Keys are the incident's id, a dash and a number.
            let (from, to) = incident
                .map_or((String::new(), "\u{10ffff}".to_owned()), |id| (format!("{id}-"), format!("{id}.")));
            let rows = sqlx::query(
                "SELECT key, receiver, COALESCE(event, ''), created_ms, delivered_ms, attempts, trouble FROM outbox \
                 WHERE created_ms >= $1 AND created_ms < $2 AND key >= $3 AND key < $4 \
                 ORDER BY created_ms DESC LIMIT $5",
            )
            .bind(window.from)
            .bind(window.to)
            .bind(from)
            .bind(to)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
            rows.iter()
                .map(|row| {
                    Ok(Delivery {
                        key: row.try_get(0)?,
                        receiver: row.try_get(1)?,
                        event: row.try_get(2)?,
                        created_at: timestamp(row.try_get(3)?),
                        delivered_at: row.try_get::<Option<i64>, _>(4)?.map(timestamp),
                        attempts: u32::try_from(row.try_get::<i64, _>(5)?).unwrap_or(u32::MAX),
                        trouble: row.try_get(6)?,
                    })
                })
                .collect()
        })
        .await
    }

    /// The audit log of `window`, newest first, at most `limit` lines.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audit(&self, window: Window, limit: u32) -> Result<Vec<AuditEntry>, HistoryError> {
        self.timed(async {
            let rows = sqlx::query(
                "SELECT at_ms, who, peer, method, path, status FROM audit \
                 WHERE at_ms >= $1 AND at_ms < $2 ORDER BY at_ms DESC LIMIT $3",
            )
            .bind(window.from)
            .bind(window.to)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
            rows.iter()
                .map(|row| {
                    Ok(AuditEntry {
                        at: timestamp(row.try_get(0)?),
                        who: row.try_get(1)?,
                        peer: row.try_get(2)?,
                        method: row.try_get(3)?,
                        path: row.try_get(4)?,
                        status: u16::try_from(row.try_get::<i64, _>(5)?).unwrap_or(0),
                    })
                })
                .collect()
        })
        .await
    }
}
