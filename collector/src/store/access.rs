//! Tokens and the installation's own keys, as the database has them.

use sqlx::Row as _;

use super::{Store, StoreError};
use crate::history::AuditEntry;

/// A token: all but the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// The public part of the token.
    pub id: String,
    /// Whose it is.
    pub name: String,
    /// What it may, in a word.
    pub role: String,
    /// The hash of the secret part, hexadecimal.
    pub hash: String,
    /// When it was made, Unix milliseconds.
    pub created_ms: i64,
    /// When it ends, if it does.
    pub expires_ms: Option<i64>,
}

impl Store {
    /// Adds a token; false when there is one of that name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_token(&self, token: &TokenRow) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "INSERT INTO tokens (id, name, role, hash, created_ms, expires_ms) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (name) DO NOTHING",
        )
        .bind(token.id.as_str())
        .bind(token.name.as_str())
        .bind(token.role.as_str())
        .bind(token.hash.as_str())
        .bind(token.created_ms)
        .bind(token.expires_ms)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// All tokens, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        let rows =
            sqlx::query("SELECT id, name, role, hash, created_ms, expires_ms FROM tokens ORDER BY name")
                .fetch_all(&self.pool)
                .await?;
        rows.iter()
            .map(|row| {
                Ok(TokenRow {
                    id: row.try_get(0)?,
                    name: row.try_get(1)?,
                    role: row.try_get(2)?,
                    hash: row.try_get(3)?,
                    created_ms: row.try_get(4)?,
                    expires_ms: row.try_get(5)?,
                })
            })
            .collect()
    }

    /// Removes the token called `name`; false when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_token(&self, name: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM tokens WHERE name = $1").bind(name).execute(&self.pool).await?;
        Ok(done.rows_affected() > 0)
    }

    /// This installation's key called `name`: `fresh` becomes it when there is none yet.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn own_key(&self, name: &str, fresh: &str) -> Result<String, StoreError> {
        sqlx::query("INSERT INTO own_keys (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
            .bind(name)
            .bind(fresh)
            .execute(&self.pool)
            .await?;
        let row = sqlx::query("SELECT value FROM own_keys WHERE name = $1")
            .bind(name)
            .fetch_one(&self.pool)
            .await?;
        Ok(row.try_get(0)?)
    }
}

/// Writes lines of the audit log.
pub(super) async fn write_audit(
    tx: &mut sqlx::AnyConnection,
    entries: &[AuditEntry],
) -> Result<(), StoreError> {
    for entry in entries {
        sqlx::query(
            "INSERT INTO audit (at_ms, who, peer, method, path, status) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(entry.at.as_millisecond())
        .bind(entry.who.as_str())
        .bind(entry.peer.as_str())
        .bind(entry.method.as_str())
        .bind(entry.path.as_str())
        .bind(i64::from(entry.status))
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}
