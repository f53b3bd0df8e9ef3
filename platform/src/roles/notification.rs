//! Notifications: written down at once. Nobody waits for them to arrive.

use std::sync::Arc;

use anyhow::Result;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::cache::Redis;
use super::context::Context;
use super::failure::Failure;
use super::health::Check;
use super::server::Role;
use super::store::MySqlStore;

struct Notifications {
    db: Arc<MySqlStore>,
    redis: Arc<Redis>,
}

pub(crate) fn role(context: &Context) -> Result<Role> {
    let db = MySqlStore::mysql(context, "notification-db")?;
    let redis = Redis::new(context, "notification-redis")?;
    let checks = vec![
        Check::datastore(context, "notification-db", &db),
        Check::datastore(context, "notification-redis", &redis),
    ];
    let routes = Router::new()
        .route("/api/ping", get(ping))
        .route("/api/notifications", post(write))
        .route("/api/notifications/{member}", get(list))
        .with_state(Arc::new(Notifications { db, redis }));
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
    Ok(Json(json!({ "written": true })))
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
