//! What every handler shares.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use collector::access::Access;
use collector::board::Board;
use collector::control::Control;
use collector::history::History;
use collector::objectives::Objectives;
use collector::reports::Reports;
use collector::watch::BoardWatch;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use secrecy::SecretString;
use tokio::sync::Semaphore;
use topology::text::Lang;

use crate::api::Reload;
use crate::scene::Which;
use crate::stage::Stage;
use crate::view::{Format, View};

/// Open event streams at most: each is a socket and a task for as long as a page stays open.
pub(crate) const MAX_STREAMS: usize = 500;
/// Views kept for pages that come back: at five boards a second some 25 seconds.
const KEPT_VIEWS: usize = 128;
/// Walls kept, so that a page loaded just before a reload still gets its style sheet, and that each group of
/// a large platform is laid out once.
const KEPT_STAGES: usize = 64;
/// Walls whose views are kept, in both languages.
const KEPT_WALLS: usize = 128;

/// A wall, and whether in Chinese.
type Viewed = (Which, bool);

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
    /// Takes what instances report by themselves.
    pub reports: Option<Reports>,
    /// What was; without it the server knows only the present.
    pub history: Option<History>,
    /// Whoever changes something must have it; without one only this machine may.
    pub token: Option<SecretString>,
    /// From one change sent to a page to the next, at least.
    pub pace: Duration,
    /// Since when levels are known: nothing is claimed of the time before.
    pub known_since: Timestamp,
    /// Tokens and sessions; without it there is at most the one above.
    pub access: Option<Access>,
    /// Reading needs a token, too.
    pub private: bool,
    /// What was promised.
    pub objectives: Objectives,
    shared: Arc<Shared>,
}

struct Shared {
    stages: Mutex<VecDeque<Arc<Stage>>>,
    views: Mutex<BTreeMap<Viewed, VecDeque<Arc<Snapshot>>>>,
    /// Names this run of the program: sequences of another run mean other boards.
    run: String,
    streams: Arc<Semaphore>,
    recordings: Arc<Semaphore>,
    /// When a refusal was noted last, Unix seconds.
    refusal: AtomicI64,
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
            views: Mutex::default(),
            run: format!("{:x}", clock().as_nanosecond()),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            recordings: Arc::new(Semaphore::new(1)),
            refusal: AtomicI64::new(0),
        };
        let state = Self {
            boards,
            version: env!("CARGO_PKG_VERSION"),
            clock,
            zone: TimeZone::system(),
            control: None,
            reload: None,
            reports: None,
            history: None,
            token: None,
            pace: Duration::from_millis(200),
            known_since: clock(),
            access: None,
            private: false,
            objectives: Objectives::default(),
            shared: Arc::new(shared),
        };
        // The first layout is worked out before anybody waits for a page.
        state.stage(&state.boards.current(), &Which::Whole);
        state
    }

    /// The wall `which` of the topology of `board`, laid out at most once.
    pub(crate) fn stage(&self, board: &Board, which: &Which) -> Option<Arc<Stage>> {
        let mut stages = self.shared.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |stage: &&Arc<Stage>| Arc::ptr_eq(&stage.model, &board.model) && stage.which == *which;
        if let Some(stage) = stages.iter().find(same) {
            return Some(Arc::clone(stage));
        }
        let before = stages.iter().rev().find(|stage| !Arc::ptr_eq(&stage.model, &board.model));
        let count = |model: &topology::model::Model| i64::try_from(model.components.len()).unwrap_or(0);
        let grown = before.map(|before| count(&board.model) - count(&before.model));
        let stage = Arc::new(Stage::of(Arc::clone(&board.model), which.clone(), grown)?);
        stages.push_back(Arc::clone(&stage));
        if stages.len() > KEPT_STAGES {
            stages.pop_front();
        }
        Some(stage)
    }

    /// The style sheet with this hash, if its topology is still kept.
    pub(crate) fn stage_css(&self, hash: &str) -> Option<Arc<Stage>> {
        let stages = self.shared.stages.lock().unwrap_or_else(PoisonError::into_inner);
        stages.iter().find(|stage| stage.css_hash == hash).cloned()
    }

    /// The current board as seen on the wall `which` in `lang`, worked out once for all readers; nothing when
    /// there is no such group.
    pub(crate) fn snapshot(&self, which: &Which, lang: Lang) -> Option<Arc<Snapshot>> {
        let board = self.boards.current();
        let stage = self.stage(&board, which)?;
        let mut all = self.shared.views.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= KEPT_WALLS {
            all.retain(|(other, _), _| *other == Which::Whole || other == which);
        }
        let views = all.entry((which.clone(), lang == Lang::Zh)).or_default();
        if let Some(last) = views.back()
            && last.sequence >= board.sequence
        {
            return Some(Arc::clone(last));
        }
        let format = Format { lang, zone: self.zone.clone() };
        let view = View::of(&board, &stage, board.curves.first(), self.known_since, &format);
        let snapshot = Arc::new(Snapshot { sequence: board.sequence, stage, view });
        views.push_back(Arc::clone(&snapshot));
        if views.len() > KEPT_VIEWS {
            views.pop_front();
        }
        Some(snapshot)
    }

    /// The wall `which` as it was at `at`; nothing when that is not known.
    pub(crate) async fn then(&self, which: &Which, lang: Lang, at: Timestamp) -> Option<Snapshot> {
        let board = self.history.as_ref()?.board(&self.boards.current(), at).await.ok()?;
        let stage = self.stage(&board, which)?;
        let format = Format { lang, zone: self.zone.clone() };
        let view = View::of(&board, &stage, None, at, &format);
        Some(Snapshot { sequence: board.sequence, stage, view })
    }

    /// The view that a page with `sequence` has, if it is still kept.
    pub(crate) fn seen(&self, which: &Which, lang: Lang, sequence: u64) -> Option<Arc<Snapshot>> {
        let all = self.shared.views.lock().unwrap_or_else(PoisonError::into_inner);
        let views = all.get(&(which.clone(), lang == Lang::Zh))?;
        views.iter().rev().find(|snapshot| snapshot.sequence == sequence).cloned()
    }

    pub(crate) fn run(&self) -> &str {
        &self.shared.run
    }

    /// True once a second: refusals beyond that are in no audit log.
    pub(crate) fn may_note_refusal(&self, at: Timestamp) -> bool {
        self.shared.refusal.swap(at.as_second(), Ordering::Relaxed) != at.as_second()
    }

    pub(crate) fn streams(&self) -> Arc<Semaphore> {
        Arc::clone(&self.shared.streams)
    }

    pub(crate) fn recordings(&self) -> Arc<Semaphore> {
        Arc::clone(&self.shared.recordings)
    }
}

impl std::fmt::Debug for WebState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebState").field("version", &self.version).finish_non_exhaustive()
    }
}
