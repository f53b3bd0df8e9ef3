//! What a look costs, in CPU time of this process; run by hand in a release build:
//! `cargo test --release -p probes --test integration -- --ignored --nocapture cpu::`

use std::time::Duration;

use probes::Prober;
use probes::observation::Outcome;
use topology::model::{Address, Probe};

use crate::fakes::Fake;
use crate::{mysql, postgres, redis};

const LOOKS: u32 = 2000;

/// CPU time of this process, user and system.
fn cpu() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let spent = threads.map(|thread| {
        let text = std::fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap_or_default();
        text.split_whitespace().next().and_then(|nanos| nanos.parse::<u64>().ok()).unwrap_or(0)
    });
    Duration::from_nanos(spent.sum())
}

#[expect(clippy::print_stderr, reason = "the figure is what it is run for")]
async fn measure(what: &str, probe: &Probe, port: u16) {
    let prober = Prober::new().unwrap();
    let address = Address { host: "127.0.0.1".to_owned(), port };
    for _ in 0..50 {
        let seen = prober.look(probe, &address, "it-1").await;
        assert!(matches!(seen.outcome, Outcome::Answer(_)), "{what}: {seen:?}");
    }
    let before = cpu();
    for _ in 0..LOOKS {
        let seen = prober.look(probe, &address, "it-1").await;
        assert!(matches!(seen.outcome, Outcome::Answer(_)), "{what}: {seen:?}");
    }
    let spent = cpu().saturating_sub(before);
    eprintln!("{what}: {:?} of CPU a look", spent / LOOKS);
}

/// One thread, so that no time is spent on waking others.
#[tokio::test]
#[ignore = "a measurement, not a test"]
async fn looks() {
    let http = Fake::apart("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    measure("http, fresh", &crate::support::read("{ http: {} }"), http).await;
    let (server, fresh, kept) = redis::measured().await;
    measure("redis, fresh", &fresh, server.port).await;
    measure("redis, kept", &kept, server.port).await;
    let (server, fresh, kept) = postgres::measured().await;
    measure("postgres, fresh", &fresh, server.port).await;
    measure("postgres, kept", &kept, server.port).await;
    let (server, fresh, kept) = mysql::measured().await;
    measure("mysql, fresh", &fresh, server.port).await;
    measure("mysql, kept", &kept, server.port).await;
}
