//! The binary as its users meet it.

mod commands;
mod live;
mod receiver;
mod serving;
mod support;
