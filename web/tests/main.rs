//! One binary for all tests of the crate's outside.

mod events;
mod fixture;
mod layout;
mod pages;
mod routes;
