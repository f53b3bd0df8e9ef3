//! A line between the stores and the OMS, and beside it the long connections to the push centre: bytes in,
//! bytes out. It knows nothing of what it carries, only which of the far ends answer.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::failure::Failure;
use super::health::{Check, Ping};
use super::metrics::Metrics;
use super::server::Role;
use crate::plan::Instance;

/// Connections a line carries. One more is closed at once.
const CONNECTIONS: usize = 1024;
const CONNECT: Duration = Duration::from_millis(300);
const LOOK_EVERY: Duration = Duration::from_millis(700);
const LOOK: Duration = Duration::from_millis(500);

/// The far end of a line.
struct FarEnd {
    address: SocketAddrV4,
    health: SocketAddrV4,
    answers: AtomicBool,
}

/// What leads to one component at the far side.
struct Way {
    ends: Vec<FarEnd>,
    next: AtomicUsize,
}

impl Way {
    fn to(context: &Context, component: &str, address: impl Fn(&Instance) -> SocketAddrV4) -> Arc<Self> {
        let end = |instance: &Instance| FarEnd {
            address: address(instance),
            health: instance.health,
            answers: AtomicBool::new(true),
        };
        Arc::new(Self { ends: context.plan.of(component).map(end).collect(), next: AtomicUsize::new(0) })
    }
}

struct Line {
    name: String,
    slots: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

pub(crate) async fn role(context: &Context, stop: &CancellationToken) -> Result<Role> {
    let line = Arc::new(Line {
        name: context.instance.clone(),
        slots: Arc::new(Semaphore::new(CONNECTIONS)),
        metrics: Arc::clone(&context.metrics),
    });
    let base_port = context.plan.base_port;
    let ways = [
        (context.address, Way::to(context, "oms", |oms| oms.address)),
        (context.long_connections, Way::to(context, "push-centre", |push| push.long_connections(base_port))),
    ];
    for (address, way) in ways {
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        tokio::spawn(Arc::clone(&line).carry_all(listener, Arc::clone(&way), stop.clone()));
        tokio::spawn(way.watch(stop.clone()));
    }
    let through = Arc::new(Through::new(context.address, "oms")?);
    let checks = vec![Check::component(context, "oms", &through)];
    Ok(Role { routes: Router::new(), checks })
}

impl Line {
    async fn carry_all(self: Arc<Self>, listener: TcpListener, way: Arc<Way>, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((near, _)) = accepted else {
                // Out of file descriptors: others must end first.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
                self.count("refused");
                continue;
            };
            let (line, way) = (Arc::clone(&self), Arc::clone(&way));
            tokio::spawn(async move {
                line.carry(near, &way).await;
                drop(slot);
            });
        }
    }

    async fn carry(&self, mut near: TcpStream, way: &Way) {
        let Some(mut far) = way.connect().await else {
            // Closing is all that a line can say.
            self.count("no far end");
            return;
        };
        near.set_nodelay(true).and_then(|()| far.set_nodelay(true)).ok();
        self.count("carried");
        // Either side may break off at any time.
        copy_bidirectional(&mut near, &mut far).await.ok();
    }

    fn count(&self, outcome: &str) {
        self.metrics.lines.with_label_values(&[self.name.as_str(), outcome]).inc();
    }
}

impl Way {
    /// In turn to those that answer, then to any: what was silent a moment ago may be back.
    async fn connect(&self) -> Option<TcpStream> {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let turn = (0..self.ends.len()).filter_map(|step| self.ends.get((start + step) % self.ends.len()));
        let (answering, silent): (Vec<_>, Vec<_>) = turn.partition(|end| end.answers.load(Ordering::Relaxed));
        for end in answering.into_iter().chain(silent) {
            if let Ok(Ok(stream)) = timeout(CONNECT, TcpStream::connect(end.address)).await {
                return Some(stream);
            }
        }
        None
    }

    /// A far end that hangs still takes connections: only a question shows it.
    async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let Ok(client) = client(LOOK) else { return };
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => {}
            }
            for end in &self.ends {
                let answer = client.get(format!("http://{}/health", end.health)).send().await;
                end.answers.store(answer.is_ok(), Ordering::Relaxed);
            }
        }
    }
}

/// The OMS as seen through one line: is there an answer at the far end?
pub(crate) struct Through {
    client: reqwest::Client,
    url: String,
    name: String,
}

impl Through {
    pub(crate) fn new(line: SocketAddrV4, name: &str) -> Result<Self> {
        let client = client(Duration::from_millis(600))?;
        Ok(Self { client, url: format!("http://{line}/health"), name: name.to_owned() })
    }
}

/// A new connection for every question, so that it takes the whole way.
fn client(limit: Duration) -> Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .timeout(limit)
        .build()
        .context("cannot make an HTTP client")
}

impl Ping for Through {
    async fn ping(&self) -> Result<(), Failure> {
        match self.client.get(&self.url).send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(Failure::unavailable(&self.name, answer.status())),
            Err(error) => Err(Failure::unavailable(&self.name, super::peers::innermost(&error))),
        }
    }
}
