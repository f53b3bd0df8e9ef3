//! `/api/v1/maintenance`: the windows of the file with their next occurrences, and what people announce besides.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use collector::report::time;
use collector::silence::{QuietKind, windows};
use jiff::Timestamp;
use serde::Serialize;
use topology::calendar::Span;
use topology::model::Model;

use super::silences::{SilenceReport, begin};
use crate::WebState;

/// A window of the file.
#[derive(Debug, Serialize)]
pub(super) struct WindowReport {
    name: String,
    active: bool,
    current: Option<SpanReport>,
    next: Vec<SpanReport>,
    why: Option<String>,
}

#[derive(Debug, Serialize)]
struct SpanReport {
    from: String,
    until: String,
}

impl SpanReport {
    fn of(span: Span) -> Self {
        Self { from: time(span.from), until: time(span.until) }
    }
}

#[derive(Debug, Serialize)]
struct Maintenance {
    windows: Vec<WindowReport>,
    announced: Vec<SilenceReport>,
}

impl WindowReport {
    /// All windows of the file.
    pub(super) fn all(model: &Model, now: Timestamp) -> Vec<Self> {
        let whys = model.alerting.maintenance.iter().map(|maintenance| maintenance.why.clone());
        windows(model, now)
            .into_iter()
            .zip(whys)
            .map(|(window, why)| Self {
                name: window.name,
                active: window.current.is_some(),
                current: window.current.map(SpanReport::of),
                next: window.next.into_iter().map(SpanReport::of).collect(),
                why,
            })
            .collect()
    }
}

/// `GET /api/v1/maintenance`.
pub(crate) async fn list(State(state): State<WebState>) -> Response {
    let (board, now) = (state.boards.current(), (state.clock)());
    let announced = board.silences.iter().filter(|silence| silence.kind == QuietKind::Maintenance);
    let announced = announced.map(|silence| SilenceReport::of(&board, silence, now)).collect();
    Json(Maintenance { windows: WindowReport::all(&board.model, now), announced }).into_response()
}

/// `POST /api/v1/maintenance`: pauses nodes for a while; ended like a silence.
pub(crate) async fn announce(
    state: State<WebState>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    begin(state, &headers, body, QuietKind::Maintenance).await
}
