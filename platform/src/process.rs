//! Processes as the kernel knows them. A process is its number *and* its start time: numbers are reused.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// In the environment of everything a deployment starts, so that `down` finds what lost its parent.
pub(crate) const MARKER: &str = "ORDERING_PLATFORM_DIR";
/// Beside it: the instance that the process belongs to.
pub(crate) const INSTANCE_MARKER: &str = "ORDERING_PLATFORM_INSTANCE";

/// One process, told apart from a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// Clock ticks after boot, field 22 of `/proc/PID/stat`.
    pub(crate) started: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Alive,
    /// By a signal: it holds its sockets and answers nobody.
    Stopped,
    Dead,
}

impl Life {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Stopped => "stopped",
            Self::Dead => "dead",
        }
    }
}

struct Stat {
    state: char,
    parent: i32,
    started: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the name in parentheses and may hold anything: count from its end.
        let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let started = fields.nth(17)?.parse().ok()?;
        Some(Self { state, parent, started })
    }
}

impl Process {
    /// The process that has this number now.
    pub(crate) fn current(pid: i32) -> Option<Self> {
        Stat::read(pid).filter(|stat| !is_gone(stat.state)).map(|stat| Self { pid, started: stat.started })
    }

    pub(crate) fn life(self) -> Life {
        match Stat::read(self.pid) {
            Some(stat) if stat.started == self.started => match stat.state {
                state if is_gone(state) => Life::Dead,
                'T' | 't' => Life::Stopped,
                _ => Life::Alive,
            },
            _ => Life::Dead,
        }
    }

    /// Processor time of its threads that live, to the nanosecond: the usual ticks of ten milliseconds are
    /// too coarse for what one request costs.
    pub(crate) fn cpu(self) -> Duration {
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", self.pid)) else { return Duration::ZERO };
        let used = threads.filter_map(|thread| {
            let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(used.sum())
    }

    pub(crate) fn parent(self) -> Option<i32> {
        Stat::read(self.pid).map(|stat| stat.parent)
    }

    /// The base name of the program, or nothing when it may not be read.
    pub(crate) fn program(self) -> String {
        fs::read_link(format!("/proc/{}/exe", self.pid))
            .ok()
            .and_then(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()))
            .unwrap_or_default()
    }

    /// Sends a signal and says when that is not allowed. One that has ended needs none.
    pub(crate) fn try_signal(self, signal: Signal) -> Result<()> {
        if self.life() == Life::Dead {
            return Ok(());
        }
        match kill(Pid::from_raw(self.pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| {
                format!("cannot send {signal} to process {}: be the user that started the platform", self.pid)
            }),
        }
    }

    /// Sends a signal, unless the process is gone or its number now belongs to another.
    pub(crate) fn signal(self, signal: Signal) {
        if self.life() != Life::Dead {
            // It may end between the look and the signal: that is what was wanted anyway.
            kill(Pid::from_raw(self.pid), signal).ok();
        }
    }
}

/// Ended, and only waiting for its parent to take notice.
fn is_gone(state: char) -> bool {
    matches!(state, 'Z' | 'X' | 'x')
}

/// How the processes of a deployment, or of one of its instances, are recognised.
#[derive(Clone, Debug)]
pub(crate) struct Marks {
    pub(crate) id: String,
    pub(crate) data: PathBuf,
    pub(crate) instance: Option<String>,
}

impl Marks {
    /// Known by the environment. Servers that write their title over it (nginx, postgres, redis) are known
    /// by the directory they work in; a shell in there whose environment is whole is somebody else's.
    fn fit(&self, pid: i32) -> bool {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let has = |wanted: &str| environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes());
        if has(&format!("{MARKER}={}", self.id)) {
            return self.instance.as_ref().is_none_or(|name| has(&format!("{INSTANCE_MARKER}={name}")));
        }
        let is_whole = environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(b"PATH="));
        !is_whole && self.at_home(pid)
    }

    fn at_home(&self, pid: i32) -> bool {
        let home = self.instance.as_ref().map_or_else(|| self.data.clone(), |name| self.data.join(name));
        fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| is_inside(&cwd, &home))
    }

    /// Every process that carries the marks, this one excepted.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let own = std::process::id().cast_signed();
        every_pid()
            .into_iter()
            .filter(|pid| *pid != own && self.fit(*pid))
            .filter_map(Process::current)
            .collect()
    }
}

fn is_inside(path: &Path, home: &Path) -> bool {
    // The kernel appends " (deleted)" to the path of a directory that was removed.
    path.starts_with(home) || path.to_string_lossy().trim_end_matches(" (deleted)") == home.to_string_lossy()
}

fn every_pid() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// A process and everything below it, the process first.
pub(crate) fn family(pid: i32) -> Vec<Process> {
    let all: Vec<Process> = every_pid().into_iter().filter_map(Process::current).collect();
    let mut known: HashSet<i32> = HashSet::from([pid]);
    let mut members: Vec<Process> = all.iter().copied().filter(|process| process.pid == pid).collect();
    loop {
        let children: Vec<Process> = all
            .iter()
            .copied()
            .filter(|process| !known.contains(&process.pid))
            .filter(|process| process.parent().is_some_and(|parent| known.contains(&parent)))
            .collect();
        if children.is_empty() {
            return members;
        }
        known.extend(children.iter().map(|child| child.pid));
        members.extend(children);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_one_with_another_start_time_is_not() {
        let own = Process::current(std::process::id().cast_signed()).unwrap();
        assert_eq!(own.life(), Life::Alive);
        assert_eq!(Process { started: own.started + 1, ..own }.life(), Life::Dead);
    }

    #[test]
    fn a_family_begins_with_its_head() {
        let own = std::process::id().cast_signed();
        assert_eq!(family(own).first().map(|process| process.pid), Some(own));
    }
}
