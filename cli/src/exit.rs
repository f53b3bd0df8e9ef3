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

impl Exit {
    /// The status itself.
    pub(crate) const fn status(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Failed => 1,
            Self::Red => 2,
            Self::Unknown => 3,
            Self::Usage => 64,
        }
    }
}

/// The table of the documentation: what a status means of commands that ask for a level, of `check`, of `drift`, and of
/// all others.
#[cfg(test)]
pub(crate) const TABLE: [(Exit, [&str; 4]); 5] = [
    (Exit::Good, ["green, or paused", "good", "the file says what is there", "done"]),
    (Exit::Failed, ["yellow", "", "it does not", "failed"]),
    (Exit::Red, ["red", "broken file", "broken file", "broken file"]),
    (Exit::Unknown, ["unknown, or no answer from the server", "", "", "no answer from the server"]),
    (Exit::Usage, ["a command line that makes no sense", "", "", ""]),
];

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.status())
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
