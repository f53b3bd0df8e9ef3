//! The three services that are mostly read: stores, members, products. Details come from the cache; what
//! must be true at this moment (open? how many points? what price?) comes from the database.

use std::sync::Arc;

use anyhow::Result;
use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cache::Redis;
use super::context::Context;
use super::failure::Failure;
use super::health::Check;
use super::server::Role;
use super::store::MySqlStore;

/// What one of the three is about. Its statements all give (id, name, figure).
pub(crate) struct Subject {
    path: &'static str,
    /// What the figure is.
    figure: &'static str,
    one: &'static str,
    first: &'static str,
}

pub(crate) static STORES: Subject = Subject {
    path: "stores",
    figure: "open",
    one: "SELECT id, name, CAST(open AS SIGNED) FROM stores WHERE id = ?",
    first: "SELECT id, name, CAST(open AS SIGNED) FROM stores ORDER BY id LIMIT 20",
};

pub(crate) static MEMBERS: Subject = Subject {
    path: "members",
    figure: "points",
    one: "SELECT id, name, points FROM members WHERE id = ?",
    first: "SELECT id, name, points FROM members ORDER BY id LIMIT 20",
};

pub(crate) static PRODUCTS: Subject = Subject {
    path: "products",
    figure: "price_fen",
    one: "SELECT id, name, price_fen FROM products WHERE id = ?",
    first: "SELECT id, name, price_fen FROM products ORDER BY id LIMIT 20",
};

#[derive(Serialize, Deserialize)]
struct Row {
    id: i64,
    name: String,
    figure: i64,
}

impl Row {
    fn show(&self, subject: &Subject) -> Value {
        json!({ "id": self.id, "name": self.name, subject.figure: self.figure })
    }
}

struct Reader {
    subject: &'static Subject,
    db: Arc<MySqlStore>,
    redis: Arc<Redis>,
}

pub(crate) fn role(context: &Context, subject: &'static Subject) -> Result<Role> {
    let (db_name, redis_name) = (context.own("db"), context.own("redis"));
    let db = MySqlStore::mysql(context, &db_name)?;
    let redis = Redis::new(context, &redis_name)?;
    let checks =
        vec![Check::datastore(context, &db_name, &db), Check::datastore(context, &redis_name, &redis)];
    let path = subject.path;
    let routes = Router::new()
        .route("/api/ping", get(ping))
        .route(&format!("/api/{path}"), get(list))
        .route(&format!("/api/{path}/{{id}}"), get(details))
        .route(&format!("/api/{path}/{{id}}/now"), get(now))
        .with_state(Arc::new(Reader { subject, db, redis }));
    Ok(Role { routes, checks })
}

async fn ping(State(reader): State<Arc<Reader>>) -> Result<Json<Value>, Failure> {
    reader.one(1).await?;
    Ok(Json(json!({ "status": "pass" })))
}

async fn now(State(reader): State<Arc<Reader>>, Path(id): Path<i64>) -> Result<Json<Value>, Failure> {
    Ok(Json(reader.one(id).await?.show(reader.subject)))
}

async fn details(State(reader): State<Arc<Reader>>, Path(id): Path<i64>) -> Result<Json<Value>, Failure> {
    let key = format!("{}:{id}", reader.subject.path);
    let row = reader.redis.read_through(&key, reader.one(id)).await?;
    Ok(Json(row.show(reader.subject)))
}

async fn list(State(reader): State<Arc<Reader>>) -> Result<Json<Value>, Failure> {
    let key = format!("{}:first", reader.subject.path);
    let rows = reader.redis.read_through(&key, reader.first()).await?;
    Ok(Json(rows.iter().map(|row| row.show(reader.subject)).collect()))
}

impl Reader {
    async fn one(&self, id: i64) -> Result<Row, Failure> {
        let found: Option<(i64, String, i64)> = self
            .db
            .within(async {
                let mut connection = self.db.hold().await?;
                let found =
                    sqlx::query_as(self.subject.one).bind(id).fetch_optional(&mut *connection).await?;
                connection.done();
                Ok(found)
            })
            .await?;
        let Some((id, name, figure)) = found else {
            return Err(Failure::NotFound(format!("{} has no {id}", self.subject.path)));
        };
        Ok(Row { id, name, figure })
    }

    async fn first(&self) -> Result<Vec<Row>, Failure> {
        let rows: Vec<(i64, String, i64)> = self
            .db
            .within(async {
                let mut connection = self.db.hold().await?;
                let rows = sqlx::query_as(self.subject.first).fetch_all(&mut *connection).await?;
                connection.done();
                Ok(rows)
            })
            .await?;
        Ok(rows.into_iter().map(|(id, name, figure)| Row { id, name, figure }).collect())
    }
}
