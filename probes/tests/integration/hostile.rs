//! Targets that mean harm: each has its own fault, costs less than a MiB, and delays no other probe.

use std::time::Duration;

use probes::Prober;
use probes::observation::Outcome;
use topology::model::{Address, Probe};

use crate::fakes::Fake;
use crate::support::{fault, look, read, summary};
use crate::table::Table;

/// Looks at once, so that what one of them costs is seen apart from what the process needs anyway.
const AT_ONCE: usize = 16;
const TIMEOUT: Duration = Duration::from_millis(600);

struct Case {
    how: &'static str,
    probe: &'static str,
    fake: Fake,
    expected: &'static str,
}

async fn http(how: &'static str, head: &'static [u8], expected: &'static str) -> Case {
    Case { how, probe: "{ http: {} }", fake: Fake::endless(head, None).await, expected }
}

async fn saying(
    how: &'static str,
    probe: &'static str,
    words: &'static [u8],
    expected: &'static str,
) -> Case {
    Case { how, probe, fake: Fake::saying(words).await, expected }
}

async fn endless(
    how: &'static str,
    probe: &'static str,
    first: &'static [u8],
    expected: &'static str,
) -> Case {
    Case { how, probe, fake: Fake::endless(first, None).await, expected }
}

async fn slow(how: &'static str, probe: &'static str, first: &'static [u8], expected: &'static str) -> Case {
    let pause = Some(Duration::from_millis(50));
    Case { how, probe, fake: Fake::endless(first, pause).await, expected }
}

/// A gzip of a gigabyte would be some MiB; that it is one at all is enough.
const BOMB: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1000000\r\n\r\n\x1f\x8b\x08";
const LOOP: &[u8] = b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n";
const METADATA: &[u8] =
    b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/meta-data/\r\nContent-Length: 0\r\n\r\n";
const DEEP: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";

async fn cases() -> Vec<Case> {
    vec![
        http("headers without end", b"HTTP/1.1 200 OK\r\nX: ", "protocol ask too_large").await,
        http("a body without end", b"HTTP/1.1 200 OK\r\n\r\n", "bad_answer body too_large").await,
        http(
            "chunks of 2^63 bytes",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n",
            "bad_answer body too_large",
        )
        .await,
        http("a decompression bomb", BOMB, "protocol ask").await,
        http("a redirect to itself", LOOP, "bad_answer ask assertion").await,
        http("a redirect to 169.254.169.254", METADATA, "bad_answer ask assertion").await,
        slow("a header of one byte at a time", "{ http: {} }", b"HTTP/1.1 200 OK\r\nX: ", "hung ask").await,
        slow("a body of one byte at a time", "{ http: {} }", b"HTTP/1.1 200 OK\r\n\r\n", "hung body").await,
        endless(
            "JSON that nests without end",
            "{ http: { max_body: 200KiB } }",
            DEEP,
            "bad_answer body too_large",
        )
        .await,
        endless("a banner without end", "{ tcp: { expect: ^220 } }", b"x", "bad_answer ask assertion").await,
        slow("a banner of one byte at a time", "{ tcp: { expect: ^220 } }", b"x", "bad_answer ask assertion")
            .await,
        endless(
            "a Redis string of 2^63 bytes",
            "{ redis: {} }",
            b"$9223372036854775807\r\n",
            "bad_answer handshake too_large",
        )
        .await,
        endless(
            "a Redis array of 2^63 elements",
            "{ redis: {} }",
            b"*9223372036854775807\r\n",
            "protocol handshake",
        )
        .await,
        endless("a Redis error without end", "{ redis: {} }", b"-ERR ", "bad_answer handshake too_large")
            .await,
        endless(
            "an AMQP frame of 4 GiB",
            "{ amqp: {} }",
            b"\x01\x00\x00\xff\xff\xff\xff",
            "protocol handshake too_large",
        )
        .await,
        endless(
            "a PostgreSQL message of 1 GiB",
            "{ postgres: {} }",
            b"NR\x40\x00\x00\x00\0\0\0\x03",
            "bad_answer handshake too_large",
        )
        .await,
        endless(
            "a MySQL packet of 16 MiB",
            "{ mysql: {} }",
            b"\xff\xff\xff\0",
            "bad_answer handshake too_large",
        )
        .await,
        endless(
            "statistics of memcached without end",
            "{ memcached: {} }",
            b"VERSION 1\r\nSTAT a ",
            "protocol ask",
        )
        .await,
        endless(
            "an upgrade to WebSocket without end",
            "{ websocket: {} }",
            b"HTTP/1.1 101 Switching\r\nX: ",
            "protocol handshake",
        )
        .await,
        endless(
            "a page of metrics without end",
            "{ prometheus: { values: { it: { metric: a } } } }",
            b"HTTP/1.1 200 OK\r\n\r\n",
            "bad_answer body too_large",
        )
        .await,
        endless("a TLS record of noise", "{ tls: {} }", b"\x16\x03\x03\xff\xff", "tls tls").await,
        saying(
            "HTML",
            "{ redis: {} }",
            b"<!doctype html><script>alert(1)</script>\r\n",
            "protocol handshake",
        )
        .await,
        saying(
            "invalid UTF-8",
            "{ tcp: { expect: ok } }",
            b"\xff\xfe\xc0\x80\r\n",
            "bad_answer ask assertion",
        )
        .await,
        saying(
            "escapes of a terminal",
            "{ tcp: { expect: ok } }",
            b"\x1b]0;owned\x07\x1b[2J\x1b[31m",
            "bad_answer ask assertion",
        )
        .await,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_targets_cost_little_and_delay_nobody() {
    let mut table = Table::new("hostile");
    let healthy = Fake::talking(|_, _| {
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok".to_owned()
    })
    .await;
    let prober = Prober::new().unwrap();
    let neighbour = read("{ http: {} }");
    let here = Address { host: "127.0.0.1".to_owned(), port: healthy.port };
    let mut peak = 0;
    for case in cases().await {
        let mut probe = read(case.probe);
        probe.timeout = TIMEOUT;
        // What is made once (TLS settings, threads) is not the target's doing.
        let first = look(&probe, case.fake.port).await;
        let before = resident("VmRSS");
        forget_the_peak();
        let target = Address { host: "127.0.0.1".to_owned(), port: case.fake.port };
        let looks = many(&prober, &probe, &target);
        let others = async {
            for _ in 0..4 {
                let seen = prober.look(&neighbour, &here, "neighbour-1").await;
                assert!(matches!(seen.outcome, Outcome::Answer(_)), "beside {}: {seen:?}", case.how);
            }
        };
        let (seen, ()) = tokio::join!(looks, others);
        let cost = resident("VmHWM").saturating_sub(before) / AT_ONCE as u64;
        peak = peak.max(cost);
        assert!(cost < 1024, "{}: {cost} KiB each", case.how);
        for each in &seen {
            assert_eq!(summary(each), case.expected, "{}: {each:?}", case.how);
            assert!(each.took < TIMEOUT + Duration::from_secs(2), "{}", case.how);
            let words = &fault(each).words;
            assert!(words.len() <= 256 && !words.chars().any(char::is_control), "{}: {words:?}", case.how);
        }
        table.fault(case.how, &first, case.expected);
    }
    eprintln!("the dearest of them took {peak} KiB each");
    table.finish();
}

async fn many(prober: &Prober, probe: &Probe, target: &Address) -> Vec<probes::observation::Observation> {
    let looks = (0..AT_ONCE).map(|_| prober.look(probe, target, "hostile-1"));
    futures_util::future::join_all(looks).await
}

/// KiB of memory: now, or at the most since the peak was forgotten.
fn resident(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn forget_the_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}
