//! `listen`: many long connections at once, half of them phones, half stores, and words
//! for them at a fixed rate: how many of the words arrive, and how long they take.

use std::net::SocketAddrV4;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, stream};
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo as _, RedisConnectionInfo};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::client_async;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::deployment::Deployment;
use crate::load::Histogram;
use crate::output::say;
use crate::privileges;
use crate::roles::{CHANNEL, cancel_on_signal, frames};

/// Connections made at the same time.
const AT_ONCE: usize = 64;
const CONNECT: Duration = Duration::from_secs(10);
const SPEAK_EVERY: Duration = Duration::from_secs(5);
/// Numbers that no member and no store has, so that nobody else's words come here.
const FIRST: i64 = 1_000_000;
/// For the last words to arrive.
const GRACE: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug)]
pub(crate) struct ListenOptions {
    pub(crate) connections: u32,
    pub(crate) length: Duration,
    /// Words a second, each for one listener.
    pub(crate) rate: u32,
    pub(crate) json: bool,
}

#[derive(Default)]
struct Heard {
    arrived: AtomicU64,
    lost: AtomicU64,
    took: Mutex<Histogram>,
}

impl Heard {
    fn word(&self, text: &str) {
        let sent = serde_json::from_str::<Value>(text).ok().and_then(|word| word.get("at_us")?.as_u64());
        let Some(sent) = sent else { return };
        self.arrived.fetch_add(1, Ordering::Relaxed);
        let took = Duration::from_micros(clock::unix_us().saturating_sub(sent));
        self.took.lock().unwrap_or_else(PoisonError::into_inner).add(took);
    }
}

pub(crate) async fn listen(dir: &Path, options: ListenOptions) -> Result<u8> {
    privileges::raise_open_files();
    let deployment = Deployment::require(dir)?;
    let plan = deployment.plan()?;
    let centres: Vec<_> =
        plan.of("push-centre").map(|one| (one.address, one.long_connections(plan.base_port))).collect();
    let redis = plan.of("oms-redis").next().context("no instance of oms-redis")?.address;
    let stop = CancellationToken::new();
    cancel_on_signal(&stop)?;
    let heard = Arc::new(Heard::default());
    let began = clock::now();
    let (phone, store) = *centres.first().context("no instance of push-centre")?;
    // All of them at one process: that is what is to be shown.
    let made = stream::iter(0..i64::from(options.connections))
        .map(|number| {
            let (heard, stop) = (Arc::clone(&heard), stop.clone());
            async move {
                let connected = if number % 2 == 0 {
                    timeout(CONNECT, be_phone(phone, FIRST + number, heard, stop)).await
                } else {
                    timeout(CONNECT, be_store(store, FIRST + number, heard, stop)).await
                };
                matches!(connected, Ok(Ok(())))
            }
        })
        .buffer_unordered(AT_ONCE)
        .filter(|connected| std::future::ready(*connected))
        .count()
        .await;
    let connecting = clock::now() - began;
    if !options.json {
        say(format!(
            "{made} of {} connections to {phone} in {:.1} s",
            options.connections,
            connecting.as_secs_f64()
        ));
    }
    let speaking = clock::now();
    let (sent, reached) = speak(&deployment, redis, options, &stop).await?;
    let spoke = clock::now() - speaking;
    tokio::time::sleep(GRACE).await;
    let (arrived, lost) = (heard.arrived.load(Ordering::Relaxed), heard.lost.load(Ordering::Relaxed));
    let took = heard.took.lock().unwrap_or_else(PoisonError::into_inner);
    let ms = |share: f64| (took.quantile(share).as_secs_f64() * 1e5).round() / 1e2;
    if options.json {
        say(json!({
            "connections": made, "connecting_s": connecting.as_secs_f64(), "sent": sent,
            "heard_by_push_centres": reached, "arrived": arrived, "connections_lost": lost,
            "arrived_per_second": arrived as f64 / spoke.as_secs_f64().max(0.001),
            "p50_ms": ms(0.5), "p99_ms": ms(0.99),
        }));
    } else {
        say(format!(
            "{sent} words in {:.1} s, {arrived} arrived ({:.0}/s), {} ms (p50), {} ms (p99); {lost} connections lost",
            spoke.as_secs_f64(),
            arrived as f64 / spoke.as_secs_f64().max(0.001),
            ms(0.5),
            ms(0.99)
        ));
    }
    stop.cancel();
    Ok(u8::from(made < options.connections as usize || arrived < sent))
}

/// What the OMS does: a word for each in turn. How many were sent, and how many push centres heard them.
async fn speak(
    deployment: &Deployment,
    redis: SocketAddrV4,
    options: ListenOptions,
    stop: &CancellationToken,
) -> Result<(u64, i64)> {
    let info = (redis.ip().to_string(), redis.port())
        .into_connection_info()?
        .set_redis_settings(RedisConnectionInfo::default().set_password(deployment.secrets().redis()?));
    let limits = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(CONNECT));
    let mut redis = Client::open(info)?.get_multiplexed_async_connection_with_config(&limits).await?;
    let began = clock::now();
    let (mut sent, mut reached) = (0_u64, 0_i64);
    let all = i64::from(options.connections.max(1));
    for number in 0_i64.. {
        let comes = Duration::from_secs_f64(number as f64 / f64::from(options.rate));
        if comes >= options.length {
            break;
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep_until((began + comes).into()) => {}
        }
        let to = number % all;
        let kind = if to % 2 == 0 { "member" } else { "store" };
        let word = json!({ kind: FIRST + to, "at_us": clock::unix_us() });
        reached = redis::cmd("PUBLISH").arg(CHANNEL).arg(word.to_string()).query_async(&mut redis).await?;
        sent += 1;
    }
    Ok((sent, reached))
}

async fn be_phone(
    address: SocketAddrV4,
    member: i64,
    heard: Arc<Heard>,
    stop: CancellationToken,
) -> Result<()> {
    let stream = TcpStream::connect(address).await?;
    let (mut socket, _) = client_async(format!("ws://{address}/push?member={member}"), stream).await?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                next = socket.next() => {
                    let Some(Ok(message)) = next else {
                        heard.lost.fetch_add(1, Ordering::Relaxed);
                        return;
                    };
                    if let Ok(text) = message.to_text() {
                        heard.word(text);
                    }
                }
            }
        }
    });
    Ok(())
}

async fn be_store(
    address: SocketAddrV4,
    store: i64,
    heard: Arc<Heard>,
    stop: CancellationToken,
) -> Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    frames::write(&mut stream, &format!("{{\"store\":{store}}}")).await?;
    frames::read(&mut stream).await?;
    tokio::spawn(async move {
        let (mut from, mut to) = stream.split();
        let read = async {
            while let Ok(text) = frames::read(&mut from).await {
                heard.word(&text);
            }
        };
        let write = async {
            while frames::write(&mut to, "{\"still\":true}").await.is_ok() {
                tokio::time::sleep(SPEAK_EVERY).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = read => {}
            () = write => {}
        }
        heard.lost.fetch_add(1, Ordering::Relaxed);
    });
    Ok(())
}
