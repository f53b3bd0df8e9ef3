//! The one place that asks for the time.

use std::sync::OnceLock;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Wall time that never jumps: the wall clock at the start, carried on by the monotonic clock. A clock
/// that is set back while the monitor runs makes neither ages nor onsets nonsense.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Timestamp,
    started: Instant,
}

impl Clock {
    /// A clock that agrees with the wall clock now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        Self { wall: Timestamp::now(), started: Instant::now() }
    }

    /// The one clock of this process, started when it is first asked for.
    pub fn of_process() -> Self {
        static CLOCK: OnceLock<Clock> = OnceLock::new();
        *CLOCK.get_or_init(Self::start)
    }

    /// Monotonic now, for timers.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn instant(self) -> Instant {
        Instant::now()
    }

    /// Wall time now.
    pub fn now(self) -> Timestamp {
        self.at(self.instant())
    }

    /// The wall time of a monotonic instant, to the millisecond: as it is kept and shown.
    pub fn at(self, instant: Instant) -> Timestamp {
        let since = instant.saturating_duration_since(self.started);
        let since = SignedDuration::try_from(since).unwrap_or(SignedDuration::ZERO);
        let at = self.wall.checked_add(since).unwrap_or(self.wall);
        Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
    }
}

/// Wall time now, by the clock of this process.
pub fn now() -> Timestamp {
    Clock::of_process().now()
}

/// How long from `earlier` to `later`; zero when they are the other way round.
pub fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}

/// Seconds since the epoch, for rules that compare times.
pub fn seconds(at: Timestamp) -> f64 {
    at.as_nanosecond() as f64 / 1e9
}
