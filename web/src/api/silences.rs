//! `/api/v1/silences` and `/api/v1/maintenance`: what is to be kept quiet. JSON, or a form as a page sends it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use collector::board::Board;
use collector::changes::ChangeOn;
use collector::clock::between;
use collector::report::time;
use collector::silence::{LONGEST, MAX_NODES, QuietKind, Silence};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use topology::fault::clean_words;

use super::changes::{bounded, unknown};
use super::maintenance::WindowReport;
use crate::WebState;
use crate::ask::Path;
use crate::respond::Problem;

/// Bytes of a name and of a reason.
const MAX_BY: usize = 100;
const MAX_WHY: usize = 500;

/// A wish as it is sent; `nodes` of a form is one text with commas.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct New {
    #[serde(default)]
    nodes: Names,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    #[serde(rename = "for")]
    lasts: Option<String>,
    by: Option<String>,
    why: Option<String>,
    /// A form brings the token of its page along; the guard has seen to it.
    #[serde(default, rename = "token")]
    _token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Names {
    List(Vec<String>),
    Text(String),
}

impl Default for Names {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl New {
    /// Of one node or incident, from now on for a while.
    pub(crate) fn of(node: String, lasts: String, by: String, why: String) -> Self {
        Self {
            nodes: Names::List(vec![node]),
            lasts: Some(lasts),
            by: Some(by),
            why: Some(why),
            ..Self::default()
        }
    }
}

impl Names {
    fn all(self) -> Vec<String> {
        let all = match self {
            Self::List(all) => all,
            Self::Text(text) => text.split(',').map(str::to_owned).collect(),
        };
        all.into_iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
    }
}

/// A silence as it is given out.
#[derive(Debug, Serialize)]
pub(super) struct SilenceReport {
    id: String,
    kind: QuietKind,
    nodes: Vec<String>,
    from: String,
    until: String,
    active: bool,
    by: Option<String>,
    why: Option<String>,
    created_at: String,
    matches: Matches,
    /// What is odd about it: that it names nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

/// What it names now.
#[derive(Debug, Serialize)]
struct Matches {
    instances: usize,
    incidents: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Silences {
    silences: Vec<SilenceReport>,
    maintenance: Vec<WindowReport>,
}

impl SilenceReport {
    pub(super) fn of(board: &Board, silence: &Silence, now: Timestamp) -> Self {
        let instances = silence.instances(&board.model).len();
        let named = board.open.iter().filter(|incident| silence.names(&board.model, incident));
        let incidents: Vec<String> = named.map(|incident| incident.id.clone()).collect();
        let note = (instances == 0 && incidents.is_empty())
            .then_some("it matches nothing: no node of the file, and no open incident");
        Self {
            id: silence.id.clone(),
            kind: silence.kind,
            nodes: silence.nodes.clone(),
            from: time(silence.from),
            until: time(silence.until),
            active: silence.span().covers(now),
            by: silence.by.clone(),
            why: silence.why.clone(),
            created_at: time(silence.created_at),
            matches: Matches { instances, incidents },
            note,
        }
    }
}

/// `GET /api/v1/silences`: those of the last day and those to come, and the windows of the file.
pub(crate) async fn list(State(state): State<WebState>) -> Response {
    let (board, now) = (state.boards.current(), (state.clock)());
    let silences = board.silences.iter().map(|silence| SilenceReport::of(&board, silence, now)).collect();
    Json(Silences { silences, maintenance: WindowReport::all(&board.model, now) }).into_response()
}

/// `POST /api/v1/silences`: 201.
pub(crate) async fn silence(
    state: State<WebState>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    begin(state, &headers, body, QuietKind::Silence).await
}

pub(super) async fn begin(
    State(state): State<WebState>,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    kind: QuietKind,
) -> Response {
    match take(&state, headers, body, kind).await {
        Ok(silence) => {
            let (board, now) = (state.boards.current(), (state.clock)());
            (StatusCode::CREATED, Json(SilenceReport::of(&board, &silence, now))).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

/// `DELETE /api/v1/silences/{id}`, or `POST /api/v1/silences/{id}/end` from a form: it is over now.
pub(crate) async fn end(State(state): State<WebState>, Path(id): Path<String>) -> Response {
    match lift(&state, id).await {
        Ok(silence) => {
            let (board, now) = (state.boards.current(), (state.clock)());
            Json(SilenceReport::of(&board, &silence, now)).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

/// It is over now.
pub(crate) async fn lift(state: &WebState, id: String) -> Result<Silence, Problem> {
    let control = state.control.as_ref().ok_or_else(Problem::read_only)?;
    let ended = control.end_silence(id.clone()).await.map_err(|_| Problem::stopping())?;
    ended.ok_or_else(|| Problem::not_found(format!("there is no silence `{}`", clean_words(&id))))
}

/// What was sent: JSON, or a form.
pub(super) fn parse<T: serde::de::DeserializeOwned>(
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    example: &str,
) -> Result<T, Problem> {
    let body = body.map_err(|rejection| Problem::new(rejection.status(), "at most 16 KiB are taken"))?;
    let bad = |error: String| Problem::new(StatusCode::BAD_REQUEST, format!("{error}; send {example}"));
    let kind = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/x-www-form-urlencoded") {
        // What a form leaves empty is not there.
        let pairs = url::form_urlencoded::parse(&body).filter(|(_, value)| !value.is_empty());
        let map: serde_json::Map<String, serde_json::Value> =
            pairs.map(|(key, value)| (key.into_owned(), value.into_owned().into())).collect();
        return serde_json::from_value(map.into()).map_err(|error| bad(error.to_string()));
    }
    serde_json::from_slice(&body).map_err(|error| bad(error.to_string()))
}

async fn take(
    state: &WebState,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    kind: QuietKind,
) -> Result<Silence, Problem> {
    take_one(state, parse(headers, body, r#"{"nodes": ["order-db"], "for": "2h", "why": "..."}"#)?, kind)
        .await
}

/// Begins what `new` wishes.
pub(crate) async fn take_one(state: &WebState, new: New, kind: QuietKind) -> Result<Silence, Problem> {
    let control = state.control.as_ref().ok_or_else(Problem::read_only)?;
    let bad = |detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
    let now = (state.clock)();
    let from = new.from.unwrap_or(now);
    let until = match (new.until, &new.lasts) {
        (Some(_), Some(_)) => return Err(bad("`until` and `for` say the same: send one of them".to_owned())),
        (Some(until), None) => until,
        (None, Some(text)) => {
            let lasts: SignedDuration = text.trim().parse().map_err(|_| {
                bad(format!("`for` is a duration such as 30m or 2h, not `{}`", clean_words(text)))
            })?;
            from.checked_add(lasts).map_err(|_| bad("`for` is too long".to_owned()))?
        }
        (None, None) => return Err(bad("say for how long: `for` or `until`".to_owned())),
    };
    if until <= from || until <= now {
        return Err(bad("it would be over before it begins".to_owned()));
    }
    if between(from.min(now), until) > LONGEST {
        return Err(bad(format!("nothing is kept quiet for more than {} days", LONGEST.as_secs() / 86_400)));
    }
    let names = new.nodes.all();
    if names.is_empty() {
        return Err(bad("`nodes` names nothing; `*` is everything".to_owned()));
    }
    if names.len() > MAX_NODES {
        return Err(bad(format!("`nodes` names more than {MAX_NODES}")));
    }
    let board = state.boards.current();
    let nodes = names.iter().map(|name| named(&board, name, kind)).collect::<Result<Vec<_>, _>>()?;
    let text =
        |text: Option<String>, most| text.map(|text| bounded(&text, most)).filter(|text| !text.is_empty());
    let silence = Silence {
        id: collector::new_incident_id()(now),
        kind,
        nodes,
        from,
        until,
        by: text(new.by, MAX_BY),
        why: text(new.why, MAX_WHY),
        created_at: now,
    };
    match control.silence(silence.clone()).await {
        Ok(true) => Ok(silence),
        Ok(false) => Err(Problem::new(StatusCode::CONFLICT, "there are too many silences: end some first")),
        Err(_) => Err(Problem::stopping()),
    }
}

/// The whole name of what is meant; what matches nothing is said at once.
fn named(board: &Board, name: &str, kind: QuietKind) -> Result<String, Problem> {
    if name == "*" && kind == QuietKind::Silence {
        return Ok(name.to_owned());
    }
    if kind == QuietKind::Silence && board.open.iter().any(|incident| incident.id == *name) {
        return Ok(name.to_owned());
    }
    let model = &board.model;
    ChangeOn::find(model, name)
        .map(|on| on.name(model))
        .map_err(|candidates| unknown(model, name, &candidates))
}
