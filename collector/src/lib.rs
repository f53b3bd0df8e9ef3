//! Schedules probes, confirms levels, keeps the board, history and incidents.
#![warn(missing_docs)]

pub mod board;
pub mod clock;
mod compose;
pub mod confirm;
pub mod engine;
pub mod incident;
pub mod incidents;
pub mod judge;
pub mod run;
pub mod schedule;
pub mod sentence;
#[cfg(test)]
mod testkit;
pub mod watch;
