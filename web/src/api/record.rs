//! `GET /api/v1/record`: the last minutes as a recorded case.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use collector::case::NoCase;
use collector::recent::WINDOW;
use jiff::SignedDuration;
use serde::Deserialize;

use crate::WebState;
use crate::ask::Query;
use crate::respond::Problem;

/// What is to be recorded.
#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    r#for: Option<String>,
    incident: Option<String>,
}

/// `GET /api/v1/record[?for=15m][&incident=ID]`. One at a time: it copies the monitor's memory.
pub(crate) async fn record(State(state): State<WebState>, Query(wanted): Query<Wanted>) -> Response {
    let Some(control) = &state.control else { return Problem::read_only().into_response() };
    let length = match wanted.r#for.as_deref().map(str::parse::<SignedDuration>) {
        None => WINDOW,
        Some(Ok(length)) if length.is_positive() => Duration::try_from(length).unwrap_or(WINDOW),
        Some(_) => {
            let detail = "`for` is a duration such as 15m or 90s";
            return Problem::new(StatusCode::BAD_REQUEST, detail).into_response();
        }
    };
    let Ok(permit) = state.recordings().try_acquire_owned() else {
        let mut response =
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "another recording is being made").into_response();
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        return response;
    };
    let Ok(recording) = control.record().await else { return Problem::stopping().into_response() };
    let made = tokio::task::spawn_blocking(move || {
        let case = recording.case(length, wanted.incident.as_deref())?;
        let bytes = serde_json::to_vec(&case);
        drop(permit);
        Ok::<_, NoCase>(bytes)
    });
    match made.await {
        Ok(Ok(Ok(bytes))) => ([(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Ok(Err(error @ NoCase::Unknown(_))) => Problem::not_found(error.to_string()).into_response(),
        Ok(Err(error @ NoCase::Forgotten { .. })) => {
            Problem::new(StatusCode::GONE, error.to_string()).into_response()
        }
        Ok(Ok(Err(error))) => failed(&error),
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "a recording failed");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the recording failed").into_response()
}
