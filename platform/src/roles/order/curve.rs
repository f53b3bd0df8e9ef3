//! The order curve: orders a minute, counted in the shard from its own orders. Every instance counts, and all
//! of them write the same numbers.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::shards::Shard;
use crate::roles::failure::Failure;

const COUNT_EVERY: Duration = Duration::from_secs(10);

pub(super) async fn count(shard: Arc<Shard>, stop: CancellationToken) {
    let mut turns = tokio::time::interval(COUNT_EVERY);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = turns.tick() => {}
        }
        if let Err(failure) = count_once(&shard).await {
            tracing::debug!("the order curve waits: {failure}");
        }
    }
}

async fn count_once(shard: &Shard) -> Result<(), Failure> {
    let store = shard.primary();
    store
        .within(async {
            let mut connection = store.hold().await?;
            // The last minutes again: one that was just over may have got a late commit.
            sqlx::query(
                "INSERT INTO order_counts (minute, orders)
                 SELECT date_trunc('minute', created_at) AS minute, count(*) FROM orders
                     WHERE created_at >= date_trunc('minute', now()) - interval '2 minutes' GROUP BY 1 ORDER BY 1
                 ON CONFLICT (minute) DO UPDATE SET orders = EXCLUDED.orders, generated = FALSE
                     WHERE order_counts.orders <> EXCLUDED.orders OR order_counts.generated",
            )
            .execute(&mut *connection)
            .await?;
            connection.done();
            Ok(())
        })
        .await
}
