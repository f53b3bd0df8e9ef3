//! Redis beside a service. Where it is a cache, losing it makes things slower and never wrong.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, FromRedisValue, IntoConnectionInfo as _,
    RedisConnectionInfo,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::context::Context as Role;
use super::failure::Failure;
use super::health::Ping;
use super::metrics::Metrics;
use crate::clock;

const CONNECT: Duration = Duration::from_millis(150);
/// For a request. A lost packet takes longer (200 ms on Linux): that request does without, and nothing else follows.
const ANSWER: Duration = Duration::from_millis(120);
/// Nothing answered for so long: the connection, or Redis, is gone.
const GONE: Duration = Duration::from_millis(300);
/// For who only wants to know whether it is there.
const PING: Duration = Duration::from_millis(600);
/// After a failure nobody waits for it again for this long.
const PAUSE: Duration = Duration::from_secs(1);
const KEEP: Duration = Duration::from_secs(30);
/// Keys share these: one loader at a time for each.
const LOADERS: usize = 64;

#[derive(Default)]
struct Link {
    connection: Option<MultiplexedConnection>,
    rest_until: Option<Instant>,
    /// Since when every answer was late.
    late_since: Option<Instant>,
}

pub(crate) struct Redis {
    name: String,
    client: Client,
    limits: AsyncConnectionConfig,
    link: Mutex<Link>,
    loaders: Vec<Mutex<()>>,
    hasher: RandomState,
    metrics: Arc<Metrics>,
}

impl Redis {
    /// For a connection of one's own.
    pub(crate) fn client(role: &Role, component: &str) -> Result<Client> {
        let instance =
            role.plan.of(component).next().with_context(|| format!("no instance of {component}"))?;
        let info = ConnectionAddr::Tcp(instance.address.ip().to_string(), instance.address.port())
            .into_connection_info()?
            .set_redis_settings(RedisConnectionInfo::default().set_password(&role.redis_password));
        Ok(Client::open(info)?)
    }

    pub(crate) fn new(role: &Role, component: &str) -> Result<Arc<Self>> {
        let limits = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(PING));
        Ok(Arc::new(Self {
            name: component.to_owned(),
            client: Self::client(role, component)?,
            limits,
            link: Mutex::default(),
            loaders: (0..LOADERS).map(|_| Mutex::new(())).collect(),
            hasher: RandomState::new(),
            metrics: Arc::clone(&role.metrics),
        }))
    }

    /// One command. A connection that failed is not used again.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Failure> {
        self.ask_within(ANSWER, command).await
    }

    async fn ask_within<T: FromRedisValue>(&self, limit: Duration, command: &Cmd) -> Result<T, Failure> {
        let mut connection = self.connection().await?;
        let asked = timeout(limit, command.query_async::<T>(&mut connection)).await;
        let mut link = self.link.lock().await;
        match asked {
            Ok(Ok(value)) => {
                link.late_since = None;
                Ok(value)
            }
            Ok(Err(error)) => Err(self.failed(&mut link, error.to_string())),
            Err(_) => {
                let now = clock::now();
                let began = now.checked_sub(limit).unwrap_or(now);
                let late_since = *link.late_since.get_or_insert(began);
                let reason = format!("no answer within {} ms", limit.as_millis());
                if now.duration_since(late_since) >= GONE {
                    return Err(self.failed(&mut link, reason));
                }
                self.metrics.failed(&self.name);
                Err(Failure::unavailable(&self.name, reason))
            }
        }
    }

    async fn connection(&self) -> Result<MultiplexedConnection, Failure> {
        let mut link = self.link.lock().await;
        if let Some(connection) = &link.connection {
            return Ok(connection.clone());
        }
        if link.rest_until.is_some_and(|until| clock::now() < until) {
            return Err(Failure::unavailable(&self.name, "failed a moment ago"));
        }
        let connecting = self.client.get_multiplexed_async_connection_with_config(&self.limits);
        let reason = match timeout(CONNECT, connecting).await {
            Ok(Ok(connection)) => {
                link.connection = Some(connection.clone());
                return Ok(connection);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no connection within {} ms", CONNECT.as_millis()),
        };
        Err(self.failed(&mut link, reason))
    }

    fn failed(&self, link: &mut Link, reason: String) -> Failure {
        *link = Link { rest_until: Some(clock::now() + PAUSE), ..Link::default() };
        self.metrics.failed(&self.name);
        Failure::unavailable(&self.name, reason)
    }

    /// The copy, or the truth and a copy of it for the next. One loader for each key: when a copy of
    /// something popular expires, its database is asked once and not by everybody.
    pub(crate) async fn read_through<T: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        load: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        if let Some(copy) = self.copy(key).await {
            return Ok(copy);
        }
        let hash = self.hasher.hash_one(key) as usize;
        let _one = match self.loaders.get(hash % LOADERS) {
            Some(loader) => Some(loader.lock().await),
            None => None,
        };
        if let Some(copy) = self.copy(key).await {
            return Ok(copy);
        }
        let truth = load.await?;
        self.keep(key, &truth).await;
        Ok(truth)
    }

    /// A copy for the next who asks.
    pub(crate) async fn keep<T: Serialize>(&self, key: &str, truth: &T) {
        if let Ok(text) = serde_json::to_string(truth) {
            // Up to half as long again, so that what was loaded together does not expire together.
            let jitter = RandomState::new().hash_one(key) % (KEEP.as_secs() / 2);
            let keep = KEEP.as_secs() + jitter;
            self.ask::<()>(redis::cmd("SET").arg(key).arg(text).arg("EX").arg(keep)).await.ok();
        }
    }

    pub(crate) async fn copy<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let text: Option<String> = self.ask(redis::cmd("GET").arg(key)).await.ok()?;
        serde_json::from_str(&text?).ok()
    }

    pub(crate) async fn forget(&self, key: &str) {
        self.ask::<()>(redis::cmd("DEL").arg(key)).await.ok();
    }
}

impl Ping for Redis {
    /// A real answer, also while requests give it a rest.
    async fn ping(&self) -> Result<(), Failure> {
        self.link.lock().await.rest_until = None;
        self.ask_within::<String>(PING, &redis::cmd("PING")).await.map(drop)
    }
}
