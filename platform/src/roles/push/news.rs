//! What the OMS says, from Redis. Whoever listens there hears nothing when all is quiet and nothing when
//! Redis hangs: so a word of our own goes round every other second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use futures_util::StreamExt as _;
use redis::Client;
use serde::Deserialize;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use super::hub::{Hub, Topic};
use crate::clock;
use crate::roles::cache::Redis;
use crate::roles::context::Context;
use crate::roles::failure::Failure;
use crate::roles::health::Ping;

/// Where the OMS speaks.
pub(crate) const CHANNEL: &str = "push";
const TICK_EVERY: Duration = Duration::from_secs(2);
/// Without a word for this long, a new connection is made.
const SILENCE: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(500);

pub(super) struct News {
    hub: Arc<Hub>,
    redis: Arc<Redis>,
    client: Client,
    heard_ms: AtomicU64,
}

#[derive(Deserialize)]
struct Word {
    #[serde(flatten)]
    topic: Topic,
}

impl News {
    pub(super) fn new(context: &Context, hub: Arc<Hub>, redis: Arc<Redis>) -> Result<Arc<Self>> {
        let client = Redis::client(context, "oms-redis")?;
        Ok(Arc::new(Self { hub, redis, client, heard_ms: AtomicU64::new(0) }))
    }

    /// Has anything been heard lately?
    pub(super) fn listens(&self) -> Result<(), Failure> {
        let silent = clock::unix_ms().saturating_sub(self.heard_ms.load(Ordering::Relaxed));
        if silent <= SILENCE.as_millis() as u64 {
            return Ok(());
        }
        Err(Failure::unavailable("oms-redis", "nothing was heard of it for five seconds"))
    }

    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let news = Arc::clone(&self);
        let ticking = async move {
            let mut ticks = tokio::time::interval(TICK_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                // What is not taken is missed on the other end.
                news.redis.ask::<i64>(redis::cmd("PUBLISH").arg(CHANNEL).arg("tick")).await.ok();
            }
        };
        let listening = async {
            loop {
                if let Err(error) = self.listen().await {
                    tracing::warn!("the OMS is not heard: {error:#}");
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = ticking => {}
            () = listening => {}
        }
    }

    /// Until nothing is heard any more.
    async fn listen(&self) -> Result<()> {
        let mut pubsub = timeout(CONNECT, self.client.get_async_pubsub()).await??;
        timeout(CONNECT, pubsub.subscribe(CHANNEL)).await??;
        let mut words = pubsub.into_on_message();
        while let Some(message) = timeout(SILENCE, words.next()).await? {
            self.heard_ms.store(clock::unix_ms(), Ordering::Relaxed);
            let text: String = message.get_payload()?;
            if let Ok(Word { topic }) = serde_json::from_str(&text) {
                self.hub.tell(topic, &text.into());
            }
        }
        anyhow::bail!("the connection was lost")
    }
}

impl Ping for News {
    /// It answers, and its words arrive.
    async fn ping(&self) -> Result<(), Failure> {
        self.redis.ping().await?;
        self.listens()
    }
}
