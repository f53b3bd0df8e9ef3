//! When to stop: Ctrl-C, SIGTERM, a closed terminal, or the end of whoever started the demo.

use anyhow::Result;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// All reasons to stop.
pub(super) struct Stop {
    interrupt: Stream,
    terminate: Stream,
    hangup: Stream,
}

impl Stop {
    /// Listens from now on, also where SIGINT was ignored at the start (as in a background job).
    pub(super) fn listen(with_parent: bool) -> Result<Self> {
        let stop = Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        };
        if with_parent {
            // `make` was killed without a chance to pass it on: the kernel tells us.
            prctl::set_pdeathsig(Signal::SIGTERM)?;
        }
        Ok(stop)
    }

    /// Waits for one of them.
    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
