//! `topowatch serve`.

use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use collector::access::Access;
use collector::alert::{Deliveries, Prepared};
use collector::clock::Clock;
use collector::curves::collect as curves;
use collector::heartbeat_out;
use collector::history::History;
use collector::journal::Journal;
use collector::objectives::Objectives;
use collector::reports::Reports;
use collector::run::Collector;
use collector::store::upkeep::Budget;
use collector::store::{Restored, Store, StoreError};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::args::{LogFormat, ServeArgs};
use crate::exit::{Exit, fail};
use crate::follow::Follower;
use crate::output;
use crate::token;
use crate::tokens;
use crate::watched::Watched;

/// Everything is down within this after SIGTERM.
const SHUTDOWN: Duration = Duration::from_secs(4);

pub(crate) async fn run(args: ServeArgs) -> Result<Exit> {
    init_log(args.log_format);
    if args.stop_with_parent {
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM)?;
    }
    let token = token::token(args.token_file.as_deref())?;
    // From here on SIGHUP means a reload, not the end.
    let hangup = signal(SignalKind::hangup())?;
    // And from here on the end is an orderly one, also when it comes while all this starts.
    let end =
        End { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
    let (watched, loaded) = Watched::load(&args.config, &args.overlays, &Watched::default());
    let (model, report) = match loaded {
        Ok(good) => good,
        Err(report) => {
            report.print();
            return Err(fail(Exit::Red, format!("{} is broken; nothing was started", args.config.display())));
        }
    };
    report.print();
    raise_file_limit(model.instances.len());
    let listener = listen(args.listen).await?;
    let address = listener.local_addr().context("the listener has no address")?;

    let (name, components, instances) = (model.name.clone(), model.components.len(), model.instances.len());
    let model = Arc::new(model);
    let clock = Clock::of_process();
    let prober = probes::Prober::new().context("the probes cannot be set up")?;
    let access_logs = args.access_log.map(|address| receive(&prober, address)).transpose()?;
    let budget = Budget { bytes: args.history_budget.saturating_mul(1_000_000) };
    let store = match Store::open(&args.database).await {
        Ok(store) => store,
        Err(error @ StoreError::Url(_)) => return Err(fail(Exit::Failed, error.to_string())),
        // Who watches a platform does not stay away for a database: it comes later, or not at all.
        Err(error) => {
            tracing::error!(%error, "the database is in trouble: starting without what it kept");
            Store::later(&args.database)?
        }
    };
    let store = store.within(budget);
    let history = History::of(&store);
    let kept = store.restore(&model).await.unwrap_or_else(|error| {
        tracing::error!(%error, "what the database kept cannot be read: starting without");
        Restored::default()
    });
    let shutdown = CancellationToken::new();
    let (news, tasks) = (Arc::new(Notify::new()), TaskTracker::new());
    let journal = Journal::start(store.clone(), Arc::clone(&news), &tasks);
    let mut deliveries = Deliveries::new(store.clone(), news, clock, tasks.clone(), shutdown.clone());
    deliveries.switch(Prepared::of(&model).context("the receivers cannot be set up")?).await;
    // Before the first look: whoever reports by itself is heard from the start.
    let listening = prober.clone();
    spawn_until(&tasks, &shutdown, async move { listening.listen().await });
    if let Some(access_logs) = access_logs {
        spawn_until(&tasks, &shutdown, access_logs.run());
    }
    let reports = prober.clone();
    let access = Access::open(&store, tokens::random()?).await;
    tasks.spawn(access.clone().follow(store.clone(), shutdown.clone()));
    let curves = curves::Collector::new(prober.clone()).context("the curves cannot be set up")?;
    let (collector, boards) =
        Collector::new(model, Arc::new(prober), clock, collector::new_incident_id(), kept, Some(journal));
    let control = collector.control();
    let (follower, reload) =
        Follower::new(args.config, args.overlays, watched, control.clone(), deliveries, hangup);
    tasks.spawn(follower.run(shutdown.clone()));
    tasks.spawn(curves.run(boards.clone(), control.clone(), clock, shutdown.clone()));
    let objectives = Objectives::default();
    tasks.spawn(objectives.clone().run(
        history.clone(),
        boards.clone(),
        control.clone(),
        clock,
        shutdown.clone(),
    ));
    if let Some(url) = args.heartbeat_url {
        let beating = heartbeat_out::run(
            url.into(),
            Duration::from_secs(args.heartbeat_every),
            control.pulse(),
            clock,
            shutdown.clone(),
        );
        tasks.spawn(async move {
            if let Err(error) = beating.await {
                tracing::error!(%error, "the monitor has no heartbeat");
            }
        });
    }
    let collecting = tokio::spawn(collector.run(shutdown.clone()));
    if token.is_none() && !address.ip().is_loopback() {
        tracing::warn!("no token is set: reload and change are taken from this machine only (--token-file)");
    }
    let mut state = web::WebState::new(boards, collector::clock::now);
    (state.control, state.reload, state.token) = (Some(control), Some(reload), token);
    state.reports = Some(Reports::to(reports));
    state.history = Some(history);
    (state.access, state.private, state.objectives) = (Some(access), args.private, objectives);
    let serving = tokio::spawn(web::serve(listener, state, shutdown.clone()));
    output::line(&format!(
        "topowatch watches {name}: {components} components, {instances} instances, http://{address}"
    ));

    let stopped_by = wait_for_end(end, collecting, serving, &tasks, &shutdown).await?;
    tracing::info!("{stopped_by}: stopped");
    Ok(Exit::Good)
}

/// The signals that end it.
struct End {
    terminate: Signal,
    interrupt: Signal,
}

/// Runs until a signal, or until a part ends that never should; then stops the rest, within [`SHUTDOWN`].
async fn wait_for_end(
    End { mut terminate, mut interrupt }: End,
    mut collecting: tokio::task::JoinHandle<()>,
    mut serving: tokio::task::JoinHandle<std::io::Result<()>>,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) -> Result<&'static str> {
    let stopped_by = tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        ended = &mut collecting => {
            ended.context("the collector panicked")?;
            anyhow::bail!("the collector ended by itself");
        }
        ended = &mut serving => {
            ended.context("the web server panicked")?.context("the web server failed")?;
            anyhow::bail!("the web server ended by itself");
        }
    };
    shutdown.cancel();
    let stopping = async {
        let collected = collecting.await;
        let served = serving.await;
        // The journal is dropped with the collector; what it holds is written now.
        tasks.close();
        tasks.wait().await;
        (collected, served)
    };
    tokio::select! {
        done = tokio::time::timeout(SHUTDOWN, stopping) => {
            let Ok((collected, served)) = done else {
                tracing::warn!("not everything ended within {} s", SHUTDOWN.as_secs());
                return Ok(stopped_by);
            };
            collected.context("the collector panicked")?;
            served.context("the web server panicked")?.context("the web server failed")?;
        }
        _ = interrupt.recv() => tracing::warn!("a second Ctrl-C: gone at once"),
    }
    Ok(stopped_by)
}

/// Runs `work` until the end.
fn spawn_until(
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
    work: impl Future<Output = ()> + Send + 'static,
) {
    let shutdown = shutdown.clone();
    tasks.spawn(async move { shutdown.run_until_cancelled(work).await });
}

fn receive(prober: &probes::Prober, address: SocketAddr) -> Result<probes::AccessLogs> {
    let logs = probes::AccessLogs::bind(prober, address)
        .map_err(|error| fail(Exit::Failed, format!("cannot take access logs on {address}: {error}")))?;
    tracing::info!(address = %logs.local_addr()?, "takes access logs");
    Ok(logs)
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let port = address.port();
        let message = match error.kind() {
            ErrorKind::AddrInUse => format!(
                "{address} is taken: `ss -ltnp 'sport = :{port}'` shows by whom; choose another with --listen"
            ),
            ErrorKind::PermissionDenied => {
                format!("this user may not listen on {address}: ports below 1024 belong to root")
            }
            _ => format!("cannot listen on {address}: {error}"),
        };
        fail(Exit::Failed, message)
    })
}

/// Every probe takes a socket: the soft limit is raised to the hard one, and a small one is said.
pub(crate) fn raise_file_limit(instances: usize) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_err() {
        tracing::warn!("the limit of open files stays at {soft}");
    }
    if hard < instances as u64 + 256 {
        tracing::warn!("at most {hard} open files for {instances} instances: raise `ulimit -n`");
    }
}

/// Text on a terminal, JSON elsewhere unless told otherwise, always to standard error. What lapin says of connections that end is
/// said by the probes, once and in their words.
fn init_log(format: LogFormat) {
    use std::io::IsTerminal;
    use tracing_subscriber::EnvFilter;
    let filter =
        EnvFilter::try_from_env("TOPOWATCH_LOG").unwrap_or_else(|_| EnvFilter::new("info,lapin=off"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second subscriber (in tests) changes nothing.
    let terminal = std::io::stderr().is_terminal();
    let _set = match format {
        LogFormat::Json => builder.json().try_init(),
        LogFormat::Auto if !terminal => builder.json().try_init(),
        LogFormat::Auto | LogFormat::Text => builder.with_target(false).with_ansi(terminal).try_init(),
    };
}
