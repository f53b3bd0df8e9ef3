//! The OMS: takes orders from the queue at its own pace, keeps the list of new orders of every store, and
//! hands the stores' pickup codes on. The stores are answered from Redis, never from the database.

mod intake;
mod lists;
mod pickups;
mod report;

use std::sync::Arc;

use anyhow::Result;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::lists::Lists;
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
    lists: Lists,
}

pub(crate) fn role(context: &Context, stop: &CancellationToken) -> Result<Role> {
    let db = MySqlStore::mysql(context, "oms-db")?;
    let redis = Redis::new(context, "oms-redis")?;
    let broker = Broker::new(context)?;
    let orders = Peers::new(context, "order-service")?;
    let push = Peers::new(context, "push-centre")?;
    let lists = Lists::new(Arc::clone(&redis));
    let intake = intake::Intake {
        db: Arc::clone(&db),
        lists: lists.clone(),
        broker: Arc::clone(&broker),
        metrics: Arc::clone(&context.metrics),
        instance: context.instance.clone(),
    };
    tokio::spawn(intake.run(stop.clone()));
    tokio::spawn(report::run(Arc::clone(&db), Arc::clone(&orders), stop.clone()));
    let pickups = pickups::Pickups {
        db: Arc::clone(&db),
        lists: lists.clone(),
        orders: Arc::clone(&orders),
        metrics: Arc::clone(&context.metrics),
    };
    tokio::spawn(pickups.run(stop.clone()));
    let checks = vec![
        Check::component(context, "order-mq", &broker),
        Check::datastore(context, "oms-db", &db),
        Check::datastore(context, "oms-redis", &redis),
        Check::service(context, "order-service", &orders),
        Check::component(context, "push-centre", &push),
    ];
    let routes = Router::new()
        .route("/api/ping", get(ping))
        .route("/api/stores/{store}/new-orders", get(new_orders))
        .route("/api/stores/{store}/orders/{id}/take", post(take))
        .route("/api/stores/{store}/orders/{id}/ready", post(ready))
        .with_state(Arc::new(Oms { db, lists }));
    Ok(Role { routes, checks })
}

async fn ping(State(oms): State<Arc<Oms>>) -> Result<Json<Value>, Failure> {
    oms.db.ping().await?;
    Ok(Json(json!({ "status": "pass" })))
}

/// What a store has to make: new orders, and those it took and has not made.
async fn new_orders(State(oms): State<Arc<Oms>>, Path(store): Path<i64>) -> Result<Json<Value>, Failure> {
    let (new, taken) = oms.lists.of(store).await?;
    Ok(Json(json!({ "store": store, "orders": new, "taken": taken })))
}

/// A store takes an order, once; its repetition is answered alike.
async fn take(
    State(oms): State<Arc<Oms>>,
    Path((store, id)): Path<(i64, i64)>,
) -> Result<Json<Value>, Failure> {
    if oms.lists.take(store, id).await? {
        return Ok(Json(json!({ "id": id })));
    }
    Err(Failure::NotFound(format!("store {store} has no open order {id}")))
}

#[derive(Deserialize)]
struct Pickup {
    code: String,
}

/// It can be picked up. The order service hears of it later.
async fn ready(
    State(oms): State<Arc<Oms>>,
    Path((store, id)): Path<(i64, i64)>,
    Json(pickup): Json<Pickup>,
) -> Result<Json<Value>, Failure> {
    if pickup.code.is_empty() || pickup.code.len() > 20 {
        return Err(Failure::Refused("a pickup code has 1 to 20 letters".to_owned()));
    }
    if oms.lists.ready(store, id, &pickup.code).await? {
        return Ok(Json(json!({ "id": id })));
    }
    Err(Failure::NotFound(format!("store {store} has no open order {id}")))
}
