//! The only place that asks for the time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment to measure durations and deadlines from.
#[expect(clippy::disallowed_methods, reason = "the one place that may ask")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// How far the wall clock of this process is ahead, in milliseconds: as if its machine's had jumped.
static AHEAD_MS: AtomicU64 = AtomicU64::new(0);

/// Lets the wall clock of this process jump.
pub(crate) fn jump(ahead: Duration) {
    AHEAD_MS.store(ahead.as_millis() as u64, Ordering::Relaxed);
}

/// Milliseconds since 1970, for ids and for what people read.
#[expect(clippy::disallowed_methods, reason = "the one place that may ask")]
pub(crate) fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    now + AHEAD_MS.load(Ordering::Relaxed)
}

/// The same in microseconds, for the way of a word from one process to another.
#[expect(clippy::disallowed_methods, reason = "the one place that may ask")]
pub(crate) fn unix_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}
