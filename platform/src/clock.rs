//! The only place that asks for the time.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A moment to measure durations and deadlines from.
#[expect(clippy::disallowed_methods, reason = "the one place that may ask")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970, for ids and for what people read.
#[expect(clippy::disallowed_methods, reason = "the one place that may ask")]
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// The same in microseconds, for the way of a word from one process to another.
#[expect(clippy::disallowed_methods, reason = "the one place that may ask")]
pub(crate) fn unix_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}
