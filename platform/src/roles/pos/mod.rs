//! A fleet of store POS systems in one process. Each is told of new orders at once by push, and asks once a
//! minute in case push is broken. Each asks the OMS for its store's orders, through the front
//! proxy, takes them as its kitchen has room, and returns the pickup code of what is made.

mod journal;
mod kitchen;
mod push;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::{Json, Router, routing::get};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

pub(crate) use self::journal::takes;
use self::journal::{Journal, Open};
use self::kitchen::{Kitchen, Ticket};
use self::push::Links;
use super::context::Context;
use super::failure::Failure;
use super::health::Check;
use super::metrics::Metrics;
use super::peers::Peers;
use super::server::Role;
use crate::catalog::STORES;

/// The proxy may try both lines in this time.
const PATIENCE: Duration = Duration::from_millis(3500);

/// When the OMS did not answer, or had more than the kitchen could take.
const SOON: Duration = Duration::from_secs(2);

struct Fleet {
    proxy: Arc<Peers>,
    journal: Journal,
    metrics: Arc<Metrics>,
}

#[derive(Deserialize)]
struct Listed {
    orders: Vec<i64>,
    taken: Vec<i64>,
}

pub(crate) fn role(context: &Context, stop: &CancellationToken) -> Result<Role> {
    let (journal, Open { mut taken, mut made }) = Journal::open(&context.home)?;
    let proxy = Peers::new(context, "pos-proxy")?;
    let fleet = Arc::new(Fleet { proxy: Arc::clone(&proxy), journal, metrics: Arc::clone(&context.metrics) });
    let door = context.plan.of("pos-proxy").next().context("no instance of pos-proxy")?;
    let links = Links::new(door.long_connections(context.plan.base_port));
    for store in 1..=STORES {
        let to_make = taken.remove(&store).unwrap_or_default().into_iter().map(Ticket::Make);
        let to_tell = made.remove(&store).unwrap_or_default().into_iter().map(Ticket::Tell);
        let kitchen = Kitchen::open(store, to_tell.chain(to_make).collect(), &fleet, stop);
        // Spread over the interval: the stores must not all ask at once.
        let first = context.poll * store as u32 / STORES as u32;
        let news = Arc::new(Notify::new());
        tokio::spawn(Arc::clone(&links).keep(store, Arc::clone(&news), stop.clone()));
        let asks = Asks { first, every: context.poll, news };
        tokio::spawn(serve(store, kitchen, Arc::clone(&fleet), asks, stop.clone()));
    }
    let poll_ms = context.poll.as_millis() as u64;
    let routes = Router::new()
        .route("/api/ping", get(async move || Json(json!({ "stores": STORES, "poll_ms": poll_ms }))));
    let checks = vec![
        Check::component(context, "pos-proxy", &proxy),
        Check::component(context, "push-centre", &links),
    ];
    Ok(Role { routes, checks })
}

impl Fleet {
    async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Failure> {
        self.proxy.post_within(PATIENCE, path, body).await
    }
}

/// When a store asks for its orders: in its turn, and when push tells of one.
struct Asks {
    first: Duration,
    every: Duration,
    news: Arc<Notify>,
}

/// One store, from morning to evening.
async fn serve(store: i64, kitchen: Arc<Kitchen>, fleet: Arc<Fleet>, asks: Asks, stop: CancellationToken) {
    let mut turns = tokio::time::interval(asks.every.max(Duration::from_millis(100)));
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    turns.reset_after(asks.first);
    loop {
        let reason = tokio::select! {
            () = stop.cancelled() => return,
            _ = turns.tick() => "asked in turn",
            () = asks.news.notified() => "told by push",
        };
        fleet.metrics.orders.with_label_values(&[reason]).inc();
        let asked = tokio::select! {
            () = stop.cancelled() => return,
            asked = collect(store, &kitchen, &fleet) => asked,
        };
        match asked {
            Ok(Left::Nothing) => {}
            // Not a whole minute for what is known to be there.
            Ok(Left::More) => turns.reset_after(SOON.min(asks.every)),
            Err(failure) => {
                tracing::warn!("store {store} gets no orders: {failure}");
                turns.reset_after(SOON.min(asks.every));
            }
        }
    }
}

/// What is left at the OMS for this store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    /// The kitchen has no room for it now.
    More,
}

async fn collect(store: i64, kitchen: &Kitchen, fleet: &Fleet) -> Result<Left, Failure> {
    let page = format!("/api/stores/{store}/new-orders");
    let listed: Listed = fleet.proxy.get_within(PATIENCE, &page).await?;
    let new = listed.orders.into_iter().map(|order| (order, true));
    // Taken by this store, and unknown here: the answer was lost, or this process ended in between.
    let again = listed.taken.into_iter().map(|order| (order, false));
    for (order, is_new) in again.chain(new) {
        if kitchen.knows(order) {
            continue;
        }
        let Some(room) = kitchen.room() else { return Ok(Left::More) };
        if is_new {
            match fleet.post::<Value>(&format!("/api/stores/{store}/orders/{order}/take"), &json!({})).await {
                Ok(_) => {}
                // Not open any more.
                Err(Failure::NotFound(_)) => continue,
                Err(failure) => return Err(failure),
            }
        }
        kitchen.accept(order, room).map_err(|error| Failure::unavailable("the journal", error))?;
    }
    Ok(Left::Nothing)
}
