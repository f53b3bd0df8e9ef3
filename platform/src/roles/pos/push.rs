//! A store's long connection to the push centre: a word of a new order makes it ask at once. It says
//! something every five seconds and expects the same words back, so that a line that carries nothing any
//! more is found out.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::roles::failure::Failure;
use crate::roles::health::Ping;
use crate::roles::push::frames;

const CONNECT: Duration = Duration::from_secs(2);
const SPEAK_EVERY: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(8);
const FIRST_PAUSE: Duration = Duration::from_millis(300);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A change of the line interrupts all connections for a moment: that is no trouble yet.
const TROUBLE_AFTER_MS: u64 = 10_000;

/// The long connections of all stores.
pub(super) struct Links {
    proxy: SocketAddrV4,
    open: AtomicUsize,
    last_open_ms: AtomicU64,
}

impl Links {
    pub(super) fn new(proxy: SocketAddrV4) -> Arc<Self> {
        let last_open_ms = AtomicU64::new(clock::unix_ms());
        Arc::new(Self { proxy, open: AtomicUsize::new(0), last_open_ms })
    }

    /// Keeps one store connected. `news` is told of every word about a new order, and after every break:
    /// what was said meanwhile was not heard.
    pub(super) async fn keep(self: Arc<Self>, store: i64, news: Arc<Notify>, stop: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        loop {
            let began = clock::now();
            let link = tokio::select! {
                () = stop.cancelled() => return,
                link = self.link(store, &news) => link,
            };
            if let Err(error) = link {
                tracing::debug!("store {store} has lost its push connection: {error:#}");
            }
            pause = if clock::now() - began > LONGEST_PAUSE { FIRST_PAUSE } else { pause * 2 };
            // The stores must not all come back in the same moment.
            pause = pause.min(LONGEST_PAUSE) + Duration::from_millis(store.unsigned_abs() % 20 * 10);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One connection, to its end.
    async fn link(&self, store: i64, news: &Notify) -> Result<()> {
        let mut stream = timeout(CONNECT, TcpStream::connect(self.proxy)).await??;
        stream.set_nodelay(true)?;
        let (mut from, mut to) = stream.split();
        frames::write(&mut to, &format!("{{\"store\":{store}}}")).await?;
        timeout(CONNECT, frames::read(&mut from)).await.context("no greeting")??;
        let _open = self.opened();
        news.notify_one();
        let read = async {
            loop {
                let text = timeout(SILENCE, frames::read(&mut from)).await.context("silence")??;
                let word: Value = serde_json::from_str(&text)?;
                if word.get("order").is_some() {
                    news.notify_one();
                }
            }
        };
        let write = async {
            let mut speaks = tokio::time::interval(SPEAK_EVERY);
            speaks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                speaks.tick().await;
                frames::write(&mut to, "{\"still\":true}").await?;
            }
        };
        tokio::select! {
            ended = read => ended,
            ended = write => ended,
        }
    }

    fn opened(&self) -> Open<'_> {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(self)
    }
}

struct Open<'a>(&'a Links);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.last_open_ms.store(clock::unix_ms(), Ordering::Relaxed);
    }
}

impl Ping for Links {
    /// Is any store told at once?
    async fn ping(&self) -> Result<(), Failure> {
        let silent = clock::unix_ms().saturating_sub(self.last_open_ms.load(Ordering::Relaxed));
        if self.open.load(Ordering::Relaxed) > 0 || silent < TROUBLE_AFTER_MS {
            return Ok(());
        }
        Err(Failure::unavailable("push-centre", "no store has a connection: they ask once a minute"))
    }
}
