//! Who listens for what. A listener that does not keep up loses words, and a count says so: whoever waits
//! for an order also asks for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::roles::metrics::Metrics;

/// Long connections to one process. One more is refused.
const CONNECTIONS: usize = 18_000;
/// Words on their way to one listener.
const WAITING: usize = 16;

/// Whom a word is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Topic {
    Store(i64),
    Member(i64),
}

impl Topic {
    fn kind(self) -> &'static str {
        match self {
            Self::Store(_) => "store",
            Self::Member(_) => "member",
        }
    }
}

type Listeners = HashMap<u64, mpsc::Sender<Arc<str>>>;

#[derive(Default)]
struct Known {
    by_topic: HashMap<Topic, Listeners>,
    last: u64,
}

pub(super) struct Hub {
    known: Mutex<Known>,
    slots: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

/// One long connection. It is forgotten when this is dropped.
pub(super) struct Listener {
    hub: Arc<Hub>,
    topic: Topic,
    id: u64,
    words: mpsc::Receiver<Arc<str>>,
    _slot: OwnedSemaphorePermit,
}

impl Hub {
    pub(super) fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { known: Mutex::default(), slots: Arc::new(Semaphore::new(CONNECTIONS)), metrics })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None when there are too many.
    pub(super) fn listen(self: &Arc<Self>, topic: Topic) -> Option<Listener> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        let (sender, words) = mpsc::channel(WAITING);
        let mut known = self.known();
        known.last += 1;
        let id = known.last;
        known.by_topic.entry(topic).or_default().insert(id, sender);
        drop(known);
        self.metrics.connections.with_label_values(&[topic.kind()]).inc();
        Some(Listener { hub: Arc::clone(self), topic, id, words, _slot: slot })
    }

    /// To everybody who listens for it.
    pub(super) fn tell(&self, topic: Topic, words: &Arc<str>) {
        let known = self.known();
        let Some(listeners) = known.by_topic.get(&topic) else { return };
        for listener in listeners.values() {
            let outcome = if listener.try_send(Arc::clone(words)).is_ok() { "pushed" } else { "dropped" };
            self.metrics.pushes.with_label_values(&[outcome]).inc();
        }
    }
}

impl Listener {
    pub(super) async fn next(&mut self) -> Option<Arc<str>> {
        self.words.recv().await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut known = self.hub.known();
        if let Some(listeners) = known.by_topic.get_mut(&self.topic) {
            listeners.remove(&self.id);
            if listeners.is_empty() {
                known.by_topic.remove(&self.topic);
            }
        }
        drop(known);
        self.hub.metrics.connections.with_label_values(&[self.topic.kind()]).dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn words_reach_whoever_listens_for_them_and_a_slow_one_holds_nobody_up() {
        let hub = Hub::new(Arc::new(Metrics::new().unwrap()));
        let mut first = hub.listen(Topic::Store(3)).unwrap();
        let other = hub.listen(Topic::Store(4)).unwrap();
        let words: Arc<str> = "order 7".into();
        for _ in 0..WAITING + 5 {
            hub.tell(Topic::Store(3), &words);
        }
        for _ in 0..WAITING {
            assert_eq!(first.next().await.as_deref(), Some("order 7"));
        }
        assert!(first.words.try_recv().is_err() && other.words.is_empty());
        assert_eq!(hub.metrics.pushes.with_label_values(&["dropped"]).get(), 5);
        drop((first, other));
        assert!(hub.known().by_topic.is_empty());
        assert_eq!(hub.metrics.connections.with_label_values(&["store"]).get(), 0);
    }
}
