//! The monitor of the demo: this program's own `serve`, as a process of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::client::Client;
use crate::exit::{Exit, fail};
use crate::output;

/// The first round is over long before; a busy machine takes its time.
const FIRST_ROUND: Duration = Duration::from_mins(1);
const ASK_EVERY: Duration = Duration::from_millis(100);
/// It promises to end within five seconds.
const SHUTDOWN: Duration = Duration::from_secs(6);
/// A monitor that ends this often is not started again.
const MAX_RESTARTS: u32 = 20;

/// The address itself stays in the environment: it may hold a token.
const ALERTS: &str = "alerts:\n  receivers:\n    demo: { webhook: { url: \"${env:DEMO_WEBHOOK}\" } }\n";

pub(super) struct Monitor {
    topology: PathBuf,
    port: u16,
    dir: PathBuf,
    webhook: Option<String>,
    child: Child,
}

impl Monitor {
    pub(super) fn start(topology: &Path, port: u16, dir: &Path, webhook: Option<&str>) -> Result<Self> {
        let child = spawn(topology, port, dir, webhook)?;
        let (topology, dir, webhook) = (topology.to_owned(), dir.to_owned(), webhook.map(str::to_owned));
        Ok(Self { topology, port, dir, webhook, child })
    }

    /// Waits until every instance has been seen once: how many instances, of how many components.
    pub(super) async fn first_round(&mut self, url: &str) -> Result<(usize, usize)> {
        let client = Client::new(url)?;
        let seen = async {
            loop {
                if let Ok(board) = client.get("/api/v1/board").await
                    && let Some(counts) = all_seen(&board)
                {
                    return counts;
                }
                sleep(ASK_EVERY).await;
            }
        };
        tokio::select! {
            counts = tokio::time::timeout(FIRST_ROUND, seen) => {
                counts.map_err(|_| fail(Exit::Failed, format!("the monitor has not seen everything after {} s", FIRST_ROUND.as_secs())))
            }
            status = self.child.wait() => Err(fail(Exit::Failed, self.last_words(status.ok()))),
        }
    }

    /// Starts the monitor again when it ends (as systemd would), until it ends too often.
    pub(super) async fn keep_up(&mut self) -> String {
        for _ in 0..MAX_RESTARTS {
            let status = self.child.wait().await.ok();
            output::line(&format!("the monitor ended ({}): starting it again", shown(status)));
            match spawn(&self.topology, self.port, &self.dir, self.webhook.as_deref()) {
                Ok(child) => self.child = child,
                Err(error) => return format!("{error:#}"),
            }
            // Not faster than once a second.
            sleep(Duration::from_secs(1)).await;
        }
        let status = self.child.wait().await.ok();
        self.last_words(status)
    }

    /// Ends it in order: what it has not written yet is written first.
    pub(super) async fn stop(mut self) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid
            && kill(Pid::from_raw(pid), Signal::SIGTERM).is_ok()
            && tokio::time::timeout(SHUTDOWN, self.child.wait()).await.is_ok()
        {
            return;
        }
        // A stopped or stuck one; dropping it ends it too.
        if let Err(error) = self.child.kill().await {
            tracing::debug!(%error, "the monitor cannot be ended");
        }
    }

    fn last_words(&self, status: Option<ExitStatus>) -> String {
        let log = std::fs::read_to_string(self.dir.join("topowatch.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(3).collect();
        let last: Vec<&str> = lines.into_iter().rev().collect();
        format!("the monitor ended ({}): {}", shown(status), last.join(" / "))
    }
}

fn shown(status: Option<ExitStatus>) -> String {
    status.map_or_else(|| "no status".to_owned(), |status| status.to_string())
}

fn spawn(topology: &Path, port: u16, dir: &Path, webhook: Option<&str>) -> Result<Child> {
    let own = std::env::current_exe().context("cannot tell where this program lies")?;
    let log = File::options()
        .create(true)
        .append(true)
        .open(dir.join("topowatch.log"))
        .context("cannot write the monitor's log")?;
    let mut command = Command::new(own);
    command.arg("serve");
    if let Some(webhook) = webhook {
        // Laid over the platform's file, which is written anew when the platform is scaled.
        let overlay = dir.join("alerts.yaml");
        std::fs::write(&overlay, ALERTS).context("cannot write the demo's alerts")?;
        command.env("DEMO_WEBHOOK", webhook).arg("--overlay").arg(overlay);
    }
    let child = command
        .arg("--config")
        .arg(topology)
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .args(["--access-log", &format!("127.0.0.1:{port}")])
        .arg("--database")
        .arg(format!("sqlite://{}", dir.join("topowatch.db").display()))
        .arg("--stop-with-parent")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .context("cannot start the monitor")?;
    // Whoever wants to see the monitor itself die or hang finds it here.
    if let Some(pid) = child.id() {
        std::fs::write(dir.join("monitor.pid"), format!("{pid}\n")).context("cannot write monitor.pid")?;
    }
    Ok(child)
}

/// How many, once every instance has been observed.
fn all_seen(board: &Value) -> Option<(usize, usize)> {
    let instances = board["instances"].as_array()?;
    let components = board["components"].as_array()?.len();
    let all = !instances.is_empty() && instances.iter().all(|instance| instance["observed_at"].is_string());
    all.then_some((instances.len(), components))
}
