//! A PostgreSQL of the test's own, from Debian's package.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use collector::incident::IncidentState;
use collector::store::Store;

use crate::scene::{at, batch, model, next, outage};

/// `nobody`, for PostgreSQL refuses to run as root.
const NOBODY: u32 = 65_534;

struct Postgres {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT is PostgreSQL's fast shutdown: it ends its own children.
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX));
        if nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).is_ok() {
            drop(self.child.wait());
        }
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
    let child = unprivileged(&bin.join("postgres"))
        .arg("-D")
        .arg(&data)
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
        .unwrap();
    Postgres { child, port, _dir: dir }
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
