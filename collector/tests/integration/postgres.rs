//! A PostgreSQL of the test's own, from Debian's package.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use collector::history::{History, Window};
use collector::incident::IncidentState;
use collector::store::upkeep::Upkeep;
use collector::store::{Batch, LevelChange, LookRow, Store, versions};
use sqlx::{Connection, PgConnection};

use crate::scene::{at, batch, model, next, outage};

/// `nobody`, for PostgreSQL refuses to run as root.
const NOBODY: u32 = 65_534;

struct Postgres {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Postgres {
    fn restart(&mut self) {
        self.child = serve(&self.dir.path().join("data"), self.port);
    }

    fn stop(&mut self) {
        // SIGINT is PostgreSQL's fast shutdown: it ends its own children.
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX));
        if nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).is_ok() {
            drop(self.child.wait());
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

fn programs() -> PathBuf {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is missing: apt-get install postgresql")
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("postgres").exists())
        .collect();
    versions.sort();
    versions.pop().expect("PostgreSQL is missing: apt-get install postgresql")
}

fn unprivileged(program: &Path) -> Command {
    let mut command = Command::new(program);
    if nix::unistd::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
    command
}

fn start() -> Postgres {
    let bin = programs();
    let dir = tempfile::tempdir().unwrap();
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let data = dir.path().join("data");
    let made = unprivileged(&bin.join("initdb"))
        .args(["--auth=trust", "--username=topowatch", "--no-sync", "--encoding=UTF8", "--locale=C", "-D"])
        .arg(&data)
        .status()
        .unwrap();
    assert!(made.success());
    // Taken and given back: the one race that a server without port 0 leaves.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = serve(&data, port);
    Postgres { child, port, dir }
}

fn serve(data: &Path, port: u16) -> Child {
    unprivileged(&programs().join("postgres"))
        .arg("-D")
        .arg(data)
        .args([
            "-p",
            &port.to_string(),
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
            "-c",
            "fsync=off",
        ])
        .spawn()
        .unwrap()
}

async fn open(postgres: &Postgres) -> Store {
    let url = format!("postgres://topowatch@127.0.0.1:{}/postgres", postgres.port);
    for _ in 0..600 {
        if let Ok(store) = Store::open(&url).await {
            return store;
        }
        // The pause between two tries of a server that is starting.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("PostgreSQL did not come up");
}

#[tokio::test]
async fn the_same_queries_keep_everything_in_postgresql() {
    let postgres = start();
    let model = model();
    let store = open(&postgres).await;
    let first = batch(&model, IncidentState::Open);
    store.write(&first).await.unwrap();
    store.write(&first).await.unwrap();
    drop(store);

    // Opened again: the schema is there, and so is the outage.
    let store = open(&postgres).await;
    let restored = store.restore(&model).await.unwrap();
    assert_eq!(format!("{:?}", restored.open[0].incident), format!("{:?}", outage(IncidentState::Open)));
    assert_eq!(restored.nodes[0].since_ms, at(0).as_millisecond());

    store.write(&batch(&model, IncidentState::Resolved)).await.unwrap();
    let mut keys = Vec::new();
    while let Some(row) = next(&store).await {
        store.tried("ops", std::slice::from_ref(&row), Some(1), None, None).await.unwrap();
        keys.push(row.key);
    }
    assert_eq!(keys, ["0190-a-1", "0190-a-2"]);
    let restored = store.restore(&model).await.unwrap();
    assert!(restored.open.is_empty());
    assert_eq!(restored.resolved.len(), 1);
}

#[tokio::test]
async fn history_is_the_same_in_postgresql() {
    let postgres = start();
    let store = open(&postgres).await;
    let mut batch = Batch::default();
    let level = |seconds: i64, level: &str| LevelChange {
        node: "cache".to_owned(),
        at: at(seconds),
        level: level.to_owned(),
        ..LevelChange::default()
    };
    batch.level(level(0, "green"), at(0));
    batch.level(level(600, "red"), at(600));
    batch.level(level(660, "green"), at(660));
    batch.watched(at(0), at(1_200));
    for second in (0..1_200).step_by(3) {
        batch.look(LookRow {
            node: "db-1".to_owned(),
            at: at(second),
            signals: vec![("latency_seconds".to_owned(), 0.002)],
        });
    }
    store.write(&batch).await.unwrap();
    store.write(&batch_of_an_outage()).await.unwrap();
    let mut upkeep = Upkeep::default();
    for _ in 0..5 {
        upkeep.step(&store, at(1_260).as_millisecond()).await.unwrap();
    }
    assert!(store.size().await.is_ok());

    let history = History::of(&store);
    let window = Window::new(at(0), at(1_200)).unwrap();
    let cache = history.availability(window, &["cache"]).await.unwrap().remove(0);
    assert_eq!((cache.time.red(), cache.outages), (Duration::from_mins(1), 1));
    assert!((cache.coverage - 1.0).abs() < 1e-9);
    assert_eq!(history.availability(window, &[]).await.unwrap().len(), 2);
    let then = history.levels_at(at(630)).await.unwrap();
    assert_eq!(then.nodes["cache"].health.level().as_str(), "red");
    assert_eq!(history.changes(window, Some("cache"), 10).await.unwrap().len(), 3);
    assert_eq!(history.incidents(&model(), window, 10).await.unwrap().len(), 1);
    assert_eq!(history.deliveries(window, Some("0190-a"), 10).await.unwrap().len(), 1);
    let series = history.series("db-1", window, 20, at(1_260)).await.unwrap();
    let looks: u64 = series.signals["latency_seconds"].iter().map(|(_, point)| point.count).sum();
    assert_eq!((series.step, looks), (Duration::from_mins(1), 400));
}

#[tokio::test]
async fn every_earlier_version_is_brought_up_in_postgresql() {
    let postgres = start();
    drop(open(&postgres).await);
    for version in versions() {
        let name = format!("v{version}");
        let url = |name: &str| format!("postgres://topowatch@127.0.0.1:{}/{name}", postgres.port);
        let mut admin = PgConnection::connect(&url("postgres")).await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut admin)
            .await
            .unwrap();
        drop(Store::open_at(&url(&name), version).await.unwrap());
        let mut own = PgConnection::connect(&url(&name)).await.unwrap();
        let old = "INSERT INTO level_changes (node, at_ms, level, words) VALUES ('db', 1700000000000, 'red', 'refused')";
        sqlx::query(old).execute(&mut own).await.unwrap();
        let store = Store::open(&url(&name)).await.unwrap();
        store.write(&batch(&model(), IncidentState::Open)).await.unwrap();
        let window = Window::new(at(-10), at(5)).unwrap();
        let changes = History::of(&store).changes(window, None, 10).await.unwrap();
        assert_eq!(changes[0].level.words.en, "refused", "from version {version}");
    }
}

fn batch_of_an_outage() -> Batch {
    batch(&model(), IncidentState::Open)
}

#[tokio::test]
async fn lesson_16_postgresql_restarted_delays_history_and_nothing_else() {
    let mut postgres = start();
    let store = open(&postgres).await;
    let cell = std::sync::Mutex::new(&mut postgres);
    let stop = async || cell.lock().unwrap().stop();
    crate::storage::survives(store, stop, async |()| cell.lock().unwrap().restart()).await;
}
