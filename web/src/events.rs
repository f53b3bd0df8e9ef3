//! Server-sent events: to each page what changed since what that page last got.
//!
//! A slow page gets the newest state, never a queue: the stream holds one view and compares the current
//! board with it whenever the page has taken the event before.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use collector::watch::BoardWatch;
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use topology::text::Lang;

use crate::WebState;
use crate::ask::Query;
use crate::respond::{Asked, Prefs, Problem};
use crate::scene::Which;
use crate::state::{MAX_STREAMS, Snapshot};
use crate::view::{patch, whole};

/// From one sign of life to the next.
const BEAT: Duration = Duration::from_secs(1);

/// What a page says of itself.
#[derive(Debug, Deserialize)]
pub(crate) struct Has {
    /// The board that the page shows.
    since: Option<u64>,
    /// The run of the program that it came from.
    run: Option<String>,
    /// The stage that the page was made for.
    stage: Option<String>,
    /// The program's version that the page was made by.
    version: Option<String>,
    /// A moment that is over: the whole of it is told.
    at: Option<String>,
    /// The group whose wall it is.
    #[serde(default)]
    group: String,
}

impl Has {
    fn which(&self) -> Which {
        if self.group.is_empty() { Which::Whole } else { Which::Group(self.group.clone()) }
    }
}

/// `GET /api/v1/events`.
pub(crate) async fn events(
    State(state): State<WebState>,
    Extension(shutdown): Extension<CancellationToken>,
    Query(asked): Query<Asked>,
    Query(has): Query<Has>,
    headers: HeaderMap,
) -> Response {
    let Ok(permit) = state.streams().try_acquire_owned() else {
        let detail = format!("{MAX_STREAMS} event streams are open, and that is the limit");
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response();
    };
    let lang = Prefs::of(&asked, &headers).lang;
    let last_id = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let which = has.which();
    let shown = Shown::of(&state, &which, lang, &Has { since: last_id.or(has.since), ..has });
    let client = Client {
        watch: state.boards.clone(),
        lang,
        which,
        shown,
        beats: beats(),
        paced: false,
        shutdown,
        _permit: permit,
        state,
    };
    let body = stream::unfold(Some(client), |client| async move {
        let mut client = client?;
        let event = client.next().await?;
        // A reset is the last word: the page loads anew.
        let next = (!matches!(event, Event::Reset)).then_some(client);
        Some((Ok::<_, Infallible>(event.bytes()), next))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(body)).into_response()
}

/// The query makes no sense.
fn beats() -> Interval {
    let mut beats = interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beats
}

/// `GET /api/v1/changes-since`: the same for a page whose stream does not come through: what changed, or 304
/// when nothing did. The header `Topowatch-Beat` says the server's time and that of the newest data.
pub(crate) async fn poll(
    State(state): State<WebState>,
    Query(asked): Query<Asked>,
    Query(has): Query<Has>,
    headers: HeaderMap,
) -> Response {
    let lang = Prefs::of(&asked, &headers).lang;
    let which = has.which();
    if let Some(at) = &has.at {
        return then(&state, &which, lang, at).await;
    }
    let (event, shown) = Shown::of(&state, &which, lang, &has).step(&state, &which, lang);
    let (sequence, newest) = shown.newest().unwrap_or_default();
    let tag = format!("\"{}-{sequence}\"", state.run());
    let same = headers.get(header::IF_NONE_MATCH).is_some_and(|old| old.as_bytes() == tag.as_bytes());
    let beat = format!("{} {newest}", (state.clock)().as_millisecond());
    let head = [(header::ETAG, tag), (header::HeaderName::from_static("topowatch-beat"), beat)];
    match event {
        Some(Event::Board(_, patch)) => (head, axum::Json(patch)).into_response(),
        Some(Event::Reset) => axum::Json(json!({ "reset": true })).into_response(),
        _ if same => (StatusCode::NOT_MODIFIED, head).into_response(),
        _ => (head, axum::Json(json!({ "sequence": sequence }))).into_response(),
    }
}

/// Everything as it was at a moment, for a page that travels.
async fn then(state: &WebState, which: &Which, lang: Lang, at: &str) -> Response {
    let Some(at) = moment(at) else {
        let detail = "`at` is no time: write one such as 2026-11-24T12:00:00Z";
        return Problem::new(StatusCode::BAD_REQUEST, detail).into_response();
    };
    let Some(snapshot) = state.then(which, lang, at).await else {
        return Problem::not_found("nothing is known of that time").into_response();
    };
    let mut all = whole(&snapshot.view);
    all.insert("now".to_owned(), json!(at.as_millisecond()));
    all.insert("sequence".to_owned(), json!(snapshot.sequence));
    axum::Json(all).into_response()
}

/// A moment as an address names it: RFC 3339, or whole seconds since 1970 as a slider gives them.
pub(crate) fn moment(text: &str) -> Option<jiff::Timestamp> {
    let seconds = text.parse::<i64>().ok();
    text.parse().ok().or_else(|| jiff::Timestamp::from_second(seconds?).ok())
}

/// What the page has.
enum Shown {
    /// This view.
    View(Arc<Snapshot>),
    /// Nothing yet, and it asked for nothing: it is greeted with the current sequence.
    Nothing,
    /// A view that is not known here, of the stage that is: it is told everything.
    Old,
    /// Something that a change cannot mend.
    Lost,
}

impl Shown {
    fn of(state: &WebState, which: &Which, lang: Lang, has: &Has) -> Self {
        let Some(sequence) = has.since else { return Self::Nothing };
        let same_run = has.run.as_deref().is_none_or(|run| run == state.run());
        let seen = state.seen(which, lang, sequence).filter(|_| same_run);
        if let Some(seen) = seen {
            return Self::View(seen);
        }
        let same_program = has.version.as_deref() == Some(state.version);
        match state.snapshot(which, lang) {
            Some(now) if same_program && has.stage.as_deref() == Some(&now.stage.hash) => Self::Old,
            _ => Self::Lost,
        }
    }

    /// What is new since then, and what the page has when it has taken that.
    fn step(self, state: &WebState, which: &Which, lang: Lang) -> (Option<Event>, Self) {
        let Some(new) = state.snapshot(which, lang) else { return (Some(Event::Reset), Self::Lost) };
        let patch = match self {
            Self::Lost => return (Some(Event::Reset), Self::Lost),
            Self::Nothing => None,
            Self::Old => {
                let mut all = whole(&new.view);
                all.insert("run".to_owned(), json!(state.run()));
                Some(all)
            }
            Self::View(old) if old.stage.hash != new.stage.hash => return (Some(Event::Reset), Self::Lost),
            Self::View(old) => patch(&old.view, &new.view),
        };
        let event = patch.map(|mut patch| {
            patch.insert("now".to_owned(), json!((state.clock)().as_millisecond()));
            patch.insert("newest".to_owned(), json!(new.view.newest));
            patch.insert("sequence".to_owned(), json!(new.sequence));
            Event::Board(new.sequence, Value::Object(patch))
        });
        (event, Self::View(new))
    }

    /// The sequence and the time of the newest data.
    fn newest(&self) -> Option<(u64, i64)> {
        match self {
            Self::View(snapshot) => Some((snapshot.sequence, snapshot.view.newest)),
            _ => None,
        }
    }
}

struct Client {
    state: WebState,
    watch: BoardWatch,
    lang: Lang,
    which: Which,
    shown: Shown,
    beats: Interval,
    /// A board event was just sent.
    paced: bool,
    shutdown: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

enum Event {
    Board(u64, Value),
    Beat(u64, i64, i64),
    Reset,
}

impl Event {
    fn bytes(&self) -> Bytes {
        let text = match self {
            Self::Board(id, patch) => format!("event: board\nid: {id}\ndata: {patch}\n\n"),
            Self::Beat(id, now, newest) => format!("event: beat\nid: {id}\ndata: {now} {newest}\n\n"),
            Self::Reset => "event: reset\ndata: {}\n\n".to_owned(),
        };
        Bytes::from(text)
    }
}

impl Client {
    /// The next event; nothing when the server shuts down.
    async fn next(&mut self) -> Option<Event> {
        if self.paced {
            self.paced = false;
            tokio::select! {
                () = self.shutdown.cancelled() => return None,
                () = tokio::time::sleep(self.state.pace) => {}
            }
        }
        let mut beat = false;
        let mut ended = false;
        loop {
            match self.difference() {
                Some(event) => return Some(event),
                None if beat => return Some(self.beat()),
                None => {}
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return None,
                _ = self.beats.tick() => beat = true,
                board = self.watch.changed(), if !ended => ended = board.is_none(),
            }
        }
    }

    fn beat(&self) -> Event {
        let now = (self.state.clock)().as_millisecond();
        let (sequence, newest) = self.shown.newest().unwrap_or((0, now));
        Event::Beat(sequence, now, newest)
    }

    /// What changed since what the page has, which is then what it has.
    fn difference(&mut self) -> Option<Event> {
        let shown = std::mem::replace(&mut self.shown, Shown::Lost);
        let (event, shown) = shown.step(&self.state, &self.which, self.lang);
        self.shown = shown;
        self.paced = matches!(event, Some(Event::Board(..)));
        event
    }
}
