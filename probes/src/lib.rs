//! One file a probe kind: an instance's address in, an observation out.
//!
//! A kind is one file with its `SPEC` and its `probe`, and one line in `registry.rs`. A probe measures:
//! it yields signals or a fault, and leaves the judging of thresholds to whoever asked.
#![warn(missing_docs)]

mod clock;
mod dial;
mod health;
mod look;
pub mod observation;
mod prober;
mod registry;
mod relay;
mod spec;
mod web;

mod amqp;
mod amqp_session;
mod http;
mod mysql;
mod mysql_faults;
mod nginx;
mod postgres;
mod postgres_faults;
mod redis;
mod redis_info;
mod redis_session;
mod tcp;

pub use prober::{Prober, ProberError};

/// The tables of all kinds, for [`topology::read`].
pub fn specs() -> Vec<&'static topology::kind::KindSpec> {
    registry::KINDS.iter().map(|kind| kind.spec).collect()
}
