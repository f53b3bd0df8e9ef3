//! Tells the order service which orders have arrived. It may be late, and it may be told twice.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::super::failure::Failure;
use super::super::peers::Peers;
use super::super::store::MySqlStore;

const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) async fn run(db: Arc<MySqlStore>, orders: Arc<Peers>, stop: CancellationToken) {
    loop {
        if let Err(failure) = report(&db, &orders).await {
            tracing::warn!("reports to the order service wait: {failure}");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

async fn report(db: &MySqlStore, orders: &Peers) -> Result<(), Failure> {
    let waiting: Vec<i64> = db
        .within(async {
            let mut connection = db.hold().await?;
            let waiting =
                sqlx::query_scalar("SELECT id FROM orders WHERE NOT reported ORDER BY id LIMIT 200")
                    .fetch_all(&mut *connection)
                    .await?;
            connection.done();
            Ok(waiting)
        })
        .await?;
    let mut trouble = None;
    for id in waiting {
        match orders.post::<Value>(&format!("/api/orders/{id}/received"), &json!({})).await {
            // An order whose shard is down waits; those of the other shards do not wait for it.
            Err(failure @ Failure::Unavailable { .. }) => trouble = Some(failure),
            Ok(_) | Err(_) => mark(db, id).await?,
        }
    }
    trouble.map_or(Ok(()), Err)
}

async fn mark(db: &MySqlStore, id: i64) -> Result<(), Failure> {
    db.within(async {
        let mut connection = db.hold().await?;
        sqlx::query("UPDATE orders SET reported = TRUE WHERE id = ?")
            .bind(id)
            .execute(&mut *connection)
            .await?;
        connection.done();
        Ok(())
    })
    .await
}
