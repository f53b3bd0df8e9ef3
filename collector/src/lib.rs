//! Schedules probes, confirms levels, keeps the board, history and incidents.
#![warn(missing_docs)]

pub mod access;
mod addresses;
pub mod alert;
pub mod announce;
mod beside;
pub mod board;
pub mod case;
pub mod changes;
mod chronicle;
pub mod clock;
mod compose;
pub mod confirm;
pub mod control;
pub mod curves;
mod endings;
pub mod engine;
pub mod forecast;
pub mod heartbeat_out;
pub mod history;
mod http_client;
pub mod incident;
pub mod incidents;
pub mod journal;
pub mod judge;
pub mod looked;
mod looks;
mod names;
pub mod objectives;
mod outages;
pub mod outlook;
mod pace;
#[cfg(test)]
mod play;
pub mod pulse;
pub mod recent;
mod recovery;
mod recurrence;
pub mod reload;
mod remember;
pub mod report;
pub mod reports;
pub mod run;
pub mod schedule;
pub mod sentence;
pub mod sentinels;
mod sight;
mod signs;
pub mod silence;
pub mod store;
#[cfg(test)]
mod telling_tests;
mod testimony;
#[cfg(test)]
mod testkit;
pub mod turns;
mod usual;
pub mod watch;

/// Makes incident ids: version 7 UUIDs, which sort by the time of opening.
pub fn new_incident_id() -> engine::NewId {
    use jiff::Timestamp;
    std::sync::Arc::new(|at: Timestamp| {
        let seconds = u64::try_from(at.as_second()).unwrap_or(0);
        let nanos = u32::try_from(at.subsec_nanosecond()).unwrap_or(0);
        uuid::Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos)).to_string()
    })
}
