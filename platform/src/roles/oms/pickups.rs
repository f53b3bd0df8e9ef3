//! Hands the pickup codes that came from the stores on to the order service. They wait in Redis, which
//! survives a kill, until the order service has each: it may be away as long as it likes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::super::failure::Failure;
use super::super::metrics::Metrics;
use super::super::peers::Peers;
use super::super::store::MySqlStore;
use super::lists::Lists;

const LOOK_EVERY: Duration = Duration::from_millis(300);
/// A code that was not handed on is due again after this; the other OMS instance takes it then, too.
const AGAIN_MS: u64 = 3000;
const BATCH: usize = 50;
/// Several on their way at once: an order whose shard is down does not keep the others waiting.
const AT_ONCE: usize = 8;

pub(super) struct Pickups {
    pub(super) db: Arc<MySqlStore>,
    pub(super) lists: Lists,
    pub(super) orders: Arc<Peers>,
    pub(super) metrics: Arc<Metrics>,
}

impl Pickups {
    pub(super) async fn run(self, stop: CancellationToken) {
        loop {
            match self.hand_on().await {
                Ok(0) => {}
                // There may be more.
                Ok(_) if !stop.is_cancelled() => continue,
                Ok(_) => return,
                Err(failure) => tracing::warn!("pickup codes wait: {failure}"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// How many were due and were handed on.
    async fn hand_on(&self) -> Result<usize, Failure> {
        let due = self.lists.due(AGAIN_MS, BATCH).await?;
        let mut told = stream::iter(due).map(|(id, code)| self.tell(id, code)).buffer_unordered(AT_ONCE);
        let (mut done, mut trouble) = (0, None);
        while let Some(outcome) = told.next().await {
            match outcome {
                Ok(()) => done += 1,
                Err(failure) => trouble = Some(failure),
            }
        }
        self.metrics.orders.with_label_values(&["ready"]).inc_by(done as u64);
        trouble.map_or(Ok(done), Err)
    }

    async fn tell(&self, id: i64, code: String) -> Result<(), Failure> {
        self.orders.post::<Value>(&format!("/api/orders/{id}/ready"), &json!({ "code": code })).await?;
        let member: Option<i64> = self
            .db
            .within(async {
                let mut connection = self.db.hold().await?;
                sqlx::query("UPDATE orders SET status = 'ready', pickup_code = ? WHERE id = ?")
                    .bind(&code)
                    .bind(id)
                    .execute(&mut *connection)
                    .await?;
                let member = sqlx::query_scalar("SELECT member_id FROM orders WHERE id = ?")
                    .bind(id)
                    .fetch_optional(&mut *connection)
                    .await?;
                connection.done();
                Ok(member)
            })
            .await?;
        // Only now: until here a repeated message finds it in Redis, from here on in the database.
        self.lists.finish(id).await?;
        if let Some(member) = member {
            self.lists.push(&json!({ "member": member, "order": id, "code": code })).await;
        }
        Ok(())
    }
}
