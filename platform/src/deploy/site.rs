//! A running deployment, for the commands that change it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::Signal;

use super::absolute;
use crate::clock;
use crate::deployment::{Deployment, DirLock, State, write_atomically};
use crate::plan::Instance;
use crate::process::{Life, Marks};
use crate::servers::{self, Programs, Site};
use crate::{members, privileges, topology_file};

/// With the directory's lock, held for as long as this lives.
pub(super) struct Running {
    pub(super) dir: PathBuf,
    pub(super) site: Site,
    pub(super) state: State,
    _lock: DirLock,
}

impl Running {
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let dir = absolute(dir)?;
        Deployment::require(&dir)?;
        let lock = DirLock::take(&dir)?;
        // Read under the lock: another command may just have changed it.
        let deployment = Deployment::require(&dir)?;
        let Some(state) = State::load(&dir)? else {
            bail!(
                "{} was never completely up: end it with `ordering-platform down` and start again",
                dir.display()
            );
        };
        let site = Site {
            plan: deployment.plan()?,
            secrets: deployment.secrets(),
            account: privileges::unprivileged()?,
            programs: Programs::find()?,
            deployment,
        };
        Ok(Self { dir, site, state, _lock: lock })
    }

    /// After a change of what was asked for: written down, told to our processes and to the nginx.
    pub(super) fn apply(&mut self) -> Result<()> {
        let site = &mut self.site;
        site.plan = site.deployment.plan()?;
        site.deployment.save()?;
        members::write(&site.deployment, &members::book(&site.deployment, &site.plan))?;
        for component in ["gateway", "cdn"] {
            for instance in site.plan.of(component) {
                servers::configure_nginx(site, instance)?;
                if let Some(running) = self.state.find(&instance.name) {
                    // It takes the new settings and ends its old workers when they have nothing to do.
                    running.process().signal(Signal::SIGHUP);
                }
            }
        }
        let text = topology_file::of(&site.deployment, &site.plan);
        write_atomically(&self.dir.join("topology.yaml"), &text)?;
        self.state.save()
    }

    pub(super) fn is_dead(&self, instance: &Instance) -> bool {
        self.state.find(&instance.name).is_none_or(|running| running.process().life() == Life::Dead)
    }
}

/// Kills what carries these marks: workers of a killed nginx and backends of a killed postmaster hold its
/// port and its data.
pub(super) async fn end_remains(marks: &Marks) -> Result<()> {
    let deadline = clock::now() + Duration::from_secs(10);
    loop {
        let left = marks.processes();
        if left.is_empty() {
            return Ok(());
        }
        if clock::now() > deadline {
            bail!("what is left of {} does not end", marks.instance.as_deref().unwrap_or_default());
        }
        for process in &left {
            process.signal(Signal::SIGKILL);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
