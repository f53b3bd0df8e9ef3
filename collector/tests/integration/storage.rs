//! Storage in trouble, for real: levels and the board go on and say so, and afterwards nothing is missing.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use collector::board::Board;
use collector::clock::Clock;
use collector::history::{History, Window};
use collector::journal::Journal;
use collector::run::Collector;
use collector::store::{Restored, Store};
use collector::watch::BoardWatch;
use probes::Prober;
use sqlx::{Connection, SqliteConnection};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use topology::level::Level;

use crate::scene::read;

/// Waits for a board on which something is so.
async fn board(boards: &mut BoardWatch, name: &str, what: impl Fn(&Board) -> bool) -> Arc<Board> {
    let found = tokio::time::timeout(Duration::from_secs(90), async {
        loop {
            let board = boards.current();
            if what(&board) {
                return board;
            }
            boards.changed().await.expect("the collector goes on");
        }
    });
    found.await.unwrap_or_else(|_| panic!("waited 90 s for: {name}"))
}

fn is(level: Level) -> impl Fn(&Board) -> bool {
    move |board| board.level == level
}

/// A monitor of one real listener, whose database gets into trouble between `hurt` and `mend`.
pub(crate) async fn survives<H: AsyncFnOnce() -> T, T, M: AsyncFnOnce(T)>(store: Store, hurt: H, mend: M) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let model = Arc::new(read(&format!(
        "defaults: {{ interval: 2s, timeout: 500ms }}\ncomponents:\n  \
         db: {{ instances: [\"{address}\"], probe: {{ tcp: {{}} }} }}\n\
         alerts: {{ receivers: {{ ops: {{ webhook: {{ url: \"http://127.0.0.1:1/\" }} }} }} }}\n"
    )));
    let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
    let journal = Journal::start(store.clone(), Arc::new(Notify::new()), &tasks);
    let (collector, mut boards) = Collector::new(
        model,
        Arc::new(Prober::new().unwrap()),
        Clock::of_process(),
        collector::new_incident_id(),
        Restored::default(),
        Some(journal),
    );
    let pulse = collector.control().pulse();
    let running = tokio::spawn(collector.run(shutdown.clone()));
    let first = board(&mut boards, "green", is(Level::Green)).await;

    let trouble = hurt().await;
    // The outage comes in the middle of it.
    drop(listener);
    let red = board(&mut boards, "red, whatever storage does", is(Level::Red)).await;
    let said = board(&mut boards, "the banner", |board| board.monitor.storage.is_some()).await;
    assert_eq!(said.level, Level::Red);
    assert_eq!(said.open.len(), 1, "the verdict goes on");
    assert!(pulse.advances(collector::pulse::Part::Verdict, said.at));
    // What is over before the first message is due is told to nobody.
    board(&mut boards, "the alert to be due", |board| board.at.duration_since(red.at).as_secs() >= 6).await;
    let listener = TcpListener::bind(address).await.unwrap();
    board(&mut boards, "green again, whatever storage does", is(Level::Green)).await;

    mend(trouble).await;
    board(&mut boards, "the banner to go", |board| board.monitor.storage.is_none()).await;
    // An end that comes right after its open waits until six intervals after that.
    let healed =
        board(&mut boards, "the end to be told", |board| board.at.duration_since(red.at).as_secs() >= 20)
            .await;
    // Everything is written when the journal has ended.
    shutdown.cancel();
    running.await.unwrap();
    tasks.close();
    tasks.wait().await;
    drop(listener);
    let mut told = Vec::new();
    for row in store.waiting("ops", 100).await.unwrap() {
        let body: serde_json::Value = serde_json::from_str(&row.body).unwrap();
        told.push(body["event"].as_str().unwrap().to_owned());
    }
    assert_eq!(told, ["open", "resolve"], "{:?}", said.monitor.storage);
    let history = History::of(&store);
    let levels = history.levels_at(red.at).await.unwrap();
    assert_eq!(levels.nodes["db-1"].health.level(), Level::Red, "the past has no hole");
    let window = Window::new(first.at, healed.at).unwrap();
    let db = history.availability(window, &["db"]).await.unwrap().remove(0);
    assert!(db.coverage > 0.9 && db.time.red() > Duration::ZERO, "{db:?}");
}

async fn open(file: &Path) -> Store {
    Store::open(&format!("sqlite://{}", file.display())).await.unwrap()
}

#[tokio::test]
async fn lesson_16_a_locked_database_delays_history_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("history.db");
    let store = open(&file).await;
    let lock = async || {
        let url = format!("sqlite://{}", file.display());
        let mut other = SqliteConnection::connect(&url).await.unwrap();
        sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
        other
    };
    survives(store, lock, async |mut other: SqliteConnection| {
        sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    })
    .await;
}
