//! The mini-program server: what a customer's phone talks to. Stateless; it asks the services, all at once
//! where it can, and leaves out what can be left out.

use std::sync::Arc;

use anyhow::Result;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::context::Context;
use super::defect::Defect;
use super::failure::Failure;
use super::health::Check;
use super::peers::Peers;
use super::server::Role;
use super::statics;

/// One yuan: what every order costs here, whatever the menu says.
const ONE_YUAN_FEN: i64 = 100;

pub(super) struct Services {
    store: Arc<Peers>,
    member: Arc<Peers>,
    pub(super) product: Arc<Peers>,
    order: Arc<Peers>,
    payment: Arc<Peers>,
    coupon: Arc<Peers>,
    notification: Arc<Peers>,
    /// What is wrong with this release.
    bug: Option<&'static str>,
}

pub(crate) fn role(context: &Context) -> Result<Role> {
    let services = Arc::new(Services {
        store: Peers::new(context, "store-service")?,
        member: Peers::new(context, "member-service")?,
        product: Peers::new(context, "product-service")?,
        order: Peers::new(context, "order-service")?,
        payment: Peers::new(context, "payment-service")?,
        coupon: Peers::new(context, "coupon-service")?,
        notification: Peers::new(context, "notification-service")?,
        bug: context.defect.filter(|defect| *defect == Defect::BadRelease).and_then(Defect::own_error),
    });
    let all = [
        ("store-service", &services.store),
        ("member-service", &services.member),
        ("product-service", &services.product),
        ("order-service", &services.order),
        ("payment-service", &services.payment),
        ("coupon-service", &services.coupon),
        ("notification-service", &services.notification),
    ];
    let checks = all.into_iter().map(|(name, peers)| Check::service(context, name, peers)).collect();
    let routes = Router::new()
        .route("/static/menu.json", get(statics::menu))
        .route("/static/pictures/{name}", get(statics::picture))
        .route("/api/home", get(home))
        .route("/api/menu", get(menu))
        .route("/api/products/{id}", get(product))
        .route("/api/orders", post(order).get(my_orders))
        .route("/api/orders/{id}", get(show_order))
        .route("/api/coupons/claim", post(claim))
        .with_state(services);
    Ok(Role { routes, checks })
}

#[derive(Deserialize)]
struct Visit {
    #[serde(default = "one")]
    member: i64,
    #[serde(default = "one")]
    store: i64,
}

fn one() -> i64 {
    1
}

/// Who I am, where I am, what is on offer. Coupons when they come in time.
async fn home(
    State(services): State<Arc<Services>>,
    Query(visit): Query<Visit>,
) -> Result<Json<Value>, Failure> {
    if let Some(bug) = services.bug {
        return Err(Failure::Bug(bug));
    }
    let (member_page, coupon_page) =
        (format!("/api/members/{}/now", visit.member), format!("/api/coupons?member={}", visit.member));
    let store_page = format!("/api/stores/{}/now", visit.store);
    let (store, member, product, coupons) = tokio::join!(
        services.store.get::<Value>(&store_page),
        services.member.get::<Value>(&member_page),
        services.product.get::<Value>("/api/products/1/now"),
        services.coupon.get::<Value>(&coupon_page),
    );
    let degraded: Vec<&str> = coupons.is_err().then_some("coupon-service").into_iter().collect();
    Ok(Json(json!({
        "store": store?, "member": member?, "offer": product?, "coupons": coupons.ok(), "degraded": degraded,
    })))
}

async fn menu(State(services): State<Arc<Services>>) -> Result<Json<Value>, Failure> {
    services.product.get("/api/products").await.map(Json)
}

async fn product(State(services): State<Arc<Services>>, Path(id): Path<i64>) -> Result<Json<Value>, Failure> {
    services.product.get(&format!("/api/products/{id}")).await.map(Json)
}

async fn show_order(
    State(services): State<Arc<Services>>,
    Path(id): Path<i64>,
) -> Result<Json<Value>, Failure> {
    services.order.get(&format!("/api/orders/{id}")).await.map(Json)
}

/// A member's latest orders, from every shard that answers.
async fn my_orders(
    State(services): State<Arc<Services>>,
    Query(visit): Query<Visit>,
) -> Result<Json<Value>, Failure> {
    services.order.get(&format!("/api/members/{}/orders", visit.member)).await.map(Json)
}

async fn claim(
    State(services): State<Arc<Services>>,
    Json(body): Json<Value>,
) -> Result<Json<Value>, Failure> {
    services.coupon.post("/api/coupons/claim", &body).await.map(Json)
}

#[derive(Deserialize)]
struct Wish {
    member: i64,
    store: i64,
    product: i64,
    #[serde(default = "one")]
    quantity: i64,
    /// The phone's own key: a repeated request makes no second order.
    request: Option<Uuid>,
}

/// Look, order, pay. Once the order is written it is accepted, whatever happens to the rest.
async fn order(
    State(services): State<Arc<Services>>,
    headers: HeaderMap,
    Json(wish): Json<Wish>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let (store_page, member_page, product_page) = (
        format!("/api/stores/{}", wish.store),
        format!("/api/members/{}/now", wish.member),
        format!("/api/products/{}", wish.product),
    );
    tokio::try_join!(
        services.store.get::<Value>(&store_page),
        services.member.get::<Value>(&member_page),
        services.product.get::<Value>(&product_page),
    )?;
    let request = wish.request.or_else(|| request_id(&headers)).unwrap_or_else(Uuid::now_v7);
    let new = json!({
        "request": request.to_string(),
        "member": wish.member, "store": wish.store, "product": wish.product, "quantity": wish.quantity,
        "amount_fen": ONE_YUAN_FEN,
    });
    let written: Value = services.order.post("/api/orders", &new).await?;
    let Some(id) = written.get("id").and_then(Value::as_i64) else {
        return Err(Failure::unavailable("order-service", "gave no order id"));
    };
    let payment = json!({ "order": id, "member": wish.member, "amount_fen": ONE_YUAN_FEN });
    services.payment.post::<Value>("/api/payments", &payment).await.map_err(|failure| {
        // The order stands; the phone may pay it by asking again with the same key.
        tracing::warn!("order {id} is accepted and not paid yet: {failure}");
        failure
    })?;
    let paid_page = format!("/api/orders/{id}/paid");
    let noted = services.order.post::<Value>(&paid_page, &json!({})).await.is_ok();
    notify(Arc::clone(&services.notification), wish.member, id);
    let answer = json!({ "id": id, "shard": written.get("shard"), "paid": true, "noted": noted });
    Ok((StatusCode::CREATED, Json(answer)))
}

/// The gateway's own key: the same when it asks a second server because the first did not answer.
fn request_id(headers: &HeaderMap) -> Option<Uuid> {
    headers.get("x-request-id")?.to_str().ok()?.parse().ok()
}

/// Beside the customer's way: failing here never hurts an order.
fn notify(notification: Arc<Peers>, member: i64, order: i64) {
    tokio::spawn(async move {
        let body = json!({ "member": member, "words": format!("Order {order} is accepted") });
        if let Err(failure) = notification.post::<Value>("/api/notifications", &body).await {
            tracing::warn!("no notification for order {order}: {failure}");
        }
    });
}
