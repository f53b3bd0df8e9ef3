//! `up`: all of it, or nothing.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use super::start::{Data, enter, refresh, start_all, start_traffic};
use super::{absolute, down};
use crate::catalog::{Kind, Scale};
use crate::clock;
use crate::deployment::{Assigned, Deployment, DirLock, NAME, State, write_atomically};
use crate::output::say;
use crate::plan::Instance;
use crate::ports::{BasePort, Block};
use crate::privileges;
use crate::process::Marks;
use crate::secrets::Secrets;
use crate::servers::{self, Programs, Site};
use crate::topology_file;
use crate::{members, names};

/// Names the deployment inside its data directory, so that `down` never removes anything else.
pub(super) const OWNER_FILE: &str = ".ordering-platform";

#[derive(Clone, Copy, Debug)]
pub(crate) struct UpOptions {
    pub(crate) scale: Scale,
    pub(crate) base_port: BasePort,
    pub(crate) json: bool,
    /// How often a store's POS asks for new orders.
    pub(crate) poll: Duration,
    /// Whether past days of the order curve are made up.
    pub(crate) history: bool,
    /// Requests a second that the gateways let in, all together.
    pub(crate) rate_limit: u32,
    /// Where the access log goes besides its file.
    pub(crate) access_log_to: Option<SocketAddr>,
}

/// Starts everything. The number is the exit status: a signal half-way ends what was started.
pub(crate) async fn up(dir: &Path, options: UpOptions) -> Result<u8> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let dir = absolute(dir)?;
    fs::create_dir_all(dir.join("logs")).with_context(|| format!("cannot create {}", dir.display()))?;
    let _lock = DirLock::take(&dir)?;
    refuse_a_second(&dir).await?;

    let outcome = tokio::select! {
        outcome = start_everything(&dir, options) => outcome.map(|()| None),
        _ = interrupt.recv() => Ok(Some(Signal::SIGINT)),
        _ = terminate.recv() => Ok(Some(Signal::SIGTERM)),
        _ = hangup.recv() => Ok(Some(Signal::SIGHUP)),
    };
    match outcome {
        Ok(None) => Ok(0),
        Ok(Some(signal)) => {
            say(format!("{signal}: stopping what was started"));
            down::stop(&dir).await?;
            Ok(128_u8.saturating_add(signal as u8))
        }
        Err(error) => {
            down::stop(&dir).await.context("and stopping what was started failed, too")?;
            Err(error)
        }
    }
}

/// A deployment that runs is left alone; what a dead one left behind is cleared away.
async fn refuse_a_second(dir: &Path) -> Result<()> {
    if let Some(old) = Deployment::load(dir)? {
        if !old.marks().processes().is_empty() {
            bail!(
                "a deployment runs in {} already: see `ordering-platform status --dir {0}`, mend it with \
                 `up --repair`, or end it with `down`",
                dir.display()
            );
        }
        down::stop(dir).await?;
    }
    Ok(())
}

async fn start_everything(dir: &Path, options: UpOptions) -> Result<()> {
    let began = clock::now();
    let progress = |words: String| {
        if !options.json {
            say(format!("{:>5.1} s  {words}", (clock::now() - began).as_secs_f32()));
        }
    };
    let programs = Programs::find()?;
    let block = Block::reserve(options.scale, options.base_port)?;
    let plan = block.plan.clone();
    let account = privileges::unprivileged()?;
    let deployment = create(dir, options, plan.base_port)?;
    let secrets = Secrets::generate(dir)?;
    let site = Site { deployment, plan, secrets, account, programs };
    let (first, last) = (site.plan.base_port, site.plan.base_port + crate::plan::BLOCK - 1);
    progress(format!(
        "{} instances on ports {first} to {last}, in {}",
        site.plan.instances.len(),
        dir.display()
    ));

    let mut state =
        State { name: NAME.to_owned(), dir: dir.to_owned(), base_port: first, ..State::default() };
    let broker = of_kinds(&site, &[Kind::RabbitMq]);
    let servers = of_kinds(&site, &[Kind::Redis, Kind::Postgres, Kind::MariaDb]);
    // The broker takes longest: it starts while the data directories are made.
    let (broker, servers) = tokio::try_join!(start_all(&site, &broker, Data::Fresh), async {
        servers::make_templates(&site).await?;
        progress("data directories made".to_owned());
        start_all(&site, &servers, Data::Fresh).await
    })?;
    progress(format!("{} databases, caches and the broker serve", broker.len() + servers.len()));
    enter(&mut state, &site, broker);
    enter(&mut state, &site, servers);

    members::write(&site.deployment, &members::book(&site.deployment, &site.plan))?;
    names::write(&site.deployment, &site.plan)?;
    let ours = [
        Kind::Outside,
        Kind::Service,
        Kind::Oms,
        Kind::Push,
        Kind::MiniApp,
        Kind::Line,
        Kind::PosProxy,
        Kind::Pos,
    ];
    let roles = start_all(&site, &of_kinds(&site, &ours), Data::Fresh).await?;
    progress(format!("{} services, mini-program servers, OMS, lines and POS serve", roles.len()));
    enter(&mut state, &site, roles);

    let gateways = start_all(&site, &of_kinds(&site, &[Kind::Nginx]), Data::Fresh).await?;
    enter(&mut state, &site, gateways);
    let edges = start_all(&site, &of_kinds(&site, &[Kind::Cdn]), Data::Fresh).await?;
    enter(&mut state, &site, edges);
    await_all_well(&site).await?;
    state.helpers.push(start_traffic(&site)?);
    progress("gateways serve the home page, every dependency answers, a light load runs".to_owned());

    write_atomically(&dir.join("topology.yaml"), &topology_file::of(&site.deployment, &site.plan))?;
    refresh(&mut state);
    state.save()?;
    if options.json {
        say(serde_json::to_string_pretty(&state)?);
    } else {
        say(super::status::table(&state));
        say(format!("topology: {}", dir.join("topology.yaml").display()));
    }
    Ok(())
}

fn create(dir: &Path, options: UpOptions, base_port: u16) -> Result<Deployment> {
    let id = Uuid::now_v7().simple().to_string();
    let data = make_data_dir(&id)?;
    let deployment = Deployment {
        id,
        scale: options.scale,
        base_port,
        data,
        dir: dir.to_owned(),
        poll_ms: options.poll.as_millis() as u64,
        history: options.history,
        rate_limit: options.rate_limit,
        access_log_to: options.access_log_to.map(|to| to.to_string()),
        counts: BTreeMap::new(),
        assigned: Assigned::default(),
    };
    deployment.save()?;
    Ok(deployment)
}

/// Short, because Unix sockets lie in it, and outside of `--dir`, because the servers' user may not be
/// allowed in there. Others may pass through it, not list it.
fn make_data_dir(id: &str) -> Result<PathBuf> {
    let tail = id.get(id.len().saturating_sub(10)..).unwrap_or(id);
    let data = PathBuf::from(format!("/var/tmp/ordering-{tail}"));
    DirBuilder::new()
        .mode(0o711)
        .create(&data)
        // Whatever the umask says: the servers' user must get through.
        .and_then(|()| fs::set_permissions(&data, fs::Permissions::from_mode(0o711)))
        .and_then(|()| fs::write(data.join(OWNER_FILE), id))
        .with_context(|| format!("cannot create {}", data.display()))?;
    Ok(data)
}

fn of_kinds<'a>(site: &'a Site, kinds: &[Kind]) -> Vec<&'a Instance> {
    let mut found: Vec<&Instance> =
        site.plan.instances.iter().filter(|instance| kinds.contains(&instance.component.kind)).collect();
    // The slow ones first, so that the quick ones fill the gaps.
    found.sort_by_key(|instance| kinds.iter().rposition(|kind| *kind == instance.component.kind));
    found.reverse();
    found
}

/// Up means that every process is well with all it depends on, not only that each listens.
async fn await_all_well(site: &Site) -> Result<()> {
    let deadline = clock::now() + Duration::from_secs(20);
    for instance in &site.plan.instances {
        while let Err(error) = servers::ask_deep(instance).await {
            if clock::now() > deadline {
                return Err(error.context("everything serves, but not everything is well"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

/// The marks of a deployment, for callers that only have its directory.
pub(super) fn marks(dir: &Path) -> Result<Option<Marks>> {
    Ok(Deployment::load(dir)?.map(|deployment| deployment.marks()))
}
