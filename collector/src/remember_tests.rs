use jiff::SignedDuration;
use topology::fault::FaultKind;

use super::*;
use crate::history::{History, Window};
use crate::play::{PLATFORM, Play};
use crate::store::Store;
use crate::testkit;

/// A play whose boards are remembered in a database.
struct Told {
    play: Play,
    remember: Remember,
    store: Store,
}

impl Told {
    async fn new() -> Self {
        let play = Play::new(PLATFORM);
        let store = Store::open("sqlite::memory:").await.unwrap();
        let remember = Remember::new(play.now);
        let mut told = Self { play, remember, store };
        told.keep().await;
        told
    }

    async fn keep(&mut self) {
        let mut batch = Batch::default();
        self.remember.board(&self.play.board, &mut batch);
        self.store.write(&batch).await.unwrap();
    }

    /// So many rounds of three seconds each.
    async fn rounds(&mut self, n: usize) {
        for _ in 0..n {
            self.play.rounds(1);
            self.keep().await;
        }
    }

    fn history(&self) -> History {
        History::of(&self.store)
    }

    async fn of(&self, node: &str, from: Timestamp) -> crate::history::Availability {
        let window = Window::new(from, self.play.now).unwrap();
        self.history().availability(window, &[node]).await.unwrap().remove(0)
    }
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[tokio::test]
async fn lesson_01_what_is_inherited_is_counted_apart_from_own() {
    let mut told = Told::new().await;
    let start = told.play.now;
    told.rounds(10).await;
    told.play.kill_member_db();
    told.rounds(20).await;
    let (db, gateway) = (told.of("member-db", start).await, told.of("gateway", start).await);
    assert!(db.time.red_own >= seconds(50) && db.time.red_inherited == Duration::ZERO, "{db:?}");
    assert!(
        gateway.time.red_inherited >= seconds(50) && gateway.time.red_own == Duration::ZERO,
        "{gateway:?}"
    );
    assert_eq!((db.outages, gateway.outages), (1, 1));
    assert!((db.coverage - 1.0).abs() < 1e-9, "{}", db.coverage);
}

#[tokio::test]
async fn lesson_21_time_that_nobody_watched_is_not_up() {
    let mut told = Told::new().await;
    let start = told.play.now;
    told.rounds(20).await;
    // The monitor is away for two minutes, in which the database dies.
    told.play.now += SignedDuration::from_secs(120);
    told.play.kill_member_db();
    told.remember = Remember::new(told.play.now);
    told.rounds(20).await;
    let db = told.of("member-db", start).await;
    assert!(db.time.green <= seconds(66), "{db:?}");
    assert!(db.coverage < 0.55, "{db:?}");
    let gap = start + SignedDuration::from_secs(120);
    let then = told.history().levels_at(gap).await.unwrap();
    assert!(!then.watched && then.nodes.is_empty(), "{then:?}");
}

#[tokio::test]
async fn a_monitor_that_was_stopped_saw_nothing_meanwhile() {
    let mut told = Told::new().await;
    let start = told.play.now;
    told.rounds(5).await;
    // Stopped, not restarted: the same memory goes on.
    told.play.now += SignedDuration::from_secs(300);
    told.rounds(5).await;
    let gateway = told.of("gateway", start).await;
    assert!(gateway.time.known() <= seconds(33), "{gateway:?}");
    let spans = told.history().watched(Window::new(start, told.play.now).unwrap()).await.unwrap();
    assert_eq!(spans.len(), 2, "{spans:?}");
}

#[tokio::test]
async fn the_board_of_then_is_the_board_that_was() {
    let mut told = Told::new().await;
    told.rounds(3).await;
    let well = told.play.now;
    told.play.kill_member_db();
    told.rounds(5).await;
    let bad = told.play.now;
    let shown = |board: &Board| -> Vec<(Health, Vec<String>, String)> {
        let of = |c: &crate::board::ComponentState| {
            let from = c.inherited_from.iter().map(|id| board.model.component(*id).name.clone()).collect();
            (c.health, from, c.words.en.clone())
        };
        board.components.iter().map(of).collect()
    };
    let was = shown(&told.play.board);
    told.play.broken.clear();
    told.rounds(5).await;
    let board = &told.play.board;
    let then = async |at: Timestamp| {
        let levels = told.history().levels_at(at).await.unwrap();
        crate::history::board_of(&board.model, &board.graph, &levels, &board.resolved, at)
    };
    assert_eq!(shown(&then(bad).await), was);
    let past = then(bad).await;
    assert_eq!(past.open.len(), 1);
    assert!(past.edges.iter().any(|edge| edge.lit.is_some()));
    let past = then(well).await;
    assert_eq!((past.level, past.open.len()), (topology::level::Level::Green, 0));
}

#[tokio::test]
async fn levels_are_said_again_so_that_nobody_looks_back_far() {
    let mut told = Told::new().await;
    told.play.break_it("order-db-1", testkit::fault(FaultKind::Refused, "refused"));
    told.rounds(5).await;
    let mut boards = 0;
    // Eight hours pass, a board each nine seconds.
    for _ in 0..(8 * 3600 / 9) {
        told.play.now += SignedDuration::from_secs(6);
        told.play.rounds(1);
        boards += 1;
        let mut batch = Batch::default();
        told.remember.board(&told.play.board, &mut batch);
        told.store.write(&batch).await.unwrap();
    }
    assert!(boards > 1000);
    let levels = told.history().levels_at(told.play.now).await.unwrap();
    assert_eq!(levels.nodes["order-db"].health, Health::Red);
    // And it is no change.
    let last = Window::last(Duration::from_hours(7), told.play.now);
    assert_eq!(told.history().changes(last, None, 1000).await.unwrap(), []);
}

#[tokio::test]
async fn a_look_is_kept_with_its_signals_and_a_fault_as_a_fault() {
    let mut told = Told::new().await;
    let at = told.play.now;
    told.remember.look("order-1", at, &testkit::answer(&[("http.bytes", 512.0)]));
    told.remember.look("order-1", at, &testkit::fault(FaultKind::Hung, "hung"));
    told.remember.look("order-1", at, &testkit::local());
    told.rounds(1).await;
    let window = Window::new(at, told.play.now).unwrap();
    let series = told.history().series("order-1", window, 10, told.play.now).await.unwrap();
    assert!((series.signals["http.bytes"][0].1.max - 512.0).abs() < 1e-9);
    assert_eq!(series.signals[LATENCY][0].1.count, 1);
    let failed = series.signals[FAILED][0].1;
    assert!(failed.count == 2 && (failed.mean - 0.5).abs() < 1e-9, "{failed:?}");
}
