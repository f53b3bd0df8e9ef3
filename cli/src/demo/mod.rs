//! `topowatch demo`: the ordering platform and its monitor in the foreground, and nothing left behind.
//!
//! The platform is another program, `ordering-platform`, beside this one; it knows nothing of the monitor.
//! Whatever happens to this process, a guard of the platform's own waits for its end and clears up.

mod monitor;
mod platform;
mod signals;

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use askama::Template;

use crate::args::{DEMO_PORT, DemoArgs};
use crate::exit::{Exit, fail};
use crate::output;

use monitor::Monitor;
use platform::Platform;
use signals::Stop;

/// What queries ask when nobody names a server.
const DEFAULT_URL: &str = "http://127.0.0.1:8440";

/// What the demo's directory is called when nobody names one; with the default port it has the addresses
/// of the topology.yaml at the top of the repository.
const DEFAULT_DIR: &str = ".demo";

pub(crate) async fn run(args: DemoArgs) -> Result<Exit> {
    let mut stop = Stop::listen(args.stop_with_parent)?;
    let dir = prepare(&args.dir)?;
    let _lock = lock(&dir)?;
    let url = format!("http://127.0.0.1:{}", args.port);
    let url_file = dir.join("url");
    remove(&url_file)?;
    check_port(args.port)?;

    let base_port =
        if args.dir == Path::new(DEFAULT_DIR) && args.port == DEMO_PORT { None } else { Some("auto") };
    let platform = Platform::new(&dir)?;
    platform.clear_leftovers().await?;
    let mut guard = platform.set_guard()?;
    let mut monitor = None;
    let outcome = tokio::select! {
        // A stop half-way up is a stop like any other; `up` itself is stopped by `down` below.
        () = stop.asked() => Ok(Outcome::Stopped),
        outcome = watch(&platform, &mut monitor, &args, &dir, &url, base_port) => outcome,
    };
    match &outcome {
        Ok(Outcome::Stopped) => output::line("stopping everything the demo started"),
        Ok(Outcome::MonitorFailed(why)) => output::error(&format!("the monitor does not stay up: {why}")),
        Err(_) => {}
    }
    remove(&url_file)?;
    // From here on another signal changes nothing: stopping is already the fastest way out.
    if let Some(monitor) = monitor {
        monitor.stop().await;
    }
    let down = platform.down().await;
    if down.is_ok() {
        // Nothing is left to guard.
        guard.kill().await.context("the guard cannot be ended")?;
    }
    let exit = match outcome? {
        Outcome::Stopped => Exit::Good,
        Outcome::MonitorFailed(_) => Exit::Failed,
    };
    down?;
    output::line("nothing of the demo runs any more");
    Ok(exit)
}

/// How the demo came to its end.
enum Outcome {
    Stopped,
    MonitorFailed(String),
}

/// Starts everything, says so, and stays until the monitor cannot be kept up.
async fn watch(
    platform: &Platform,
    monitor: &mut Option<Monitor>,
    args: &DemoArgs,
    dir: &Path,
    url: &str,
    base_port: Option<&str>,
) -> Result<Outcome> {
    output::line(&format!("starting the ordering platform ({}) in {}", args.scale, args.dir.display()));
    // The number of the monitor's port, on UDP.
    let access_log = format!("127.0.0.1:{}", args.port);
    platform.up(&args.scale, base_port, &access_log).await?;
    let topology = dir.join("topology.yaml");
    let monitor = monitor.insert(Monitor::start(&topology, args.port, dir, args.webhook.as_deref())?);
    output::line(&format!("starting the monitor on {url}"));
    let (seen, components) = monitor.first_round(url).await?;
    write(&dir.join("url"), &format!("{url}\n"))?;
    output::line(&format!("{seen} instances of {components} components seen"));
    output::line(&Invitation::new(url, dir, platform).render().context("the invitation cannot be written")?);
    let why = monitor.keep_up().await;
    Ok(Outcome::MonitorFailed(why))
}

/// What to do with it.
#[derive(Template)]
#[template(path = "invitation.txt")]
struct Invitation {
    wall: String,
    hang: String,
    kill: String,
    platform: String,
    dir: String,
    topowatch: String,
    server: String,
    state: String,
}

impl Invitation {
    fn new(url: &str, dir: &Path, platform: &Platform) -> Self {
        let pid_of = |instance: &str| {
            platform.pid_of(instance).map_or_else(|| "PID".to_owned(), |pid| pid.to_string())
        };
        let shown = |path: &Path| near(path).display().to_string();
        let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("topowatch"));
        Self {
            wall: output::bold(&format!("the wall:   {url}")),
            hang: pid_of("miniapp-server-3"),
            kill: pid_of("member-db-1"),
            platform: shown(platform.program()),
            dir: shown(dir),
            topowatch: shown(&own),
            server: if url == DEFAULT_URL { String::new() } else { format!(" --url {url}") },
            state: shown(&dir.join("state.json")),
        }
    }
}

/// A path as one would type it here.
fn near(path: &Path) -> PathBuf {
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    here.ok().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path).to_owned()
}

/// The directory, made if it is missing, as an absolute path.
fn prepare(dir: &Path) -> Result<PathBuf> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make the directory {}", dir.display()))?;
    dir.canonicalize().with_context(|| format!("cannot use the directory {}", dir.display()))
}

/// One demo a directory.
fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("demo.lock");
    let file = File::create(&path).with_context(|| format!("cannot write to {}", dir.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(fail(
            Exit::Failed,
            format!(
                "a demo already runs in {}: stop it, or choose another with DEMO_DIR and DEMO_PORT",
                dir.display()
            ),
        )),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// A taken port is said before forty processes are started for nothing.
fn check_port(port: u16) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    // UDP for the gateways' access log.
    let had = TcpListener::bind(address).map(drop).and_then(|()| UdpSocket::bind(address).map(drop));
    had.map_err(|error| {
        fail(
            Exit::Failed,
            format!(
                "port {port} cannot be had ({error}): `ss -lntup 'sport = :{port}'` shows by whom; \
                 choose another with DEMO_PORT"
            ),
        )
    })
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Written whole or not at all: others wait for this file.
fn write(path: &Path, text: &str) -> Result<()> {
    let temporary = path.with_extension("new");
    fs::write(&temporary, text)
        .and_then(|()| fs::rename(&temporary, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
