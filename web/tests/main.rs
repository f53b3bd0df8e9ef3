//! One binary for all tests of the crate's outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::format_push_string)]

mod access;
mod changing;
mod events;
mod fixture;
mod history;
mod layout;
mod pages;
mod routes;
