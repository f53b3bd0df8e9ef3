//! Calls to another service: in turn to its instances, around one that failed, within a budget, and never
//! more at a time than it can bear.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::context::Context as Role;
use super::failure::Failure;
use super::health::Ping;
use super::metrics::Metrics;
use crate::clock;

/// One attempt at a read. Two of them must fit into what the gateway waits.
pub(crate) const READ: Duration = Duration::from_millis(300);
/// One attempt at a step that changes something.
pub(crate) const WRITE: Duration = Duration::from_millis(550);
/// An instance that failed is left alone this long.
const REST_MS: u64 = 3000;
const AT_ONCE: usize = 128;
const LARGEST_ANSWER: usize = 256 * 1024;

struct Peer {
    address: SocketAddrV4,
    rest_until_ms: AtomicU64,
}

pub(crate) struct Peers {
    name: &'static str,
    instances: Vec<Peer>,
    next: AtomicUsize,
    client: reqwest::Client,
    slots: Semaphore,
    metrics: Arc<Metrics>,
}

impl Peers {
    pub(crate) fn new(role: &Role, name: &'static str) -> Result<Arc<Self>> {
        let addresses = role.plan.addresses(name);
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_millis(200))
            .build()
            .context("cannot make an HTTP client")?;
        Ok(Arc::new(Self {
            name,
            instances: addresses
                .into_iter()
                .map(|address| Peer { address, rest_until_ms: AtomicU64::new(0) })
                .collect(),
            next: AtomicUsize::new(0),
            client,
            slots: Semaphore::new(AT_ONCE),
            metrics: Arc::clone(&role.metrics),
        }))
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
        let Ok(Ok(_slot)) = timeout(limit, self.slots.acquire()).await else {
            return Err(Failure::unavailable(self.name, format!("{AT_ONCE} calls are under way already")));
        };
        let mut reason = String::from("there is no instance");
        // One retry, and that on another instance: more would multiply a storm.
        let mut tried = None;
        for _ in 0..2 {
            let Some((index, peer)) = self.choose(tried) else { break };
            tried = Some(index);
            match timeout(limit, self.attempt(peer, method, path, body)).await {
                Ok(Ok((status, bytes))) if status.is_success() => {
                    return serde_json::from_slice(&bytes).map_err(|error| {
                        Failure::unavailable(self.name, format!("unreadable answer: {error}"))
                    });
                }
                Ok(Ok((StatusCode::NOT_FOUND, bytes))) => return Err(Failure::NotFound(words_of(&bytes))),
                Ok(Ok((status, bytes))) if status.is_client_error() => {
                    return Err(Failure::Refused(words_of(&bytes)));
                }
                // It works and says what it lacks: no reason to leave it out.
                Ok(Ok((status, bytes))) => reason = format!("{} {}", status.as_u16(), words_of(&bytes)),
                Ok(Err(error)) => {
                    reason = format!("{} {}", peer.address, innermost(&error));
                    peer.rest();
                }
                Err(_) => {
                    reason = format!("{} no answer within {} ms", peer.address, limit.as_millis());
                    peer.rest();
                }
            }
            self.metrics.failed(self.name);
        }
        Err(Failure::unavailable(self.name, reason))
    }

    /// The next in turn that is not resting; when all rest, the next in turn all the same.
    fn choose(&self, not: Option<usize>) -> Option<(usize, &Peer)> {
        let now = clock::unix_ms();
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let turn = || {
            let count = self.instances.len();
            (0..count)
                .filter_map(move |step| {
                    let index = (start + step) % count;
                    self.instances.get(index).map(|peer| (index, peer))
                })
                .filter(move |(index, _)| Some(*index) != not)
        };
        turn()
            .find(|(_, peer)| peer.rest_until_ms.load(Ordering::Relaxed) <= now)
            .or_else(|| turn().next())
            .or_else(|| not.and_then(|index| self.instances.get(index).map(|peer| (index, peer))))
    }

    async fn attempt(
        &self,
        peer: &Peer,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> reqwest::Result<(StatusCode, Vec<u8>)> {
        let mut request = self.client.request(method.clone(), format!("http://{}{path}", peer.address));
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
    /// Does the service answer a page that needs its own database?
    async fn ping(&self) -> Result<(), Failure> {
        self.get::<Value>("/api/ping").await.map(drop)
    }
}
