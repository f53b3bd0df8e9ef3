//! Schedules probes, confirms levels, keeps the board, history and incidents.
#![warn(missing_docs)]

pub mod board;
pub mod incident;
pub mod watch;
