//! One table for all kinds: what they say of servers that misbehave.

use std::time::Duration;

use crate::fakes::Fake;
use crate::support::{fault, free_port, look, probe, summary};

const TIMEOUT: Duration = Duration::from_millis(800);

struct Expected {
    kind: &'static str,
    silent: &'static str,
    closed: &'static str,
    /// Bytes of another protocol.
    garbage: &'static [u8],
    garbled: &'static str,
    /// How an answer without end begins.
    first: &'static [u8],
    endless: &'static str,
}

const TABLE: &[Expected] = &[
    Expected {
        kind: "http",
        silent: "hung ask",
        closed: "dropped ask",
        garbage: b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        garbled: "protocol ask",
        first: b"HTTP/1.1 200 OK\r\n\r\n",
        endless: "bad_answer body too_large",
    },
    Expected {
        kind: "nginx",
        silent: "hung ask",
        closed: "dropped ask",
        garbage: b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        garbled: "protocol ask",
        first: b"HTTP/1.1 200 OK\r\n\r\n",
        endless: "bad_answer body too_large",
    },
    Expected {
        kind: "tcp",
        silent: "answer",
        closed: "answer",
        garbage: b"anything",
        garbled: "answer",
        first: b"anything",
        endless: "answer",
    },
    Expected {
        kind: "redis",
        silent: "hung handshake",
        closed: "dropped handshake",
        garbage: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        garbled: "protocol handshake",
        first: b"$536870912\r\n",
        endless: "bad_answer handshake too_large",
    },
    Expected {
        kind: "postgres",
        silent: "hung handshake",
        closed: "dropped handshake",
        garbage: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        garbled: "protocol handshake",
        first: b"H",
        endless: "protocol handshake",
    },
    Expected {
        kind: "mysql",
        silent: "hung handshake",
        closed: "dropped handshake",
        garbage: b"\x08\x00\x00\x00greeting",
        garbled: "protocol handshake",
        first: b"\x08\x00\x00\x00",
        endless: "protocol handshake",
    },
    Expected {
        kind: "amqp",
        silent: "hung handshake",
        closed: "dropped handshake",
        garbage: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        garbled: "protocol handshake",
        first: b"H",
        endless: "protocol handshake",
    },
];

async fn see(kind: &str, port: u16) -> String {
    let mut probe = probe(kind);
    probe.timeout = TIMEOUT;
    if kind == "amqp" {
        probe.labels = vec!["orders".to_owned()];
    }
    let seen = look(&probe, port).await;
    // The name of the kind makes a row of the table out of it.
    format!("{kind}: {}", summary(&seen))
}

/// Compares all kinds at once: the whole table is shown when one row is wrong.
async fn compare<F, Making>(make: F, expect: fn(&Expected) -> &str)
where
    F: Fn(&'static Expected) -> Making,
    Making: Future<Output = Fake>,
{
    let (mut seen, mut expected) = (Vec::new(), Vec::new());
    for row in TABLE {
        let fake = make(row).await;
        seen.push(see(row.kind, fake.port).await);
        expected.push(format!("{}: {}", row.kind, expect(row)));
    }
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn nobody_listens() {
    for row in TABLE {
        assert_eq!(see(row.kind, free_port()).await, format!("{}: refused tcp", row.kind));
    }
}

#[tokio::test]
async fn a_full_listener_is_no_connection_and_no_hang() {
    let fake = Fake::full().await;
    for row in TABLE {
        assert_eq!(see(row.kind, fake.port).await, format!("{}: connect_timeout tcp", row.kind));
    }
}

#[tokio::test]
async fn a_silent_server_is_hung() {
    compare(|_| Fake::silent(), |row| row.silent).await;
}

#[tokio::test]
async fn a_closed_connection_is_dropped() {
    compare(|_| Fake::closing(), |row| row.closed).await;
}

#[tokio::test]
async fn another_protocol_is_garbled() {
    compare(|row| Fake::saying(row.garbage), |row| row.garbled).await;
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    compare(|row| Fake::endless(row.first, None), |row| row.endless).await;
}

#[tokio::test]
async fn slow_bytes_do_not_outlast_the_timeout() {
    for row in TABLE {
        let fake = Fake::endless(row.first, Some(Duration::from_millis(100))).await;
        let mut probe = probe(row.kind);
        probe.timeout = TIMEOUT;
        let seen = look(&probe, fake.port).await;
        if row.kind != "tcp" {
            assert!(!fault(&seen).words.is_empty(), "{}", row.kind);
        }
    }
}

/// A length is reserved and read by the SQL client, whatever it is.
#[tokio::test]
async fn a_database_cannot_make_the_monitor_read_without_end() {
    let databases: [(&str, &[u8], &str); 2] = [
        ("postgres", b"NR\x7f\xff\xff\xff\0\0\0\x03", "bad_answer handshake too_large"),
        ("mysql", b"\xff\xff\xff\0", "bad_answer handshake too_large"),
    ];
    for (kind, first, expected) in databases {
        let fake = Fake::endless(first, None).await;
        assert_eq!(see(kind, fake.port).await, format!("{kind}: {expected}"));
    }
}
