//! `nginx`: the `stub_status` page.

use topology::fault::{Fault, FaultKind, Reason};
use topology::kind::{KindSpec, OptionForm, OptionSpec, SignalSpec};
use topology::level::Kind;

use crate::http;
use crate::look::{Look, Stop};
use crate::sentinel::SENTINEL;
use crate::spec::{CONNECT, COUNT, EXPIRES_IN, HOST, OUGHT, RATIO, SECONDS, TLS_HANDSHAKE, TOTAL, truth};
use crate::tls_session::{Settings, TLS};
use crate::web::{self, Request};

pub(crate) static SPEC: KindSpec = KindSpec {
    name: "nginx",
    summary: "Reads nginx's stub_status page. It shows how busy nginx itself is, never whether what lies \
              behind it works.",
    options: &[
        OptionSpec {
            name: "path",
            form: OptionForm::Path,
            default: Some("/stub_status"),
            help: "Where stub_status is; allow the monitor's address only.",
        },
        HOST,
        TLS,
        OptionSpec {
            name: "capacity",
            form: OptionForm::Count,
            default: None,
            help: "worker_processes × worker_connections, which nginx does not tell; for connections_ratio.",
        },
        OptionSpec {
            name: "via",
            form: OptionForm::Path,
            default: None,
            help: "A page of what lies behind, asked through nginx: it finds dead upstreams, which stub_status \
                   never shows.",
        },
        SENTINEL,
    ],
    signals: &[
        SignalSpec {
            name: "nginx.active_connections",
            key: "active_connections",
            effect: Kind::AtRisk,
            help: "Client connections, idle ones and the probe's own included. No default: the limit is \
                   worker_processes × worker_connections, which nginx does not tell; 0.7 and 0.9 of it are \
                   good values.",
            ..COUNT
        },
        SignalSpec {
            name: "nginx.connections_ratio",
            key: "connections",
            yellow: Some(0.7),
            red: Some(0.9),
            help: "Active connections of capacity; only with capacity. Proxied requests need two each. Our choice.",
            ..RATIO
        },
        SignalSpec {
            name: "nginx.dropped_per_second",
            key: "dropped",
            yellow: Some(0.01),
            red: Some(1.0),
            help: "Accepted and not handled: refused for its limits (nginx' documentation). Our choice.",
            ..COUNT
        },
        SignalSpec { name: "nginx.requests_per_second", key: "requests", help: "Shown only.", ..COUNT },
        SignalSpec {
            name: "nginx.via_ok",
            key: "via_ok",
            help: "The page of via gave a good answer; only with via.",
            ..OUGHT
        },
        SignalSpec { name: "nginx.via_status", key: "via_status", help: "Its status; shown only.", ..COUNT },
        SignalSpec {
            name: "nginx.via_seconds",
            key: "via_slow",
            yellow: Some(0.3),
            red: Some(1.0),
            help: "Its latency; as for http.",
            ..SECONDS
        },
        SignalSpec {
            name: "nginx.reading",
            key: "reading",
            help: "Connections whose request head is being read; shown only.",
            ..COUNT
        },
        SignalSpec {
            name: "nginx.writing",
            key: "writing",
            help: "Connections being answered; rises when what lies behind hangs. No default: it follows \
                   the load.",
            ..COUNT
        },
        SignalSpec {
            name: "nginx.waiting",
            key: "waiting",
            help: "Idle kept connections; shown only.",
            ..COUNT
        },
        SignalSpec {
            name: "http.latency_seconds",
            key: "slow",
            yellow: Some(0.3),
            red: Some(1.0),
            help: "From the request to the last byte. Red at 1 s follows awesome-prometheus-alerts' slow \
                   probe; 300 ms is our choice.",
            ..SECONDS
        },
        CONNECT,
        TLS_HANDSHAKE,
        EXPIRES_IN,
        TOTAL,
    ],
    ..KindSpec::EMPTY
};

pub(crate) async fn probe(look: &mut Look<'_>) -> Result<(), Stop> {
    let path = look.probe.text("path").unwrap_or("/stub_status");
    let request = request(look, path, "text/plain, */*;q=0.1");
    let page = web::get(look, &request).await?;
    look.put("http.latency_seconds", page.latency.as_secs_f64());
    look.put("http.status", f64::from(page.status));
    if let Some(fault) = http::status_fault(page.status) {
        return Err(fault.into());
    }
    let Some(status) = std::str::from_utf8(&page.body).ok().and_then(parse) else {
        let fault = Fault::new(FaultKind::BadAnswer, "body", "this is no stub_status page");
        return Err(fault.because(Reason::Assertion).into());
    };
    look.put("nginx.active_connections", status.active);
    look.put("nginx.reading", status.reading);
    look.put("nginx.writing", status.writing);
    look.put("nginx.waiting", status.waiting);
    if let Some(capacity) = look.probe.count("capacity").filter(|capacity| *capacity > 0) {
        look.put("nginx.connections_ratio", status.active / capacity as f64);
    }
    // A new master begins its counts anew: they fall.
    look.rate("nginx.dropped_per_second", Some(status.accepted - status.handled), "");
    look.rate("nginx.requests_per_second", Some(status.requests), "");
    if let Some(via) = look.probe.text("via") {
        through(look, via).await;
    }
    Ok(())
}

fn request<'r>(look: &Look<'r>, path: &'r str, accept: &'static str) -> Request<'r> {
    Request {
        host: look.probe.text("host"),
        tls: Settings::of(look.probe),
        ..Request::get(path, accept, look.deadline())
    }
}

/// One request to what lies behind. nginx itself has answered already, so a failure is a signal, no fault.
async fn through(look: &mut Look<'_>, via: &str) {
    let mut second = look.again();
    let asked = web::get(&mut second, &request(look, via, "*/*")).await;
    look.record("deep", second.took());
    let good = asked.as_ref().is_ok_and(|page| http::status_fault(page.status).is_none());
    look.put("nginx.via_ok", truth(good));
    match asked {
        Ok(page) => {
            look.put("nginx.via_status", f64::from(page.status));
            look.put("nginx.via_seconds", page.latency.as_secs_f64());
            if let Some(fault) = http::status_fault(page.status) {
                look.note(&format!("{via}: {}", fault.words));
            }
        }
        Err(Stop::Fault(fault)) => look.note(&format!("{via}: {}", fault.words)),
        Err(Stop::Local(why)) => look.note(&why),
    }
}

#[derive(Debug, PartialEq)]
struct StubStatus {
    active: f64,
    accepted: f64,
    handled: f64,
    requests: f64,
    reading: f64,
    writing: f64,
    waiting: f64,
}

/// Reads the page; `None` if it is another one.
fn parse(text: &str) -> Option<StubStatus> {
    let mut lines = text.lines();
    let active = count(lines.next()?.strip_prefix("Active connections: ")?)?;
    if lines.next()?.trim() != "server accepts handled requests" {
        return None;
    }
    let totals: Option<Vec<f64>> = lines.next()?.split_ascii_whitespace().map(count).collect();
    let [accepted, handled, requests] = totals?.as_slice().try_into().ok()?;
    let mut words = lines.next()?.split_ascii_whitespace();
    let mut named = |name: &str| (words.next()? == name).then(|| count(words.next()?))?;
    Some(StubStatus {
        active,
        accepted,
        handled,
        requests,
        reading: named("Reading:")?,
        writing: named("Writing:")?,
        waiting: named("Waiting:")?,
    })
}

fn count(text: &str) -> Option<f64> {
    text.trim().parse::<u64>().ok().map(|number| number as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_page_of_nginx_is_read() {
        let page = "Active connections: 3 \nserver accepts handled requests\n 12 12 30 \n\
                    Reading: 0 Writing: 1 Waiting: 2 \n";
        let read = StubStatus {
            active: 3.0,
            accepted: 12.0,
            handled: 12.0,
            requests: 30.0,
            reading: 0.0,
            writing: 1.0,
            waiting: 2.0,
        };
        assert_eq!(parse(page), Some(read));
        assert_eq!(parse("<html>Active connections: 3"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".*", cut in 0usize..120) {
            parse(&text);
            let page = "Active connections: 3 \nserver accepts handled requests\n 12 12 30 \n\
                        Reading: 0 Writing: 1 Waiting: 2 \n";
            parse(&page[..cut.min(page.len())]);
        }
    }
}
