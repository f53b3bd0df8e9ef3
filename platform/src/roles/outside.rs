//! Services of others, which the platform only calls: stand-ins that say so in every answer. They do what
//! the real ones promise (a charge is made once for an order) and reach nobody.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::context::Context;
use super::metrics::Metrics;
use super::server::Role;

/// Charges remembered, so that one asked for again is not made again.
const REMEMBERED: usize = 100_000;

#[derive(Default)]
struct Charges {
    made: HashSet<i64>,
    order: VecDeque<i64>,
}

impl Charges {
    /// Whether this is the first for the order.
    fn make(&mut self, order: i64) -> bool {
        if !self.made.insert(order) {
            return false;
        }
        self.order.push_back(order);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.made.remove(&oldest);
        }
        true
    }
}

struct Outside {
    charges: Mutex<Charges>,
    metrics: Arc<Metrics>,
}

pub(crate) fn role(context: &Context) -> Role {
    let outside = Outside { charges: Mutex::default(), metrics: Arc::clone(&context.metrics) };
    let routes = Router::new()
        .route("/api/ping", get(async || Json(json!({ "status": "pass", "stand_in": true }))))
        .route("/api/messages", post(message))
        .route("/api/charges", post(charge))
        .with_state(Arc::new(outside));
    Role { routes, checks: Vec::new() }
}

async fn message(State(outside): State<Arc<Outside>>, Json(_): Json<Value>) -> Json<Value> {
    outside.metrics.messages.with_label_values(&["taken"]).inc();
    Json(json!({ "taken": true, "stand_in": true }))
}

#[derive(Deserialize)]
struct Charge {
    order: i64,
    amount_fen: i64,
}

async fn charge(State(outside): State<Arc<Outside>>, Json(charge): Json<Charge>) -> Json<Value> {
    let first = outside.charges.lock().unwrap_or_else(PoisonError::into_inner).make(charge.order);
    outside.metrics.orders.with_label_values(&[if first { "charged" } else { "charged before" }]).inc();
    Json(json!({ "charged": charge.amount_fen, "new": first, "stand_in": true }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_charged_once_and_memory_is_bounded() {
        let mut charges = Charges::default();
        assert!(charges.make(1));
        assert!(!charges.make(1));
        for order in 2..=100_010 {
            charges.make(order);
        }
        assert_eq!((charges.made.len(), charges.order.len()), (REMEMBERED, REMEMBERED));
    }
}
