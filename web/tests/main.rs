//! One binary for all tests of the crate's outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::format_push_string)]

mod access;
mod changing;
mod events;
mod fixture;
mod forms;
mod history;
mod layout;
mod looking_back;
mod openapi;
mod pages;
mod routes;
