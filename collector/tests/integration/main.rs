//! Storage on real databases: PostgreSQL by the same queries as SQLite, and a database that stays away.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]

mod away;
mod live_reload;
mod postgres;
mod scene;
