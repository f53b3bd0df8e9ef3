//! `access_log`: what a gateway's own log says of the traffic through it and of every server behind it. Nothing
//! is asked: nginx sends its lines by syslog to the monitor (`topowatch serve --access-log ADDRESS:PORT`).

use std::time::Duration;

use topology::kind::{KindSpec, LabelledSpec, OptionForm, OptionSpec, SignalSpec};
use topology::level::{Health, Kind};
use topology::model::Probe;

use crate::clock::now;
use crate::look::{Look, Stop, seconds};
use crate::observation::Witness;
use crate::spec::{COUNT, RATIO, SECONDS};
use crate::traffic::{Interface, Server, Sum};

/// Where the file does not say.
const WINDOW: Duration = Duration::from_secs(10);
/// Requests from which a share says something.
const LEAST_REQUESTS: u64 = 20;
/// Requests to one server from which its share says something.
const LEAST_OF_SERVER: u64 = 5;
/// A server that fails that share of its requests is named as broken: retries hide fewer from the users.
const SERVER_RED: f64 = 0.5;
/// And as a little unwell.
const SERVER_YELLOW: f64 = 0.05;

const ERRORS: SignalSpec = SignalSpec {
    name: "access_log.error_ratio",
    key: "errors",
    yellow: Some(0.05),
    red: Some(0.5),
    effect: Kind::Impaired,
    help: "Answers of 5xx among all; from min_requests on. Refusals by the rate limit (429) are none. Our choice.",
    ..RATIO
};

pub(crate) static SPEC: KindSpec = KindSpec {
    name: "access_log",
    summary: "Takes the gateway's access log by syslog (serve --access-log): requests, errors and times of all \
              interfaces, and its word on every server behind it, from real traffic. No traffic is no fault.",
    options: &[
        OptionSpec {
            name: "window",
            form: OptionForm::Duration,
            default: Some("10s"),
            help: "What the numbers are of: the last so many seconds.",
        },
        OptionSpec {
            name: "min_requests",
            form: OptionForm::Count,
            default: Some("20"),
            help: "Of fewer requests in the window no share and no percentile is said.",
        },
    ],
    signals: &[
        SignalSpec {
            name: "access_log.requests_per_second",
            key: "requests",
            help: "Requests a second. No default.",
            ..COUNT
        },
        SignalSpec {
            name: "access_log.bytes_per_second",
            key: "bytes",
            help: "Bytes sent a second. No default.",
            ..COUNT
        },
        ERRORS,
        SignalSpec {
            name: "access_log.p50_seconds",
            key: "p50",
            help: "Half of the requests were faster.",
            ..SECONDS
        },
        SignalSpec {
            name: "access_log.p95_seconds",
            key: "p95",
            help: "19 of 20 requests were faster. No default: `normal` fits.",
            ..SECONDS
        },
        SignalSpec { name: "access_log.p99_seconds", key: "p99", help: "99 of 100 were faster.", ..SECONDS },
        SignalSpec {
            name: "access_log.servers",
            key: "servers",
            help: "Servers behind it that were asked in the window; shown only.",
            ..COUNT
        },
        SignalSpec {
            name: "access_log.servers_failing",
            key: "servers_failing",
            help: "Of them those that failed half of what they were asked; shown only: each is a witness.",
            ..COUNT
        },
    ],
    labelled: Some(&LabelledSpec {
        key: "interfaces",
        options: &[
            OptionSpec {
                name: "path",
                form: OptionForm::Path,
                default: None,
                help: "Its path, with a * at the end for all that begin so; the name itself where it is not set.",
            },
            OptionSpec {
                name: "method",
                form: OptionForm::Text,
                default: None,
                help: "Only requests of this method.",
            },
        ],
        signals: &[
            SignalSpec {
                name: "access_log.interface_requests_per_second",
                key: "requests",
                help: "As above, of this interface.",
                ..COUNT
            },
            SignalSpec {
                name: "access_log.interface_bytes_per_second",
                key: "bytes",
                help: "As above, of this interface.",
                ..COUNT
            },
            SignalSpec {
                name: "access_log.interface_error_ratio",
                yellow: None,
                red: None,
                help: "As above, of this interface. No default.",
                ..ERRORS
            },
            SignalSpec {
                name: "access_log.interface_p50_seconds",
                key: "p50",
                help: "As above, of this interface.",
                ..SECONDS
            },
            SignalSpec {
                name: "access_log.interface_p95_seconds",
                key: "p95",
                help: "As above, of this interface.",
                ..SECONDS
            },
            SignalSpec {
                name: "access_log.interface_p99_seconds",
                key: "p99",
                help: "As above, of this interface.",
                ..SECONDS
            },
        ],
    }),
    passive: true,
    ..KindSpec::EMPTY
};

/// How much of the past the numbers are of.
pub(crate) fn window(probe: &Probe) -> Duration {
    probe.duration("window").unwrap_or(WINDOW).clamp(Duration::from_secs(1), Duration::from_mins(10))
}

/// The interfaces that are told apart.
pub(crate) fn interfaces(probe: &Probe) -> Vec<Interface> {
    let entries = probe.labels.iter().enumerate();
    entries
        .map(|(i, label)| {
            let text = |key| probe.entries.get(i).and_then(|entry| entry.get(key)?.text());
            Interface {
                path: text("path").unwrap_or(label).to_owned(),
                method: text("method").map(str::to_owned),
            }
        })
        .collect()
}

#[expect(clippy::unused_async, reason = "the shape of every kind's probe")]
pub(crate) async fn probe(look: &mut Look<'_>) -> Result<(), Stop> {
    let heard = look.shared.ears.traffic(now(), look.probe, look.instance, look.address);
    let Some(window) = heard else {
        look.answer.reported = Some((
            Health::Unknown,
            "no access log is received here: `topowatch serve --access-log ADDRESS:PORT` does".to_owned(),
        ));
        return Ok(());
    };
    match window.silent_for {
        None => look.note("no line of this instance has come yet"),
        Some(silent) if window.all.count == 0 => {
            look.note(&format!("no line of this instance for {}", seconds(silent)));
        }
        Some(_) => {}
    }
    let least = look.probe.count("min_requests").unwrap_or(LEAST_REQUESTS);
    let span = window.span.as_secs_f64().max(1.0);
    for (name, value) in numbers(&window.all, span, least) {
        look.put(format!("access_log.{name}"), value);
    }
    for (label, sum) in look.probe.labels.iter().zip(&window.interfaces) {
        for (name, value) in numbers(sum, span, least) {
            look.put(format!("access_log.interface_{name}[{label}]"), value);
        }
    }
    let failing = |server: &&Server| failing(server).is_some_and(|ratio| ratio >= SERVER_RED);
    look.put("access_log.servers", window.servers.len() as f64);
    look.put("access_log.servers_failing", window.servers.values().filter(failing).count() as f64);
    look.witnesses.extend(window.servers.iter().filter_map(|(address, server)| witness(address, server)));
    Ok(())
}

fn numbers(sum: &Sum, span: f64, least: u64) -> Vec<(&'static str, f64)> {
    let mut numbers =
        vec![("requests_per_second", sum.count as f64 / span), ("bytes_per_second", sum.bytes as f64 / span)];
    if sum.count >= least.max(1) {
        numbers.push(("error_ratio", sum.failed as f64 / sum.count as f64));
        for (name, share) in [("p50_seconds", 0.5), ("p95_seconds", 0.95), ("p99_seconds", 0.99)] {
            numbers.extend(sum.times.percentile(share).map(|value| (name, value)));
        }
    }
    numbers
}

/// The share of its requests that a server failed, where there were enough.
fn failing(server: &Server) -> Option<f64> {
    (server.count >= LEAST_OF_SERVER).then(|| server.failed as f64 / server.count as f64)
}

/// The gateway's word on one server behind it.
fn witness(address: &str, server: &Server) -> Option<Witness> {
    let ratio = failing(server)?;
    let health = match ratio {
        _ if ratio >= SERVER_RED => Health::Red,
        _ if ratio >= SERVER_YELLOW => Health::Impaired,
        _ => Health::Green,
    };
    let words = match (health, server.last_bad) {
        (Health::Green, _) => String::new(),
        (_, Some(status)) => format!("failed {} of {} requests ({status})", server.failed, server.count),
        (_, None) => format!("failed {} of {} requests", server.failed, server.count),
    };
    Some(Witness { on: address.to_owned(), health, words, latency: server.mean() })
}
