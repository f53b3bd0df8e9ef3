//! One table for all kinds: what they say of servers that misbehave.

use std::time::Duration;

use futures_util::future::join_all;
use topology::model::Probe;

use crate::fakes::Fake;
use crate::support::{free_port, look, networked, summary};
use crate::table::Table;

const TIMEOUT: Duration = Duration::from_millis(800);

struct Expected {
    kind: &'static str,
    silent: &'static str,
    closed: &'static str,
    /// Bytes of another protocol.
    garbage: &'static [u8],
    garbled: &'static str,
}

const TABLE: &[Expected] = &[
    Expected {
        kind: "http",
        silent: "hung ask",
        closed: "dropped ask",
        garbage: b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        garbled: "protocol ask",
    },
    Expected {
        kind: "nginx",
        silent: "hung ask",
        closed: "dropped ask",
        garbage: b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        garbled: "protocol ask",
    },
    Expected { kind: "tcp", silent: "answer", closed: "answer", garbage: b"anything", garbled: "answer" },
    Expected {
        kind: "redis",
        silent: "hung handshake",
        closed: "dropped handshake",
        garbage: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        garbled: "protocol handshake",
    },
    Expected {
        kind: "postgres",
        silent: "hung handshake",
        closed: "dropped handshake",
        garbage: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        garbled: "protocol handshake",
    },
    Expected {
        kind: "mysql",
        silent: "hung handshake",
        closed: "dropped handshake",
        garbage: b"\x08\x00\x00\x00greeting",
        garbled: "protocol handshake",
    },
    Expected {
        kind: "amqp",
        silent: "hung handshake",
        closed: "dropped handshake",
        garbage: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        garbled: "protocol handshake",
    },
    Expected {
        kind: "websocket",
        silent: "hung handshake",
        closed: "dropped handshake",
        garbage: b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        garbled: "protocol handshake",
    },
    Expected {
        kind: "journey",
        silent: "hung ask",
        closed: "dropped ask",
        garbage: b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        garbled: "protocol ask",
    },
    Expected {
        kind: "prometheus",
        silent: "hung ask",
        closed: "dropped ask",
        garbage: b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        garbled: "protocol ask",
    },
    Expected {
        kind: "rabbitmq",
        silent: "hung ask",
        closed: "dropped ask",
        garbage: b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        garbled: "protocol ask",
    },
    Expected {
        kind: "memcached",
        silent: "hung ask",
        closed: "dropped ask",
        garbage: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        garbled: "protocol ask",
    },
    Expected {
        kind: "tls",
        silent: "hung tls",
        closed: "dropped tls",
        garbage: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        garbled: "tls tls",
    },
];

async fn see(mut probe: Probe, port: u16) -> String {
    probe.timeout = TIMEOUT;
    summary(&look(&probe, port).await)
}

fn probe(kind: &str) -> Probe {
    networked().into_iter().find(|probe| probe.kind.name == kind).unwrap()
}

/// All kinds at once; the whole table is shown when one row is wrong.
#[tokio::test]
async fn every_kind_tells_what_misbehaves() {
    let full = Fake::full().await;
    let full = full.port;
    let looks = TABLE.iter().map(|row| async move {
        let (silent, closing) = (Fake::silent().await, Fake::closing().await);
        let garbling = Fake::saying(row.garbage).await;
        let ports = [free_port(), full, silent.port, closing.port, garbling.port];
        let seen = join_all(ports.map(|port| see(probe(row.kind), port))).await;
        let expected = ["refused tcp", "connect_timeout tcp", row.silent, row.closed, row.garbled];
        (row.kind, seen, expected)
    });
    let head = [
        "kind",
        "nobody listens",
        "accept queue full",
        "connected, and silence",
        "closed at once",
        "another protocol",
    ];
    let mut table = Table::with_head("any", &head);
    let (mut all, mut wanted) = (Vec::new(), Vec::new());
    for (kind, seen, expected) in join_all(looks).await {
        let cells = |cells: &[String]| -> Vec<String> {
            std::iter::once(format!("`{kind}`")).chain(cells.iter().map(|cell| format!("`{cell}`"))).collect()
        };
        wanted.push(cells(&expected.map(str::to_owned)));
        table.row(cells(&seen));
        all.push(cells(&seen));
    }
    assert_eq!(all, wanted);
    table.finish();
}
