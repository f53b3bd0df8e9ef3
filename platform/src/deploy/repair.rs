//! `up --repair`: starts again what died, on the same ports and data. What lives is left alone, stopped
//! processes too: somebody stopped them on purpose.

use std::path::Path;

use anyhow::Result;

use super::site::{Running, end_remains};
use super::start::{Data, enter, refresh, start_all, start_changed, start_traffic};
use crate::output::say;
use crate::plan::Instance;
use crate::ports;
use crate::process::Life;
use crate::roles::Defect;
use crate::{faults, servers};

pub(crate) async fn repair(dir: &Path) -> Result<u8> {
    let undone = faults::clear_up(dir).await?;
    for fault in &undone {
        say(format!("undone: {fault}, whose command was ended before it could"));
    }
    let started = mend(dir, None).await?;
    for words in &started {
        say(format!("started {words}"));
    }
    if started.is_empty() && undone.is_empty() {
        say("nothing to repair: everything is alive");
    }
    Ok(0)
}

/// Starts again what died, or only these of it. What was started, in words.
pub(crate) async fn mend(dir: &Path, only: Option<&[String]>) -> Result<Vec<String>> {
    let mut running = Running::open(dir)?;
    let _block = ports::hold_again(running.site.deployment.base_port)?;
    let site = running.site.clone();
    let dead: Vec<&Instance> = site
        .plan
        .instances
        .iter()
        .filter(|instance| only.is_none_or(|names| names.contains(&instance.name)))
        .filter(|instance| running.is_dead(instance))
        .collect();
    for instance in &dead {
        end_remains(&site.deployment.marks_of(&instance.name)).await?;
    }
    // A promoted primary first: the one it replaces comes back as its copy.
    let (followers, others): (Vec<&Instance>, Vec<&Instance>) =
        dead.into_iter().partition(|instance| site.deployment.assigned.is_replica(instance));
    let mut started = start_all(&site, &others, Data::Kept).await?;
    started.extend(start_all(&site, &followers, Data::Kept).await?);
    let mut words: Vec<String> = started
        .iter()
        .map(|running| format!("{} again at {} (pid {})", running.name, running.address, running.pid))
        .collect();
    let state = &mut running.state;
    enter(state, &site, started);
    if only.is_none() && state.helpers.iter().all(|helper| helper.process().life() == Life::Dead) {
        end_remains(&site.deployment.marks_of("traffic")).await?;
        let helper = start_traffic(&site)?;
        words.push(format!("{} again (pid {})", helper.name, helper.pid));
        state.helpers = vec![helper];
    }
    refresh(state);
    state.save()?;
    Ok(words)
}

/// How an instance is started otherwise than usual.
#[derive(Clone, Debug, Default)]
pub(crate) struct Change {
    args: Vec<String>,
    defect: Option<Defect>,
    /// It will not serve soon: nobody waits until it does.
    is_slow: bool,
}

impl Change {
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// Something is wrong with this process of ours.
    pub(crate) fn with(defect: Defect) -> Self {
        Self { defect: Some(defect), ..Self::default() }
    }

    /// More words on its command line, and patience.
    pub(crate) fn started_with(words: &[&str]) -> Self {
        let args = words.iter().map(|word| (*word).to_owned()).collect();
        Self { args, is_slow: true, ..Self::default() }
    }
}

/// Ends these and starts them again, changed.
pub(crate) async fn replace(dir: &Path, names: &[String], change: &Change) -> Result<()> {
    let mut running = Running::open(dir)?;
    let _block = ports::hold_again(running.site.deployment.base_port)?;
    let site = running.site.clone();
    let mut started = Vec::new();
    for name in names {
        let instance = site.plan.instance(name)?;
        end_remains(&site.deployment.marks_of(name)).await?;
        let mut launch = servers::launch(&site, instance)?;
        launch.args.extend(change.args.iter().map(Into::into));
        launch
            .env
            .extend(change.defect.map(Defect::variable).map(|(name, value)| (name.to_owned(), value.into())));
        started.push(start_changed(&site, instance, &launch, !change.is_slow).await?);
    }
    enter(&mut running.state, &site, started);
    refresh(&mut running.state);
    running.state.save()
}
