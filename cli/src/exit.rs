//! Exit codes, in one table.

use std::fmt;
use std::process::ExitCode;

use topology::level::Level;

/// What a script learns from the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: green; done; the file is good.
    Good,
    /// 1: yellow; or the command itself failed.
    Failed,
    /// 2: red; or the file is broken.
    Red,
    /// 3: unknown, or no answer from the server.
    Unknown,
    /// 64: the command line makes no sense (2 would mean red).
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Good => 0,
            Exit::Failed => 1,
            Exit::Red => 2,
            Exit::Unknown => 3,
            Exit::Usage => 64,
        })
    }
}

impl From<Level> for Exit {
    fn from(level: Level) -> Self {
        match level {
            Level::Green | Level::Paused => Self::Good,
            Level::Yellow => Self::Failed,
            Level::Red => Self::Red,
            Level::Unknown => Self::Unknown,
        }
    }
}

/// An exit code that travels with an error.
#[derive(Debug)]
pub(crate) struct Code(pub(crate) Exit, pub(crate) String);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.1)
    }
}

impl std::error::Error for Code {}

/// An error with its exit code.
pub(crate) fn fail(exit: Exit, message: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Code(exit, message.into()))
}
