//! `redis`: `PING`, `INFO`, and where it is asked for a written and read key.

use std::net::TcpStream as StdStream;
use std::sync::Arc;
use std::time::Duration;

use redis::{RedisError, RedisResult, Value};
use topology::fault::{Fault, FaultKind};
use topology::kind::{Bad, KindSpec, OptionForm, OptionSpec, SignalSpec, Unit};
use topology::level::Kind;

use crate::clock::now;
use crate::kept::{self, FRESH, Keep, Policy};
use crate::look::{Late, Look, Stop};
use crate::redis_info::Info;
use crate::redis_session::{Session, said};
use crate::sentinel::SENTINEL;
use crate::spec::{
    CONNECT, COUNT, EXPECT_ROLE, EXPIRES_IN, OUGHT, PASSWORD, RATIO, SECONDS, STATE, TLS_HANDSHAKE, TOTAL,
    USER, truth,
};
use crate::tls_session::TLS;

/// Below this, fragmentation says nothing.
const FRAGMENTATION_MATTERS: f64 = 512.0 * 1024.0 * 1024.0;

/// Slots of a cluster.
const SLOTS: f64 = 16_384.0;
/// Keys tried in a cluster until one is of a slot that the node serves.
const TAGS: u32 = 32;

pub(crate) static SPEC: KindSpec = KindSpec {
    name: "redis",
    summary: "Logs in, pings and reads INFO on a new connection; with write_check it also writes and reads a \
              key of its own.",
    options: &[
        USER,
        PASSWORD,
        EXPECT_ROLE,
        OptionSpec {
            name: "write_check",
            form: OptionForm::Truth,
            default: Some("false"),
            help: "Whether to SET and GET a key _topowatch:* that expires in 30 s; skipped on a replica.",
        },
        TLS,
        FRESH,
        SENTINEL,
    ],
    signals: &[
        SignalSpec {
            name: "redis.ping_seconds",
            key: "ping",
            yellow: Some(0.02),
            red: Some(0.5),
            help: "The round trip of PING: Redis has one thread, so everybody waits this long. Our choice; one lost \
                   packet makes 200 ms of it.",
            ..SECONDS
        },
        SignalSpec {
            name: "redis.loading",
            key: "loading",
            red: Some(1.0),
            help: "Reading its data set in; nothing is served.",
            ..STATE
        },
        SignalSpec {
            name: "redis.role_ok",
            key: "role_ok",
            help: "It has the role of expect_role.",
            ..OUGHT
        },
        SignalSpec {
            name: "redis.memory_used_ratio",
            key: "memory_used",
            yellow: Some(0.9),
            red: Some(0.98),
            help: "used_memory of maxmemory; absent without a limit, and with an allkeys-* policy, where full is \
                   normal. Yellow follows awesome-prometheus-alerts.",
            ..RATIO
        },
        SignalSpec {
            name: "redis.memory_of_host_ratio",
            key: "memory_of_host",
            yellow: Some(0.8),
            red: Some(0.9),
            help: "Resident memory of the host's. Red follows awesome-prometheus-alerts; in a container the \
                   host's total is the wrong limit.",
            ..RATIO
        },
        SignalSpec {
            name: "redis.clients_ratio",
            key: "clients",
            yellow: Some(0.8),
            red: Some(0.95),
            help: "connected_clients of maxclients. Near awesome-prometheus-alerts' 90 %.",
            ..RATIO
        },
        SignalSpec {
            name: "redis.blocked_clients",
            key: "blocked_clients",
            help: "Clients in a blocking call; normal for queue workers, shown only.",
            ..COUNT
        },
        SignalSpec {
            name: "redis.ops_per_second",
            key: "ops",
            help: "Commands a second over the last 1.6 s; shown only.",
            ..COUNT
        },
        SignalSpec {
            name: "redis.connected_replicas",
            key: "connected_replicas",
            bad: Bad::Below,
            effect: Kind::AtRisk,
            help: "Replicas attached. No default: it depends on the site.",
            ..COUNT
        },
        SignalSpec {
            name: "redis.replica_link_up",
            key: "replica_link_up",
            help: "On a replica: the link to its primary. Critical in awesome-prometheus-alerts.",
            ..OUGHT
        },
        SignalSpec {
            name: "redis.replica_io_age_seconds",
            key: "replica_io_age",
            yellow: Some(20.0),
            red: Some(60.0),
            help: "On a replica: since the last byte of its primary, which pings every 10 s \
                   (repl-ping-replica-period); repl-timeout is 60 s.",
            ..SECONDS
        },
        SignalSpec {
            name: "redis.replica_syncing",
            key: "replica_syncing",
            yellow: Some(1.0),
            effect: Kind::AtRisk,
            help: "On a replica: its primary sends it everything anew.",
            ..STATE
        },
        SignalSpec {
            name: "redis.replica_lag_ratio",
            key: "replica_lag",
            yellow: Some(0.5),
            red: Some(1.0),
            help: "On a primary: how far its last replica is behind, of the replication backlog; beyond it a \
                   reconnect means everything anew. Our choice.",
            ..RATIO
        },
        SignalSpec {
            name: "redis.evicted_keys_per_second",
            key: "evicted_keys",
            help: "Keys thrown out for lack of memory; normal for a cache. No default.",
            ..COUNT
        },
        SignalSpec {
            name: "redis.rejected_connections_per_second",
            key: "rejected_connections",
            yellow: Some(0.01),
            red: Some(1.0),
            help: "Clients turned away at maxclients. Our choice; awesome-prometheus-alerts has 5 a minute.",
            ..COUNT
        },
        SignalSpec {
            name: "redis.hit_ratio",
            key: "hits",
            bad: Bad::Below,
            help: "Hits among the lookups of the last minute. No default: it depends on the site.",
            ..RATIO
        },
        SignalSpec {
            name: "redis.cluster_state_ok",
            key: "cluster_state",
            help: "In a cluster: this node finds it whole. Critical in awesome-prometheus-alerts.",
            ..OUGHT
        },
        SignalSpec {
            name: "redis.cluster_slots_missing",
            key: "cluster_slots_missing",
            red: Some(1.0),
            help: "In a cluster: slots that nobody serves well, of 16,384.",
            ..COUNT
        },
        SignalSpec {
            name: "redis.cluster_slots_suspected",
            key: "cluster_slots_suspected",
            yellow: Some(1.0),
            effect: Kind::AtRisk,
            help: "In a cluster: slots of nodes that do not answer this one (pfail).",
            ..COUNT
        },
        SignalSpec {
            name: "redis.sentinel_master_up",
            key: "sentinel_master_up",
            help: "On a sentinel: it finds every primary that it watches.",
            ..OUGHT
        },
        SignalSpec {
            name: "redis.sentinel_quorum_ok",
            key: "sentinel_quorum",
            help: "On a sentinel: there are enough sentinels to fail over (CKQUORUM).",
            ..OUGHT
        },
        SignalSpec {
            name: "redis.sentinel_tilt",
            key: "sentinel_tilt",
            yellow: Some(1.0),
            effect: Kind::AtRisk,
            help: "On a sentinel: its clock jumped, and it fails nothing over for a while.",
            ..STATE
        },
        SignalSpec {
            name: "redis.sentinel_peers",
            key: "sentinel_peers",
            bad: Bad::Below,
            effect: Kind::AtRisk,
            help: "On a sentinel: other sentinels known. No default: it depends on the site.",
            ..COUNT
        },
        SignalSpec {
            name: "redis.bgsave_ok",
            key: "bgsave_ok",
            yellow: Some(0.0),
            red: None,
            effect: Kind::AtRisk,
            help: "The last background save worked; where it did not, writes may stop (MISCONF).",
            ..OUGHT
        },
        SignalSpec {
            name: "redis.aof_write_ok",
            key: "aof_write_ok",
            help: "The last write to the append-only file worked; only where that is on.",
            ..OUGHT
        },
        SignalSpec {
            name: "redis.fork_seconds",
            key: "fork",
            yellow: Some(0.5),
            effect: Kind::AtRisk,
            help: "The last fork, during which nothing is served (Redis' latency guide).",
            ..SECONDS
        },
        SignalSpec {
            name: "redis.fragmentation_ratio",
            key: "fragmentation",
            yellow: Some(1.5),
            help: "Resident of used memory, from 512 MiB up (Redis' memory guide).",
            ..RATIO
        },
        SignalSpec {
            name: "redis.uptime_seconds",
            key: "uptime",
            bad: Bad::Below,
            effect: Kind::AtRisk,
            help: "Since it was started. No default: a restart is seen by its probes.",
            ..SECONDS
        },
        SignalSpec {
            name: "redis.write_ok",
            key: "write_ok",
            help: "A written key was read back; only with write_check.",
            ..OUGHT
        },
        SignalSpec {
            name: "redis.write_seconds",
            key: "write",
            yellow: Some(0.05),
            red: Some(0.5),
            help: "Writing and reading it. Our choice.",
            ..SECONDS
        },
        SignalSpec {
            name: "redis.memory_used_bytes",
            key: "memory_used_bytes",
            unit: Unit::Bytes,
            help: "used_memory. No default: it depends on the host.",
            ..RATIO
        },
        CONNECT,
        TLS_HANDSHAKE,
        EXPIRES_IN,
        TOTAL,
    ],
    grants: Some(GRANTS),
    exercises_dependencies: true,
    ports: &[6379],
    ..KindSpec::EMPTY
};

const GRANTS: &str = "\
# From Redis 7 on; nothing of the data can be read, and no key but the monitor's own written.
ACL SETUSER topowatch on >PASSWORD resetkeys ~_topowatch:* resetchannels -@all +ping +info +set +get +client|setname +cluster|info
# On a sentinel:
ACL SETUSER topowatch on >PASSWORD resetkeys resetchannels -@all +ping +info +client|setname +sentinel|ckquorum
";

/// The sentinel: a logged-in idle connection.
pub(crate) async fn hold(look: &mut Look<'_>) -> Result<(), Stop> {
    let mut session = Session::open(look).await?;
    session.ended().await;
    Ok(())
}

pub(crate) async fn probe(look: &mut Look<'_>) -> Result<(), Stop> {
    kept::look::<Session>(look).await
}

impl Keep for Session {
    /// Only a new connection meets `maxclients`, and it costs half a millisecond.
    const POLICY: Policy = Policy::Fresh;

    async fn open(look: &mut Look<'_>) -> Result<Self, Stop> {
        Self::open(look).await
    }

    async fn ask(&mut self, look: &mut Look<'_>) -> Result<(), Stop> {
        self.refill();
        ping(look, self).await?;
        let text = info(look, self).await?;
        let info = Info::parse(&text);
        if info.text("redis_mode") == Some("sentinel") {
            return sentinel(look, self, &info).await;
        }
        if info.text("role").is_none() {
            return Err(Fault::new(FaultKind::Protocol, "ask", "INFO names no role").into());
        }
        signals(look, &info);
        if info.text("redis_mode") == Some("cluster") {
            cluster(look, self).await?;
        }
        let replica = look.answer.role == Some("replica");
        if look.probe.truth("write_check") && !replica && info.number("loading") != Some(1.0) {
            write_check(look, self).await;
        }
        Ok(())
    }

    async fn close(self, _: &Look<'_>) {}

    fn socket(&self) -> Option<Arc<StdStream>> {
        self.socket.clone()
    }
}

/// `PING` may err while the server lives: while it loads, after a failed save, on a cut-off replica.
async fn ping(look: &mut Look<'_>, session: &mut Session) -> Result<(), Stop> {
    let (until, began) = (look.deadline(), now());
    let asked = look.stage("ask", until, session.ask(&redis::cmd("PING"))).await;
    match asked.map_err(Late::hung)? {
        Ok(Value::SimpleString(pong)) if pong == "PONG" => {
            look.put("redis.ping_seconds", look.since(began).as_secs_f64());
            Ok(())
        }
        Ok(_) => Err(Fault::new(FaultKind::Protocol, "ask", "PING got another answer than PONG").into()),
        Err(error) if lives(&error) => {
            look.note(&format!("PING: {}", said(&error)));
            Ok(())
        }
        Err(error) => Err(session.stop(&error, "ask")),
    }
}

fn lives(error: &RedisError) -> bool {
    matches!(error.code(), Some("LOADING" | "MISCONF" | "MASTERDOWN"))
}

async fn info(look: &mut Look<'_>, session: &mut Session) -> Result<String, Stop> {
    let sections = ["server", "clients", "memory", "persistence", "stats", "replication", "sentinel"];
    let until = look.deadline();
    let asking = async {
        match session.ask(redis::cmd("INFO").arg(&sections)).await {
            // Before 7.0 only one section could be named.
            Err(error) if error.code() == Some("ERR") => session.ask(&redis::cmd("INFO")).await,
            other => other,
        }
    };
    let answer: RedisResult<Value> = look.stage("ask", until, asking).await.map_err(Late::hung)?;
    match answer {
        Ok(Value::BulkString(bytes)) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Ok(Value::VerbatimString { text, .. } | Value::SimpleString(text)) => Ok(text),
        Ok(_) => Err(Fault::new(FaultKind::Protocol, "ask", "INFO got no text").into()),
        Err(error) => Err(session.stop(&error, "ask")),
    }
}

fn signals(look: &mut Look<'_>, info: &Info<'_>) {
    let replica = info.text("role") == Some("slave");
    look.set_role("redis.role_ok", if replica { "replica" } else { "primary" });
    look.put_some("redis.loading", info.number("loading"));
    if let (Some(1.0), Some(eta)) = (info.number("loading"), info.text("loading_eta_seconds")) {
        look.note(&format!("loading, about {eta} s to go"));
    }
    let evicts = info.text("maxmemory_policy").is_some_and(|policy| policy.starts_with("allkeys-"));
    if !evicts {
        look.put_some("redis.memory_used_ratio", info.share("used_memory", "maxmemory"));
    }
    look.put_some("redis.memory_used_bytes", info.number("used_memory"));
    look.put_some("redis.memory_of_host_ratio", info.share("used_memory_rss", "total_system_memory"));
    look.put_some("redis.clients_ratio", info.share("connected_clients", "maxclients"));
    look.put_some("redis.blocked_clients", info.number("blocked_clients"));
    look.put_some("redis.ops_per_second", info.number("instantaneous_ops_per_sec"));
    look.put_some("redis.connected_replicas", info.number("connected_slaves"));
    if replica {
        let syncing = info.number("master_sync_in_progress") == Some(1.0);
        look.put("redis.replica_syncing", truth(syncing));
        if !syncing {
            look.put_some("redis.replica_link_up", info.is("master_link_status", "up"));
        }
        let age = info.number("master_last_io_seconds_ago").filter(|age| *age >= 0.0);
        look.put_some("redis.replica_io_age_seconds", age);
    }
    look.put_some("redis.replica_lag_ratio", info.replica_lag());
    let life = info.text("run_id").unwrap_or_default();
    look.rate("redis.evicted_keys_per_second", info.number("evicted_keys"), life);
    look.rate("redis.rejected_connections_per_second", info.number("rejected_connections"), life);
    let (hits, misses) = (info.number("keyspace_hits"), info.number("keyspace_misses"));
    look.share_of("redis.hit_ratio", hits, misses, life, 0.0);
    look.put_some("redis.bgsave_ok", info.is("rdb_last_bgsave_status", "ok"));
    if info.number("aof_enabled") == Some(1.0) {
        look.put_some("redis.aof_write_ok", info.is("aof_last_write_status", "ok"));
    }
    look.put_some("redis.fork_seconds", info.number("latest_fork_usec").map(|micros| micros / 1e6));
    if info.number("used_memory").is_some_and(|used| used > FRAGMENTATION_MATTERS) {
        look.put_some("redis.fragmentation_ratio", info.number("mem_fragmentation_ratio"));
    }
    look.put_some("redis.uptime_seconds", info.number("uptime_in_seconds"));
}

/// A node's own view of its cluster.
async fn cluster(look: &mut Look<'_>, session: &mut Session) -> Result<(), Stop> {
    let until = look.deadline();
    let asked = look.stage("ask", until, session.ask(redis::cmd("CLUSTER").arg("INFO"))).await;
    let text = match asked.map_err(Late::hung)? {
        Ok(Value::BulkString(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        Ok(_) => return Ok(()),
        Err(error) if error.code() == Some("NOPERM") => {
            look.note(&format!("cluster: {}", said(&error)));
            return Ok(());
        }
        Err(error) => return Err(session.stop(&error, "ask")),
    };
    let info = Info::parse(&text);
    look.put_some("redis.cluster_state_ok", info.is("cluster_state", "ok"));
    look.put_some("redis.cluster_slots_missing", info.number("cluster_slots_ok").map(|good| SLOTS - good));
    look.put_some("redis.cluster_slots_suspected", info.number("cluster_slots_pfail"));
    Ok(())
}

/// What a sentinel says of the primaries it watches.
async fn sentinel(look: &mut Look<'_>, session: &mut Session, info: &Info<'_>) -> Result<(), Stop> {
    look.put_some("redis.uptime_seconds", info.number("uptime_in_seconds"));
    look.put_some("redis.sentinel_tilt", info.number("sentinel_tilt"));
    let masters = info.masters();
    if masters.is_empty() {
        look.note("it watches no primary");
    }
    let (mut up, mut quorum, mut peers) = (true, true, f64::INFINITY);
    for master in &masters {
        if master.status != "ok" {
            up = false;
            look.note(&format!("{} is {}", master.name, master.status));
        }
        peers = peers.min(master.sentinels - 1.0);
        let until = look.deadline();
        let mut question = redis::cmd("SENTINEL");
        question.arg("CKQUORUM").arg(master.name);
        match look.stage("ask", until, session.ask(&question)).await.map_err(Late::hung)? {
            Ok(_) => {}
            Err(error) if error.is_io_error() => return Err(session.stop(&error, "ask")),
            Err(error) if error.code() == Some("NOPERM") => look.note(&said(&error)),
            Err(error) => {
                quorum = false;
                look.note(&format!("{}: {}", master.name, said(&error)));
            }
        }
    }
    look.put("redis.sentinel_master_up", truth(up));
    look.put("redis.sentinel_quorum_ok", truth(quorum));
    look.put("redis.sentinel_peers", peers);
    Ok(())
}

/// Writes a key of the monitor's own and reads it back: finds what `PING` never shows (out of memory, a
/// failed save, too few replicas). The question is answered already, so a failure is a signal, no fault.
async fn write_check(look: &mut Look<'_>, session: &mut Session) {
    let nonce = look.shared.nonce();
    let (until, began) = (look.within(0.5, Duration::ZERO), now());
    let name = format!("{}:{}", look.shared.monitor, look.instance);
    let writing = async {
        let mut moved = None;
        for tag in 0..TAGS {
            // In a cluster the tag decides the slot: one that is this node's own is looked for.
            let key = format!("_topowatch:{{{tag}}}:{name}");
            match session.ask(redis::cmd("SET").arg(&key).arg(&nonce).arg("PX").arg(30_000)).await {
                Err(error) if error.code() == Some("MOVED") => moved = Some(error),
                Err(error) => return Err(error),
                Ok(_) => return session.ask(redis::cmd("GET").arg(&key)).await,
            }
        }
        match moved {
            Some(moved) => Err(moved),
            None => Ok(Value::Nil),
        }
    };
    let written = match look.stage("deep", until, writing).await {
        Ok(Ok(Value::BulkString(read))) if read == nonce.as_bytes() => Ok(()),
        Ok(Ok(_)) => Err("another value came back than was written".to_owned()),
        Ok(Err(error)) if matches!(error.code(), Some("NOPERM" | "MOVED")) => {
            look.note(&format!("write check: {}", said(&error)));
            return;
        }
        Ok(Err(error)) => Err(said(&error)),
        Err(_late) => {
            look.spoiled = true;
            Err("the write hung".to_owned())
        }
    };
    look.put("redis.write_ok", truth(written.is_ok()));
    match written {
        Ok(()) => look.put("redis.write_seconds", look.since(began).as_secs_f64()),
        Err(why) => look.note(&format!("write check: {why}")),
    }
}
