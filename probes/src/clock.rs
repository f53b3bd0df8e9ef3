//! The clocks of this crate.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[expect(clippy::disallowed_methods, reason = "the one place of this crate that asks for the time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Since 1970, by the wall clock: only for what is dated by others, such as certificates.
#[expect(clippy::disallowed_methods, reason = "the one place of this crate that asks for the date")]
pub(crate) fn today() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
