//! Looks wait for their turn: so many at once in all, and so many at one host.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Looks under way at once, at most. Each takes a socket and little else.
pub const MOST_AT_ONCE: usize = 1024;
/// Looks under way at one host. Where it has more than twice as many probes it is half of those: else a host
/// whose many instances hang together would be looked at too seldom to stay known.
pub const MOST_AT_ONE_HOST: usize = 64;

/// Who may look now. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Turns {
    all: Arc<Semaphore>,
    of_host: Arc<HashMap<String, Arc<Semaphore>>>,
}

/// Held while looking.
#[derive(Debug)]
pub struct Held {
    _host: Option<OwnedSemaphorePermit>,
    _all: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// Turns for probes, given by their hosts; one name for each probe.
    pub fn new<'a>(hosts: impl IntoIterator<Item = &'a str>) -> Self {
        Self { all: Arc::new(Semaphore::new(MOST_AT_ONCE)), of_host: by_host(hosts) }
    }

    /// The same for another topology. Looks under way still count in all, no longer at their hosts.
    pub fn follow<'a>(&mut self, hosts: impl IntoIterator<Item = &'a str>) {
        self.of_host = by_host(hosts);
    }

    /// Waits for a turn at `host`, then for one in all: whoever waits for a busy host keeps nobody else from
    /// looking.
    pub async fn wait(&self, host: &str) -> Held {
        // The semaphores are never closed, so that there is always a permit in the end.
        let of_host = match self.of_host.get(host) {
            Some(turns) => Arc::clone(turns).acquire_owned().await.ok(),
            None => None,
        };
        Held { _host: of_host, _all: Arc::clone(&self.all).acquire_owned().await.ok() }
    }
}

fn by_host<'a>(hosts: impl IntoIterator<Item = &'a str>) -> Arc<HashMap<String, Arc<Semaphore>>> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for host in hosts {
        *counts.entry(host).or_default() += 1;
    }
    let turns = |count: usize| Arc::new(Semaphore::new(MOST_AT_ONE_HOST.max(count / 2)));
    Arc::new(counts.into_iter().map(|(host, count)| (host.to_owned(), turns(count))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_busy_host_keeps_nobody_else_waiting() {
        let hosts = vec!["busy"; 100];
        let turns = Turns::new(hosts.into_iter().chain(["calm"]));
        let mut held = Vec::new();
        for _ in 0..MOST_AT_ONE_HOST {
            held.push(turns.wait("busy").await);
        }
        let (mut waiting, calm) = (Box::pin(turns.wait("busy")), turns.wait("calm").await);
        assert!(futures_are_pending(&mut waiting).await);
        held.pop();
        drop(waiting.await);
        drop(calm);
    }

    #[tokio::test]
    async fn so_many_in_all_and_no_more() {
        let hosts: Vec<String> = (0..=MOST_AT_ONCE).map(|n| format!("host-{n}")).collect();
        let turns = Turns::new(hosts.iter().map(String::as_str));
        let mut held = Vec::new();
        for host in &hosts[..MOST_AT_ONCE] {
            held.push(turns.wait(host).await);
        }
        let mut waiting = Box::pin(turns.wait(&hosts[MOST_AT_ONCE]));
        assert!(futures_are_pending(&mut waiting).await);
        held.pop();
        drop(waiting.await);
    }

    async fn futures_are_pending<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending())
        })
        .await
    }
}
