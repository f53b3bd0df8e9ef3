//! Steps that undo a fault. Each can be taken twice without harm: it may have been half taken before.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::servers;
use crate::clock;
use crate::deploy;
use crate::process::{Life, Process, family};

/// For another command at work in the same directory.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Undo {
    /// These were killed.
    Start(Vec<String>),
    /// These run in a way that they should not.
    Restart(Vec<String>),
    /// These were stopped.
    Continue(Vec<Process>),
    /// Statements of the administrator.
    Sql {
        instance: String,
        statements: Vec<String>,
    },
    /// Commands to a Redis, with the password that it has now.
    Redis {
        instance: String,
        password: Option<String>,
        commands: Vec<Vec<String>>,
    },
    /// Words for `rabbitmqctl`.
    Rabbit {
        instance: String,
        words: Vec<String>,
    },
    RemoveFile(std::path::PathBuf),
    /// Names were taken away.
    Names,
    /// The settings of this nginx are wrong.
    Configure(String),
    /// The disk of this Redis is full.
    FullDisk(String),
}

impl Undo {
    pub(super) async fn take(&self, dir: &Path) -> Result<()> {
        match self {
            Self::Start(names) => start_again(dir, names, false).await,
            Self::Restart(names) => start_again(dir, names, true).await,
            Self::Continue(processes) => {
                for process in processes {
                    process.try_signal(Signal::SIGCONT)?;
                }
                // And whom they have forked since.
                let alive = processes.iter().filter(|process| process.life() == Life::Alive);
                for child in alive.flat_map(|process| family(process.pid)) {
                    child.signal(Signal::SIGCONT);
                }
                Ok(())
            }
            // A replica that has much to replay cancels what it is asked meanwhile.
            Self::Sql { instance, statements } => {
                again(async || servers::sql(dir, instance, statements).await).await
            }
            Self::Redis { instance, password, commands } => {
                servers::redis(dir, instance, password.as_deref(), commands).await
            }
            Self::Rabbit { instance, words } => servers::rabbit(dir, instance, words).await,
            Self::Names => deploy::restore_names(dir),
            Self::Configure(name) => again(async || deploy::configure(dir, name)).await,
            Self::FullDisk(name) => again(async || deploy::give_disk_back(dir, name).await).await,
            Self::RemoveFile(path) => match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => bail!("{error}"),
                _ => Ok(()),
            },
        }
    }
}

async fn start_again(dir: &Path, names: &[String], running: bool) -> Result<()> {
    again(async || {
        if running {
            deploy::replace(dir, names, &deploy::Change::none()).await
        } else {
            deploy::mend(dir, Some(names)).await.map(drop)
        }
    })
    .await
}

async fn again(step: impl AsyncFn() -> Result<()>) -> Result<()> {
    let deadline = clock::now() + PATIENCE;
    loop {
        match step().await {
            Ok(()) => return Ok(()),
            Err(error) if clock::now() > deadline => return Err(error),
            // Another command may be at work in the directory.
            Err(_) => tokio::time::sleep(Duration::from_millis(300)).await,
        }
    }
}
