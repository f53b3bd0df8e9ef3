//! Coupons: one of each campaign for a member, never two, and no more than there are.

use std::sync::Arc;

use anyhow::Result;
use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::Connection as _;

use super::cache::Redis;
use super::context::Context;
use super::failure::Failure;
use super::health::Check;
use super::server::Role;
use super::store::MySqlStore;

struct Coupons {
    db: Arc<MySqlStore>,
    redis: Arc<Redis>,
}

pub(crate) fn role(context: &Context) -> Result<Role> {
    let db = MySqlStore::mysql(context, "coupon-db")?;
    let redis = Redis::new(context, "coupon-redis")?;
    let checks =
        vec![Check::datastore(context, "coupon-db", &db), Check::datastore(context, "coupon-redis", &redis)];
    let routes = Router::new()
        .route("/api/ping", get(ping))
        .route("/api/coupons", get(list))
        .route("/api/coupons/claim", post(claim))
        .with_state(Arc::new(Coupons { db, redis }));
    Ok(Role { routes, checks })
}

async fn ping(State(coupons): State<Arc<Coupons>>) -> Result<Json<Value>, Failure> {
    coupons.of(1).await?;
    Ok(Json(json!({ "status": "pass" })))
}

#[derive(Deserialize)]
struct Member {
    member: i64,
}

async fn list(
    State(coupons): State<Arc<Coupons>>,
    Query(query): Query<Member>,
) -> Result<Json<Value>, Failure> {
    let held = coupons.redis.read_through(&key(query.member), coupons.of(query.member)).await?;
    Ok(Json(json!({ "member": query.member, "campaigns": held })))
}

#[derive(Deserialize)]
struct Claim {
    member: i64,
    campaign: i64,
}

/// Asking twice is no error and gives one coupon.
async fn claim(
    State(coupons): State<Arc<Coupons>>,
    Json(claim): Json<Claim>,
) -> Result<Json<Value>, Failure> {
    let outcome = coupons.claim(&claim).await?;
    coupons.redis.forget(&key(claim.member)).await;
    match outcome {
        Outcome::Given => Ok(Json(json!({ "given": true }))),
        Outcome::HadIt => Ok(Json(json!({ "given": false }))),
        Outcome::NoneLeft => Err(Failure::Refused(format!("campaign {} has no coupon left", claim.campaign))),
    }
}

enum Outcome {
    Given,
    HadIt,
    NoneLeft,
}

fn key(member: i64) -> String {
    format!("coupons:{member}")
}

impl Coupons {
    async fn of(&self, member: i64) -> Result<Vec<i64>, Failure> {
        self.db
            .within(async {
                let mut connection = self.db.hold().await?;
                let held = sqlx::query_scalar("SELECT campaign_id FROM coupons WHERE member_id = ?")
                    .bind(member)
                    .fetch_all(&mut *connection)
                    .await?;
                connection.done();
                Ok(held)
            })
            .await
    }

    async fn claim(&self, claim: &Claim) -> Result<Outcome, Failure> {
        self.db
            .within(async {
                let mut connection = self.db.hold().await?;
                let mut work = connection.begin().await?;
                // The primary key decides who was first; the stock is only touched by the winner.
                let new = sqlx::query("INSERT IGNORE INTO coupons (campaign_id, member_id) VALUES (?, ?)")
                    .bind(claim.campaign)
                    .bind(claim.member)
                    .execute(&mut *work)
                    .await?
                    .rows_affected();
                let outcome = if new == 0 {
                    Outcome::HadIt
                } else {
                    let taken = sqlx::query(
                        "UPDATE campaigns SET left_over = left_over - 1 WHERE id = ? AND left_over > 0",
                    )
                    .bind(claim.campaign)
                    .execute(&mut *work)
                    .await?
                    .rows_affected();
                    if taken == 0 { Outcome::NoneLeft } else { Outcome::Given }
                };
                match outcome {
                    Outcome::Given => work.commit().await?,
                    Outcome::HadIt | Outcome::NoneLeft => work.rollback().await?,
                }
                connection.done();
                Ok(outcome)
            })
            .await
    }
}
