//! `up --repair`: starts again what died, on the same ports and data. What lives is left alone, stopped
//! processes too: somebody stopped them on purpose.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::Signal;

use super::absolute;
use super::start::{Data, enter, refresh, start_all, start_traffic};
use crate::clock;
use crate::deployment::{Deployment, DirLock, State};
use crate::output::say;
use crate::plan::Instance;
use crate::process::{Life, Marks};
use crate::servers::{Programs, Site};
use crate::{ports, privileges};

pub(crate) async fn repair(dir: &Path) -> Result<u8> {
    let started = mend(dir, None).await?;
    for words in &started {
        say(format!("started {words}"));
    }
    if started.is_empty() {
        say("nothing to repair: everything is alive");
    }
    Ok(0)
}

/// Starts again what died, or only these of it. What was started, in words.
pub(crate) async fn mend(dir: &Path, only: Option<&[String]>) -> Result<Vec<String>> {
    let dir = absolute(dir)?;
    let deployment = Deployment::require(&dir)?;
    let _lock = DirLock::take(&dir)?;
    let Some(mut state) = State::load(&dir)? else {
        bail!(
            "{} was never completely up: end it with `ordering-platform down` and start again",
            dir.display()
        );
    };
    let _block = ports::hold_again(deployment.base_port)?;
    let site = Site {
        plan: deployment.plan()?,
        secrets: deployment.secrets(),
        account: privileges::unprivileged()?,
        programs: Programs::find()?,
        deployment,
    };
    let dead: Vec<&Instance> = site
        .plan
        .instances
        .iter()
        .filter(|instance| only.is_none_or(|names| names.contains(&instance.name)))
        .filter(|instance| is_dead(&state, &instance.name))
        .collect();
    for instance in &dead {
        end_remains(&site.deployment.marks_of(&instance.name)).await?;
    }
    let started = start_all(&site, &dead, Data::Kept).await?;
    let mut words: Vec<String> = started
        .iter()
        .map(|running| format!("{} again at {} (pid {})", running.name, running.address, running.pid))
        .collect();
    enter(&mut state, &site, started);
    if only.is_none() && state.helpers.iter().all(|helper| helper.process().life() == Life::Dead) {
        end_remains(&site.deployment.marks_of("traffic")).await?;
        let helper = start_traffic(&site)?;
        words.push(format!("{} again (pid {})", helper.name, helper.pid));
        state.helpers = vec![helper];
    }
    refresh(&mut state);
    state.save()?;
    Ok(words)
}

fn is_dead(state: &State, name: &str) -> bool {
    state.find(name).is_none_or(|running| running.process().life() == Life::Dead)
}

/// Workers of a killed nginx and backends of a killed postmaster hold its port and its data.
async fn end_remains(marks: &Marks) -> Result<()> {
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
