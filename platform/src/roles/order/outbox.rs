//! Carries messages from a shard's outbox to the broker. A row goes only after the broker has confirmed its
//! message: a crash in between repeats it, and the OMS knows an order by its id.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::Connection as _;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::super::broker::Broker;
use super::super::failure::Failure;
use super::super::metrics::Metrics;
use super::shards::Shard;

/// A look even when nobody called: for rows left by another instance.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// For one batch. The rows are locked meanwhile, and another instance skips them.
const LIMIT: Duration = Duration::from_secs(3);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Publisher {
    shard: Arc<Shard>,
    broker: Arc<Broker>,
    metrics: Arc<Metrics>,
}

impl Publisher {
    pub(super) fn new(shard: Arc<Shard>, broker: Arc<Broker>, metrics: Arc<Metrics>) -> Self {
        Self { shard, broker, metrics }
    }

    pub(super) async fn run(self, news: Arc<Notify>, stop: CancellationToken) {
        let mut pause = LOOK_EVERY;
        loop {
            match self.publish_batch().await {
                Ok(0) => pause = LOOK_EVERY,
                Ok(_) => {
                    pause = LOOK_EVERY;
                    if stop.is_cancelled() {
                        return;
                    }
                    continue;
                }
                Err(failure) => {
                    tracing::warn!("outbox of {} waits: {failure}", self.shard.name);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                // While something fails, news changes nothing.
                () = news.notified(), if pause == LOOK_EVERY => {}
            }
        }
    }

    /// How many were published.
    async fn publish_batch(&self) -> Result<usize, Failure> {
        // A row that comes back after a promotion is published twice, and the OMS knows it by its id.
        let store = self.shard.primary();
        let mut broker_failure = None;
        let published = store
            .within_time(LIMIT + Duration::from_secs(1), async {
                let mut connection = store.hold().await?;
                let mut work = connection.begin().await?;
                let rows: Vec<(i64, String)> = sqlx::query_as(
                    "SELECT id, payload FROM outbox ORDER BY id LIMIT 50 FOR UPDATE SKIP LOCKED",
                )
                .fetch_all(&mut *work)
                .await?;
                // All on their way before the first is confirmed: the broker confirms many at a time.
                let sending = rows.iter().map(|(id, payload)| async move {
                    (*id, timeout(LIMIT, self.broker.publish(payload.as_bytes())).await)
                });
                let mut done = Vec::with_capacity(rows.len());
                for (id, sent) in join_all(sending).await {
                    match sent {
                        Ok(Ok(())) => done.push(id),
                        Ok(Err(failure)) => broker_failure = Some(failure),
                        Err(_) => {
                            broker_failure = Some(Failure::unavailable("order-mq", "does not confirm"));
                        }
                    }
                }
                if done.len() < rows.len() {
                    self.broker.drop_link().await;
                }
                if !done.is_empty() {
                    sqlx::query("DELETE FROM outbox WHERE id = ANY($1)")
                        .bind(&done)
                        .execute(&mut *work)
                        .await?;
                }
                work.commit().await?;
                connection.done();
                Ok(done.len())
            })
            .await?;
        self.metrics.orders.with_label_values(&["published"]).inc_by(published as u64);
        broker_failure.map_or(Ok(published), Err)
    }
}
