//! `down`: nothing stays. Processes are found by their marks, so that what lost its parent is found, too.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};

use super::up::{OWNER_FILE, marks};
use super::{absolute, disk};
use crate::clock;
use crate::deployment::{ACCEPTED, Deployment, DirLock};
use crate::faults::BREAKS;
use crate::output::say;
use crate::process::{Life, Process};

/// For a clean end; then they are killed. The data goes anyway.
const GRACE: Duration = Duration::from_secs(4);
/// A killed process is gone at once, unless the kernel is stuck in a disk.
const LIMIT: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Stops the deployment in `dir`, also one that is just being started.
pub(crate) async fn down(dir: &Path) -> Result<u8> {
    let dir = absolute(dir)?;
    if !dir.exists() {
        say(format!("nothing runs in {}", dir.display()));
        return Ok(0);
    }
    let _lock = take_over(&dir).await?;
    let stopped = stop(&dir).await?;
    match stopped {
        Some(count) => say(format!("stopped {count} processes; logs stay in {}", dir.join("logs").display())),
        None => say(format!("nothing runs in {}", dir.display())),
    }
    Ok(0)
}

/// Waits until another process is gone, then stops everything: a guard that outlives what it guards.
pub(crate) async fn down_when_gone(dir: &Path, pid: i32) -> Result<u8> {
    // The Ctrl-C that ends the guarded process reaches this one, too, and must not end it.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = hangup.recv() => {}
            }
        }
    });
    if let Some(guarded) = Process::current(pid) {
        while guarded.life() != Life::Dead {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    down(dir).await
}

/// An `up` at work is told to end first; it stops what it started.
async fn take_over(dir: &Path) -> Result<DirLock> {
    let deadline = clock::now() + Duration::from_mins(1);
    let mut told = false;
    loop {
        match DirLock::try_take(dir)? {
            Ok(lock) => return Ok(lock),
            Err(holder) => {
                if let (false, Some(process)) = (told, holder.and_then(Process::current)) {
                    if process.program().starts_with("ordering-platform") {
                        process.signal(Signal::SIGTERM);
                    }
                    told = true;
                }
            }
        }
        if clock::now() > deadline {
            bail!("another ordering-platform command holds {} and does not end", dir.display());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Ends every process of the deployment and removes its data and secrets. How many there were, or
/// nothing when there is no deployment.
pub(super) async fn stop(dir: &Path) -> Result<Option<usize>> {
    let Some(marks) = marks(dir)? else { return Ok(None) };
    let count = marks.processes().len();
    let began = clock::now();
    let mut asked = Vec::new();
    loop {
        let left = marks.processes();
        if left.is_empty() {
            break;
        }
        let waited = clock::now() - began;
        if waited > LIMIT {
            let pids: Vec<i32> = left.iter().map(|process| process.pid).collect();
            bail!("these processes do not end even when killed: {pids:?}; see `ps -fp`");
        }
        if waited > GRACE {
            for process in &left {
                process.signal(Signal::SIGKILL);
            }
        } else {
            ask_to_end(&left, &mut asked);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    remove(dir)?;
    Ok(Some(count))
}

/// Asks each head of a process tree once; its children follow it.
fn ask_to_end(processes: &[Process], asked: &mut Vec<Process>) {
    for process in processes {
        let has_parent =
            process.parent().is_some_and(|parent| processes.iter().any(|other| other.pid == parent));
        if asked.contains(process) || (has_parent && process.life() != Life::Stopped) {
            continue;
        }
        // A stopped process takes no notice of anything but this and SIGKILL.
        process.signal(Signal::SIGCONT);
        if !has_parent {
            // To PostgreSQL, SIGTERM means: wait until every client has left.
            let end = if process.program() == "postgres" { Signal::SIGINT } else { Signal::SIGTERM };
            process.signal(end);
            asked.push(*process);
        }
    }
}

fn remove(dir: &Path) -> Result<()> {
    let Some(deployment) = Deployment::load(dir)? else { return Ok(()) };
    let data = &deployment.data;
    // The file in it says whose it is: a path alone is not enough to remove a tree.
    if fs::read_to_string(data.join(OWNER_FILE)).is_ok_and(|id| id == deployment.id) {
        disk::unmount_below(data)?;
        fs::remove_dir_all(data).with_context(|| format!("cannot remove {}", data.display()))?;
    }
    let secrets = dir.join("secrets");
    if secrets.exists() {
        fs::remove_dir_all(&secrets).with_context(|| format!("cannot remove {}", secrets.display()))?;
    }
    fs::remove_dir_all(dir.join(BREAKS)).ok();
    for name in ["state.json", "topology.yaml", ACCEPTED, "deployment.json"] {
        fs::remove_file(dir.join(name)).ok();
    }
    Ok(())
}
