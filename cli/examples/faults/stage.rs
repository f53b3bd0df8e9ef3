//! The platform and its monitor, running, and what is done to them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::board::Board;
use crate::matrix::{Entry, Known, STARVED};
use crate::watch::Seen;

/// Until everything stands; the full scale takes its time.
const START: Duration = Duration::from_mins(5);
/// A fault is injected in this time: a database read in slowly, a broker told.
const INJECTION: Duration = Duration::from_mins(1);

/// A program that lies where this one does.
fn program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let built = own.parent().and_then(Path::parent).context("this program lies nowhere")?;
    let program = built.join(name);
    if !program.is_file() {
        bail!("{} is missing: build the workspace's programs first", program.display());
    }
    Ok(program)
}

/// The faults that the platform knows.
pub(crate) async fn faults() -> Result<Vec<Known>> {
    let output =
        Command::new(program("ordering-platform")?).args(["break", "--list", "--json"]).output().await?;
    serde_json::from_slice(&output.stdout).context("the list of faults cannot be read")
}

pub(crate) struct Stage {
    dir: PathBuf,
    url: String,
    demo: Child,
    load: Child,
    client: reqwest::Client,
}

impl Stage {
    pub(crate) async fn start(dir: &Path, scale: &str, webhook: &str, rate: u32) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let dir = dir.canonicalize()?;
        let port = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
        let log = std::fs::File::create(dir.join("demo.log"))?;
        let mut demo = Command::new(program("topowatch")?)
            .args(["demo", "--stop-with-parent", "--scale", scale, "--port", &port.to_string(), "--dir"])
            .arg(&dir)
            .env("DEMO_WEBHOOK", webhook)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()?;
        let began = Instant::now();
        while !dir.join("url").exists() {
            if let Some(status) = demo.try_wait()? {
                bail!("the demo ended ({status}): see {}", dir.join("demo.log").display());
            }
            if began.elapsed() > START {
                bail!("the demo does not stand after {} s", START.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let load = Command::new(program("ordering-platform")?)
            .args(["load", "--rate", &rate.to_string(), "--for", "1000m", "--json", "--dir"])
            .arg(&dir)
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(dir.join("load.log"))?)
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
        Ok(Self { url: format!("http://127.0.0.1:{port}"), demo, load, client, dir })
    }

    pub(crate) async fn board(&self) -> Result<Board> {
        let url = format!("{}/api/v1/board", self.url);
        // A starved monitor answers when it is let.
        let began = Instant::now();
        loop {
            match self.client.get(&url).send().await {
                Ok(answer) => return Ok(serde_json::from_slice(&answer.bytes().await?)?),
                Err(error) if began.elapsed() > Duration::from_mins(1) => return Err(error.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    pub(crate) async fn await_green(&self, patience: Duration) -> Result<()> {
        let began = Instant::now();
        loop {
            let board = self.board().await?;
            if board.is_calm() {
                return Ok(());
            }
            if began.elapsed() > patience {
                let bad = board.instances.iter().filter(|one| one.level != "green");
                let names: Vec<String> = bad.map(|one| format!("{} {}", one.name, one.level)).collect();
                bail!("not green after {} s: {}", patience.as_secs(), names.join(", "));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Breaks all that belongs to one line of the matrix, at once.
    pub(crate) async fn break_all(&self, entry: &Entry) -> Result<Vec<Broken>> {
        let mut broken = Vec::new();
        for fault in &entry.faults {
            broken.push(if fault == STARVED { self.starve()? } else { self.begin(fault).await? });
        }
        Ok(broken)
    }

    async fn begin(&self, fault: &str) -> Result<Broken> {
        let mut child = Command::new(program("ordering-platform")?)
            .args(["break", fault, "--for", "30m", "--json", "--dir"])
            .arg(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::options().create(true).append(true).open(self.dir.join("break.log"))?)
            .process_group(0)
            // When this program ends early the demo's end clears up what is still broken.
            .kill_on_drop(true)
            .spawn()?;
        let mut said = BufReader::new(child.stdout.take().context("no output")?);
        let mut line = String::new();
        tokio::time::timeout(INJECTION, said.read_line(&mut line)).await.context("it is not injected")??;
        if line.is_empty() {
            bail!("{fault} is not injected: see {}", self.dir.join("break.log").display());
        }
        // Its last words are wanted by nobody, but must find an open pipe.
        tokio::spawn(async move { while said.read_line(&mut line).await.is_ok_and(|read| read > 0) {} });
        Ok(Broken::Fault(child))
    }

    /// Nine tenths of its time are taken from the monitor.
    fn starve(&self) -> Result<Broken> {
        let pid = std::fs::read_to_string(self.dir.join("monitor.pid")).context("no monitor runs")?;
        let monitor = Pid::from_raw(pid.trim().parse()?);
        let task = tokio::spawn(async move {
            loop {
                // It may have ended: then nothing is left to starve.
                kill(monitor, Signal::SIGSTOP).ok();
                tokio::time::sleep(Duration::from_millis(4500)).await;
                kill(monitor, Signal::SIGCONT).ok();
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
        Ok(Broken::Starved { _held: Starved { monitor, task } })
    }

    /// The last minutes as a case with its truth, for `make cases`; false where there is no incident.
    pub(crate) async fn record(
        &self,
        seen: &Seen,
        file: &Path,
        entry: &Entry,
        since: Duration,
    ) -> Result<bool> {
        let Some(incident) = &seen.incident else { return Ok(false) };
        let length = format!("{}s", since.as_secs() + 45);
        let mut command = Command::new(program("topowatch")?);
        command.args(["record", "--url", &self.url, "--for", &length, "-o"]).arg(file).arg(incident);
        let output = command.output().await?;
        if !output.status.success() {
            bail!("no case: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let kind = if entry.faults.len() > 1 { "pair" } else { "fault" };
        let truth = json!({ "kind": kind, "truth": entry.truth, "what": entry.what });
        let name = file.to_string_lossy().replace(".json.gz", ".truth.json");
        std::fs::write(name, serde_json::to_string_pretty(&truth)?)?;
        Ok(true)
    }

    pub(crate) async fn repair(&self) -> Result<()> {
        let mut command = Command::new(program("ordering-platform")?);
        command.args(["repair", "--dir"]).arg(&self.dir).stdout(Stdio::null());
        command.status().await?;
        Ok(())
    }

    pub(crate) async fn end(mut self) -> Result<()> {
        self.load.kill().await?;
        interrupt(&self.demo)?;
        self.demo.wait().await?;
        Ok(())
    }
}

/// Something that is broken now.
pub(crate) enum Broken {
    Fault(Child),
    Starved { _held: Starved },
}

/// It gets its time back when this is dropped.
pub(crate) struct Starved {
    monitor: Pid,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Starved {
    fn drop(&mut self) {
        self.task.abort();
        kill(self.monitor, Signal::SIGCONT).ok();
    }
}

impl Broken {
    pub(crate) async fn undo(self) -> Result<()> {
        let Self::Fault(mut child) = self else { return Ok(()) };
        interrupt(&child)?;
        let status = child.wait().await?;
        if !status.success() {
            bail!("it is not undone ({status}): see break.log");
        }
        Ok(())
    }
}

fn interrupt(child: &Child) -> Result<()> {
    let pid = child.id().context("it has ended")?;
    kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGINT)?;
    Ok(())
}
