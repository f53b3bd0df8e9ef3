//! The JSON API: one structure a file, converted by hand from the board, so that a change inside never
//! changes what scripts rely on.

pub(crate) mod acknowledge;
mod board;
pub(crate) mod changes;
pub(crate) mod curves;
pub(crate) mod heartbeat;
pub(crate) mod history;
pub(crate) mod maintenance;
mod node;
pub(crate) mod objectives;
mod record;
mod reload;
pub(crate) mod silences;
mod topology;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use collector::incident::IncidentState;
use collector::report::IncidentReport;
pub(crate) use collector::report::time;
use serde::{Deserialize, Serialize};

use crate::WebState;
use crate::ask::{Path, Query};
use crate::respond::Problem;

pub(crate) use self::record::record;
pub(crate) use self::reload::reload;
pub use self::reload::{Finding, Reload, ReloadDone, ReloadOutcome};
pub(crate) use self::topology::topology;

/// What `/api/v1/health` answers for `board`, for who has a board and no server.
///
/// # Errors
/// When it cannot be put into JSON, which is a bug.
pub fn health_value(board: &collector::board::Board) -> serde_json::Result<serde_json::Value> {
    serde_json::to_value(board::Health::of(board))
}

/// What `/api/v1/board` answers for `board`.
///
/// # Errors
/// When it cannot be put into JSON, which is a bug.
pub fn board_value(board: &collector::board::Board) -> serde_json::Result<serde_json::Value> {
    serde_json::to_value(board::Board::of(board))
}

/// `GET /api/v1/openapi.json`: this API, in OpenAPI 3.1. Kept by hand; tests hold it and the routes together.
pub(crate) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("openapi.json")).into_response()
}

/// `GET /api/v1/health`: answers 200 whatever the level.
pub(crate) async fn health(State(state): State<WebState>) -> Json<board::Health> {
    Json(board::Health::of(&state.boards.current()))
}

/// `GET /api/v1/board[?at=TIME]`, with an entity tag of its sequence; at a time that is over it is the board of then.
pub(crate) async fn board(
    State(state): State<WebState>,
    query: history::AskedQuery,
    headers: HeaderMap,
) -> Response {
    if !matches!(&query, Ok(query) if query.is_now()) {
        return history::board(State(state), query).await;
    }
    let board = state.boards.current();
    let tag = format!("W/\"{}-{}\"", state.run(), board.sequence);
    let fresh = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|tags| tags.split(',').any(|other| other.trim() == tag));
    let mut response = if fresh {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Json(board::Board::of(&board)).into_response()
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// What `/api/v1/incidents` can be narrowed by.
#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    state: Option<String>,
}

#[derive(Debug, Serialize)]
struct Incidents {
    incidents: Vec<IncidentReport>,
}

/// `GET /api/v1/incidents[?state=open|resolved]`.
pub(crate) async fn incidents(State(state): State<WebState>, Query(wanted): Query<Wanted>) -> Response {
    let board = state.boards.current();
    let keep = match wanted.state.as_deref() {
        None => None,
        Some("open") => Some(IncidentState::Open),
        Some("resolved") => Some(IncidentState::Resolved),
        Some(other) => {
            let detail = format!("state is `open` or `resolved`, not `{other}`");
            return Problem::new(StatusCode::BAD_REQUEST, detail).into_response();
        }
    };
    let all = board.open.iter().chain(&board.resolved);
    let kept = all.filter(|incident| keep.is_none_or(|state| incident.state == state));
    let incidents = kept.map(|incident| IncidentReport::of(&board.model, incident)).collect();
    Json(Incidents { incidents }).into_response()
}

/// `GET /api/v1/incidents/{id}`.
pub(crate) async fn incident(State(state): State<WebState>, Path(id): Path<String>) -> Response {
    let board = state.boards.current();
    match board.open.iter().chain(&board.resolved).find(|incident| incident.id == id) {
        Some(found) => Json(IncidentReport::of(&board.model, found)).into_response(),
        None => older(&state, &board.model, &id).await,
    }
}

/// An incident that the board no longer has.
async fn older(state: &WebState, model: &::topology::model::Model, id: &str) -> Response {
    let Some(history) = &state.history else {
        return Problem::not_found(format!("there is no incident `{id}`")).into_response();
    };
    match history.incident(model, id).await {
        Ok(Some(found)) => Json(IncidentReport::of(model, &found)).into_response(),
        Ok(None) => Problem::not_found(format!("there is no incident `{id}`")).into_response(),
        Err(error) => Problem::from(error).into_response(),
    }
}

/// `GET /api/v1/nodes/{name}`: a component or an instance, by its name or an unambiguous beginning.
pub(crate) async fn node(State(state): State<WebState>, Path(name): Path<String>) -> Response {
    let board = state.boards.current();
    match board.model.find(&name) {
        Ok(id) => Json(node::Node::of(&board, id)).into_response(),
        Err(candidates) if candidates.is_empty() => {
            Problem::not_found(format!("there is no node `{name}`")).into_response()
        }
        Err(candidates) => {
            let some: Vec<&str> = candidates.iter().take(10).map(String::as_str).collect();
            let detail = format!("`{name}` could be any of: {}", some.join(", "));
            Problem::not_found(detail).into_response()
        }
    }
}
