//! What has to be done now and then: logs that do not grow for ever, and the nightly warm-up.

use std::ffi::CStr;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::dir::Dir;
use nix::fcntl::{OFlag, openat};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::catalog::Kind;
use crate::clock;
use crate::deployment::Deployment;
use crate::plan::Plan;
use crate::servers::ACCESS_LOG;
use crate::warm_up;

const LOOK_EVERY: Duration = Duration::from_secs(20);
/// An access log of this size is put aside; the one put aside before it goes.
const LARGEST_LOG: u64 = 16 << 20;
/// A log of that size is cut to this much of its end.
const KEPT_OF_LOG: i64 = 1 << 20;
const DAY_MS: u64 = 86_400_000;
/// Four in the morning in China, in milliseconds after midnight UTC.
const NIGHT_MS: u64 = 20 * 3_600_000;

/// What our processes and the servers say, each in a file that they only append to.
pub(super) struct Logs(File);

impl Logs {
    /// While the rights to get there are still there.
    pub(super) fn open(deployment: &Deployment) -> Result<Self> {
        let dir = deployment.dir.join("logs");
        File::open(&dir).map(Self).with_context(|| format!("cannot open {}", dir.display()))
    }

    fn shorten_all(&self) -> std::io::Result<()> {
        for entry in Dir::from_fd(self.0.try_clone()?.into())?.iter() {
            let name = entry?.file_name().to_owned();
            if name.to_bytes().ends_with(b".log") {
                self.shorten(&name)?;
            }
        }
        Ok(())
    }

    /// In place, as its writer holds it open. What is written in that moment may be lost: it is only words.
    fn shorten(&self, name: &CStr) -> std::io::Result<()> {
        let how = OFlag::O_RDWR | OFlag::O_APPEND | OFlag::O_CLOEXEC;
        let mut file = File::from(openat(&self.0, name, how, Mode::empty())?);
        if file.metadata()?.len() <= LARGEST_LOG {
            return Ok(());
        }
        file.seek(SeekFrom::End(-KEPT_OF_LOG))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        let begin = end.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        file.set_len(0)?;
        file.write_all(end.get(begin..).unwrap_or_default())
    }
}

pub(super) async fn run(deployment: Deployment, plan: Plan, logs: Logs, stop: CancellationToken) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut night = nights(clock::unix_ms());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
        }
        for instance in
            plan.instances.iter().filter(|one| matches!(one.component.kind, Kind::Nginx | Kind::Cdn))
        {
            if let Err(error) = rotate(&deployment.home(&instance.name)) {
                tracing::warn!("the access log of {} grows: {error}", instance.name);
            }
        }
        if let Err(error) = logs.shorten_all() {
            tracing::warn!("logs grow: {error}");
        }
        let now = nights(clock::unix_ms());
        if now != night {
            night = now;
            match warm_up::walk(&plan).await {
                Ok((well, all)) => tracing::info!("warm-up: {well} of {all} pages are in the caches"),
                Err(error) => tracing::warn!("no warm-up: {error:#}"),
            }
        }
    }
}

/// How many nights there were since 1970.
fn nights(unix_ms: u64) -> u64 {
    (unix_ms + DAY_MS - NIGHT_MS) / DAY_MS
}

fn rotate(home: &Path) -> std::io::Result<()> {
    let log = home.join(ACCESS_LOG);
    match std::fs::metadata(&log) {
        Ok(about) if about.len() > LARGEST_LOG => {}
        _ => return Ok(()),
    }
    std::fs::rename(&log, home.join(format!("{ACCESS_LOG}.1")))?;
    let pid = std::fs::read_to_string(home.join("nginx.pid"))?;
    if let Ok(pid) = pid.trim().parse() {
        // nginx opens its logs anew.
        kill(Pid::from_raw(pid), Signal::SIGUSR1)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_keeps_its_end_and_its_writer_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pos-1.log");
        let mut writer = File::options().append(true).create(true).open(&path).unwrap();
        writer.write_all("a line of a log\n".repeat((LARGEST_LOG / 16 + 1) as usize).as_bytes()).unwrap();
        let logs = Logs(File::open(dir.path()).unwrap());
        // Twice: the directory is read from its beginning each time.
        for _ in 0..2 {
            logs.shorten_all().unwrap();
        }
        writer.write_all(b"the last\n").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.len() <= KEPT_OF_LOG.unsigned_abs() as usize + 16, "{}", text.len());
        assert!(text.starts_with("a line") && text.ends_with("a line of a log\nthe last\n"));
    }

    #[test]
    fn a_night_begins_at_four_in_china() {
        let day = 20_000 * DAY_MS;
        assert_eq!(nights(day + NIGHT_MS - 1) + 1, nights(day + NIGHT_MS));
        assert_eq!(nights(day + NIGHT_MS), nights(day + DAY_MS + NIGHT_MS - 1));
    }
}
