//! The binary as its users meet it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

mod changing;
mod commands;
mod docs;
mod layers;
mod live;
mod mutations;
mod planning;
mod receiver;
mod replay;
mod reporting;
mod schema;
mod serving;
mod support;
