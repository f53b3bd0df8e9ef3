//! One binary for all tests of the crate's outside.

mod fixture;
mod layout;
