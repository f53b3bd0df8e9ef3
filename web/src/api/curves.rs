//! `/api/v1/curves`: the business curves, and values that are pushed.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use collector::curves::CurveState;
use collector::report::time;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use topology::diagnostic::did_you_mean;
use topology::fault::clean_words;
use topology::model::CurveSource;

use crate::WebState;
use crate::ask::Path;
use crate::respond::Problem;

/// Clocks differ by that much; and a value may come so late.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);
const LATE: SignedDuration = SignedDuration::from_hours(1);

/// A value as it is sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    value: f64,
    at: Option<Timestamp>,
}

/// A time out of bounds.
#[derive(Debug, Serialize)]
struct Outage {
    from: String,
    to: Option<String>,
}

/// A curve as it is given out.
#[derive(Debug, Serialize)]
pub(crate) struct Curve {
    name: String,
    title: String,
    title_zh: String,
    unit: Option<String>,
    unit_zh: Option<String>,
    at: Option<String>,
    value: Option<f64>,
    level: &'static str,
    words: String,
    words_zh: String,
    /// Since when it is out of its bounds.
    since: Option<String>,
    /// When it left its bounds within the last three hours, and when it was back.
    outages: Vec<Outage>,
    low: Option<f64>,
    high: Option<f64>,
    /// Unix seconds and value, oldest first; the other days at the times of today.
    points: Vec<(i64, f64)>,
    yesterday: Vec<(i64, f64)>,
    last_week: Vec<(i64, f64)>,
}

impl Curve {
    pub(crate) fn of(state: &CurveState) -> Self {
        let points = |points: &[(Timestamp, f64)]| {
            points.iter().map(|(at, value)| (at.as_second(), (value * 1e3).round() / 1e3)).collect()
        };
        Self {
            name: state.name.clone(),
            title: state.title.en.clone(),
            title_zh: state.title.zh.clone(),
            unit: state.unit.as_ref().map(|unit| unit.en.clone()),
            unit_zh: state.unit.as_ref().map(|unit| unit.zh.clone()),
            at: state.latest.map(|(at, _)| time(at)),
            value: state.latest.map(|(_, value)| value),
            level: state.level.as_str(),
            words: state.words.en.clone(),
            words_zh: state.words.zh.clone(),
            since: state.since().map(time),
            outages: state
                .outages
                .iter()
                .map(|outage| Outage { from: time(outage.from), to: outage.to.map(time) })
                .collect(),
            low: state.low,
            high: state.high,
            points: points(&state.points),
            yesterday: points(&state.yesterday),
            last_week: points(&state.last_week),
        }
    }
}

#[derive(Serialize)]
struct All {
    curves: Vec<Curve>,
}

/// `GET /api/v1/curves`.
pub(crate) async fn list(State(state): State<WebState>) -> Response {
    let board = state.boards.current();
    Json(All { curves: board.curves.iter().map(Curve::of).collect() }).into_response()
}

/// `GET /api/v1/curves/{name}`.
pub(crate) async fn one(State(state): State<WebState>, Path(name): Path<String>) -> Response {
    let board = state.boards.current();
    match board.curves.iter().find(|curve| curve.name == name) {
        Some(curve) => Json(Curve::of(curve)).into_response(),
        None => unknown(&state, &name).into_response(),
    }
}

/// `POST /api/v1/curves/{name}`: `{value, at?}`; 202 when it is taken.
pub(crate) async fn push(
    State(state): State<WebState>,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match take(&state, &name, body).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn take(state: &WebState, name: &str, body: Result<Bytes, BytesRejection>) -> Result<(), Problem> {
    let body = body.map_err(|rejection| Problem::new(rejection.status(), "a value has at most 16 KiB"))?;
    let new: New = serde_json::from_slice(&body).map_err(|error| {
        Problem::new(StatusCode::BAD_REQUEST, format!("{error}; send {{\"value\": 123}}"))
    })?;
    let model = &state.boards.current().model;
    let curve = model.curves.iter().find(|curve| curve.name == name).ok_or_else(|| unknown(state, name))?;
    if !matches!(curve.source, CurveSource::Push) {
        let detail =
            format!("the values of `{name}` are asked for, not pushed: write `push: {{}}` in the file");
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let now = (state.clock)();
    let at = new.at.unwrap_or(now);
    if at > now + AHEAD || at < now - LATE {
        let detail = "`at` is a time of the last hour";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let control = state.control.as_ref().ok_or_else(Problem::read_only)?;
    control.curve(name.to_owned(), at, Ok(new.value)).await.map_err(|_| Problem::stopping())?;
    Ok(())
}

fn unknown(state: &WebState, name: &str) -> Problem {
    let model = &state.boards.current().model;
    let name = clean_words(name);
    let near = did_you_mean(&name, model.curves.iter().map(|curve| curve.name.as_str()));
    let near = near.map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
    Problem::not_found(format!("there is no curve `{name}`{near}"))
}
