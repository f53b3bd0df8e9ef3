//! `http`: a page of a web node, and what a deep-health answer says of the node's dependencies.

use std::time::Duration;

use topology::fault::{Fault, FaultKind, Reason, clean_words};
use topology::kind::{Bad, KindSpec, LabelledSpec, OptionForm, OptionSpec, SignalSpec, Unit};
use topology::level::{Health, Kind};
use topology::model::OptionValue;

use crate::expectation;
use crate::health::{self, Report, Word};
use crate::look::{Look, Stop};
use crate::observation::Witness;
use crate::sentinel::SENTINEL_ON_WISH;
use crate::spec::{CONNECT, COUNT, EXPIRES_IN, HOST, SECONDS, TLS_HANDSHAKE, TOTAL};
use crate::tls_session::{Settings, TLS};
use crate::web::{self, Exchange, HEADERS, MAX_BODY_OPTION as MAX_BODY, Page, Request};

/// Kept back of the timeout for asking `live` after the deep page has hung.
const LIVE: Duration = Duration::from_millis(300);
/// Checks of the node itself, never of a dependency.
const OWN_CHECKS: &[&str] = &["ping", "diskspace", "livenessstate", "readinessstate", "refreshscope", "ssl"];

pub(crate) static SPEC: KindSpec = KindSpec {
    name: "http",
    summary: "Asks for a page over HTTP/1.1 on a new connection; reads deep-health answers (IETF draft, \
              MicroProfile, Spring Boot, ASP.NET and others) as witnesses.",
    options: &[
        OptionSpec {
            name: "path",
            form: OptionForm::Path,
            default: Some("/"),
            help: "The page, best a health page.",
        },
        HOST,
        TLS,
        HEADERS,
        MAX_BODY,
        expectation::EXPECT,
        OptionSpec {
            name: "witness",
            form: OptionForm::Word(&["auto", "off"]),
            default: Some("auto"),
            help: "Whether the body is read as the node's word on its dependencies; off: status and latency \
                   only.",
        },
        OptionSpec {
            name: "live",
            form: OptionForm::Path,
            default: None,
            help: "A page that asks no dependency. A deep page hangs when its dependency does; where this one \
                   still answers, the hang may be inherited.",
        },
        SENTINEL_ON_WISH,
    ],
    signals: &[
        SignalSpec {
            name: "http.latency_seconds",
            key: "slow",
            yellow: Some(0.3),
            red: Some(1.0),
            help: "From the request to the last byte, without name, TCP and TLS. Red at 1 s follows \
                   awesome-prometheus-alerts' slow probe; 300 ms is our choice.",
            ..SECONDS
        },
        SignalSpec {
            name: "http.first_byte_seconds",
            key: "first_byte",
            help: "From the request to the head of the answer; shown only.",
            ..SECONDS
        },
        SignalSpec { name: "http.status", key: "status", help: "The status code; shown only.", ..COUNT },
        SignalSpec {
            name: "http.body_bytes",
            key: "body",
            unit: Unit::Bytes,
            help: "The length of the body; shown only.",
            ..COUNT
        },
        SignalSpec {
            name: "http.checks_red",
            key: "checks_red",
            yellow: Some(1.0),
            effect: Kind::AtRisk,
            help: "Checks in the body that fail while the node as a whole says it serves. Our choice: red \
                   comes from the overall word only.",
            ..COUNT
        },
        SignalSpec {
            name: "http.checks_yellow",
            key: "checks_yellow",
            yellow: Some(1.0),
            effect: Kind::AtRisk,
            help: "Checks in the body that warn. Our choice.",
            ..COUNT
        },
        CONNECT,
        TLS_HANDSHAKE,
        EXPIRES_IN,
        TOTAL,
    ],
    labelled: Some(&LabelledSpec {
        key: "observed",
        options: &[],
        signals: &[
            SignalSpec {
                name: "http.observed",
                key: "above",
                help: "The observedValue of a check of this name, bad when it is high. No default.",
                ..COUNT
            },
            SignalSpec {
                name: "http.observed",
                key: "below",
                bad: Bad::Below,
                help: "The same, bad when it is low.",
                ..COUNT
            },
        ],
    }),
    exercises_dependencies: true,
    ..KindSpec::EMPTY
};

pub(crate) async fn probe(look: &mut Look<'_>) -> Result<(), Stop> {
    let live = look.probe.text("live");
    let until = if live.is_some() { look.deadline_less(LIVE) } else { look.deadline() };
    let path = look.probe.text("path").unwrap_or("/");
    let page = match web::get(look, &request(look, path, until)).await {
        Ok(page) => page,
        Err(Stop::Fault(fault)) if fault.kind == FaultKind::Hung => {
            return Err(match live {
                Some(live) => deep_only(look, live, fault).await,
                None => fault.into(),
            });
        }
        Err(stop) => return Err(stop),
    };
    look.put("http.latency_seconds", page.latency.as_secs_f64());
    look.put("http.first_byte_seconds", page.first_byte.as_secs_f64());
    look.put("http.status", f64::from(page.status));
    look.put("http.body_bytes", page.body.len() as f64);
    judge(look, &page)
}

fn request<'r>(look: &Look<'r>, path: &'r str, until: std::time::Instant) -> Request<'r> {
    let accept = "application/health+json, application/json;q=0.9, */*;q=0.1";
    Request {
        host: look.probe.text("host"),
        tls: Settings::of(look.probe),
        headers: look.probe.options.get("headers").map(web::headers).unwrap_or_default(),
        max_body: look.probe.count("max_body").map_or(web::MAX_BODY, |most| most as usize),
        ..Request::get(path, accept, until)
    }
}

/// The sentinel: an idle connection, after its TLS handshake where there is one.
pub(crate) async fn hold(look: &mut Look<'_>) -> Result<(), Stop> {
    let tls = Settings::of(look.probe);
    let until = look.deadline();
    let mut exchange = Exchange::open(look, tls.as_ref(), look.probe.text("host"), until).await?;
    exchange.ended().await;
    Ok(())
}

/// A deep check inherits its dependency's hang: the stage `deep` says that the process itself answers.
async fn deep_only(look: &mut Look<'_>, live: &str, mut fault: Fault) -> Stop {
    let mut second = look.again();
    let asked = web::get(&mut second, &request(look, live, look.deadline())).await;
    look.record("deep", second.took());
    if asked.is_ok_and(|page| page.status < 500) {
        fault.stage = "deep";
        fault.words = clean_words(&format!("{}; {live} answers", fault.words));
    }
    fault.into()
}

/// What the status and the body mean together: the worse of the two.
fn judge(look: &mut Look<'_>, page: &Page) -> Result<(), Stop> {
    let expect = look.probe.options.get("expect").and_then(OptionValue::record);
    if let Some(expect) = expect {
        expectation::check(expect, page)?;
    }
    let report = if look.probe.text("witness") == Some("off") {
        None
    } else {
        match health::read(&page.body, page.content_type().contains("json")) {
            Ok(report) => report,
            Err(health::NotJson) if page.status < 400 => {
                let words = "the body says that it is JSON, and is none";
                return Err(Fault::new(FaultKind::Protocol, "body", words).into());
            }
            Err(health::NotJson) => None,
        }
    };
    let Some(report) = report else {
        return plain(look, page.status);
    };
    look.witnesses = witnesses(&report);
    for check in &report.checks {
        if let Some(observed) = check.observed
            && look.probe.labels.contains(&check.name)
        {
            look.put(format!("http.observed[{}]", check.name), observed);
        }
    }
    if page.status >= 500 && !expectation::names_status(expect) {
        return Err(blaming(page.status, &report).into());
    }
    plain(look, page.status)?;
    let count = |health: Health| report.checks.iter().filter(|check| check.word.health() == health).count();
    look.put("http.checks_red", count(Health::Red) as f64);
    look.put("http.checks_yellow", count(Health::AtRisk) as f64);
    let reported = match report.overall {
        Word::Good | Word::Unknown => return Ok(()),
        Word::Custom => {
            look.note(&format!("unknown status word: {}", report.said));
            return Ok(());
        }
        Word::Warn => Health::AtRisk,
        Word::Bad | Word::Out => Health::Red,
    };
    let words = match blamed(&report) {
        Some(blamed) => format!("says {}: {blamed}", report.said),
        None => format!("says {}", report.said),
    };
    look.answer.reported = Some((reported, clean_words(&words)));
    Ok(())
}

/// A status without a health answer.
fn plain(look: &mut Look<'_>, status: u16) -> Result<(), Stop> {
    let expect = look.probe.options.get("expect").and_then(OptionValue::record);
    if expectation::names_status(expect) {
        return Ok(());
    }
    if status == 429 {
        look.answer.reported = Some((Health::AtRisk, "429: told to slow down".to_owned()));
        return Ok(());
    }
    status_fault(status).map_or(Ok(()), |fault| Err(fault.into()))
}

/// The fault that a status is by itself.
pub(crate) fn status_fault(status: u16) -> Option<Fault> {
    let bad = |words: &str, reason| {
        Some(Fault::new(FaultKind::BadAnswer, "ask", &format!("{status}: {words}")).because(reason))
    };
    let auth = |words: &str, reason| {
        Some(Fault::new(FaultKind::Auth, "ask", &format!("{status}: {words}")).because(reason))
    };
    match status {
        200..=299 => None,
        401 | 407 => auth("credentials wanted", Reason::NoCredentials),
        403 => auth("forbidden", Reason::NoPermission),
        404 | 405 | 410 => bad("no such page here", Reason::Assertion),
        429 => bad("told to slow down", Reason::Throttled),
        502 => bad("bad gateway", Reason::Gateway),
        503 => bad("service unavailable", Reason::Gateway),
        504 => bad("gateway timeout", Reason::Gateway),
        500..=599 => bad("server error", Reason::Status5xx),
        300..=399 => bad("a redirect is no health answer", Reason::Assertion),
        _ => bad("not the page expected", Reason::Assertion),
    }
}

/// A 5xx with a body that says why.
fn blaming(status: u16, report: &Report) -> Fault {
    let reason = match report.overall {
        Word::Out => Reason::Maintenance,
        Word::Bad if report.nothing_yet && status == 503 => Reason::Starting,
        _ => Reason::Status5xx,
    };
    let words = match (blamed(report), reason) {
        (Some(blamed), _) => blamed,
        (None, Reason::Starting) => "no checks yet, still starting".to_owned(),
        (None, _) => format!("the body says {}", report.said),
    };
    Fault::new(FaultKind::BadAnswer, "ask", &format!("{status}: {words}")).because(reason)
}

/// The worst checks: `member-db fail: timed out, redis fail`.
fn blamed(report: &Report) -> Option<String> {
    let severity =
        report.checks.iter().map(|check| check.word.health().severity()).max().filter(|s| *s > 0)?;
    let worst = report.checks.iter().filter(|check| check.word.health().severity() == severity);
    let named: Vec<String> = worst.map(|check| format!("{} {}", check.name, check.words)).collect();
    Some(match named.as_slice() {
        [first, second, third, rest @ ..] if !rest.is_empty() => {
            format!("{first}, {second}, {third} and {} more", rest.len())
        }
        few => few.join(", "),
    })
}

/// Every check of a dependency is a word on it, good or bad.
fn witnesses(report: &Report) -> Vec<Witness> {
    let of_others = |name: &str| !OWN_CHECKS.contains(&name.to_ascii_lowercase().as_str());
    let checks = report.checks.iter().filter(|check| of_others(&check.name));
    checks
        .map(|check| Witness {
            on: check.name.clone(),
            health: check.word.health(),
            words: check.words.clone(),
            latency: check.latency,
        })
        .collect()
}
