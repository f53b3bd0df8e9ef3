//! The collector among real things: databases that keep its history, a running loop, servers that die.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

mod away;
mod delivery;
mod full_disk;
mod live_reload;
mod postgres;
mod rhythm;
mod scene;
mod sentinel;
mod storage;
