//! `/api/v1/incidents/{id}/acknowledge`: somebody takes an incident on. JSON, or a form as a page sends it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use collector::incident::Acknowledgement;
use collector::report::IncidentReport;
use serde::Deserialize;
use topology::fault::clean_words;
use topology::level::Level;

use super::changes::bounded;
use super::silences::parse;
use crate::WebState;
use crate::respond::Problem;

/// Bytes of a name and of a note.
const MAX_BY: usize = 100;
const MAX_NOTE: usize = 500;

/// Who takes it on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    by: String,
    note: Option<String>,
    /// A form brings the token of its page along; the guard has seen to it.
    #[serde(default, rename = "token")]
    _token: Option<String>,
}

/// `POST /api/v1/incidents/{id}/acknowledge`: the incident as it is then.
pub(crate) async fn acknowledge(
    State(state): State<WebState>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let new: New = match parse(&headers, body, r#"{"by": "wang", "note": "..."}"#) {
        Ok(new) => new,
        Err(problem) => return problem.into_response(),
    };
    let by = bounded(&new.by, MAX_BY);
    if by.is_empty() {
        return Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "`by` says not who").into_response();
    }
    let note = new.note.map(|note| bounded(&note, MAX_NOTE)).filter(|note| !note.is_empty());
    // Its level is the incident's own when it is taken on.
    let taken = Acknowledgement { at: (state.clock)(), by, note, level: Level::Green };
    answer(&state, id, Some(taken)).await
}

/// `DELETE` of the same, or `POST /api/v1/incidents/{id}/unacknowledge` from a form: nobody has it.
pub(crate) async fn unacknowledge(State(state): State<WebState>, Path(id): Path<String>) -> Response {
    answer(&state, id, None).await
}

async fn answer(state: &WebState, id: String, by: Option<Acknowledgement>) -> Response {
    let Some(control) = state.control.as_ref() else { return Problem::read_only().into_response() };
    match control.acknowledge(id.clone(), by).await {
        Ok(Some(incident)) => {
            Json(IncidentReport::of(&state.boards.current().model, &incident)).into_response()
        }
        Ok(None) => {
            let id = clean_words(&id);
            let over = state.boards.current().resolved.iter().any(|incident| incident.id == id);
            let detail = if over {
                format!("incident `{id}` is over")
            } else {
                format!("there is no open incident `{id}`")
            };
            Problem::not_found(detail).into_response()
        }
        Err(_) => Problem::stopping().into_response(),
    }
}
