//! The model of topology.yaml, the dependency graph, roll-up and verdict.
//!
//! Pure: no I/O, no clock, no async. What depends on time takes the time as an argument; what needs
//! the environment or a file takes an [`Environment`].
#![warn(missing_docs)]

pub mod alerting;
pub mod calendar;
pub mod case;
mod decode;
pub mod diagnostic;
pub mod document;
pub mod fault;
mod files;
pub mod graph;
pub mod impact;
pub mod kind;
pub mod level;
pub mod links;
mod merge;
pub mod model;
pub mod normal;
mod range;
mod read;
pub mod rollup;
pub mod schema;
pub mod spof;
mod syntax;
#[cfg(test)]
mod testkit;
pub mod text;
mod tree;
pub mod verdict;
mod yaml;

pub use read::{Environment, Glob, Reading, read, read_files};
