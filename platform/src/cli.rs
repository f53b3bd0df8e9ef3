//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::catalog::Scale;
use crate::plan::DEFAULT_BASE_PORT;
use crate::ports::BasePort;

/// A coffee chain's ordering platform in small: real servers, real orders, one directory.
#[derive(Debug, Parser)]
#[command(name = "ordering-platform", version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Dir {
    /// The deployment's directory: state, secrets, logs
    #[arg(long, default_value = ".platform", value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start all of it, detached
    Up {
        #[arg(long, value_enum, default_value = "small")]
        scale: Scale,
        #[command(flatten)]
        dir: Dir,
        /// The first of 100 ports, or `auto` for the first free block
        #[arg(long, default_value_t = BasePortArg(BasePort::At(DEFAULT_BASE_PORT)), value_name = "PORT|auto")]
        base_port: BasePortArg,
        /// Print the state as JSON instead of progress and a table
        #[arg(long)]
        json: bool,
        /// Start again what died, on the same ports and data, and leave the rest alone
        #[arg(long, conflicts_with_all = ["base_port", "scale"])]
        repair: bool,
    },
    /// What runs, with pids; exit status 1 when something does not
    Status {
        #[command(flatten)]
        dir: Dir,
        #[arg(long)]
        json: bool,
    },
    /// Stop all of it; only the logs stay
    Down {
        #[command(flatten)]
        dir: Dir,
        /// Wait until this process is gone, then stop all of it
        #[arg(long, value_name = "PID")]
        when_gone: Option<i32>,
    },
    /// Print the topology: what there is, and what depends on what
    Topology {
        #[command(flatten)]
        dir: Dir,
        /// Where the secrets lie, as seen from the printed file
        #[arg(long, default_value = "secrets", value_name = "PREFIX")]
        secrets_prefix: String,
    },
    /// One of our own processes (started by `up`)
    #[command(hide = true)]
    Run {
        instance: String,
        #[command(flatten)]
        dir: Dir,
    },
    /// The light load (started by `up`)
    #[command(hide = true)]
    Traffic {
        #[command(flatten)]
        dir: Dir,
    },
}

/// Gives the default its words in `--help`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BasePortArg(pub(crate) BasePort);

impl std::str::FromStr for BasePortArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl std::fmt::Display for BasePortArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            BasePort::At(port) => write!(f, "{port}"),
            BasePort::Auto => f.write_str("auto"),
        }
    }
}
