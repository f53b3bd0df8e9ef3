//! Services of others, which the platform only calls: stand-ins that say so in every answer. They do what
//! the real ones promise (a charge is made once for an order) and reach nobody.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::context::Context;
use super::defect::Defect;
use super::failure::Failure;
use super::metrics::Metrics;
use super::peers::SENT_AT;
use super::server::Role;
use crate::clock;

/// Charges remembered, so that one asked for again is not made again.
const REMEMBERED: usize = 100_000;
/// How far the clocks of the two sides may be apart: five minutes, a usual allowance.
const TOLERANCE: Duration = Duration::from_mins(5);

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
        .with_state(Arc::new(outside))
        .layer(middleware::from_fn_with_state(context.defect, admit));
    Role { routes, checks: Vec::new() }
}

/// Takes nothing that was signed long ago, or is yet to be: as payment services do, against what was recorded
/// and is sent again. Answers errors only, when somebody wanted it so.
async fn admit(State(defect): State<Option<Defect>>, request: Request, next: Next) -> Response {
    if let Some(error) = defect.filter(|defect| *defect == Defect::Errors).and_then(Defect::own_error) {
        return Failure::Bug(error).into_response();
    }
    if let Some(wrong) = wrong_clock(request.headers(), clock::unix_ms()) {
        return Failure::Refused(wrong).into_response();
    }
    next.run(request).await
}

fn wrong_clock(headers: &HeaderMap, now_ms: u64) -> Option<String> {
    let sent_ms: u64 = headers.get(SENT_AT)?.to_str().ok()?.parse().ok()?;
    let apart = Duration::from_millis(sent_ms.abs_diff(now_ms));
    let direction = if sent_ms > now_ms { "ahead" } else { "behind" };
    (apart > TOLERANCE).then(|| format!("the caller's clock is {} s {direction}", apart.as_secs()))
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
    fn a_caller_whose_clock_is_far_away_is_told_so() {
        let headers = |sent: u64| HeaderMap::from_iter([(SENT_AT, sent.into())]);
        assert_eq!(wrong_clock(&headers(1_000_000), 1_200_000), None);
        assert_eq!(wrong_clock(&HeaderMap::new(), 1_200_000), None);
        let told = wrong_clock(&headers(4_600_000), 1_000_000).unwrap();
        assert_eq!(told, "the caller's clock is 3600 s ahead");
    }

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
