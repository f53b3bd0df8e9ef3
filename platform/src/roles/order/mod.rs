//! Orders: four primaries, the order id modulo 4 chooses. The order and the message about it are written in
//! one transaction, so that an accepted order reaches the OMS whatever happens to the broker.

mod curve;
mod ids;
mod outbox;
mod shards;

use std::sync::Arc;

use anyhow::{Result, ensure};
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::ids::{Ids, SHARDS, shard_for, shard_of};
use self::shards::Shard;
use super::broker::Broker;
use super::cache::Redis;
use super::context::Context;
use super::failure::Failure;
use super::health::{Check, Ping as _};
use super::metrics::Metrics;
use super::server::Role;
use super::store::PgStore;
use crate::clock;

/// A member's orders shown at once.
const LATEST: usize = 20;

struct Orders {
    shards: Vec<Arc<Shard>>,
    redis: Arc<Redis>,
    ids: Ids,
    /// Wakes the publisher of a shard: a new order need not wait for its next look.
    news: Vec<Arc<Notify>>,
    metrics: Arc<Metrics>,
}

pub(crate) fn role(context: &Context, stop: &CancellationToken) -> Result<Role> {
    let shards = Shard::all(context)?;
    ensure!(shards.len() == SHARDS, "order ids are made for {SHARDS} shards, not {}", shards.len());
    let redis = Redis::new(context, "order-redis")?;
    let broker = Broker::new(context)?;
    let news: Vec<_> = shards.iter().map(|_| Arc::new(Notify::new())).collect();
    for (shard, news) in shards.iter().zip(&news) {
        tokio::spawn(Arc::clone(shard).watch(stop.clone()));
        tokio::spawn(curve::count(Arc::clone(shard), stop.clone()));
        let publisher =
            outbox::Publisher::new(Arc::clone(shard), Arc::clone(&broker), Arc::clone(&context.metrics));
        tokio::spawn(publisher.run(Arc::clone(news), stop.clone()));
    }
    let checks = checks(context, &shards, &redis, &broker);
    let ids = Ids::new(context.maker());
    let metrics = Arc::clone(&context.metrics);
    let routes = Router::new()
        .route("/api/ping", get(ping))
        .route("/api/orders", post(create))
        .route("/api/orders/{id}", get(show))
        .route("/api/members/{member}/orders", get(list))
        .route("/api/orders/{id}/paid", post(paid))
        .route("/api/orders/{id}/received", post(received))
        .route("/api/orders/{id}/ready", post(ready))
        .with_state(Arc::new(Orders { shards, redis, ids, news, metrics }));
    Ok(Role { routes, checks })
}

fn checks(context: &Context, shards: &[Arc<Shard>], redis: &Arc<Redis>, broker: &Arc<Broker>) -> Vec<Check> {
    let named: Vec<_> = shards.iter().map(|shard| (shard.name.clone(), Arc::clone(shard))).collect();
    vec![
        Check::shards(context, "order-db", &named),
        Check::datastore(context, "order-redis", redis),
        Check::component(context, "order-mq", broker),
    ]
}

/// While one shard answers, there is something to sell.
async fn ping(State(orders): State<Arc<Orders>>) -> Result<Json<Value>, Failure> {
    let answers = join_all(orders.shards.iter().map(|shard| shard.ping())).await;
    if answers.iter().any(Result::is_ok) {
        return Ok(Json(json!({ "status": "pass" })));
    }
    let words: Vec<String> =
        answers.into_iter().filter_map(|answer| Some(answer.err()?.to_string())).collect();
    Err(Failure::unavailable("order-db", words.join("; ")))
}

#[derive(Deserialize)]
struct NewOrder {
    /// Chosen by the caller, the same at every repetition.
    request: Uuid,
    member: i64,
    store: i64,
    product: i64,
    quantity: i64,
    amount_fen: i64,
}

#[derive(Serialize, Deserialize)]
struct Order {
    id: i64,
    member: i64,
    store: i64,
    product: i64,
    quantity: i64,
    amount_fen: i64,
    status: String,
    paid: bool,
    pickup_code: Option<String>,
}

impl Order {
    /// Nothing about it changes any more.
    fn is_final(&self) -> bool {
        self.paid && self.pickup_code.is_some()
    }
}

async fn create(
    State(orders): State<Arc<Orders>>,
    Json(new): Json<NewOrder>,
) -> Result<Json<Value>, Failure> {
    if !(1..=100).contains(&new.quantity) {
        return Err(Failure::Refused("a quantity from 1 to 100".to_owned()));
    }
    let index = shard_for(new.request);
    let shard = orders.shard(index)?;
    let id = orders.ids.next(index, clock::unix_ms());
    let written = orders.write(shard, id, &new).await?;
    if let Some(news) = orders.news.get(index) {
        news.notify_one();
    }
    orders.metrics.orders.with_label_values(&["accepted"]).inc();
    Ok(Json(json!({ "id": written, "shard": shard.name })))
}

async fn show(State(orders): State<Arc<Orders>>, Path(id): Path<i64>) -> Result<Json<Order>, Failure> {
    if let Some(copy) = orders.redis.copy(&key(id)).await {
        return Ok(Json(copy));
    }
    let order = orders.read(id).await?;
    // A customer waits for every step of an order: only the last one may be shown from a copy.
    if order.is_final() {
        orders.redis.keep(&key(id), &order).await;
    }
    Ok(Json(order))
}

async fn list(State(orders): State<Arc<Orders>>, Path(member): Path<i64>) -> Json<Value> {
    let (found, missing) = orders.of_member(member).await;
    Json(json!({ "member": member, "orders": found, "missing": missing }))
}

async fn paid(State(orders): State<Arc<Orders>>, Path(id): Path<i64>) -> Result<Json<Value>, Failure> {
    orders.change(id, sqlx::query("UPDATE orders SET paid = TRUE WHERE id = $1").bind(id)).await
}

/// The OMS has it.
async fn received(State(orders): State<Arc<Orders>>, Path(id): Path<i64>) -> Result<Json<Value>, Failure> {
    let statement = "UPDATE orders SET status = 'received' WHERE id = $1 AND status IN ('new', 'received')";
    orders.change(id, sqlx::query(statement).bind(id)).await
}

#[derive(Deserialize)]
struct Pickup {
    code: String,
}

/// Its store has made it. The first code stands.
async fn ready(
    State(orders): State<Arc<Orders>>,
    Path(id): Path<i64>,
    Json(pickup): Json<Pickup>,
) -> Result<Json<Value>, Failure> {
    let statement = "UPDATE orders SET status = 'ready', pickup_code = COALESCE(pickup_code, $2),
                         ready_at = COALESCE(ready_at, now()) WHERE id = $1";
    orders.change(id, sqlx::query(statement).bind(id).bind(pickup.code)).await
}

fn key(id: i64) -> String {
    format!("order:{id}")
}

impl Orders {
    fn shard(&self, index: usize) -> Result<&Shard, Failure> {
        self.shards
            .get(index)
            .map(Arc::as_ref)
            .ok_or_else(|| Failure::NotFound(format!("there is no shard {index}")))
    }

    /// The order and its message, both or neither. A repeated request gets the first one's id.
    async fn write(&self, shard: &Shard, id: i64, new: &NewOrder) -> Result<i64, Failure> {
        let message = json!({
            "id": id, "member": new.member, "store": new.store, "product": new.product, "quantity": new.quantity,
        })
        .to_string();
        let store = shard.writer();
        store
            .within(async {
                let mut connection = store.hold().await?;
                // One statement is one transaction and one way to the server and back.
                let written: Option<i64> = sqlx::query_scalar(
                    "WITH made AS (
                         INSERT INTO orders (id, request, member_id, store_id, product_id, quantity, amount_fen, status)
                         VALUES ($1, $2::text::uuid, $3, $4, $5, $6, $7, 'new') ON CONFLICT (request) DO NOTHING
                         RETURNING id
                     ), told AS (INSERT INTO outbox (order_id, payload) SELECT id, $8 FROM made)
                     SELECT id FROM made UNION ALL SELECT id FROM orders WHERE request = $2::text::uuid LIMIT 1",
                )
                .bind(id)
                .bind(new.request.to_string())
                .bind(new.member)
                .bind(new.store)
                .bind(new.product)
                .bind(new.quantity)
                .bind(new.amount_fen)
                .bind(&message)
                .fetch_optional(&mut *connection)
                .await?;
                let written = match written {
                    Some(id) => id,
                    // The first request was written while this one waited for it: it cannot be seen in there.
                    None => {
                        sqlx::query_scalar("SELECT id FROM orders WHERE request = $1::text::uuid")
                            .bind(new.request.to_string())
                            .fetch_one(&mut *connection)
                            .await?
                    }
                };
                connection.done();
                Ok(written)
            })
            .await
    }

    /// From the replica, which may be a moment late: then, or when it fails, from the primary.
    async fn read(&self, id: i64) -> Result<Order, Failure> {
        let shard = self.shard(shard_of(id))?;
        if let Some(replica) = shard.replica()
            && let Ok(Some(order)) = read(replica, id).await
        {
            self.metrics.orders.with_label_values(&["read from the replica"]).inc();
            return Ok(order);
        }
        self.metrics.orders.with_label_values(&["read from the primary"]).inc();
        read(shard.primary(), id).await?.ok_or_else(|| Failure::NotFound(format!("there is no order {id}")))
    }

    /// A member's latest orders: every shard is asked, and one that is away leaves a gap that is named.
    async fn of_member(&self, member: i64) -> (Vec<Order>, Vec<&str>) {
        let asked = self.shards.iter().map(|shard| async move {
            let store = shard.replica().unwrap_or_else(|| shard.primary());
            (shard, of_member(store, member).await)
        });
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for (shard, answer) in join_all(asked).await {
            match answer {
                Ok(orders) => found.extend(orders),
                Err(_) => missing.push(shard.name.as_str()),
            }
        }
        // Ids grow with time, whatever shard they are of.
        found.sort_by_key(|order| std::cmp::Reverse(order.id));
        found.truncate(LATEST);
        (found, missing)
    }

    async fn change(
        &self,
        id: i64,
        statement: Query<'static, Postgres, PgArguments>,
    ) -> Result<Json<Value>, Failure> {
        let shard = self.shard(shard_of(id))?;
        let store = shard.writer();
        let changed = store
            .within(async {
                let mut connection = store.hold().await?;
                let changed = statement.execute(&mut *connection).await?.rows_affected();
                connection.done();
                Ok(changed)
            })
            .await?;
        self.redis.forget(&key(id)).await;
        if changed == 0 {
            return Err(Failure::NotFound(format!("there is no order {id} to change")));
        }
        Ok(Json(json!({ "id": id })))
    }
}

type Row = (i64, i64, i64, i64, i64, i64, String, bool, Option<String>);

const COLUMNS: &str =
    "SELECT id, member_id, store_id, product_id, quantity, amount_fen, status, paid, pickup_code FROM orders";

impl From<Row> for Order {
    fn from(row: Row) -> Self {
        let (id, member, store, product, quantity, amount_fen, status, paid, pickup_code) = row;
        Self { id, member, store, product, quantity, amount_fen, status, paid, pickup_code }
    }
}

async fn read(store: &PgStore, id: i64) -> Result<Option<Order>, Failure> {
    let found: Option<Row> = store
        .within(async {
            let mut connection = store.hold().await?;
            let statement = format!("{COLUMNS} WHERE id = $1");
            let found =
                sqlx::query_as(AssertSqlSafe(statement)).bind(id).fetch_optional(&mut *connection).await?;
            connection.done();
            Ok(found)
        })
        .await?;
    Ok(found.map(Order::from))
}

async fn of_member(store: &PgStore, member: i64) -> Result<Vec<Order>, Failure> {
    let rows: Vec<Row> = store
        .within(async {
            let mut connection = store.hold().await?;
            let statement = format!("{COLUMNS} WHERE member_id = $1 ORDER BY id DESC LIMIT {LATEST}");
            let rows =
                sqlx::query_as(AssertSqlSafe(statement)).bind(member).fetch_all(&mut *connection).await?;
            connection.done();
            Ok(rows)
        })
        .await?;
    Ok(rows.into_iter().map(Order::from).collect())
}
