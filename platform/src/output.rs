//! What the commands say. A closed pipe (`ordering-platform status | head -1`) is no reason to fail.

use std::fmt::Display;
use std::io::Write as _;

/// One line to standard output.
pub(crate) fn say(text: impl Display) {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).ok();
}

/// Text that brings its own line ends.
pub(crate) fn print(text: &str) {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
}

/// One line to standard error.
pub(crate) fn warn(text: impl Display) {
    let mut err = anstream::stderr().lock();
    writeln!(err, "{text}").ok();
}
