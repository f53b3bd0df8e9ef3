//! The OMS: takes orders from the queue at its own pace and keeps the list of new orders of every store.

mod intake;
mod report;

use std::sync::Arc;

use anyhow::Result;
use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::broker::Broker;
use super::cache::Redis;
use super::context::Context;
use super::failure::Failure;
use super::health::{Check, Ping as _};
use super::peers::Peers;
use super::server::Role;
use super::store::MySqlStore;

struct Oms {
    db: Arc<MySqlStore>,
    redis: Arc<Redis>,
}

/// The new orders of a store, by the time they came.
fn list_key(store: i64) -> String {
    format!("store:{store}:new")
}

pub(crate) fn role(context: &Context, stop: &CancellationToken) -> Result<Role> {
    let db = MySqlStore::mysql(context, "oms-db")?;
    let redis = Redis::new(context, "oms-redis")?;
    let broker = Broker::new(context)?;
    let orders = Peers::new(context, "order-service")?;
    let intake = intake::Intake {
        db: Arc::clone(&db),
        redis: Arc::clone(&redis),
        broker: Arc::clone(&broker),
        metrics: Arc::clone(&context.metrics),
        instance: context.instance.clone(),
    };
    tokio::spawn(intake.run(stop.clone()));
    tokio::spawn(report::run(Arc::clone(&db), Arc::clone(&orders), stop.clone()));
    let checks = vec![
        Check::component(context, "order-mq", &broker),
        Check::datastore(context, "oms-db", &db),
        Check::datastore(context, "oms-redis", &redis),
        Check::component(context, "order-service", &orders),
    ];
    let routes = Router::new()
        .route("/api/ping", get(ping))
        .route("/api/stores/{store}/new-orders", get(new_orders))
        .with_state(Arc::new(Oms { db, redis }));
    Ok(Role { routes, checks })
}

async fn ping(State(oms): State<Arc<Oms>>) -> Result<Json<Value>, Failure> {
    oms.db.ping().await?;
    Ok(Json(json!({ "status": "pass" })))
}

/// From Redis, never from the database: ten thousand tills ask.
async fn new_orders(State(oms): State<Arc<Oms>>, Path(store): Path<i64>) -> Result<Json<Value>, Failure> {
    let orders: Vec<i64> = oms.redis.ask(redis::cmd("ZRANGE").arg(list_key(store)).arg(0).arg(999)).await?;
    Ok(Json(json!({ "store": store, "orders": orders })))
}
