//! Faults that go on doing something for as long as they last.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio_util::sync::CancellationToken;

use crate::load::{self, LoadOptions, Mix, Step, scramble};
use crate::output::warn;
use crate::process::{Process, family};

/// How long a slowed server stands and then runs, in milliseconds.
#[derive(Debug)]
pub(super) struct Slowness {
    stopped: RangeInclusive<u64>,
    running: RangeInclusive<u64>,
}

/// Of a database or a cache: a service's budget for one question is 250 ms, and some fail.
pub(super) const SLOW_STORE: Slowness = Slowness { stopped: 200..=400, running: 10..=40 };
/// Of what answers pages.
pub(super) const SLOW_PAGES: Slowness = Slowness { stopped: 700..=1300, running: 10..=40 };

/// How long a herd waits, how many of it come a second, and how long at most.
const HERD_WAITS: Duration = Duration::from_secs(8);
const HERD: u32 = 400;
const HERD_STAYS: Duration = Duration::from_mins(30);

/// It hangs for a while; then all that waited come back at once and stay.
pub(super) async fn herd(dir: PathBuf, processes: Vec<Process>, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => return,
        () = tokio::time::sleep(HERD_WAITS) => {}
    }
    for process in &processes {
        process.signal(Signal::SIGCONT);
    }
    let load = LoadOptions { rate: HERD, length: HERD_STAYS, mix: Mix::only(Step::Browse), json: true };
    // What becomes of them is seen where they arrive.
    if let Err(error) = load::run(&dir, load, &stop).await {
        warn(format!("the herd did not come: {error:#}"));
    }
}

/// Never in step with whoever asks it once in so many seconds: each time differs from the one before. A database forks
/// for each connection, so whom it consists of is looked up at every turn.
pub(super) async fn slow_down(pid: i32, how: Slowness, stop: CancellationToken) {
    let mut turns = 0..;
    let mut drawn = |from: &RangeInclusive<u64>| {
        let span = from.end() - from.start() + 1;
        Duration::from_millis(from.start() + scramble(turns.next().unwrap_or_default()) % span)
    };
    loop {
        for (signal, times) in [(Signal::SIGSTOP, &how.stopped), (Signal::SIGCONT, &how.running)] {
            let time = drawn(times);
            for process in family(pid) {
                process.signal(signal);
            }
            tokio::select! {
                () = stop.cancelled() => {
                    for process in family(pid) {
                        process.signal(Signal::SIGCONT);
                    }
                    return;
                }
                () = tokio::time::sleep(time) => {}
            }
        }
    }
}
