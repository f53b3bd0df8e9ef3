//! Starting one instance: a detached process, and patience until it answers.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::catalog::Kind;
use crate::clock;
use crate::deployment::{Helper, Running, State};
use crate::plan::Instance;
use crate::process::{self, INSTANCE_MARKER, Life, MARKER, Process};
use crate::servers::{self, Launch, Site};

/// Servers that start at the same time. More only wait for each other on two cores.
const AT_ONCE: usize = 6;
const PATIENCE: Duration = Duration::from_mins(1);
const ASK_EVERY: Duration = Duration::from_millis(100);
/// Lines of a server's log shown when it fails to start.
const LAST_LINES: usize = 12;

/// Fresh data, or what a killed process left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Data {
    Fresh,
    Kept,
}

/// Starts these, some at a time, each until it answers.
pub(super) async fn start_all(site: &Site, instances: &[&Instance], data: Data) -> Result<Vec<Running>> {
    stream::iter(instances.iter().map(|instance| start(site, instance, data)))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

async fn start(site: &Site, instance: &Instance, data: Data) -> Result<Running> {
    if data == Data::Fresh {
        servers::prepare(site, instance)
            .await
            .with_context(|| format!("cannot prepare {}", instance.name))?;
    } else {
        servers::renew(site, instance).await.with_context(|| format!("cannot renew {}", instance.name))?;
    }
    let launch = servers::launch(site, instance)?;
    forget_dead_postmaster(site, instance)?;
    let mut child = spawn(site, &instance.name, &launch)?;
    await_answer(site, instance, &mut child).await?;
    if data == Data::Fresh {
        servers::provision(site, instance)
            .await
            .with_context(|| format!("cannot set up {}", instance.name))?;
    }
    describe(site, instance, child.id().cast_signed())
}

/// Starts one otherwise than usual. Whether it serves is waited for, or not.
pub(super) async fn start_changed(
    site: &Site,
    instance: &Instance,
    launch: &Launch,
    wait: bool,
) -> Result<Running> {
    forget_dead_postmaster(site, instance)?;
    let mut child = spawn(site, &instance.name, launch)?;
    if wait {
        await_answer(site, instance, &mut child).await?;
    }
    describe(site, instance, child.id().cast_signed())
}

/// A killed PostgreSQL leaves a file with its number, and refuses to start while anybody has that: its own zombie that
/// nobody has waited for yet, or another process that was given it. Whoever is started here is known to be dead.
fn forget_dead_postmaster(site: &Site, instance: &Instance) -> Result<()> {
    if instance.component.kind != Kind::Postgres {
        return Ok(());
    }
    let file = site.deployment.home(&instance.name).join("postmaster.pid");
    match fs::remove_file(&file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

fn spawn(site: &Site, name: &str, launch: &Launch) -> Result<Child> {
    let path = site.deployment.log(name);
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("cannot open the log {}", path.display()))?;
    if let Some(account) = site.account {
        // Whoever looks after the logs has no more rights than the servers.
        chown(&path, Some(account.uid), Some(account.gid))
            .with_context(|| format!("cannot give away {}", path.display()))?;
    }
    let mut command = Command::new(&launch.program);
    command
        .args(&launch.args)
        .envs(launch.env.iter().map(|(name, value)| (name, value)))
        .env(MARKER, &site.deployment.id)
        .env(INSTANCE_MARKER, name)
        .current_dir(site.deployment.home(name))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // A Ctrl-C meant for `up`, or for whatever runs it, is not meant for the servers.
        .process_group(0);
    if let (true, Some(account)) = (launch.as_account, site.account) {
        command.uid(account.uid).gid(account.gid);
    }
    command.spawn().with_context(|| format!("cannot start {name} ({})", launch.program.display()))
}

async fn await_answer(site: &Site, instance: &Instance, child: &mut Child) -> Result<()> {
    let deadline = clock::now() + PATIENCE;
    loop {
        let asked = tokio::time::timeout(Duration::from_secs(3), servers::ask(site, instance)).await;
        if matches!(asked, Ok(Ok(()))) {
            return Ok(());
        }
        if let Some(status) = child.try_wait()? {
            bail!("{} ended at once ({status}). {}", instance.name, last_words(site, &instance.name));
        }
        if clock::now() > deadline {
            let reason = match asked {
                Ok(Err(error)) => format!("{error:#}"),
                _ => "no answer".to_owned(),
            };
            bail!(
                "{} does not serve after {} s: {reason}. {}",
                instance.name,
                PATIENCE.as_secs(),
                last_words(site, &instance.name)
            );
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

fn describe(site: &Site, instance: &Instance, pid: i32) -> Result<Running> {
    let main = Process::current(pid).with_context(|| {
        format!("{} ended as soon as it served. {}", instance.name, last_words(site, &instance.name))
    })?;
    Ok(Running {
        name: instance.name.clone(),
        address: instance.address.to_string(),
        health: instance.health.to_string(),
        pid,
        pids: process::family(pid).iter().map(|process| process.pid).collect(),
        port: instance.address.port(),
        dir: site.deployment.home(&instance.name),
        started: main.started,
    })
}

/// The processes of every instance as they are now: a PostgreSQL that serves has one for each client.
pub(super) fn refresh(state: &mut State) {
    for running in state.components.values_mut().flatten() {
        if running.process().life() != Life::Dead {
            running.pids = process::family(running.pid).iter().map(|process| process.pid).collect();
        }
    }
}

/// The background load. It has no address and answers nothing.
pub(super) fn start_traffic(site: &Site) -> Result<Helper> {
    let name = "traffic";
    let home = site.deployment.home(name);
    if !home.exists() {
        fs::create_dir(&home).with_context(|| format!("cannot create {}", home.display()))?;
    }
    let pid = spawn(site, name, &servers::launch_traffic(site)?)?.id().cast_signed();
    let process = Process::current(pid)
        .with_context(|| format!("the load ended at once. {}", last_words(site, name)))?;
    Ok(Helper { name: name.to_owned(), pid, started: process.started })
}

/// The state with these added, each in the place of an earlier instance of its name.
pub(super) fn enter(state: &mut State, site: &Site, started: Vec<Running>) {
    for running in started {
        let Some(instance) = site.plan.instances.iter().find(|instance| instance.name == running.name) else {
            continue;
        };
        let list = state.components.entry(instance.component.name.to_owned()).or_default();
        list.retain(|old| old.name != running.name);
        list.push(running);
        list.sort_by_key(|running| {
            site.plan.instances.iter().position(|instance| instance.name == running.name)
        });
    }
}

fn last_words(site: &Site, name: &str) -> String {
    let path = site.deployment.log(name);
    let text = fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default();
    if last.is_empty() {
        return format!("It wrote nothing to {}", path.display());
    }
    format!("The end of {}:\n  {}", path.display(), last.join("\n  "))
}
