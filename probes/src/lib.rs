//! One file a probe kind: an instance's address in, an observation out.
//!
//! A kind is one file with its `SPEC` and its `probe`, and one line in `registry.rs`. A probe measures:
//! it yields signals or a fault, and leaves the judging of thresholds to whoever asked.
#![warn(missing_docs)]

mod access_receiver;
mod certificate;
mod clock;
mod dial;
mod ears;
mod expectation;
mod exposition;
mod health;
mod histogram;
mod kept;
mod lag;
mod log_line;
mod look;
mod memory;
pub mod observation;
mod plugin_output;
mod prober;
mod registry;
mod relay;
mod sentinel;
mod spec;
mod starttls;
mod stream;
mod tls_session;
mod traffic;
mod web;

mod access_log;
mod amqp;
mod amqp_session;
mod amqp_wire;
mod dns;
mod exec;
pub mod heartbeat;
mod http;
mod icmp;
mod journey;
mod journey_values;
mod memcached;
mod mysql;
mod mysql_faults;
mod nginx;
mod number;
mod postgres;
mod postgres_faults;
mod prometheus;
mod rabbitmq;
mod redis;
mod redis_info;
mod redis_session;
mod tcp;
mod tls;
mod websocket;

pub use access_receiver::AccessLogs;
pub use ears::{LineCounts, Told, Unheard};
pub use prober::{Prober, ProberError};
pub use sentinel::SentinelEnd;

/// The tables of all kinds, for [`topology::read`].
pub fn specs() -> Vec<&'static topology::kind::KindSpec> {
    registry::KINDS.iter().map(|kind| kind.spec).collect()
}
