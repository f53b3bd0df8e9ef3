//! What a page says, and what it says of others.

use std::time::Duration;

use probes::Prober;
use topology::fault::Reason;
use topology::level::Health;
use topology::model::Address;

use crate::fakes::Fake;
use crate::support::{answer, fault, look, mistakes, probe, read, summary, with};
use crate::table::Table;

const DEEP: &str = r#"{"status":"fail","checks":{
    "member-db:responseTime":[
        {"componentId":"member-db-2","status":"fail","output":"no answer within 500 ms"},
        {"componentId":"member-db-1","status":"pass","observedValue":4.2,"observedUnit":"ms"}],
    "cache":[{"status":"pass"}]}}"#;

fn page(status: &str, kind: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn json(status: &str, body: &str) -> String {
    page(status, "application/health+json", body)
}

/// What a server answers a request's head, and what is to be seen of it.
type Case = (fn(&str) -> Option<String>, &'static str);

#[tokio::test]
async fn a_bad_answer_says_whom_it_blames_and_witnesses_for_all() {
    let fake = Fake::web(|_| Some(json("503 Service Unavailable", DEEP))).await;
    let seen = look(&probe("http"), fake.port).await;
    assert_eq!(summary(&seen), "bad_answer ask status_5xx");
    assert_eq!(fault(&seen).words, "503: member-db-2 fail: no answer within 500 ms");
    let mut witnesses: Vec<_> =
        seen.witnesses.iter().map(|witness| (witness.on.as_str(), witness.health, witness.latency)).collect();
    witnesses.sort_by_key(|(on, ..)| *on);
    assert_eq!(
        witnesses,
        [
            ("cache", Health::Green, None),
            ("member-db-1", Health::Green, Some(Duration::from_micros(4200))),
            ("member-db-2", Health::Red, None),
        ]
    );
}

#[tokio::test]
async fn a_warning_is_reported_and_counted() {
    let fake = Fake::web(|_| {
        Some(json("200 OK", r#"{"status":"warn","checks":{"cache":[{"status":"fail","output":"refused"}]}}"#))
    })
    .await;
    let seen = look(&probe("http"), fake.port).await;
    let answer = answer(&seen);
    assert_eq!(answer.reported, Some((Health::AtRisk, "says warn: cache fail: refused".to_owned())));
    assert_eq!(answer.signals.get("http.checks_red"), Some(&1.0));
    assert_eq!(answer.signals.get("http.status"), Some(&200.0));
    for signal in ["http.latency_seconds", "net.connect_seconds", "probe.total_seconds"] {
        assert!(answer.signals[signal] > 0.0, "{signal}");
    }
}

#[tokio::test]
async fn with_witness_off_only_the_status_counts() {
    let off = with(probe("http"), &[("witness", "off")]);
    let fake = Fake::web(|_| Some(json("503 Service Unavailable", DEEP))).await;
    let seen = look(&off, fake.port).await;
    assert_eq!(summary(&seen), "bad_answer ask gateway");
    assert!(seen.witnesses.is_empty());
    let fake = Fake::web(|_| Some(json("200 OK", r#"{"status":"DOWN"}"#))).await;
    let seen = look(&off, fake.port).await;
    assert_eq!(answer(&seen).reported, None);
}

#[tokio::test]
async fn a_good_status_with_a_bad_word_is_red() {
    let fake = Fake::web(|_| Some(page("200 OK", "text/plain", "DOWN"))).await;
    let seen = look(&probe("http"), fake.port).await;
    assert_eq!(answer(&seen).reported, Some((Health::Red, "says DOWN".to_owned())));
}

#[tokio::test]
async fn statuses_mean_what_the_table_says() {
    let mut documented = Table::new("http");
    let table: [Case; 10] = [
        (|_| Some(page("200 OK", "text/html", "<h1>hello</h1>")), "answer"),
        (|_| Some(page("204 No Content", "text/plain", "")), "answer"),
        (|_| Some(page("302 Found", "text/plain", "")), "bad_answer ask assertion"),
        (|_| Some(page("401 Unauthorized", "text/plain", "")), "auth ask no_credentials"),
        (|_| Some(page("403 Forbidden", "text/plain", "")), "auth ask no_permission"),
        (|_| Some(page("404 Not Found", "text/plain", "")), "bad_answer ask assertion"),
        (|_| Some(page("429 Too Many Requests", "text/plain", "")), "answer"),
        (|_| Some(page("500 Internal Server Error", "text/plain", "")), "bad_answer ask status_5xx"),
        (|_| Some(page("502 Bad Gateway", "text/html", "<h1>nginx</h1>")), "bad_answer ask gateway"),
        (
            |_| Some(page("503 Service Unavailable", "application/json", r#"{"status":"DOWN","checks":[]}"#)),
            "bad_answer ask starting",
        ),
    ];
    for (page, expected) in table {
        let fake = Fake::web(page).await;
        let seen = look(&probe("http"), fake.port).await;
        assert_eq!(summary(&seen), expected, "{seen:?}");
        let status = page("").unwrap().lines().next().unwrap_or_default().replace("HTTP/1.1 ", "");
        match expected {
            "answer" if status.starts_with("429") => documented.reported(&status, &seen, "yellow"),
            "answer" => {}
            _ => documented.fault(&status, &seen, expected),
        }
    }
    let deep = Fake::web(|_| Some(json("503 Service Unavailable", DEEP))).await;
    let seen = look(&probe("http"), deep.port).await;
    documented.fault("503 whose body names a database that fails", &seen, "bad_answer ask status_5xx");
    let down = Fake::web(|_| Some(page("200 OK", "text/plain", "DOWN"))).await;
    documented.reported("200 whose body says DOWN", &look(&probe("http"), down.port).await, "red");
    documented.finish();
}

#[tokio::test]
async fn broken_answers_are_told_apart() {
    let table: [Case; 4] = [
        (|_| Some("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc".to_owned()), "dropped body"),
        (|_| Some(page("200 OK", "application/json", "{ not json")), "protocol body"),
        (
            |_| Some(format!("HTTP/1.1 200 OK\r\nX-Much: {}\r\n\r\n", "x".repeat(1 << 20))),
            "protocol ask too_large",
        ),
        (|_| Some("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nxx".to_owned()), "protocol ask"),
    ];
    for (page, expected) in table {
        let fake = Fake::web(page).await;
        let seen = look(&probe("http"), fake.port).await;
        assert_eq!(summary(&seen), expected, "{seen:?}");
    }
}

#[tokio::test]
async fn slow_bytes_hang_in_the_body() {
    let pause = Some(Duration::from_millis(50));
    let fake = Fake::endless(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", pause).await;
    let mut probe = probe("http");
    probe.timeout = Duration::from_millis(400);
    assert_eq!(summary(&look(&probe, fake.port).await), "hung body");
}

#[tokio::test]
async fn a_deep_page_that_hangs_is_told_from_a_process_that_hangs() {
    let mut probe = with(probe("http"), &[("path", "/deep"), ("live", "/livez")]);
    probe.timeout = Duration::from_millis(800);
    let fake =
        Fake::web(|head| head.starts_with("GET /livez ").then(|| page("200 OK", "text/plain", "ok"))).await;
    let seen = look(&probe, fake.port).await;
    assert_eq!(summary(&seen), "hung deep");
    assert!(fault(&seen).words.ends_with("; /livez answers"), "{}", fault(&seen).words);
    let fake = Fake::silent().await;
    assert_eq!(summary(&look(&probe, fake.port).await), "hung ask");
}

#[tokio::test]
async fn the_request_says_who_asks_and_for_whom() {
    let fake = Fake::web(|head| {
        let head = head.to_ascii_lowercase();
        let wanted = [
            "get /health?deep=1 http/1.1\r\n",
            "host: shop.example\r\n",
            "connection: close\r\n",
            "accept-encoding: identity\r\n",
            "user-agent: topowatch/",
        ];
        let all = wanted.iter().all(|line| head.contains(line));
        Some(page(if all { "200 OK" } else { "400 Bad Request" }, "text/plain", ""))
    })
    .await;
    let probe = with(probe("http"), &[("path", "/health?deep=1"), ("host", "shop.example")]);
    assert_eq!(summary(&look(&probe, fake.port).await), "answer");
}

#[tokio::test]
async fn a_silent_tls_port_is_hung_and_a_plain_one_is_no_tls() {
    let mut probe = with(probe("http"), &[("tls", "true")]);
    let fake = Fake::saying(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    assert_eq!(summary(&look(&probe, fake.port).await), "tls tls");
    probe.timeout = Duration::from_millis(1200);
    let fake = Fake::silent().await;
    assert_eq!(summary(&look(&probe, fake.port).await), "hung tls");
}

#[tokio::test]
async fn what_is_expected_must_be_there() {
    let fake = Fake::web(|_| {
        Some(page("202 Accepted", "application/json", r#"{"stock": 7, "shop": {"open": true}}"#))
    })
    .await;
    for (expect, says) in [
        (
            "status: [202, 3xx], headers: { Content-Type: json }, json: { $.shop.open: true, $.stock: { at_least: 5 } }, body: '\"stock\"'",
            "answer",
        ),
        ("status: 200", "202: not the status expected"),
        ("headers: { X-Shop: . }", "no header X-Shop"),
        ("json: { $.stock: 8 }", "$.stock is 7, not 8"),
        ("json: { $.shop.name: x }", "$.shop.name is not there"),
        ("body: closed", "the body does not hold closed"),
        ("body_not: stock", "the body holds stock"),
    ] {
        let seen = look(&read(&format!("{{ http: {{ expect: {{ {expect} }} }} }}")), fake.port).await;
        if says == "answer" {
            assert_eq!(summary(&seen), says, "{seen:?}");
        } else {
            assert_eq!((fault(&seen).words.as_str(), fault(&seen).reason), (says, Some(Reason::Assertion)));
        }
    }
    let wrong = mistakes("{ http: { expect: { status: 20, json: { 'a b': 1 }, body: '(' } } }");
    assert_eq!(wrong.len(), 3, "{wrong:?}");
}

#[tokio::test]
async fn a_login_redirect_is_health_only_where_it_is_expected() {
    let fake =
        Fake::web(|_| Some("HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n".to_owned()))
            .await;
    assert_eq!(summary(&look(&probe("http"), fake.port).await), "bad_answer ask assertion");
    assert_eq!(summary(&look(&read("{ http: { expect: { status: 302 } } }"), fake.port).await), "answer");
}

#[tokio::test]
async fn an_observed_value_can_have_a_threshold() {
    let fake = Fake::web(|_| {
        Some(json(
            "200 OK",
            r#"{"status":"pass","checks":{"sessions":[{"status":"pass","observedValue":512}]}}"#,
        ))
    })
    .await;
    let probe = read("{ http: { observed: { sessions: { above: { yellow: 500 } } } } }");
    assert_eq!(answer(&look(&probe, fake.port).await).signals["http.observed[sessions]"], 512.0);
    assert_eq!(probe.thresholds.iter().filter(|limit| limit.signal == "http.observed[sessions]").count(), 1);
}

/// A monitor that gets no time is late itself, and that is not the target's time.
#[tokio::test]
async fn what_the_monitor_slept_through_is_not_the_target_s_time() {
    const ASLEEP: Duration = Duration::from_millis(500);
    // The test's own thread is the monitor's: while it sleeps nobody looks at the answer.
    let fake = Fake::web(|head| {
        if head.starts_with("GET /asleep") {
            std::thread::sleep(ASLEEP);
        }
        Some(page("200 OK", "text/plain", "ok"))
    })
    .await;
    let prober = Prober::new().unwrap();
    let address = Address { host: "127.0.0.1".to_owned(), port: fake.port };
    assert_eq!(summary(&prober.look(&probe("http"), &address, "web-1").await), "answer");
    let seen = prober.look(&with(probe("http"), &[("path", "/asleep")]), &address, "web-1").await;
    let measured = answer(&seen).signals["http.latency_seconds"];
    assert!(measured < ASLEEP.as_secs_f64() / 2.0, "{measured}");
    assert!(seen.took < ASLEEP / 2, "{:?}", seen.took);
}
