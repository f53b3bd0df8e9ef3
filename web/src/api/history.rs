//! `/api/v1/history/…`: what was. Every answer tells how much of its window was seen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use collector::board::Board;
use collector::history::{Availability, Delivery, History, HistoryError, PastChange, Stretch, Window};
use collector::report::{IncidentReport, time};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::board as shape;
use crate::WebState;
use crate::ask::Path;
use crate::respond::Problem;

/// A window when none is named.
const DAY: Duration = Duration::from_hours(24);
/// The longest window of one question.
const LONGEST: Duration = Duration::from_hours(24 * 400);
/// Points of a signal when none are asked for, and at most.
const POINTS: u32 = 300;
const MOST_POINTS: u32 = 2_000;
/// Lines of a list when none are asked for, and at most.
const LINES: u32 = 500;
const MOST_LINES: u32 = 5_000;

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Asked {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    at: Option<Timestamp>,
    node: Option<String>,
    incident: Option<String>,
    points: Option<u32>,
    limit: Option<u32>,
}

pub(crate) type AskedQuery = Result<Query<Asked>, QueryRejection>;

impl Asked {
    /// The window: from and to, else the last day.
    pub(crate) fn window(&self, now: Timestamp) -> Result<Window, Problem> {
        let to = self.to.unwrap_or(now);
        let day = SignedDuration::from_secs(DAY.as_secs().cast_signed());
        let from = self.from.or_else(|| to.checked_sub(day).ok()).unwrap_or(Timestamp::MIN);
        let window = Window::new(from, to)
            .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "`from` lies before `to`"))?;
        if window.length() > LONGEST {
            return Err(Problem::new(StatusCode::BAD_REQUEST, "a window has at most 400 days"));
        }
        Ok(window)
    }

    /// Nothing but the present is asked for.
    pub(crate) const fn is_now(&self) -> bool {
        self.at.is_none()
    }

    pub(crate) fn lines(&self) -> u32 {
        self.limit.unwrap_or(LINES).clamp(1, MOST_LINES)
    }
}

/// The query as it is meant, or what is wrong with it.
pub(crate) fn asked(query: AskedQuery) -> Result<Asked, Problem> {
    query.map(|Query(asked)| asked).map_err(|_| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "`from`, `to` and `at` are times such as 2026-11-24T12:00:00Z, `points` and `limit` numbers",
        )
    })
}

/// The reading side of the database.
pub(crate) fn history(state: &WebState) -> Result<&History, Problem> {
    state
        .history
        .as_ref()
        .ok_or_else(|| Problem::new(StatusCode::NOT_IMPLEMENTED, "this server keeps no history"))
}

impl From<HistoryError> for Problem {
    fn from(error: HistoryError) -> Self {
        let status = match error {
            HistoryError::Window => StatusCode::BAD_REQUEST,
            HistoryError::Slow | HistoryError::Failed(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, format!("{error}; the board and its levels are not touched by that"))
    }
}

fn answer<T: Serialize>(result: Result<T, Problem>) -> Response {
    match result {
        Ok(value) => Json(value).into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// The board as it was at `at`.
pub(crate) async fn board_at(state: &WebState, at: Timestamp) -> Result<Arc<Board>, Problem> {
    if at > (state.clock)() {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "`at` lies ahead: nobody knows yet"));
    }
    let history = history(state)?;
    Ok(Arc::new(history.board(&state.boards.current(), at).await?))
}

/// `GET /api/v1/history/board?at=TIME`: the board of then, in the shape of `/api/v1/board`.
pub(crate) async fn board(State(state): State<WebState>, query: AskedQuery) -> Response {
    let result = async {
        let at = asked(query)?.at.ok_or_else(|| {
            Problem::new(StatusCode::BAD_REQUEST, "`at` is missing: a time such as 2026-11-24T12:00:00Z")
        })?;
        board_at(&state, at).await
    };
    match result.await {
        Ok(board) => Json(shape::Board::of(&board)).into_response(),
        Err(problem) => problem.into_response(),
    }
}

#[derive(Serialize)]
struct ChangeList {
    from: String,
    to: String,
    changes: Vec<Change>,
    /// There are more than were asked for: those after the last one.
    more: bool,
}

#[derive(Serialize)]
struct Change {
    at: String,
    node: String,
    level: &'static str,
    kind: Option<&'static str>,
    own: &'static str,
    explained_by: Option<String>,
    inherited_from: Vec<String>,
    since: String,
    words: String,
    words_zh: String,
    flapping: bool,
}

impl Change {
    fn of(change: PastChange) -> Self {
        let level = change.level;
        Self {
            at: time(change.at),
            node: change.node,
            level: level.health.level().as_str(),
            kind: level.health.kind().map(topology::level::Kind::as_str),
            own: level.own.level().as_str(),
            explained_by: level.explained_by,
            inherited_from: level.inherited_from,
            since: time(level.since),
            words: level.words.en,
            words_zh: level.words.zh,
            flapping: level.flapping,
        }
    }
}

/// `GET /api/v1/history/changes[?from=][&to=][&node=][&limit=]`: changes of level, oldest first.
pub(crate) async fn changes(State(state): State<WebState>, query: AskedQuery) -> Response {
    let result = async {
        let asked = asked(query)?;
        let window = asked.window((state.clock)())?;
        let limit = asked.lines();
        let mut changes = history(&state)?.changes(window, asked.node.as_deref(), limit + 1).await?;
        let more = changes.len() > limit as usize;
        changes.truncate(limit as usize);
        Ok(ChangeList {
            from: time(window.from()),
            to: time(window.to()),
            changes: changes.into_iter().map(Change::of).collect(),
            more,
        })
    };
    answer(result.await)
}

/// Time in Unix seconds, least, mean, greatest, values.
type PointRow = (f64, f64, f64, f64, u64);

#[derive(Serialize)]
struct NodeSeries {
    node: String,
    from: String,
    to: String,
    step_s: f64,
    /// By signal, oldest first.
    signals: BTreeMap<String, Vec<PointRow>>,
}

/// `GET /api/v1/history/nodes/{name}[?from=][&to=][&points=]`: signals of an instance, of each instance of a
/// component.
pub(crate) async fn node(
    State(state): State<WebState>,
    Path(name): Path<String>,
    query: AskedQuery,
) -> Response {
    let result = async {
        let asked = asked(query)?;
        let now = (state.clock)();
        let window = asked.window(now)?;
        let points = asked.points.unwrap_or(POINTS).clamp(1, MOST_POINTS);
        let series = history(&state)?.series(&name, window, points, now).await?;
        if series.signals.is_empty() && state.boards.current().model.find(&name).is_err() {
            return Err(Problem::not_found(format!("there is no node `{name}`, and there was none")));
        }
        let signals = series.signals.into_iter().map(|(signal, points)| {
            let points = points.into_iter().map(|(at, point)| {
                (at.as_millisecond() as f64 / 1e3, point.min, point.mean, point.max, point.count)
            });
            (signal, points.collect())
        });
        Ok(NodeSeries {
            node: name,
            from: time(window.from()),
            to: time(window.to()),
            step_s: series.step.as_secs_f64(),
            signals: signals.collect(),
        })
    };
    answer(result.await)
}

#[derive(Serialize)]
struct IncidentList {
    from: String,
    to: String,
    incidents: Vec<IncidentReport>,
}

/// `GET /api/v1/history/incidents[?from=][&to=][&limit=]`: those that touch the window, newest first.
pub(crate) async fn incidents(State(state): State<WebState>, query: AskedQuery) -> Response {
    let result = async {
        let asked = asked(query)?;
        let window = asked.window((state.clock)())?;
        let model = Arc::clone(&state.boards.current().model);
        let incidents = history(&state)?.incidents(&model, window, asked.lines()).await?;
        Ok(IncidentList {
            from: time(window.from()),
            to: time(window.to()),
            incidents: incidents.iter().map(|incident| IncidentReport::of(&model, incident)).collect(),
        })
    };
    answer(result.await)
}

#[derive(Serialize)]
struct Deliveries {
    deliveries: Vec<OneDelivery>,
}

#[derive(Serialize)]
struct OneDelivery {
    key: String,
    receiver: String,
    event: String,
    created_at: String,
    delivered_at: Option<String>,
    late_s: Option<f64>,
    attempts: u32,
    trouble: Option<String>,
}

impl OneDelivery {
    fn of(delivery: Delivery) -> Self {
        let late = |at: Timestamp| at.duration_since(delivery.created_at).as_secs_f64();
        Self {
            created_at: time(delivery.created_at),
            delivered_at: delivery.delivered_at.map(time),
            late_s: delivery.delivered_at.map(late),
            key: delivery.key,
            receiver: delivery.receiver,
            event: delivery.event,
            attempts: delivery.attempts,
            trouble: delivery.trouble,
        }
    }
}

/// `GET /api/v1/history/deliveries[?from=][&to=][&incident=][&limit=]`: messages to receivers, newest first.
pub(crate) async fn deliveries(State(state): State<WebState>, query: AskedQuery) -> Response {
    let result = async {
        let asked = asked(query)?;
        let window = asked.window((state.clock)())?;
        let found = history(&state)?.deliveries(window, asked.incident.as_deref(), asked.lines()).await?;
        Ok(Deliveries { deliveries: found.into_iter().map(OneDelivery::of).collect() })
    };
    answer(result.await)
}

#[derive(Serialize)]
struct Availabilities {
    from: String,
    to: String,
    nodes: Vec<NodeAvailability>,
}

/// How much of the window a node served.
#[derive(Serialize)]
pub(crate) struct NodeAvailability {
    node: String,
    /// Share of the known time in which it was not red.
    availability: Option<f64>,
    /// Share of the window that was seen.
    coverage: f64,
    outages: u32,
    green_s: f64,
    yellow_s: f64,
    red_own_s: f64,
    red_inherited_s: f64,
    paused_s: f64,
}

impl NodeAvailability {
    pub(crate) fn of(found: &Availability) -> Self {
        let Stretch { green, yellow, red_own, red_inherited, paused } = found.time;
        Self {
            node: found.node.clone(),
            availability: found.time.availability(),
            coverage: found.coverage,
            outages: found.outages,
            green_s: green.as_secs_f64(),
            yellow_s: yellow.as_secs_f64(),
            red_own_s: red_own.as_secs_f64(),
            red_inherited_s: red_inherited.as_secs_f64(),
            paused_s: paused.as_secs_f64(),
        }
    }
}

/// `GET /api/v1/history/availability[?from=][&to=][&node=]`: of every node, or of one; the worst first.
pub(crate) async fn availability(State(state): State<WebState>, query: AskedQuery) -> Response {
    let result = async {
        let asked = asked(query)?;
        let window = asked.window((state.clock)())?;
        let one: Vec<&str> = asked.node.as_deref().into_iter().collect();
        let mut found = history(&state)?.availability(window, &one).await?;
        found.sort_by(|a, b| b.time.red().cmp(&a.time.red()).then_with(|| a.node.cmp(&b.node)));
        Ok(Availabilities {
            from: time(window.from()),
            to: time(window.to()),
            nodes: found.iter().map(NodeAvailability::of).collect(),
        })
    };
    answer(result.await)
}
