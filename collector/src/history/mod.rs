//! Looking back: what the pages and the API ask of the database. Every question is bounded and has a deadline, so
//! that a database in trouble costs an answer and never a page.

mod availability;
mod board;
mod events;
mod levels;
pub mod points;
mod series;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, Row as _};

use crate::board::Board;
use crate::store::{Store, StoreError};

pub use availability::{Availability, Piece, Stretch};
pub use board::board_of;
pub use events::{AuditEntry, Delivery};
pub use levels::{PastChange, PastLevel, PastLevels};
pub use points::Point;
pub use series::Series;

/// A question waits at most so long for its answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Questions at once.
const CONNECTIONS: u32 = 2;
/// A monitor that stopped to watch was seen last at most this long before.
const SPAN_SLACK_MS: i64 = 15_000;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The database is busy, locked or away.
    #[error("the database does not answer in {} s", PATIENCE.as_secs())]
    Slow,
    /// It answered with an error.
    #[error("the database cannot be read: {0}")]
    Failed(#[from] StoreError),
    /// What was asked for makes no sense.
    #[error("the window ends before it begins")]
    Window,
}

impl From<sqlx::Error> for HistoryError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut => Self::Slow,
            error => Self::Failed(error.into()),
        }
    }
}

/// A stretch of time, its end not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    from: i64,
    to: i64,
}

impl Window {
    /// From here to there.
    ///
    /// # Errors
    /// When it ends before it begins.
    pub fn new(from: Timestamp, to: Timestamp) -> Result<Self, HistoryError> {
        if to <= from {
            return Err(HistoryError::Window);
        }
        Ok(Self { from: from.as_millisecond(), to: to.as_millisecond() })
    }

    /// The last `length` before `now`.
    pub fn last(length: Duration, now: Timestamp) -> Self {
        let to = now.as_millisecond();
        Self { from: to.saturating_sub(i64::try_from(length.as_millis()).unwrap_or(i64::MAX).max(1)), to }
    }

    /// Its beginning.
    pub fn from(self) -> Timestamp {
        timestamp(self.from)
    }

    /// Its end.
    pub fn to(self) -> Timestamp {
        timestamp(self.to)
    }

    /// How long it is.
    pub fn length(self) -> Duration {
        Duration::from_millis(self.to.saturating_sub(self.from).unsigned_abs())
    }
}

/// The reading side of a database; clone it freely.
#[derive(Clone, Debug)]
pub struct History {
    pool: AnyPool,
}

/// Incidents of one moment, at most.
const MAX_INCIDENTS: u32 = 100;

impl History {
    /// The board as it was at `at`, in the topology of `now`.
    ///
    /// # Errors
    /// When the database does not answer in time.
    pub async fn board(&self, now: &Board, at: Timestamp) -> Result<Board, HistoryError> {
        let levels = self.levels_at(at).await?;
        let moment = at.checked_add(SignedDuration::from_millis(1)).unwrap_or(at);
        let incidents = self.incidents(&now.model, Window::new(at, moment)?, MAX_INCIDENTS).await?;
        Ok(board_of(&now.model, &now.graph, &levels, &incidents, at))
    }

    /// The reading side of `store`, with connections of its own that are opened when they are needed.
    pub fn of(store: &Store) -> Self {
        let Some((options, sqlite)) = store.reading() else { return Self { pool: store.pool().clone() } };
        let first = if sqlite {
            ["PRAGMA busy_timeout = 1000", "PRAGMA query_only = ON"]
        } else {
            ["SET statement_timeout = 3000", "SET default_transaction_read_only = on"]
        };
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .idle_timeout(Duration::from_mins(5))
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    for statement in first {
                        sqlx::query(statement).execute(&mut *connection).await?;
                    }
                    Ok(())
                })
            })
            .connect_lazy_with(options);
        Self { pool }
    }

    /// An answer within [`PATIENCE`].
    async fn timed<T>(
        &self,
        question: impl Future<Output = Result<T, HistoryError>>,
    ) -> Result<T, HistoryError> {
        tokio::time::timeout(PATIENCE, question).await.unwrap_or(Err(HistoryError::Slow))
    }

    /// The stretches in which the monitor was watching, cut to `window`, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn watched(&self, window: Window) -> Result<Vec<Window>, HistoryError> {
        self.timed(async {
            let rows = sqlx::query(
                "SELECT start_ms, end_ms FROM watched WHERE start_ms < $1 AND end_ms > $2 ORDER BY start_ms",
            )
            .bind(window.to)
            .bind(window.from)
            .fetch_all(&self.pool)
            .await?;
            let mut spans: Vec<Window> = Vec::with_capacity(rows.len());
            for row in rows {
                let (from, to): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
                // Two monitors on one database may overlap; time is counted once.
                let from = from.max(spans.last().map_or(window.from, |last| last.to));
                let to = to.min(window.to);
                if from < to {
                    spans.push(Window { from, to });
                }
            }
            Ok(spans)
        })
        .await
    }
}

fn timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

#[cfg(test)]
mod tests;
