//! The outbox, from the delivering side.

use sqlx::Row;

use super::{Store, StoreError};

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
}

impl Store {
    /// The oldest message that `receiver` has not taken.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next_message(&self, receiver: &str) -> Result<Option<OutboxRow>, StoreError> {
        let row = sqlx::query(
            "SELECT key, created_ms, body, attempts FROM outbox \
             WHERE receiver = $1 AND delivered_ms IS NULL ORDER BY position LIMIT 1",
        )
        .bind(receiver)
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(OutboxRow {
                key: row.try_get(0)?,
                created_ms: row.try_get(1)?,
                body: row.try_get(2)?,
                attempts: row.try_get(3)?,
            })
        })
        .transpose()
    }

    /// Notes a try: taken at `delivered_ms`, or the trouble with it.
    ///
    /// # Errors
    /// When the database fails; the message is then delivered once more, with the same key.
    pub async fn tried(
        &self,
        receiver: &str,
        key: &str,
        delivered_ms: Option<i64>,
        trouble: Option<&str>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE outbox SET attempts = attempts + 1, delivered_ms = $3, trouble = $4 WHERE receiver = $1 AND key = $2",
        )
        .bind(receiver)
        .bind(key)
        .bind(delivered_ms)
        .bind(trouble)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
