//! The outbox, from the delivering side.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::{Store, StoreError};
use crate::alert::message;
use crate::announce::Event;

/// A message that waits for delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// The idempotency key.
    pub key: String,
    /// When it was made, Unix milliseconds.
    pub created_ms: i64,
    /// The body, but for `sent_at` and `late_s`.
    pub body: String,
    /// Deliveries tried so far.
    pub attempts: i64,
    /// The incident it is of; empty in what a version before wrote.
    pub incident: String,
    /// The event's word; empty in what a version before wrote.
    pub event: String,
    /// The key of the digest that it goes out in.
    pub batch: Option<String>,
    /// The fallback has it as well.
    pub handed: bool,
    /// The receiver it was meant for, when it is here as another's fallback.
    pub instead_of: Option<String>,
}

const COLUMNS: &str = "key, created_ms, body, attempts, COALESCE(incident, ''), COALESCE(event, ''), batch, \
                       handed_ms, instead_of";

fn row(row: &AnyRow) -> Result<OutboxRow, sqlx::Error> {
    Ok(OutboxRow {
        key: row.try_get(0)?,
        created_ms: row.try_get(1)?,
        body: row.try_get(2)?,
        attempts: row.try_get(3)?,
        incident: row.try_get(4)?,
        event: row.try_get(5)?,
        batch: row.try_get(6)?,
        handed: row.try_get::<Option<i64>, _>(7)?.is_some(),
        instead_of: row.try_get(8)?,
    })
}

impl Store {
    /// The messages that `receiver` has not taken, oldest first, at most `most`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn waiting(&self, receiver: &str, most: i64) -> Result<Vec<OutboxRow>, StoreError> {
        let query = format!(
            "SELECT {COLUMNS} FROM outbox WHERE receiver = $1 AND delivered_ms IS NULL ORDER BY position LIMIT $2"
        );
        let rows =
            sqlx::query(sqlx::AssertSqlSafe(query)).bind(receiver).bind(most).fetch_all(&self.pool).await?;
        rows.iter().map(|found| Ok(row(found)?)).collect()
    }

    /// Binds messages together: from now on they go out as the digest `batch`, on every try.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn bind(&self, receiver: &str, keys: &[&str], batch: &str) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        for key in keys {
            sqlx::query("UPDATE outbox SET batch = $3 WHERE receiver = $1 AND key = $2")
                .bind(receiver)
                .bind(*key)
                .bind(batch)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Notes a try: taken at `delivered_ms`, or the trouble with it. What ends an incident of which `fallback`
    /// was told instead, ends it there, too.
    ///
    /// # Errors
    /// When the database fails; the messages are then delivered once more, with the same key.
    pub async fn tried(
        &self,
        receiver: &str,
        rows: &[OutboxRow],
        delivered_ms: Option<i64>,
        trouble: Option<&str>,
        fallback: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        for row in rows {
            sqlx::query(
                "UPDATE outbox SET attempts = attempts + 1, delivered_ms = $3, trouble = $4 \
                 WHERE receiver = $1 AND key = $2",
            )
            .bind(receiver)
            .bind(row.key.as_str())
            .bind(delivered_ms)
            .bind(trouble)
            .execute(&mut *tx)
            .await?;
            if let (Some(at), Some(fallback)) = (delivered_ms, fallback)
                && !row.handed
                && is_end(&row.event)
            {
                hand_over(&mut tx, receiver, fallback, row, at).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// Gives `fallback` what `receiver` has not taken; the latter gets it all the same once it is back. True when
    /// something was given.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hand_over(
        &self,
        receiver: &str,
        fallback: &str,
        rows: &[OutboxRow],
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let mut any = false;
        let mut tx = self.pool.begin().await?;
        for row in rows {
            any |= hand_over(&mut tx, receiver, fallback, row, now_ms).await?;
        }
        tx.commit().await?;
        Ok(any)
    }

    /// When `receiver` was sent something after `since_ms`, ascending.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sendings(&self, receiver: &str, since_ms: i64) -> Result<Vec<i64>, StoreError> {
        let rows =
            sqlx::query("SELECT at_ms FROM sendings WHERE receiver = $1 AND at_ms > $2 ORDER BY at_ms")
                .bind(receiver)
                .bind(since_ms)
                .fetch_all(&self.pool)
                .await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Notes that `receiver` is about to be sent something, and forgets what was before `since_ms`.
    ///
    /// # Errors
    /// When the database fails; nothing may be sent then.
    pub async fn sending(&self, receiver: &str, at_ms: i64, since_ms: i64) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        sqlx::query("DELETE FROM sendings WHERE receiver = $1 AND at_ms <= $2")
            .bind(receiver)
            .bind(since_ms)
            .execute(&mut *tx)
            .await?;
        sqlx::query("INSERT INTO sendings (receiver, at_ms) VALUES ($1, $2)")
            .bind(receiver)
            .bind(at_ms)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Until when `receiver` wants nothing, if it said so; Unix milliseconds.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn penalty(&self, receiver: &str) -> Result<Option<i64>, StoreError> {
        let row = sqlx::query("SELECT until_ms FROM penalties WHERE receiver = $1")
            .bind(receiver)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Notes until when `receiver` wants nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn penalize(&self, receiver: &str, until_ms: i64) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO penalties (receiver, until_ms) VALUES ($1, $2) \
             ON CONFLICT (receiver) DO UPDATE SET until_ms = excluded.until_ms",
        )
        .bind(receiver)
        .bind(until_ms)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Lets go what was taken before `before_ms`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_deliveries(&self, before_ms: i64) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM outbox WHERE delivered_ms < $1").bind(before_ms).execute(&self.pool).await?;
        Ok(())
    }
}

fn is_end(event: &str) -> bool {
    [Event::Resolve, Event::Subsume].iter().any(|end| end.as_str() == event)
}

/// A fallback hears of an incident what it can make sense of: first that it is open, whatever the message was, then
/// the rest; of an incident it never heard of, no end.
async fn hand_over(
    tx: &mut AnyConnection,
    receiver: &str,
    fallback: &str,
    row: &OutboxRow,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let query = "SELECT COUNT(*) FROM outbox WHERE receiver = $1 AND instead_of = $2 AND incident = $3";
    let heard: i64 = sqlx::query(query)
        .bind(fallback)
        .bind(receiver)
        .bind(row.incident.as_str())
        .fetch_one(&mut *tx)
        .await?
        .try_get(0)?;
    // What came here from another is not passed on: two that fall back to each other would never end.
    if row.instead_of.is_some() || heard == 0 && is_end(&row.event) {
        return Ok(false);
    }
    let (event, body) = if heard == 0 && row.event == Event::Update.as_str() {
        (Event::Open.as_str(), message::as_event(&row.body, Event::Open)?)
    } else {
        (row.event.as_str(), row.body.clone())
    };
    sqlx::query(
        "INSERT INTO outbox (key, receiver, position, created_ms, body, attempts, incident, event, instead_of) \
         SELECT $1, $2, COALESCE(MAX(position), 0) + 1, $3, $4, 0, $5, $6, $7 FROM outbox WHERE receiver = $2 \
         ON CONFLICT (receiver, key) DO NOTHING",
    )
    .bind(row.key.as_str())
    .bind(fallback)
    .bind(row.created_ms)
    .bind(body)
    .bind(row.incident.as_str())
    .bind(event)
    .bind(receiver)
    .execute(&mut *tx)
    .await?;
    sqlx::query("UPDATE outbox SET handed_ms = $3 WHERE receiver = $1 AND key = $2")
        .bind(receiver)
        .bind(row.key.as_str())
        .bind(now_ms)
        .execute(&mut *tx)
        .await?;
    Ok(true)
}
