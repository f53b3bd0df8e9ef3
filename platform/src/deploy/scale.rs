//! `scale`: more or fewer instances of a component while it works. A new one gets calls when it is well; one
//! that goes gets no new ones first, ends what it has under way, and only then is stopped. Nothing is refused.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::Signal;

use super::site::{Running, end_remains};
use super::start::{Data, enter, refresh, start_all};
use crate::catalog::{COMPONENTS, Component};
use crate::clock;
use crate::deployment;
use crate::members;
use crate::output::say;
use crate::plan::Instance;
use crate::process::Life;
use crate::servers::{self, Site};

/// After an instance is taken out of the book: until every caller has read it, and a little more.
const DRAIN: Duration = Duration::from_millis(1500);
/// For a new instance to be well with all it depends on.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn scale(dir: &Path, name: &str, count: u8) -> Result<u8> {
    let component = scalable(name)?;
    let most = component.most().unwrap_or_default();
    let mut running = Running::open(dir)?;
    // A group that carries traffic keeps one instance at least; a kept VM group may go.
    let least = u8::from(!running.site.deployment.assigned.is_kept(component));
    if !(least..=most).contains(&count) {
        bail!("{name} can have {least} to {most} instances, not {count}");
    }
    let before = running.site.plan.of(name).count();
    set_count(&mut running, component, count).await?;
    say(format!("{name}: {count} instances instead of {before}"));
    Ok(0)
}

/// Another rate limit for the whole site.
pub(crate) fn limit(dir: &Path, rate: u32) -> Result<u8> {
    let mut running = Running::open(dir)?;
    running.site.deployment.rate_limit = rate;
    running.apply()?;
    say(format!("the gateways let in {rate} requests a second, all together"));
    Ok(0)
}

/// The settings of one nginx as they should be.
pub(crate) fn configure(dir: &Path, name: &str) -> Result<()> {
    let running = Running::open(dir)?;
    servers::configure_nginx(&running.site, running.site.plan.instance(name)?)?;
    if let Some(found) = running.state.find(name) {
        found.process().signal(Signal::SIGHUP);
    }
    Ok(())
}

/// Moves a service's traffic between its containers and its kept VM group.
pub(crate) async fn switch(dir: &Path, name: &str, to_vm: bool) -> Result<u8> {
    let service = COMPONENTS.iter().find(|one| one.name == name && one.most().is_some());
    let vm = COMPONENTS.iter().find(|one| one.stands_in_for() == Some(name));
    let (Some(service), Some(vm)) = (service, vm) else {
        let with: Vec<_> = COMPONENTS.iter().filter_map(Component::stands_in_for).collect();
        bail!("{name} has no VM group; these have one: {}", with.join(", "));
    };
    let mut running = Running::open(dir)?;
    if running.site.deployment.assigned.on_vm.contains(name) == to_vm {
        say(format!("{name} is on its {} already", if to_vm { "VM group" } else { "containers" }));
        return Ok(0);
    }
    let target = if to_vm { vm } else { service };
    // A group that was not kept running is started first: no traffic goes where nobody is.
    let count = running.site.plan.of(target.name).count();
    let wanted = if count == 0 { running.site.plan.of(service.name).count() as u8 } else { count as u8 };
    set_count(&mut running, target, wanted).await?;
    if to_vm {
        running.site.deployment.assigned.on_vm.insert(name.to_owned());
    } else {
        running.site.deployment.assigned.on_vm.remove(name);
    }
    running.apply()?;
    // Until the callers have read it: whoever watches sees the traffic there when this returns.
    tokio::time::sleep(members::LOOK_EVERY * 2).await;
    say(format!("{name}: traffic goes to {} ({wanted} instances)", target.name));
    Ok(0)
}

fn scalable(name: &str) -> Result<&'static Component> {
    let all = || COMPONENTS.iter().filter(|component| component.most().is_some());
    if let Some(component) = all().find(|component| component.name == name) {
        return Ok(component);
    }
    let names: Vec<_> = all().map(|component| component.name).collect();
    bail!("{name} cannot be scaled while it runs; these can: {}", names.join(", "))
}

async fn set_count(running: &mut Running, component: &'static Component, count: u8) -> Result<()> {
    let before: Vec<Instance> = running.site.plan.of(component.name).cloned().collect();
    let mut wanted = running.site.clone();
    wanted.deployment.counts.insert(component.name.to_owned(), count);
    wanted.plan = wanted.deployment.plan()?;
    let new: Vec<&Instance> =
        wanted.plan.of(component.name).filter(|one| usize::from(one.number) > before.len()).collect();
    // The new ones read there who they are; nobody calls them yet.
    wanted.deployment.save()?;
    let started = match begin(&wanted, &new).await {
        Ok(started) => started,
        Err(error) => {
            running.site.deployment.save()?;
            for instance in &new {
                end_remains(&wanted.deployment.marks_of(&instance.name)).await?;
                clear(&wanted, instance);
            }
            return Err(error);
        }
    };
    enter(&mut running.state, &wanted, started);
    running.site.deployment = wanted.deployment.clone();
    let leaving: Vec<&Instance> = before.iter().filter(|one| one.number > count).collect();
    running.apply()?;
    if !leaving.is_empty() {
        tokio::time::sleep(DRAIN).await;
        for instance in leaving {
            stop(running, instance).await?;
        }
    }
    refresh(&mut running.state);
    running.state.save()
}

async fn begin(site: &Site, new: &[&Instance]) -> Result<Vec<deployment::Running>> {
    for instance in new {
        clear(site, instance);
    }
    let started = start_all(site, new, Data::Fresh).await?;
    for instance in new {
        await_well(instance).await?;
    }
    Ok(started)
}

async fn await_well(instance: &Instance) -> Result<()> {
    let deadline = clock::now() + PATIENCE;
    while let Err(error) = servers::ask_deep(instance).await {
        if clock::now() > deadline {
            return Err(error.context("the new instance serves, but it is not well"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Asks it to end, and insists after a while.
async fn stop(running: &mut Running, instance: &Instance) -> Result<()> {
    if let Some(found) = running.state.find(&instance.name) {
        let process = found.process();
        process.signal(Signal::SIGCONT);
        process.signal(Signal::SIGTERM);
        let deadline = clock::now() + Duration::from_secs(5);
        while process.life() != Life::Dead && clock::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    end_remains(&running.site.deployment.marks_of(&instance.name)).await?;
    if let Some(list) = running.state.components.get_mut(instance.component.name) {
        list.retain(|one| one.name != instance.name);
    }
    running.state.components.retain(|_, list| !list.is_empty());
    clear(&running.site, instance);
    Ok(())
}

/// A process of ours keeps nothing in its directory that a later one of its name should find.
fn clear(site: &Site, instance: &Instance) {
    std::fs::remove_dir_all(site.deployment.home(&instance.name)).ok();
}
