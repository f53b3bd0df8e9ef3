//! The binary as its users meet it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

mod access;
mod assistants;
mod behind_nginx;
mod blind;
mod book;
mod changing;
mod commands;
mod docs;
mod ecosystem;
mod faults;
mod first;
mod kills;
mod layers;
mod lessons;
mod live;
mod mutations;
mod planning;
mod quiet;
mod receiver;
mod replay;
mod reporting;
mod robot;
mod schema;
mod serving;
mod support;
