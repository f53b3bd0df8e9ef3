//! What every handler shares.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use collector::board::Board;
use collector::control::Control;
use collector::history::History;
use collector::watch::BoardWatch;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use secrecy::SecretString;
use tokio::sync::Semaphore;
use topology::text::Lang;

use crate::api::Reload;
use crate::stage::Stage;
use crate::view::View;

/// Open event streams at most: each is a socket and a task for as long as a page stays open.
pub(crate) const MAX_STREAMS: usize = 500;
/// Views kept for pages that come back: at five boards a second some 25 seconds.
const KEPT_VIEWS: usize = 128;
/// Topologies kept, so that a page loaded just before a reload still gets its style sheet.
const KEPT_STAGES: usize = 4;

/// The boards, the clock, and what is worked out once for all readers.
#[derive(Clone)]
pub struct WebState {
    /// Where the boards come from.
    pub boards: BoardWatch,
    /// The program's version: a page of another one loads itself anew.
    pub version: &'static str,
    /// What time it is.
    pub clock: fn() -> Timestamp,
    /// The zone that times of day are written in.
    pub zone: TimeZone,
    /// Who takes changes and gives recordings; without it the server only shows.
    pub control: Option<Control>,
    /// Reads the topology file again.
    pub reload: Option<Reload>,
    /// What was; without it the server knows only the present.
    pub history: Option<History>,
    /// Whoever changes something must have it; without one only this machine may.
    pub token: Option<SecretString>,
    shared: Arc<Shared>,
}

struct Shared {
    stages: Mutex<VecDeque<Arc<Stage>>>,
    views: [Mutex<VecDeque<Arc<Snapshot>>>; 2],
    /// Names this run of the program: sequences of another run mean other boards.
    run: String,
    streams: Arc<Semaphore>,
    recordings: Arc<Semaphore>,
}

/// A view, and which board and topology it is of.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) sequence: u64,
    pub(crate) stage: Arc<Stage>,
    pub(crate) view: View,
}

impl WebState {
    /// A state over `boards`; times of day are written in the system's zone.
    pub fn new(boards: BoardWatch, clock: fn() -> Timestamp) -> Self {
        let shared = Shared {
            stages: Mutex::default(),
            views: [Mutex::default(), Mutex::default()],
            run: format!("{:x}", clock().as_nanosecond()),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            recordings: Arc::new(Semaphore::new(1)),
        };
        let state = Self {
            boards,
            version: env!("CARGO_PKG_VERSION"),
            clock,
            zone: TimeZone::system(),
            control: None,
            reload: None,
            history: None,
            token: None,
            shared: Arc::new(shared),
        };
        // The first layout is worked out before anybody waits for a page.
        state.stage(&state.boards.current());
        state
    }

    /// The topology of `board`, laid out at most once.
    pub(crate) fn stage(&self, board: &Board) -> Arc<Stage> {
        let mut stages = self.shared.stages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stage) = stages.iter().find(|stage| Arc::ptr_eq(&stage.model, &board.model)) {
            return Arc::clone(stage);
        }
        let stage = Arc::new(Stage::of(Arc::clone(&board.model)));
        stages.push_back(Arc::clone(&stage));
        if stages.len() > KEPT_STAGES {
            stages.pop_front();
        }
        stage
    }

    /// The style sheet with this hash, if its topology is still kept.
    pub(crate) fn stage_css(&self, hash: &str) -> Option<Arc<Stage>> {
        let stages = self.shared.stages.lock().unwrap_or_else(PoisonError::into_inner);
        stages.iter().find(|stage| stage.css_hash == hash).cloned()
    }

    /// The current board as seen in `lang`, worked out once for all readers.
    pub(crate) fn snapshot(&self, lang: Lang) -> Arc<Snapshot> {
        let board = self.boards.current();
        let stage = self.stage(&board);
        let mut views = self.views(lang).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = views.back()
            && last.sequence >= board.sequence
        {
            return Arc::clone(last);
        }
        let view = View::of(&board, &stage.layout, lang, &self.zone);
        let snapshot = Arc::new(Snapshot { sequence: board.sequence, stage, view });
        views.push_back(Arc::clone(&snapshot));
        if views.len() > KEPT_VIEWS {
            views.pop_front();
        }
        snapshot
    }

    /// The view that a page with `sequence` has, if it is still kept.
    pub(crate) fn seen(&self, lang: Lang, sequence: u64) -> Option<Arc<Snapshot>> {
        let views = self.views(lang).lock().unwrap_or_else(PoisonError::into_inner);
        views.iter().rev().find(|snapshot| snapshot.sequence == sequence).cloned()
    }

    pub(crate) fn run(&self) -> &str {
        &self.shared.run
    }

    pub(crate) fn streams(&self) -> Arc<Semaphore> {
        Arc::clone(&self.shared.streams)
    }

    pub(crate) fn recordings(&self) -> Arc<Semaphore> {
        Arc::clone(&self.shared.recordings)
    }

    fn views(&self, lang: Lang) -> &Mutex<VecDeque<Arc<Snapshot>>> {
        &self.shared.views[usize::from(lang == Lang::Zh)]
    }
}

impl std::fmt::Debug for WebState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebState").field("version", &self.version).finish_non_exhaustive()
    }
}
