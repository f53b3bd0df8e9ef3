//! From the queue into the database and onto the store's list; only then is the message acknowledged. A
//! message that comes twice changes nothing: the order's id is the key in both places.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::FieldTable;
use serde::Deserialize;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::super::broker::Broker;
use super::super::failure::Failure;
use super::super::health::Ping as _;
use super::super::metrics::Metrics;
use super::super::store::MySqlStore;
use super::lists::Lists;
use crate::servers::ORDERS;

/// Messages on their way to this instance.
const PREFETCH: u16 = 32;
/// A quiet queue and a hung broker look alike: after this long, ask.
const QUIET: Duration = Duration::from_secs(4);
const PAUSE: Duration = Duration::from_millis(500);

pub(super) struct Intake {
    pub(super) db: Arc<MySqlStore>,
    pub(super) lists: Lists,
    pub(super) broker: Arc<Broker>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) instance: String,
}

#[derive(Deserialize)]
struct Order {
    id: i64,
    member: i64,
    store: i64,
    product: i64,
    quantity: i64,
}

impl Intake {
    pub(super) async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(failure) = self.consume(&stop).await {
                tracing::warn!("orders wait: {failure}");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Until the connection is lost or the end is near.
    async fn consume(&self, stop: &CancellationToken) -> Result<(), Failure> {
        let broken = |error: lapin::Error| Failure::unavailable("order-mq", error);
        let channel = self.broker.channel().await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await.map_err(broken)?;
        let tag = self.instance.as_str().into();
        let begun = channel
            .basic_consume(ORDERS.into(), tag, BasicConsumeOptions::default(), FieldTable::default())
            .await;
        self.broker.reads(begun.as_ref().map(drop));
        let mut deliveries = begun.map_err(broken)?;
        loop {
            let next = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                next = timeout(QUIET, deliveries.next()) => next,
            };
            match next {
                Ok(Some(delivery)) => self.settle(delivery.map_err(broken)?).await.map_err(broken)?,
                Ok(None) => return Err(Failure::unavailable("order-mq", "the connection was lost")),
                Err(_) => {
                    if let Err(failure) = self.broker.ping().await {
                        self.broker.drop_link().await;
                        return Err(failure);
                    }
                }
            }
        }
    }

    async fn settle(&self, delivery: Delivery) -> lapin::Result<()> {
        let Ok(order) = serde_json::from_slice::<Order>(&delivery.data) else {
            // It will not get better: to the dead-letter queue.
            self.metrics.orders.with_label_values(&["unreadable"]).inc();
            tracing::error!("a message on {ORDERS} is not an order; it is kept in the dead-letter queue");
            delivery.nack(BasicNackOptions { requeue: false, multiple: false }).await?;
            return Ok(());
        };
        if let Err(failure) = self.take(&order).await {
            tracing::warn!("order {} waits: {failure}", order.id);
            // Not at once: what failed needs time more than it needs attempts.
            tokio::time::sleep(PAUSE).await;
            delivery.nack(BasicNackOptions { requeue: true, multiple: false }).await?;
            return Ok(());
        }
        self.metrics.orders.with_label_values(&["taken"]).inc();
        delivery.ack(BasicAckOptions::default()).await?;
        Ok(())
    }

    async fn take(&self, order: &Order) -> Result<(), Failure> {
        let status: String = self
            .db
            .within(async {
                let mut connection = self.db.hold().await?;
                sqlx::query(
                    "INSERT IGNORE INTO orders (id, store_id, member_id, product_id, quantity, status)
                     VALUES (?, ?, ?, ?, ?, 'new')",
                )
                .bind(order.id)
                .bind(order.store)
                .bind(order.member)
                .bind(order.product)
                .bind(order.quantity)
                .execute(&mut *connection)
                .await?;
                let status = sqlx::query_scalar("SELECT status FROM orders WHERE id = ?")
                    .bind(order.id)
                    .fetch_one(&mut *connection)
                    .await?;
                connection.done();
                Ok(status)
            })
            .await?;
        if status != "new" {
            // A late repetition: the store has it already, it must not come onto its list again.
            return Ok(());
        }
        self.lists.arrive(order.store, order.id).await
    }
}
