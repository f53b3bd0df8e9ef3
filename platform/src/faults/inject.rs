//! Breaking and mending. What was broken is remembered step by step, so that half a fault is undone, too.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::list::{Breakage, Fault};
use super::settings::{Full, OldPassword};
use crate::clock;
use crate::deploy;
use crate::deployment::{Deployment, Running, State};
use crate::process::{self, Life, Process};

/// The share of time that a slowed server gets. A service's budget for one question is 250 ms.
const SLOW_STOPPED: Duration = Duration::from_millis(220);
const SLOW_RUNNING: Duration = Duration::from_millis(20);
/// For another command at work in the same directory.
const PATIENCE: Duration = Duration::from_secs(30);

enum Undo {
    Start(String),
    Continue(Vec<Process>),
    Hurry { task: JoinHandle<()>, stop: CancellationToken },
    Empty(Full),
    Restore(Box<OldPassword>),
}

pub(super) struct Injected {
    dir: PathBuf,
    undo: Vec<Undo>,
    /// What was broken, with the processes.
    pub(super) broken: Vec<Value>,
}

impl Injected {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), undo: Vec::new(), broken: Vec::new() }
    }

    pub(super) async fn inject(&mut self, deployment: &Deployment, fault: &Fault) -> Result<()> {
        let state = State::load(&self.dir)?.context("the platform was never completely up")?;
        for name in fault.breakage.instances() {
            let running = state
                .find(name)
                .with_context(|| format!("no instance is called {name} in this deployment"))?;
            let life = running.process().life();
            if life != Life::Alive {
                bail!("{name} is {} already: mend it first with `up --repair`", life.word());
            }
            let processes = process::family(running.pid);
            self.break_one(deployment, fault.breakage, running, &processes)
                .await
                .with_context(|| format!("cannot break {name}"))?;
            self.broken.push(json!({
                "name": name, "address": running.address, "how": fault.breakage.word(), "pid": running.pid,
                "pids": processes.iter().map(|process| process.pid).collect::<Vec<_>>(),
            }));
        }
        Ok(())
    }

    async fn break_one(
        &mut self,
        deployment: &Deployment,
        breakage: Breakage,
        running: &Running,
        processes: &[Process],
    ) -> Result<()> {
        match breakage {
            Breakage::Kill(_) => {
                self.undo.push(Undo::Start(running.name.clone()));
                signal_all(processes, Signal::SIGKILL)?;
                await_death(processes).await?;
            }
            Breakage::Stop(_) => {
                self.undo.push(Undo::Continue(processes.to_vec()));
                signal_all(processes, Signal::SIGSTOP)?;
            }
            Breakage::Slow(_) => {
                self.undo.push(Undo::Continue(processes.to_vec()));
                signal_all(processes, Signal::SIGSTOP)?;
                let stop = CancellationToken::new();
                let task = tokio::spawn(slow_down(processes.to_vec(), stop.clone()));
                self.undo.push(Undo::Hurry { task, stop });
            }
            Breakage::Fill(_) => {
                let (full, filled) = Full::of(deployment, running);
                self.undo.push(Undo::Empty(full));
                filled.await?;
            }
            Breakage::Password(_) => {
                let (old, changed) = OldPassword::of(deployment, running)?;
                self.undo.push(Undo::Restore(Box::new(old)));
                changed.await?;
            }
        }
        Ok(())
    }

    /// The last step first. All of them are tried, whatever fails on the way.
    pub(super) async fn undo(&mut self) -> Result<()> {
        let mut trouble = None;
        let mut dead = Vec::new();
        while let Some(step) = self.undo.pop() {
            let outcome = match step {
                Undo::Start(name) => {
                    dead.push(name);
                    Ok(())
                }
                Undo::Continue(processes) => signal_all(&processes, Signal::SIGCONT),
                Undo::Hurry { task, stop } => {
                    stop.cancel();
                    task.await.context("the slowing task failed")
                }
                Undo::Empty(full) => full.undo().await,
                Undo::Restore(old) => old.undo().await,
            };
            trouble = trouble.or(outcome.err());
        }
        if !dead.is_empty() {
            trouble = trouble.or(start_again(&self.dir, &dead).await.err());
        }
        trouble.map_or(Ok(()), Err)
    }
}

async fn start_again(dir: &Path, dead: &[String]) -> Result<()> {
    let deadline = clock::now() + PATIENCE;
    loop {
        match deploy::mend(dir, Some(dead)).await {
            Ok(_) => return Ok(()),
            Err(error) if clock::now() > deadline => return Err(error),
            // Another command may be at work in the directory.
            Err(_) => tokio::time::sleep(Duration::from_millis(300)).await,
        }
    }
}

fn signal_all(processes: &[Process], signal: Signal) -> Result<()> {
    for process in processes {
        process.try_signal(signal)?;
    }
    Ok(())
}

async fn await_death(processes: &[Process]) -> Result<()> {
    let deadline = clock::now() + Duration::from_secs(5);
    while processes.iter().any(|process| process.life() != Life::Dead) {
        if clock::now() > deadline {
            bail!("it does not end even when killed");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn slow_down(processes: Vec<Process>, stop: CancellationToken) {
    loop {
        for (signal, time) in [(Signal::SIGSTOP, SLOW_STOPPED), (Signal::SIGCONT, SLOW_RUNNING)] {
            for process in &processes {
                process.signal(signal);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(time) => {}
            }
        }
    }
}
