//! Follows the topology file: it is read again on SIGHUP, when somebody asks, and when it has changed.
//!
//! Changes are found by looking at the file every second, not by the kernel's word of them: that works on NFS,
//! through the symbolic links of a Kubernetes config map, and with editors that write another file and rename it.
//! A file that has just changed is read once it has been the same for a second: half of it is no news.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use collector::alert::{Deliveries, Prepared};
use collector::board::FileTrouble;
use collector::control::Control;
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use topology::diagnostic::{Diagnostic, MAX_REPORTED, Severity};
use topology::model::Model;
use web::api::{Finding, Reload, ReloadDone, ReloadOutcome};

use crate::load;
use crate::scrub::Scrub;
use crate::serve::raise_file_limit;

/// From one look at the file to the next.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Requests that wait at most.
const QUEUE: usize = 16;

/// Somebody who waits for the outcome.
type Request = oneshot::Sender<ReloadOutcome>;

/// The one who reads the file again: one reload after another, whoever asks.
pub(crate) struct Follower {
    file: PathBuf,
    control: Control,
    deliveries: Deliveries,
    requests: mpsc::Receiver<Request>,
    hangup: Signal,
    /// The files as they were when they were last read.
    read: Vec<Print>,
    /// The files as they were at the last look, where that is another state.
    seen: Option<Vec<Print>>,
}

/// All files that the topology is read from: what is looked at for changes, and for what must not be shown.
fn files(file: &Path) -> Vec<PathBuf> {
    vec![file.to_owned()]
}

/// How the files of the topology look now.
pub(crate) fn prints(file: &Path) -> Vec<Print> {
    files(file).iter().map(|file| Print::of(file)).collect()
}

/// What tells that a file is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Print {
    /// It cannot be seen.
    Missing,
    /// When it was written (seconds and nanoseconds), its size, and which file it is.
    There { written: (i64, i64), size: u64, file: (u64, u64) },
}

impl Print {
    /// Of the file that `path` leads to now.
    fn of(path: &Path) -> Self {
        match std::fs::metadata(path) {
            Ok(meta) => Self::There {
                written: (meta.mtime(), meta.mtime_nsec()),
                size: meta.size(),
                file: (meta.dev(), meta.ino()),
            },
            Err(_) => Self::Missing,
        }
    }
}

impl Follower {
    /// A follower of `file`, which looked like `read` before it was read, and the way to ask it for a reload.
    pub(crate) fn new(
        file: PathBuf,
        read: Vec<Print>,
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
        (Self { file, control, deliveries, requests, hangup, read, seen: None }, reload)
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
        let file = self.file.clone();
        let Ok(now) = tokio::task::spawn_blocking(move || prints(&file)).await else { return };
        if now == self.read {
            self.seen = None;
        } else if self.seen.as_ref() == Some(&now) {
            drop(self.reload("the file has changed").await);
        } else {
            self.seen = Some(now);
        }
    }

    async fn reload(&mut self, why: &'static str) -> ReloadOutcome {
        let file = self.file.clone();
        let read = move || {
            let prints = prints(&file);
            let loaded = load::load(&file);
            (
                prints,
                loaded.map_err(|found| scrubbed(&file, found)).map(|(m, found)| (m, scrubbed(&file, found))),
            )
        };
        let (prints, loaded) = match tokio::task::spawn_blocking(read).await {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(%error, "reading the topology file failed");
                return ReloadOutcome::Failed("reading the topology file failed".to_owned());
            }
        };
        (self.read, self.seen) = (prints, None);
        match loaded {
            Ok((model, warnings)) => self.put_in_force(model, &warnings, why).await,
            Err(diagnostics) => self.broken(&diagnostics, why).await,
        }
    }

    async fn put_in_force(
        &mut self,
        model: Model,
        warnings: &[Diagnostic],
        why: &'static str,
    ) -> ReloadOutcome {
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
        for warning in warnings.iter().take(MAX_REPORTED) {
            tracing::warn!("{}", warning.line(&self.file.display().to_string()));
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
            warnings: self.findings(warnings),
        })
    }

    async fn broken(&mut self, diagnostics: &[Diagnostic], why: &'static str) -> ReloadOutcome {
        let path = self.file.display().to_string();
        let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
        tracing::error!(errors, "{path} is broken ({why}); the one before stays in force");
        for diagnostic in diagnostics.iter().take(MAX_REPORTED) {
            tracing::error!("{}", diagnostic.line(&path));
        }
        // On a page the directories are nobody's business.
        let name =
            self.file.file_name().map_or_else(|| path.clone(), |name| name.to_string_lossy().into_owned());
        let lines = diagnostics.iter().map(|d| d.line(&name).to_string()).collect();
        let trouble = FileTrouble::new(collector::clock::now(), name, lines);
        if self.control.file_trouble(trouble).await.is_err() {
            return ReloadOutcome::Failed("the server is stopping".to_owned());
        }
        let word = if errors == 1 { "error" } else { "errors" };
        let detail = format!("{path} is broken: {errors} {word}; the one before stays in force");
        ReloadOutcome::Broken(detail, self.findings(diagnostics))
    }

    fn findings(&self, diagnostics: &[Diagnostic]) -> Vec<Finding> {
        let file = self.file.display().to_string();
        let finding = |d: &Diagnostic| Finding {
            file: file.clone(),
            line: d.place.line,
            column: d.place.column,
            severity: d.severity.as_str(),
            message: d.message.clone(),
            help: d.help.clone(),
        };
        diagnostics.iter().map(finding).collect()
    }
}

/// Findings without what the file takes from elsewhere: they are shown to whoever sees the page.
fn scrubbed(file: &Path, mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    if !found.is_empty() {
        let scrub = Scrub::of(&files(file));
        for diagnostic in &mut found {
            diagnostic.message = scrub.clean(&diagnostic.message);
            diagnostic.help = diagnostic.help.as_deref().map(|help| scrub.clean(help));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_behind_the_same_link_is_another_file() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        assert_eq!(Print::of(&at("link")), Print::Missing);
        std::fs::write(at("one"), "a").unwrap();
        std::fs::write(at("two"), "b").unwrap();
        std::os::unix::fs::symlink(at("one"), at("link")).unwrap();
        let before = Print::of(&at("link"));
        assert_eq!(Print::of(&at("link")), before);
        // As a config map is changed: another link, renamed over the one before.
        std::os::unix::fs::symlink(at("two"), at("next")).unwrap();
        std::fs::rename(at("next"), at("link")).unwrap();
        let after = Print::of(&at("link"));
        assert_ne!(after, before);
        // As an editor saves: another file, renamed over the one before.
        std::fs::write(at("three"), "c").unwrap();
        std::fs::rename(at("three"), at("two")).unwrap();
        assert_ne!(Print::of(&at("link")), after);
    }
}
