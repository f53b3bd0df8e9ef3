//! A disk that is full, for real: a small tmpfs and a file that fills it. Mounting needs root.
#![allow(clippy::print_stderr, reason = "a test that is not tried says so")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use collector::history::{History, Window};
use collector::incident::IncidentState;
use collector::store::Store;
use jiff::SignedDuration;

use crate::scene::{at, outage_batch};
use crate::storage::survives;

/// A small file system, gone with this.
struct Disk {
    at: tempfile::TempDir,
}

impl Disk {
    /// None, and a line that says so, where nothing may be mounted.
    fn new(megabytes: u32) -> Option<Self> {
        let at = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"])
            .arg(at.path())
            .output();
        match mounted {
            Ok(out) if out.status.success() => Some(Self { at }),
            other => {
                let why = other.map(|out| String::from_utf8_lossy(&out.stderr).trim().to_owned());
                eprintln!("not tried: a tmpfs cannot be mounted here, that needs root: {why:?}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.at.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Fills it until `free` bytes are left.
    fn fill(&self, free: usize) {
        let mut file = std::fs::File::create(self.filler()).unwrap();
        let mut written = 0_u64;
        let part = [0_u8; 4096];
        while file.write_all(&part).is_ok() {
            written += part.len() as u64;
        }
        file.set_len(written.saturating_sub(free as u64)).unwrap();
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg("-l").arg(self.at.path()).status();
    }
}

async fn open(disk: &Disk) -> Store {
    Store::open(&format!("sqlite://{}", disk.path().join("history.db").display())).await.unwrap()
}

#[tokio::test]
async fn a_disk_that_fills_at_whatever_statement_loses_no_message_and_no_level() {
    // The log beside the file grows to four megabytes by itself.
    let Some(disk) = Disk::new(16) else { return };
    let store = open(&disk).await;
    let rounds = 60;
    let mut failed = 0;
    for round in 0..rounds {
        let batch = outage_batch(round);
        // From nothing at all to room for some pages: each time another statement, or the commit, finds no room.
        disk.fill(usize::try_from(round % 20).unwrap() * 4096);
        let full = store.write(&batch).await;
        failed += usize::from(full.is_err());
        // Some more tries, as the journal makes them.
        let mut written = full.is_ok();
        for _ in 0..3 {
            written = written || store.write(&batch).await.is_ok();
        }
        disk.free();
        if !written {
            store.write(&batch).await.unwrap();
        }
    }
    assert!(failed > 10, "the disk was full {failed} times of {rounds}");
    let keys: Vec<String> =
        store.waiting("ops", 10_000).await.unwrap().into_iter().map(|row| row.key).collect();
    let wanted: Vec<String> = (0..rounds).map(|round| format!("0190-{round:03}-1")).collect();
    assert_eq!(keys, wanted, "every message once, in order");
    let history = History::of(&store);
    let window = Window::new(at(0) - SignedDuration::from_secs(1), at(rounds * 60)).unwrap();
    let changes = history.changes(window, None, 100_000).await.unwrap();
    assert_eq!(i64::try_from(changes.len()).unwrap(), rounds * 20, "every level once");
    let incidents = history.incidents(&crate::scene::model(), window, 1_000).await.unwrap();
    assert_eq!(i64::try_from(incidents.len()).unwrap(), rounds);
    assert!(incidents.iter().all(|incident| incident.state == IncidentState::Open));
    store.close().await;
}

#[tokio::test]
async fn lesson_16_a_full_disk_delays_history_and_nothing_else() {
    let Some(disk) = Disk::new(16) else { return };
    let store = open(&disk).await;
    survives(store.clone(), async || disk.fill(0), async |()| disk.free()).await;
    store.close().await;
}
