//! `memcached`: `version`, `stats`, and where it is asked for a written and read item.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use topology::fault::{Fault, FaultKind, Reason};
use topology::kind::{Bad, KindSpec, OptionForm, OptionSpec, SignalSpec};
use topology::level::Kind;

use crate::clock::now;
use crate::dial;
use crate::look::{Late, Look, Stop};
use crate::sentinel::SENTINEL;
use crate::spec::{CONNECT, COUNT, EXPIRES_IN, OUGHT, RATIO, SECONDS, TLS_HANDSHAKE, TOTAL, truth};
use crate::stream::{Capped, Overflow, Stream};
use crate::tls_session::{self, Settings, TLS};

/// All that one look reads: `stats` has some 3 KiB.
const MAX_ANSWER: usize = 64 * 1024;

pub(crate) static SPEC: KindSpec = KindSpec {
    name: "memcached",
    summary: "Asks for the version and the statistics over the text protocol; with write_check it also sets \
              and gets an item of its own.",
    options: &[
        TLS,
        OptionSpec {
            name: "write_check",
            form: OptionForm::Truth,
            default: Some("false"),
            help: "Whether to set and get an item _topowatch:* that expires in 30 s.",
        },
        SENTINEL,
    ],
    signals: &[
        SignalSpec {
            name: "memcached.version_seconds",
            key: "version",
            yellow: Some(0.02),
            red: Some(0.2),
            help: "The round trip of version. Our choice, as for Redis' PING.",
            ..SECONDS
        },
        SignalSpec {
            name: "memcached.connections_ratio",
            key: "connections",
            yellow: Some(0.8),
            red: Some(0.95),
            help: "curr_connections of max_connections. Follows awesome-prometheus-alerts.",
            ..RATIO
        },
        SignalSpec {
            name: "memcached.memory_ratio",
            key: "memory",
            help: "bytes of limit_maxbytes; a full cache is normal. No default.",
            ..RATIO
        },
        SignalSpec {
            name: "memcached.evictions_per_second",
            key: "evictions",
            yellow: Some(10.0),
            effect: Kind::AtRisk,
            help: "Items thrown out before their time. Follows awesome-prometheus-alerts.",
            ..COUNT
        },
        SignalSpec {
            name: "memcached.rejected_per_second",
            key: "rejected",
            yellow: Some(0.01),
            help: "Connections turned away. Our choice.",
            ..COUNT
        },
        SignalSpec {
            name: "memcached.listen_disabled_per_second",
            key: "listen_disabled",
            yellow: Some(0.01),
            help: "How often it stopped taking connections at its limit. Our choice.",
            ..COUNT
        },
        SignalSpec {
            name: "memcached.hit_ratio",
            key: "hits",
            bad: Bad::Below,
            help: "Hits among the gets of the last minute. No default: it depends on the site.",
            ..RATIO
        },
        SignalSpec {
            name: "memcached.write_ok",
            key: "write_ok",
            help: "A written item was read back; only with write_check.",
            ..OUGHT
        },
        SignalSpec {
            name: "memcached.uptime_seconds",
            key: "uptime",
            bad: Bad::Below,
            effect: Kind::AtRisk,
            help: "Since it was started. No default: a restart is seen by its probes.",
            ..SECONDS
        },
        CONNECT,
        TLS_HANDSHAKE,
        EXPIRES_IN,
        TOTAL,
    ],
    exercises_dependencies: true,
    ports: &[11211],
    ..KindSpec::EMPTY
};

/// A connection, its bytes counted.
struct Session {
    stream: BufReader<Capped<Stream>>,
    overflow: Overflow,
}

pub(crate) async fn probe(look: &mut Look<'_>) -> Result<(), Stop> {
    let stream = dial::connect(look).await?;
    let tls = Settings::of(look.probe);
    let stream = tls_session::secure(look, stream, tls.as_ref()).await?;
    let (stream, overflow) = Capped::new(stream, MAX_ANSWER);
    let mut session = Session { stream: BufReader::new(stream), overflow };
    let until = look.deadline();
    let began = now();
    let answer = look.stage("ask", until, session.ask(b"version\r\n")).await.map_err(Late::hung)??;
    match answer.split_once(' ').map_or((answer.as_str(), ""), |parts| parts) {
        ("VERSION", _) => look.put("memcached.version_seconds", look.since(began).as_secs_f64()),
        // It lives, and does not know the command: another implementation.
        ("ERROR" | "CLIENT_ERROR" | "SERVER_ERROR", words) if words.contains("open connections") => {
            return Err(Fault::new(FaultKind::BadAnswer, "ask", words)
                .because(Reason::ConnectionLimit)
                .into());
        }
        ("ERROR" | "CLIENT_ERROR" | "SERVER_ERROR", _) => look.note(&format!("version: {answer}")),
        _ => return Err(Fault::new(FaultKind::Protocol, "ask", "the answer is not memcached's").into()),
    }
    let stats = look.stage("ask", until, session.stats()).await.map_err(Late::hung)??;
    signals(look, &stats);
    if look.probe.truth("write_check") {
        write_check(look, &mut session).await;
    }
    look.close(async { session.stream.write_all(b"quit\r\n").await }).await;
    Ok(())
}

impl Session {
    async fn ask(&mut self, command: &[u8]) -> Result<String, Stop> {
        self.stream.write_all(command).await.map_err(|error| dial::io_stop(&error, "ask"))?;
        self.line().await
    }

    /// One line, without its end.
    async fn line(&mut self) -> Result<String, Stop> {
        const LONGEST: u64 = 4096;
        let mut line = Vec::new();
        let read = (&mut self.stream).take(LONGEST).read_until(b'\n', &mut line).await;
        match read {
            Err(_) if self.overflow.happened() => Err(Overflow::stop("ask")),
            Err(error) => Err(dial::io_stop(&error, "ask")),
            Ok(_) if line.ends_with(b"\n") => Ok(String::from_utf8_lossy(&line).trim_end().to_owned()),
            Ok(0) => Err(Fault::new(FaultKind::Dropped, "ask", "connection closed before an answer").into()),
            Ok(read) if read as u64 == LONGEST => {
                Err(Fault::new(FaultKind::Protocol, "ask", "a line of more than 4 KiB").into())
            }
            Ok(_) => Err(Fault::new(FaultKind::Dropped, "ask", "connection closed within an answer").into()),
        }
    }

    async fn stats(&mut self) -> Result<BTreeMap<String, f64>, Stop> {
        let mut stats = BTreeMap::new();
        let mut line = self.ask(b"stats\r\n").await?;
        while let Some(stat) = line.strip_prefix("STAT ") {
            if let Some((name, value)) = stat.split_once(' ')
                && let Ok(value) = value.parse()
            {
                stats.insert(name.to_owned(), value);
            }
            line = self.line().await?;
        }
        match line.as_str() {
            "END" => Ok(stats),
            other => {
                let words = format!("stats: {other}");
                Err(Fault::new(FaultKind::BadAnswer, "ask", &words).into())
            }
        }
    }
}

fn signals(look: &mut Look<'_>, stats: &BTreeMap<String, f64>) {
    let value = |name: &str| stats.get(name).copied();
    let share = |part: &str, whole: &str| Some(value(part)? / value(whole).filter(|whole| *whole > 0.0)?);
    look.put_some("memcached.connections_ratio", share("curr_connections", "max_connections"));
    look.put_some("memcached.memory_ratio", share("bytes", "limit_maxbytes"));
    look.put_some("memcached.uptime_seconds", value("uptime"));
    // The process' own number tells its lives apart.
    let life = value("pid").unwrap_or_default().to_string();
    look.rate("memcached.evictions_per_second", value("evictions"), &life);
    look.rate("memcached.rejected_per_second", value("rejected_connections"), &life);
    look.rate("memcached.listen_disabled_per_second", value("listen_disabled_num"), &life);
    look.share_of("memcached.hit_ratio", value("get_hits"), value("get_misses"), &life, 0.0);
}

/// Writes an item of the monitor's own and reads it back. The question is answered already, so a failure is
/// a signal, no fault.
async fn write_check(look: &mut Look<'_>, session: &mut Session) {
    let nonce = look.shared.nonce();
    let key = format!("_topowatch:{}", look.shared.monitor);
    let setting = format!("set {key} 0 30 {}\r\n{nonce}\r\n", nonce.len());
    let until = look.within(0.5, Duration::ZERO);
    let writing = async {
        let stored = session.ask(setting.as_bytes()).await?;
        if stored != "STORED" {
            return Ok(Err(stored));
        }
        let head = session.ask(format!("get {key}\r\n").as_bytes()).await?;
        if head == "END" {
            return Ok(Err("the item was gone at once".to_owned()));
        }
        let body = session.line().await?;
        session.line().await?;
        Ok::<_, Stop>(if body == nonce { Ok(()) } else { Err("another value came back".to_owned()) })
    };
    let written = match look.stage("deep", until, writing).await {
        Ok(Ok(written)) => written,
        Ok(Err(Stop::Fault(fault))) => Err(fault.words),
        Ok(Err(Stop::Local(why))) => Err(why),
        Err(_late) => Err("the write hung".to_owned()),
    };
    look.put("memcached.write_ok", truth(written.is_ok()));
    if let Err(why) = written {
        look.note(&format!("write check: {why}"));
    }
}
