//! Telling receivers: messages out of the outbox, in order, at least once.

mod deliver;
pub(crate) mod message;

pub use deliver::{Deliveries, Prepared};
