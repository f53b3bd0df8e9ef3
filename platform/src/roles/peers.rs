//! Calls to another service: in turn to its instances, around one that failed, within a budget, and never
//! more at a time than it can bear.

use std::collections::HashMap;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use arc_swap::ArcSwap;
use axum::http::{HeaderName, Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::breaker::Breaker;
use super::context::{Context as Role, nowhere};
use super::deadline;
use super::failure::Failure;
use super::health::Ping;
use super::metrics::Metrics;
use crate::catalog::COMPONENTS;
use crate::clock;
use crate::load::scramble;
use crate::members::{Book, Members};
use crate::names::PAYMENT_CHANNEL;

/// One attempt at a read. Two of them must fit into what the gateway waits.
pub(crate) const READ: Duration = Duration::from_millis(300);
/// One attempt at a step that changes something.
pub(crate) const WRITE: Duration = Duration::from_millis(550);
/// An instance that failed is left alone this long.
const REST_MS: u64 = 3000;
const AT_ONCE: usize = 128;
const LARGEST_ANSWER: usize = 256 * 1024;

/// When a request was sent by its sender's clock, in milliseconds since 1970: who is strict refuses what is old.
pub(super) const SENT_AT: HeaderName = HeaderName::from_static("x-sent-at-ms");

struct Peer {
    address: SocketAddrV4,
    rest_until_ms: AtomicU64,
}

/// Those that share the calls at present.
struct Group {
    book: Arc<Book>,
    /// As failures name it: the component, or the VM group that stands in for it.
    name: String,
    peers: Vec<Arc<Peer>>,
}

impl Group {
    /// Who the book says. What was known of one that stays is kept.
    fn read(component: &str, book: Arc<Book>, before: &[Arc<Peer>], is_cut_off: bool) -> Self {
        let known: HashMap<SocketAddrV4, &Arc<Peer>> =
            before.iter().map(|peer| (peer.address, peer)).collect();
        let (name, addresses) = match book.get(component) {
            Some(group) => (group.name.clone(), group.addresses.clone()),
            None => (component.to_owned(), Vec::new()),
        };
        let way = |address| if is_cut_off { nowhere(address) } else { address };
        let peer = |address| match known.get(&address) {
            Some(peer) => Arc::clone(peer),
            None => Arc::new(Peer { address, rest_until_ms: AtomicU64::new(0) }),
        };
        Self { name, peers: addresses.into_iter().map(way).map(peer).collect(), book }
    }
}

pub(crate) struct Peers {
    component: &'static str,
    members: Arc<Members>,
    group: ArcSwap<Group>,
    next: AtomicU64,
    client: reqwest::Client,
    slots: Semaphore,
    breaker: Breaker,
    metrics: Arc<Metrics>,
    /// The way there is cut for this process.
    is_cut_off: bool,
    /// Called by this name over TLS, not by the addresses.
    host: Option<&'static str>,
}

impl Peers {
    pub(crate) fn new(role: &Role, name: &'static str) -> Result<Arc<Self>> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_millis(200));
        let is_named = COMPONENTS.iter().any(|component| component.name == name && component.speaks_tls());
        let client = if is_named {
            let root =
                reqwest::Certificate::from_pem(role.root.as_bytes()).context("cannot read the root")?;
            // A connection for each call: what became of the name or the certificate is seen at once.
            client.tls_certs_only([root]).dns_resolver(role.resolver.clone()).pool_max_idle_per_host(0)
        } else {
            client
        };
        let client = client.build().context("cannot make an HTTP client")?;
        let is_cut_off = role.is_cut_off(name);
        let group = Group::read(name, role.members.book(), &[], is_cut_off);
        Ok(Arc::new(Self {
            component: name,
            members: Arc::clone(&role.members),
            group: ArcSwap::from_pointee(group),
            next: AtomicU64::new(0),
            client,
            slots: Semaphore::new(AT_ONCE),
            breaker: Breaker::default(),
            metrics: Arc::clone(&role.metrics),
            is_cut_off,
            host: is_named.then_some(PAYMENT_CHANNEL),
        }))
    }

    /// The name of those who serve now.
    pub(crate) fn active(&self) -> String {
        self.group().name.clone()
    }

    /// Those who serve now. Read anew when the book has changed.
    fn group(&self) -> Arc<Group> {
        let group = self.group.load_full();
        let book = self.members.book();
        if Arc::ptr_eq(&group.book, &book) {
            return group;
        }
        let group = Arc::new(Group::read(self.component, book, &group.peers, self.is_cut_off));
        self.group.store(Arc::clone(&group));
        group
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(&Method::GET, path, None, READ).await
    }

    /// For steps that may be repeated without harm, because the far side knows them by their key.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Failure> {
        self.call(&Method::POST, path, Some(body), WRITE).await
    }

    /// The same when less time is left for it.
    pub(crate) async fn post_within<T: DeserializeOwned>(
        &self,
        limit: Duration,
        path: &str,
        body: &Value,
    ) -> Result<T, Failure> {
        self.call(&Method::POST, path, Some(body), limit).await
    }

    pub(crate) async fn get_within<T: DeserializeOwned>(
        &self,
        limit: Duration,
        path: &str,
    ) -> Result<T, Failure> {
        self.call(&Method::GET, path, None, limit).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<T, Failure> {
        if !self.breaker.lets_through(clock::now()) {
            let name = &self.group().name;
            return Err(Failure::unavailable(name, "did not answer lately: nobody waits for it now"));
        }
        self.call_anyway(method, path, body, limit).await
    }

    /// Whatever the breaker says.
    async fn call_anyway<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<T, Failure> {
        let group = self.group();
        let Ok(Ok(_slot)) = timeout(deadline::cap(limit)?, self.slots.acquire()).await else {
            return Err(Failure::unavailable(&group.name, format!("{AT_ONCE} calls are under way already")));
        };
        let mut reason = String::from("there is no instance");
        // One retry, and that on another instance: more would multiply a storm.
        let mut tried = None;
        let mut answered = false;
        for _ in 0..2 {
            let Some((index, peer)) = self.choose(&group, tried) else { break };
            // Too late for a second attempt: the first one's reason says more.
            let Ok(left) = deadline::cap(limit) else { break };
            tried = Some(index);
            match timeout(left, self.attempt(peer, method, path, body, left)).await {
                Ok(Ok((status, bytes))) => {
                    answered = true;
                    self.heard(&group, true);
                    if status.is_success() {
                        return serde_json::from_slice(&bytes).map_err(|error| {
                            Failure::unavailable(&group.name, format!("unreadable answer: {error}"))
                        });
                    }
                    if status == StatusCode::NOT_FOUND {
                        return Err(Failure::NotFound(words_of(&bytes)));
                    }
                    if status.is_client_error() {
                        return Err(Failure::Refused(words_of(&bytes)));
                    }
                    // It works and says what it lacks: no reason to leave it out.
                    reason = format!("{} {}", status.as_u16(), words_of(&bytes));
                }
                Ok(Err(error)) => {
                    reason = format!("{} {}", peer.address, innermost(&error));
                    peer.rest();
                }
                // Cut short by the caller's deadline: that says nothing about the peer.
                Err(_) if left < limit => reason = format!("{} no answer in time", peer.address),
                Err(_) => {
                    reason = format!("{} no answer within {} ms", peer.address, limit.as_millis());
                    peer.rest();
                }
            }
            self.metrics.failed(&group.name);
        }
        if !answered {
            self.heard(&group, false);
        }
        Err(Failure::unavailable(&group.name, reason))
    }

    fn heard(&self, group: &Group, good: bool) {
        if let Some(open) = self.breaker.heard(good, clock::now()) {
            self.metrics.breaker_open.with_label_values(&[group.name.as_str()]).set(i64::from(open));
            tracing::warn!("{} {}", group.name, if open { "is not waited for now" } else { "answers again" });
        }
    }

    /// One that is not resting; when all rest, any. Drawn, not in turn: the steps of an order come in turn,
    /// too, and each would always meet the same instance.
    fn choose<'a>(&self, group: &'a Group, not: Option<usize>) -> Option<(usize, &'a Peer)> {
        let now = clock::unix_ms();
        let start = scramble(self.next.fetch_add(1, Ordering::Relaxed)) as usize;
        let turn = || {
            let count = group.peers.len();
            (0..count)
                .filter_map(move |step| {
                    let index = start.wrapping_add(step) % count;
                    group.peers.get(index).map(|peer| (index, peer.as_ref()))
                })
                .filter(move |(index, _)| Some(*index) != not)
        };
        turn()
            .find(|(_, peer)| peer.rest_until_ms.load(Ordering::Relaxed) <= now)
            .or_else(|| turn().next())
            .or_else(|| not.and_then(|index| group.peers.get(index).map(|peer| (index, peer.as_ref()))))
    }

    async fn attempt(
        &self,
        peer: &Peer,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        left: Duration,
    ) -> reqwest::Result<(StatusCode, Vec<u8>)> {
        let url = match self.host {
            Some(host) => format!("https://{host}:{}{path}", peer.address.port()),
            None => format!("http://{}{path}", peer.address),
        };
        let mut request = self
            .client
            .request(method.clone(), url)
            .header(deadline::HEADER, deadline::write(left))
            .header(SENT_AT, clock::unix_ms());
        if let Some(body) = body {
            request = request.json(body);
        }
        read_answer(request.send().await?).await
    }
}

/// Status and body. What is longer than any answer of ours is cut off.
pub(crate) async fn read_answer(mut answer: reqwest::Response) -> reqwest::Result<(StatusCode, Vec<u8>)> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if bytes.len() + chunk.len() > LARGEST_ANSWER {
            break;
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok((answer.status(), bytes))
}

impl Peer {
    fn rest(&self) {
        self.rest_until_ms.store(clock::unix_ms() + REST_MS, Ordering::Relaxed);
    }
}

/// The other side's own words on its failure.
fn words_of(body: &[u8]) -> String {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    value.get("error").and_then(Value::as_str).unwrap_or("no words").to_owned()
}

/// "Connection refused" instead of "error sending request for url".
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

impl Ping for Peers {
    /// Does the service answer a page that needs its own database? Asked also while nobody waits for it.
    async fn ping(&self) -> Result<(), Failure> {
        self.call_anyway::<Value>(&Method::GET, "/api/ping", None, READ).await.map(drop)
    }
}
