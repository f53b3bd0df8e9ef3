//! Telling receivers: messages out of the outbox, in order, at least once.

mod backoff;
mod deliver;
pub(crate) mod message;
mod pace;
pub(crate) mod route;
mod sample;
mod ways;
mod words;

pub use deliver::{Deliveries, Prepared};
pub use route::{Escalating, escalations};
pub use sample::{Untold, tell_sample};
pub use ways::SetupError;
