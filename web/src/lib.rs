//! The wall, the JSON API, server-sent events and metrics.
//!
//! Everything is made from one immutable [`collector::board::Board`]. The page is rendered here and is
//! complete without script; the script keeps it current by setting attributes and text.
#![warn(missing_docs)]
#![allow(
    clippy::format_push_string,
    reason = "`write!` to a string gives a result that must not be thrown away"
)]

pub mod api;
mod ask;
mod assets;
mod events;
mod guard;
mod healthz;
pub mod layout;
pub mod metrics;
mod pages;
mod respond;
mod scene;
mod server;
mod stage;
mod state;
mod view;

pub use server::{router, serve};
pub use state::WebState;
