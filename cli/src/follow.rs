//! Follows the topology file: it is read again on SIGHUP, when somebody asks, and when it has changed.
//!
//! Changes are found by looking at the file every second, not by the kernel's word of them: that works on NFS,
//! through the symbolic links of a Kubernetes config map, and with editors that write another file and rename it.
//! A file that has just changed is read once it has been the same for a second: half of it is no news.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use collector::alert::{Deliveries, Prepared};
use collector::board::FileTrouble;
use collector::control::Control;
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use topology::diagnostic::MAX_REPORTED;
use topology::model::Model;
use web::api::{Finding, Reload, ReloadDone, ReloadOutcome};

use crate::report::Report;
use crate::scrub::Scrub;
use crate::serve::raise_file_limit;
use crate::watched::{Prints, Watched};

/// From one look at the file to the next.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Requests that wait at most.
const QUEUE: usize = 16;

/// Somebody who waits for the outcome.
type Request = oneshot::Sender<ReloadOutcome>;

/// The one who reads the file again: one reload after another, whoever asks.
pub(crate) struct Follower {
    file: PathBuf,
    overlays: Vec<PathBuf>,
    control: Control,
    deliveries: Deliveries,
    requests: mpsc::Receiver<Request>,
    hangup: Signal,
    /// The files as they were when they were last read.
    read: Watched,
    /// True when they were different at the last look, and how.
    seen: Option<Prints>,
}

impl Follower {
    /// A follower of `file` and its overlays, which looked like `read` before they were read, and the way to ask
    /// it for a reload.
    pub(crate) fn new(
        file: PathBuf,
        overlays: Vec<PathBuf>,
        read: Watched,
        control: Control,
        deliveries: Deliveries,
        hangup: Signal,
    ) -> (Self, Reload) {
        let (ask, requests) = mpsc::channel::<Request>(QUEUE);
        let reload: Reload = Arc::new(move || {
            let ask = ask.clone();
            Box::pin(async move {
                let (reply, outcome) = oneshot::channel();
                let stopping = || ReloadOutcome::Failed("the server is stopping".to_owned());
                if ask.send(reply).await.is_err() {
                    return stopping();
                }
                outcome.await.unwrap_or_else(|_| stopping())
            })
        });
        (Self { file, overlays, control, deliveries, requests, hangup, read, seen: None }, reload)
    }

    /// Follows until `shutdown`.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some(reply) = self.requests.recv() => {
                    let outcome = self.reload("asked for").await;
                    // Whoever asked may have gone.
                    drop(reply.send(outcome));
                }
                Some(()) = self.hangup.recv() => drop(self.reload("SIGHUP").await),
                _ = looks.tick() => self.look().await,
            }
        }
    }

    async fn look(&mut self) {
        let watched = self.read.clone();
        let Ok(now) = tokio::task::spawn_blocking(move || watched.look()).await else { return };
        if self.read.is_as(&now) {
            self.seen = None;
        } else if self.seen.as_ref() == Some(&now) {
            drop(self.reload("the file has changed").await);
        } else {
            self.seen = Some(now);
        }
    }

    async fn reload(&mut self, why: &'static str) -> ReloadOutcome {
        let (file, overlays, last) = (self.file.clone(), self.overlays.clone(), self.read.clone());
        let read = move || {
            let (watched, loaded) = Watched::load(&file, &overlays, &last);
            (watched, loaded.map_err(scrubbed).map(|(model, report)| (model, scrubbed(report))))
        };
        let (watched, loaded) = match tokio::task::spawn_blocking(read).await {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(%error, "reading the topology file failed");
                return ReloadOutcome::Failed("reading the topology file failed".to_owned());
            }
        };
        (self.read, self.seen) = (watched, None);
        match loaded {
            Ok((model, report)) => self.put_in_force(model, &report, why).await,
            Err(report) => self.broken(&report, why).await,
        }
    }

    async fn put_in_force(&mut self, model: Model, report: &Report, why: &'static str) -> ReloadOutcome {
        // All that can fail comes before the first change.
        let prepared = match Prepared::of(&model) {
            Ok(prepared) => prepared,
            Err(error) => {
                tracing::error!(%error, "the receivers cannot be set up; nothing has changed");
                return ReloadOutcome::Failed(
                    "the receivers cannot be set up; nothing has changed".to_owned(),
                );
            }
        };
        let (components, instances) = (model.components.len(), model.instances.len());
        raise_file_limit(instances);
        let Ok(reloaded) = self.control.reload(Arc::new(model)).await else {
            return ReloadOutcome::Failed("the server is stopping".to_owned());
        };
        self.deliveries.switch(prepared).await;
        for warning in report.diagnostics.iter().take(MAX_REPORTED) {
            tracing::warn!("{}", warning.line(report.path(warning)));
        }
        tracing::info!(
            added = reloaded.added.len(),
            removed = reloaded.removed.len(),
            changed = reloaded.changed.len(),
            kept = reloaded.kept,
            "the topology file was read again ({why}): {components} components, {instances} instances"
        );
        ReloadOutcome::Done(ReloadDone {
            components,
            instances,
            added: reloaded.added,
            removed: reloaded.removed,
            changed: reloaded.changed,
            kept: reloaded.kept,
            warnings: findings(report),
        })
    }

    async fn broken(&mut self, report: &Report, why: &'static str) -> ReloadOutcome {
        let path = self.file.display().to_string();
        let errors = report.errors();
        tracing::error!(errors, "{path} is broken ({why}); the one before stays in force");
        for diagnostic in report.diagnostics.iter().take(MAX_REPORTED) {
            tracing::error!("{}", diagnostic.line(report.path(diagnostic)));
        }
        // On a page the directories are nobody's business.
        let base = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
        let name = base(&path);
        let lines = report.diagnostics.iter().map(|d| d.line(&base(report.path(d))).to_string()).collect();
        let trouble = FileTrouble::new(collector::clock::now(), name, lines);
        if self.control.file_trouble(trouble).await.is_err() {
            return ReloadOutcome::Failed("the server is stopping".to_owned());
        }
        let word = if errors == 1 { "error" } else { "errors" };
        let detail = format!("{path} is broken: {errors} {word}; the one before stays in force");
        ReloadOutcome::Broken(detail, findings(report))
    }
}

fn findings(report: &Report) -> Vec<Finding> {
    let finding = |d: &topology::diagnostic::Diagnostic| Finding {
        file: report.path(d).to_owned(),
        line: d.place.line,
        column: d.place.column,
        severity: d.severity.as_str(),
        message: d.message.clone(),
        help: d.help.clone(),
    };
    report.diagnostics.iter().map(finding).collect()
}

/// Findings without what the files take from elsewhere: they are shown to whoever sees the page.
fn scrubbed(mut report: Report) -> Report {
    if !report.diagnostics.is_empty() {
        let scrub = Scrub::of(&report.sources);
        for diagnostic in &mut report.diagnostics {
            diagnostic.message = scrub.clean(&diagnostic.message);
            diagnostic.help = diagnostic.help.as_deref().map(|help| scrub.clean(help));
        }
    }
    report
}
