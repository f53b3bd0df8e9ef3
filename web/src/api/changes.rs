//! `/api/v1/changes`: what was changed out there.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use collector::changes::{ChangeNote, ChangeOn, KEPT_FOR};
use collector::clock::between;
use collector::report::time;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use topology::diagnostic::did_you_mean;
use topology::fault::clean_words;
use topology::model::Model;

use crate::WebState;
use crate::respond::Problem;

/// Bytes of the shorter texts.
const MAX_BY: usize = 100;
const MAX_LINK: usize = 500;
/// Clocks differ by that much.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// A change as it is sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    node: String,
    what: String,
    at: Option<Timestamp>,
    by: Option<String>,
    link: Option<String>,
}

/// A change as it is given out.
#[derive(Debug, Serialize)]
struct Change {
    at: String,
    node: String,
    what: String,
    by: Option<String>,
    link: Option<String>,
}

#[derive(Debug, Serialize)]
struct Changes {
    changes: Vec<Change>,
}

impl Change {
    fn of(note: &ChangeNote) -> Self {
        let ChangeNote { at, node, what, by, link } = note.clone();
        Self { at: time(at), node, what, by, link }
    }
}

/// What the list can be narrowed by.
#[derive(Debug, Deserialize)]
pub(crate) struct Since {
    since: Option<Timestamp>,
}

/// `GET /api/v1/changes[?since=TIME]`: oldest first.
pub(crate) async fn list(
    State(state): State<WebState>,
    since: Result<Query<Since>, QueryRejection>,
) -> Response {
    let Ok(Query(Since { since })) = since else {
        let detail = "`since` is a time such as 2026-11-24T12:00:00Z";
        return Problem::new(StatusCode::BAD_REQUEST, detail).into_response();
    };
    let board = state.boards.current();
    let wanted = board.changes.iter().filter(|note| since.is_none_or(|since| note.at >= since));
    Json(Changes { changes: wanted.map(Change::of).collect() }).into_response()
}

/// `POST /api/v1/changes`: 201, or 200 when the very same was noted before.
pub(crate) async fn note(State(state): State<WebState>, body: Result<Bytes, BytesRejection>) -> Response {
    match take(&state, body).await {
        Ok((new, change)) => {
            let status = if new { StatusCode::CREATED } else { StatusCode::OK };
            (status, Json(change)).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

async fn take(state: &WebState, body: Result<Bytes, BytesRejection>) -> Result<(bool, Change), Problem> {
    let body = body.map_err(|rejection| Problem::new(rejection.status(), "a change has at most 16 KiB"))?;
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, detail);
    let new: New = serde_json::from_slice(&body).map_err(|error| {
        bad(format!("{error}; send {{\"node\": \"order-service\", \"what\": \"release 1.2\"}}"))
    })?;
    let control = state.control.as_ref().ok_or_else(Problem::read_only)?;
    let now = (state.clock)();
    let at = new.at.unwrap_or(now);
    if at > now + AHEAD {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "`at` lies ahead: a change is told when it is made",
        ));
    }
    if between(at, now) > KEPT_FOR {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "`at` lies more than a day back"));
    }
    let what = clean_words(&new.what);
    if what.is_empty() {
        return Err(bad("`what` says nothing".to_owned()));
    }
    let by = new.by.map(|by| bounded(&by, MAX_BY)).filter(|by| !by.is_empty());
    if let Some(link) = &new.link {
        let http = link.starts_with("http://") || link.starts_with("https://");
        if !http || link.len() > MAX_LINK || link.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(bad(format!("`link` is an http or https URL of at most {MAX_LINK} bytes")));
        }
    }
    let model = &state.boards.current().model;
    let on = ChangeOn::find(model, &new.node).map_err(|candidates| unknown(model, &new.node, &candidates))?;
    let note = ChangeNote { at, node: on.name(model), what, by, link: new.link };
    let change = Change::of(&note);
    let new = control.change(note).await.map_err(|_| Problem::stopping())?;
    Ok((new, change))
}

/// A text of people, cleaned and cut.
pub(super) fn bounded(text: &str, most: usize) -> String {
    let mut text = clean_words(text);
    while text.len() > most {
        text.pop();
    }
    text
}

/// Nothing has this name, or several have.
pub(super) fn unknown(model: &Model, name: &str, candidates: &[String]) -> Problem {
    let name = clean_words(name);
    if !candidates.is_empty() {
        let some: Vec<&str> = candidates.iter().take(10).map(String::as_str).collect();
        return Problem::not_found(format!("`{name}` could be any of: {}", some.join(", ")));
    }
    if name.contains('=') {
        return Problem::not_found(format!("no instance has the label `{name}`"));
    }
    let names = model.components.iter().map(|c| &*c.name).chain(model.instances.iter().map(|i| &*i.name));
    let near = did_you_mean(&name, names).map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
    Problem::not_found(format!("there is no node `{name}`{near}"))
}
