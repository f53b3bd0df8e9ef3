//! Payments: one for an order, whoever asks how often.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cache::Redis;
use super::context::Context;
use super::failure::Failure;
use super::health::Check;
use super::server::Role;
use super::store::PgStore;

struct Payments {
    db: Arc<PgStore>,
    redis: Arc<Redis>,
}

#[derive(Serialize, Deserialize)]
struct Payment {
    order: i64,
    member: i64,
    amount_fen: i64,
}

pub(crate) fn role(context: &Context) -> Result<Role> {
    let db =
        PgStore::postgres(context, "payment-db")?.into_iter().next().context("no instance of payment-db")?;
    let redis = Redis::new(context, "payment-redis")?;
    let checks = vec![
        Check::datastore(context, "payment-db", &db),
        Check::datastore(context, "payment-redis", &redis),
    ];
    let routes = Router::new()
        .route("/api/ping", get(ping))
        .route("/api/payments", post(pay))
        .route("/api/payments/{order}", get(show))
        .with_state(Arc::new(Payments { db, redis }));
    Ok(Role { routes, checks })
}

async fn ping(State(payments): State<Arc<Payments>>) -> Result<Json<Value>, Failure> {
    match payments.of(0).await {
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

/// Pays once. The same order asked for again is answered as paid, not paid again.
async fn pay(
    State(payments): State<Arc<Payments>>,
    Json(payment): Json<Payment>,
) -> Result<Json<Value>, Failure> {
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
