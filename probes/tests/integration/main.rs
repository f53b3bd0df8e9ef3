//! Every kind against servers that misbehave, and against the real ones.
#![allow(clippy::unwrap_used, reason = "helpers of tests, not only the tests themselves")]
#![allow(clippy::float_cmp, reason = "counts and truths are whole numbers")]

mod access_log;
mod amqp;
mod certs;
mod cpu;
mod dns;
mod exec;
mod fakes;
mod heartbeat;
mod hostile;
mod http;
mod icmp;
mod journey;
mod memcached;
mod misbehaviour;
mod mysql;
mod names;
mod nginx;
mod postgres;
mod prometheus;
mod redis;
mod secure;
mod support;
mod table;
mod tables;
mod tcp;
mod websocket;
