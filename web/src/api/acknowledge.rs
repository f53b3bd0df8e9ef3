//! `/api/v1/incidents/{id}/acknowledge`: somebody takes an incident on. JSON, or a form as a page sends it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use collector::incident::{Acknowledgement, Incident};
use collector::report::IncidentReport;
use serde::Deserialize;
use topology::fault::clean_words;
use topology::level::Level;

use super::changes::bounded;
use super::silences::parse;
use crate::WebState;
use crate::ask::Path;
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
    answer(&state, take_on(&state, id, &new.by, new.note.as_deref()).await)
}

/// Somebody takes an incident on.
pub(crate) async fn take_on(
    state: &WebState,
    id: String,
    by: &str,
    note: Option<&str>,
) -> Result<Incident, Problem> {
    let by = who(by)?;
    let note = note.map(|note| bounded(note, MAX_NOTE)).filter(|note| !note.is_empty());
    // Its level is the incident's own when it is taken on.
    let taken = Acknowledgement { at: (state.clock)(), by, note, level: Level::Green };
    acknowledged(state, id, Some(taken)).await
}

/// Nobody has it any more.
pub(crate) async fn let_go(state: &WebState, id: String) -> Result<Incident, Problem> {
    acknowledged(state, id, None).await
}

fn who(by: &str) -> Result<String, Problem> {
    let by = bounded(by, MAX_BY);
    if by.is_empty() {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "`by` says not who"));
    }
    Ok(by)
}

/// What is said of an incident.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewNote {
    by: String,
    note: String,
    #[serde(default, rename = "token")]
    _token: Option<String>,
}

/// `POST /api/v1/incidents/{id}/notes`: a line for its timeline; the incident as it is then.
pub(crate) async fn note(
    State(state): State<WebState>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let new: NewNote = match parse(&headers, body, r#"{"by": "wang", "note": "..."}"#) {
        Ok(new) => new,
        Err(problem) => return problem.into_response(),
    };
    answer(&state, say(&state, id, &new.by, &new.note).await)
}

/// Writes a line into the timeline of an incident.
pub(crate) async fn say(state: &WebState, id: String, by: &str, note: &str) -> Result<Incident, Problem> {
    let (by, note) = (who(by)?, bounded(note, MAX_NOTE));
    if note.is_empty() {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "`note` says nothing"));
    }
    let control = state.control.as_ref().ok_or_else(Problem::read_only)?;
    let noted = control.note(id.clone(), by, note).await.map_err(|_| Problem::stopping())?;
    noted.ok_or_else(|| over(state, &id))
}

/// `DELETE` of the same, or `POST /api/v1/incidents/{id}/unacknowledge` from a form: nobody has it.
pub(crate) async fn unacknowledge(State(state): State<WebState>, Path(id): Path<String>) -> Response {
    answer(&state, let_go(&state, id).await)
}

async fn acknowledged(
    state: &WebState,
    id: String,
    by: Option<Acknowledgement>,
) -> Result<Incident, Problem> {
    let control = state.control.as_ref().ok_or_else(Problem::read_only)?;
    let taken = control.acknowledge(id.clone(), by).await.map_err(|_| Problem::stopping())?;
    taken.ok_or_else(|| over(state, &id))
}

/// There is no such open incident.
fn over(state: &WebState, id: &str) -> Problem {
    let id = clean_words(id);
    let over = state.boards.current().resolved.iter().any(|incident| incident.id == id);
    Problem::not_found(if over {
        format!("incident `{id}` is over")
    } else {
        format!("there is no open incident `{id}`")
    })
}

fn answer(state: &WebState, result: Result<Incident, Problem>) -> Response {
    match result {
        Ok(incident) => Json(IncidentReport::of(&state.boards.current().model, &incident)).into_response(),
        Err(problem) => problem.into_response(),
    }
}
