//! The word of a real nginx on the servers behind it.

use std::time::Duration;

use probes::observation::Observation;
use probes::{AccessLogs, Prober};
use topology::level::Health;
use topology::model::{Address, Probe};

use crate::fakes::Fake;
use crate::nginx::start_with;
use crate::support::{answer, await_answer, free_port, home, look, read};
use crate::table::Table;

/// As docs/probes.md gives it.
fn log_format() -> &'static str {
    let docs = include_str!("../../../docs/probes.md");
    let start = docs.find("log_format topowatch ").unwrap();
    let length = docs[start..].find("access_log ").unwrap();
    &docs[start..start + length]
}

struct Gateway {
    prober: Prober,
    address: Address,
    probe: Probe,
}

impl Gateway {
    async fn look(&self) -> Observation {
        self.prober.look(&self.probe, &self.address, "gateway-1").await
    }

    /// Looks until so many requests of the window are known, and not all by chance.
    async fn look_until(&self, enough: impl Fn(&Observation) -> bool) -> Observation {
        let mut last = None;
        let looking = async {
            loop {
                let seen = self.look().await;
                if enough(&seen) {
                    return seen;
                }
                last = Some(format!("{seen:?}"));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let seen = tokio::time::timeout(Duration::from_secs(30), looking).await.ok();
        seen.unwrap_or_else(|| panic!("{last:?}, lines {:?}", self.prober.access_log_lines()))
    }

    async fn ask(&self, path: &str, times: u32) {
        let page = read(&format!("{{ http: {{ path: {path} }} }}"));
        for _ in 0..times {
            look(&page, self.address.port).await;
        }
    }
}

#[tokio::test]
async fn a_gateway_tells_of_every_server_behind_it() {
    let mut table = Table::new("access_log");
    let good = Fake::web(|_| Some("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned())).await;
    let failing = Fake::web(|_| Some("HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno".to_owned())).await;
    let (port, dead) = (free_port(), free_port());
    let prober = Prober::new().unwrap();
    let probe =
        read("{ access_log: { window: 60s, interfaces: { order: { path: /api/orders* }, /menu: {} } } }");
    let address = Address { host: "127.0.0.1".to_owned(), port };

    // Without a receiver it is not green for want of trouble.
    let unheard = prober.look(&probe, &address, "gateway-1").await;
    table.reported("no `--access-log`", &unheard, "unknown");

    let logs = AccessLogs::bind(&prober, "127.0.0.1:0".parse().unwrap()).unwrap();
    let to = logs.local_addr().unwrap();
    let receiving = tokio::spawn(logs.run());
    let gateway = Gateway { prober, address, probe };
    let silent = gateway.look().await;
    assert_eq!(answer(&silent).notes, ["no line of this instance has come yet"]);
    assert_eq!(answer(&silent).reported, None);

    let servers = format!(
        "{}\nupstream app {{ server 127.0.0.1:{} max_fails=0; server 127.0.0.1:{dead} max_fails=0; }}\n\
         server {{ listen 127.0.0.1:{port};\n\
         access_log syslog:server={to},tag=topowatch,nohostname topowatch;\n\
         location / {{ proxy_pass http://app; }}\n\
         location = /menu {{ return 200 menu; }}\n\
         location = /api/orders/bad {{ proxy_pass http://127.0.0.1:{}; }} }}\n",
        log_format(),
        good.port,
        failing.port,
    );
    let mut server = start_with(home(), port, &servers);
    await_answer(&read("{ http: { path: /menu } }"), port).await;

    gateway.ask("/api/orders/7", 24).await;
    gateway.ask("/menu", 10).await;
    let requests = |seen: &Observation, name: &str| answer(seen).signals.get(name).copied().unwrap_or(0.0);
    // The dead one is asked in turn and its request taken over by the other: no user sees it, the log does.
    let seen = gateway
        .look_until(|seen| seen.witnesses.len() == 2 && requests(seen, "access_log.servers_failing") == 1.0)
        .await;
    assert_eq!(requests(&seen, "access_log.error_ratio"), 0.0, "{seen:?}");
    assert!(requests(&seen, "access_log.interface_requests_per_second[order]") > 0.0);
    // Ten requests are too few for a share.
    assert!(!answer(&seen).signals.contains_key("access_log.interface_error_ratio[/menu]"));
    assert!(requests(&seen, "access_log.interface_requests_per_second[/menu]") > 0.0);
    let word = |on: u16| seen.witnesses.iter().find(|w| w.on == format!("127.0.0.1:{on}")).unwrap();
    assert_eq!((word(good.port).health, word(dead).health), (Health::Green, Health::Red));
    assert!(
        word(dead).words.starts_with("failed ") && word(dead).words.ends_with("(502)"),
        "{}",
        word(dead).words
    );
    assert!(word(good.port).latency.is_some());
    table.signal(
        "an upstream on a closed port beside a good one",
        &seen,
        "access_log.servers_failing",
        |n| n == 1.0,
    );

    gateway.ask("/api/orders/bad", 40).await;
    let ratio = "access_log.interface_error_ratio[order]";
    let seen = gateway.look_until(|seen| requests(seen, ratio) > 0.5).await;
    table
        .signal("an interface whose upstream answers 500", &seen, ratio, |ratio| ratio > 0.5 && ratio < 0.75);
    let word = seen.witnesses.iter().find(|w| w.on == format!("127.0.0.1:{}", failing.port)).unwrap();
    assert_eq!((word.health, word.words.ends_with("(500)")), (Health::Red, true), "{}", word.words);

    // What is no line is counted and hurts nobody.
    let stranger = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for datagram in [&b"<190>hello"[..], &[0xff; 9000], br#"{"status":"200","time":"1","instance":"nobody"}"#]
    {
        stranger.send_to(datagram, to).await.unwrap();
    }
    gateway
        .look_until(|_| {
            let lines = gateway.prober.access_log_lines();
            (lines.unreadable, lines.unmatched) == (2, 1)
        })
        .await;

    server.kill();
    receiving.abort();
    table.finish();
}
