//! One file a probe kind: an instance's address in, an observation out.
#![warn(missing_docs)]

pub mod observation;
