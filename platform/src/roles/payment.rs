//! Payments: one for an order, whoever asks how often.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cache::Redis;
use super::context::Context;
use super::failure::Failure;
use super::health::Check;
use super::peers::Peers;
use super::server::Role;
use super::store::PgStore;

/// One attempt at the payment channel. Two of them and the database must fit into what a caller waits.
const CHARGE: Duration = Duration::from_millis(200);
/// The same for the question whether it is there.
const ASK: Duration = Duration::from_millis(120);

struct Payments {
    db: Arc<PgStore>,
    redis: Arc<Redis>,
    channel: Arc<Peers>,
}

#[derive(Serialize, Deserialize)]
struct Payment {
    order: i64,
    member: i64,
    amount_fen: i64,
}

pub(crate) fn role(context: &Context) -> Result<Role> {
    let db = PgStore::postgres(context, "payment-db")?;
    let redis = Redis::new(context, "payment-redis")?;
    let channel = Peers::new(context, "payment-channel")?;
    let checks = vec![
        Check::datastore(context, "payment-db", &db),
        Check::datastore(context, "payment-redis", &redis),
        Check::component(context, "payment-channel", &channel),
    ];
    let routes = Router::new()
        .route("/api/ping", get(ping))
        .route("/api/payments", post(pay))
        .route("/api/payments/{order}", get(show))
        .with_state(Arc::new(Payments { db, redis, channel }));
    Ok(Role { routes, checks })
}

/// Payments can be made: the database answers, and so does the channel.
async fn ping(State(payments): State<Arc<Payments>>) -> Result<Json<Value>, Failure> {
    let (channel, database) =
        tokio::join!(payments.channel.get_within::<Value>(ASK, "/api/ping"), payments.of(0));
    channel?;
    match database {
        Ok(_) | Err(Failure::NotFound(_)) => Ok(Json(json!({ "status": "pass" }))),
        Err(failure) => Err(failure),
    }
}

async fn show(
    State(payments): State<Arc<Payments>>,
    Path(order): Path<i64>,
) -> Result<Json<Payment>, Failure> {
    payments.redis.read_through(&format!("payment:{order}"), payments.of(order)).await.map(Json)
}

/// Pays once. The same order asked for again is answered as paid, not paid again; should this process end
/// between the channel's word and its own note of it, the channel knows the order by its id.
async fn pay(
    State(payments): State<Arc<Payments>>,
    Json(payment): Json<Payment>,
) -> Result<Json<Value>, Failure> {
    match payments.of(payment.order).await {
        Ok(_) => return Ok(Json(json!({ "paid": true, "new": false }))),
        Err(Failure::NotFound(_)) => {}
        Err(failure) => return Err(failure),
    }
    let charge = json!({ "order": payment.order, "amount_fen": payment.amount_fen });
    payments.channel.post_within::<Value>(CHARGE, "/api/charges", &charge).await.map_err(|failure| {
        match failure {
            // Refused is what this process asked for: another instance may ask better.
            Failure::Refused(words) => Failure::unavailable("payment-channel", words),
            other => other,
        }
    })?;
    let new = payments
        .db
        .within(async {
            let mut connection = payments.db.hold().await?;
            let new = sqlx::query(
                "INSERT INTO payments (order_id, member_id, amount_fen) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            )
            .bind(payment.order)
            .bind(payment.member)
            .bind(payment.amount_fen)
            .execute(&mut *connection)
            .await?
            .rows_affected();
            connection.done();
            Ok(new)
        })
        .await?;
    Ok(Json(json!({ "paid": true, "new": new == 1 })))
}

impl Payments {
    async fn of(&self, order: i64) -> Result<Payment, Failure> {
        let found: Option<(i64, i64, i64)> = self
            .db
            .within(async {
                let mut connection = self.db.hold().await?;
                let found = sqlx::query_as(
                    "SELECT order_id, member_id, amount_fen FROM payments WHERE order_id = $1",
                )
                .bind(order)
                .fetch_optional(&mut *connection)
                .await?;
                connection.done();
                Ok(found)
            })
            .await?;
        let Some((order, member, amount_fen)) = found else {
            return Err(Failure::NotFound(format!("order {order} is not paid")));
        };
        Ok(Payment { order, member, amount_fen })
    }
}
