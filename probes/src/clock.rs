//! The one clock of this crate.

use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "the one place of this crate that asks for the time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
