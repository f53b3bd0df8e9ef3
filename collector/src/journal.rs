//! The way from the engine to the database: bounded, never waited for.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use crate::pulse::{Part, Pulse};
use crate::store::upkeep::Upkeep;
use crate::store::{Batch, Store};

/// Batches on the way at most; what does not fit is joined to the next one.
const QUEUE: usize = 64;
/// A failed write is tried again after this, then the pauses double.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Failed writes at the end of the process before the rest is given up.
const LAST_TRIES: u32 = 3;

/// The engine's end.
#[derive(Debug)]
pub struct Journal {
    to_writer: mpsc::Sender<Batch>,
    /// What did not fit yet.
    waiting: Batch,
    trouble: Arc<ArcSwapOption<String>>,
    pulse: Arc<Pulse>,
}

impl Journal {
    /// Starts the one task that writes. It ends when the journal is dropped and all is written. `news` is rung
    /// after every write.
    pub fn start(store: Store, news: Arc<Notify>, tasks: &TaskTracker) -> Self {
        let (to_writer, batches) = mpsc::channel(QUEUE);
        let trouble = Arc::new(ArcSwapOption::empty());
        let pulse = Arc::new(Pulse::default());
        tasks.spawn(write_all(store, batches, news, Arc::clone(&trouble), Arc::clone(&pulse)));
        Self { to_writer, waiting: Batch::default(), trouble, pulse }
    }

    /// Hands `batch` over; never waits.
    pub fn add(&mut self, batch: Batch) {
        self.waiting.append(batch);
        if self.waiting.is_empty() {
            return;
        }
        if let Ok(place) = self.to_writer.try_reserve() {
            place.send(std::mem::take(&mut self.waiting));
        }
    }

    /// Ends it: what did not fit yet is handed over as well. It waits for a place in the queue, and no longer than the
    /// writer goes on.
    pub async fn close(self) {
        if !self.waiting.is_empty() && self.to_writer.send(self.waiting).await.is_err() {
            tracing::error!("the last history is lost: the writer has ended");
        }
    }

    /// Where the writer leaves a mark when it has written.
    pub fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    /// What is wrong with the database, if something is.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.load().as_deref().cloned()
    }
}

async fn write_all(
    store: Store,
    mut batches: mpsc::Receiver<Batch>,
    news: Arc<Notify>,
    trouble: Arc<ArcSwapOption<String>>,
    pulse: Arc<Pulse>,
) {
    let mut upkeep = Upkeep::new(store.budget());
    while let Some(mut batch) = batches.recv().await {
        let mut failed = 0;
        loop {
            while let Ok(more) = batches.try_recv() {
                batch.append(more);
            }
            match store.write(&batch).await {
                Ok(()) => break,
                Err(error) => {
                    if failed == 0 {
                        tracing::error!(%error, "history cannot be written; levels and the page are not touched by that");
                    }
                    trouble.store(Some(Arc::new(error.to_string())));
                    failed += 1;
                    if batches.is_closed() && failed >= LAST_TRIES {
                        tracing::error!("the last history is lost: the database stayed away");
                        return;
                    }
                    sleep(FIRST_PAUSE.saturating_mul(1 << failed.min(10)).min(LONGEST_PAUSE)).await;
                }
            }
        }
        if failed > 0 {
            tracing::info!("history is written again, nothing was lost");
        }
        news.notify_waiters();
        if let Some(now) = batch.newest() {
            pulse.beat_ms(Part::Storage, now);
        }
        let kept = match batch.newest() {
            Some(now) => upkeep.step(&store, now).await,
            None => Ok(()),
        };
        if let Err(error) = &kept {
            tracing::error!(%error, "history cannot be rolled up now; it will be later");
        }
        trouble.store(kept.err().map(|error| Arc::new(error.to_string())));
    }
}
