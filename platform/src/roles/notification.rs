//! Notifications: written down at once and sent to `wechat` later. Nobody waits for them to arrive, and what
//! it does not take for a while is given up: it never hurts an order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::cache::Redis;
use super::context::Context;
use super::failure::Failure;
use super::health::Check;
use super::metrics::Metrics;
use super::peers::Peers;
use super::server::Role;
use super::store::MySqlStore;

/// Messages that wait for `wechat`. A new one over this is given up.
const WAITING: usize = 1000;
/// Attempts at one message, with growing pauses.
const ATTEMPTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

struct Notifications {
    db: Arc<MySqlStore>,
    redis: Arc<Redis>,
    outbox: mpsc::Sender<Value>,
    metrics: Arc<Metrics>,
}

pub(crate) fn role(context: &Context) -> Result<Role> {
    let db = MySqlStore::mysql(context, "notification-db")?;
    let redis = Redis::new(context, "notification-redis")?;
    let wechat = Peers::new(context, "wechat")?;
    let (outbox, waiting) = mpsc::channel(WAITING);
    tokio::spawn(send_all(Arc::clone(&wechat), waiting, Arc::clone(&context.metrics)));
    let checks = vec![
        Check::datastore(context, "notification-db", &db),
        Check::datastore(context, "notification-redis", &redis),
        Check::component(context, "wechat", &wechat),
    ];
    let routes = Router::new()
        .route("/api/ping", get(ping))
        .route("/api/notifications", post(write))
        .route("/api/notifications/{member}", get(list))
        .with_state(Arc::new(Notifications { db, redis, outbox, metrics: Arc::clone(&context.metrics) }));
    Ok(Role { routes, checks })
}

async fn ping(State(notifications): State<Arc<Notifications>>) -> Result<Json<Value>, Failure> {
    notifications.of(1).await?;
    Ok(Json(json!({ "status": "pass" })))
}

async fn list(
    State(notifications): State<Arc<Notifications>>,
    Path(member): Path<i64>,
) -> Result<Json<Value>, Failure> {
    let latest = notifications.redis.read_through(&key(member), notifications.of(member)).await?;
    Ok(Json(json!({ "member": member, "latest": latest })))
}

#[derive(Deserialize)]
struct Notification {
    member: i64,
    words: String,
}

async fn write(
    State(notifications): State<Arc<Notifications>>,
    Json(notification): Json<Notification>,
) -> Result<Json<Value>, Failure> {
    let words: String = notification.words.chars().take(200).collect();
    notifications
        .db
        .within(async {
            let mut connection = notifications.db.hold().await?;
            sqlx::query("INSERT INTO notifications (member_id, words) VALUES (?, ?)")
                .bind(notification.member)
                .bind(&words)
                .execute(&mut *connection)
                .await?;
            connection.done();
            Ok(())
        })
        .await?;
    notifications.redis.forget(&key(notification.member)).await;
    let message = json!({ "member": notification.member, "words": words });
    if notifications.outbox.try_send(message).is_err() {
        notifications.metrics.messages.with_label_values(&["given up"]).inc();
    }
    Ok(Json(json!({ "written": true })))
}

/// One after the other, until nobody can write any more.
async fn send_all(wechat: Arc<Peers>, mut waiting: mpsc::Receiver<Value>, metrics: Arc<Metrics>) {
    while let Some(message) = waiting.recv().await {
        let mut pause = FIRST_PAUSE;
        let mut outcome = "given up";
        for _ in 0..ATTEMPTS {
            match wechat.post::<Value>("/api/messages", &message).await {
                Ok(_) => {
                    outcome = "sent";
                    break;
                }
                Err(failure) => tracing::warn!("a message waits: {failure}"),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        metrics.messages.with_label_values(&[outcome]).inc();
    }
}

fn key(member: i64) -> String {
    format!("notifications:{member}")
}

impl Notifications {
    async fn of(&self, member: i64) -> Result<Vec<String>, Failure> {
        self.db
            .within(async {
                let mut connection = self.db.hold().await?;
                let words = sqlx::query_scalar(
                    "SELECT words FROM notifications WHERE member_id = ? ORDER BY id DESC LIMIT 10",
                )
                .bind(member)
                .fetch_all(&mut *connection)
                .await?;
                connection.done();
                Ok(words)
            })
            .await
    }
}
