//! What has to be done now and then: access logs that do not grow for ever, and the nightly warm-up.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
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
const DAY_MS: u64 = 86_400_000;
/// Four in the morning in China, in milliseconds after midnight UTC.
const NIGHT_MS: u64 = 20 * 3_600_000;

pub(super) async fn run(deployment: Deployment, plan: Plan, stop: CancellationToken) {
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
    fn a_night_begins_at_four_in_china() {
        let day = 20_000 * DAY_MS;
        assert_eq!(nights(day + NIGHT_MS - 1) + 1, nights(day + NIGHT_MS));
        assert_eq!(nights(day + NIGHT_MS), nights(day + DAY_MS + NIGHT_MS - 1));
    }
}
