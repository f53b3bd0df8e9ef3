//! Server-sent events: to each page what changed since what that page last got.
//!
//! A slow page gets the newest state, never a queue: the stream holds one view and compares the current
//! board with it whenever the page has taken the event before.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
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
use crate::respond::{Asked, Prefs, Problem};
use crate::state::{MAX_STREAMS, Snapshot};
use crate::view::patch;

/// From one board event to the next: at most five a second.
const PACE: Duration = Duration::from_millis(200);
/// From one sign of life to the next.
const BEAT: Duration = Duration::from_secs(1);

#[derive(Debug, Deserialize)]
pub(crate) struct Since {
    since: Option<u64>,
    run: Option<String>,
}

/// `GET /api/v1/events`.
pub(crate) async fn events(
    State(state): State<WebState>,
    Extension(shutdown): Extension<CancellationToken>,
    Query(asked): Query<Asked>,
    Query(since): Query<Since>,
    headers: HeaderMap,
) -> Response {
    let Ok(permit) = state.streams().try_acquire_owned() else {
        let detail = format!("{MAX_STREAMS} event streams are open, and that is the limit");
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response();
    };
    let lang = Prefs::of(&asked, &headers).lang;
    let last_id = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let same_run = since.run.as_deref().is_none_or(|run| run == state.run());
    let client = Client {
        watch: state.boards.clone(),
        lang,
        shown: Shown::of(&state, lang, last_id.or(since.since), same_run),
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

fn beats() -> Interval {
    let mut beats = interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beats
}

/// What the page has.
enum Shown {
    /// This view.
    View(Arc<Snapshot>),
    /// Nothing yet, and it asked for nothing: it is greeted with the current sequence.
    Nothing,
    /// Something that is no longer known here.
    Lost,
}

impl Shown {
    fn of(state: &WebState, lang: Lang, sequence: Option<u64>, same_run: bool) -> Self {
        match sequence {
            None => Self::Nothing,
            Some(_) if !same_run => Self::Lost,
            Some(sequence) => state.seen(lang, sequence).map_or(Self::Lost, Self::View),
        }
    }
}

struct Client {
    state: WebState,
    watch: BoardWatch,
    lang: Lang,
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
                () = tokio::time::sleep(PACE) => {}
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
        match &self.shown {
            Shown::View(snapshot) => Event::Beat(snapshot.sequence, now, snapshot.view.newest),
            _ => Event::Beat(0, now, now),
        }
    }

    /// What changed since what the page has, which is then what it has.
    fn difference(&mut self) -> Option<Event> {
        let new = self.state.snapshot(self.lang);
        let old = match std::mem::replace(&mut self.shown, Shown::Lost) {
            Shown::Lost => return Some(Event::Reset),
            Shown::Nothing => Arc::clone(&new),
            Shown::View(old) => old,
        };
        if old.stage.hash != new.stage.hash {
            return Some(Event::Reset);
        }
        let patch = patch(&old.view, &new.view);
        let (sequence, newest) = (new.sequence, new.view.newest);
        self.shown = Shown::View(new);
        let mut patch = patch?;
        self.paced = true;
        patch.insert("now".to_owned(), json!((self.state.clock)().as_millisecond()));
        patch.insert("newest".to_owned(), json!(newest));
        patch.insert("sequence".to_owned(), json!(sequence));
        Some(Event::Board(sequence, Value::Object(patch)))
    }
}
