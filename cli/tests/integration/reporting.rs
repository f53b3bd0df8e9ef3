//! What is told to a running `topowatch serve` without being asked: heartbeats, and a gateway's access log.

use std::net::UdpSocket;
use std::time::Duration;

use crate::serving::{get, listen, serve, serve_with};
use crate::support::{await_true, free_port};

fn post(url: &str, headers: &[(&str, &str)], body: &str) -> u16 {
    use std::io::{Read, Write};
    let (address, path) = url.trim_start_matches("http://").split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let headers: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let headers = headers.concat();
    let length = body.len();
    write!(
        stream,
        "POST /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer);
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}

#[test]
fn a_heartbeat_makes_a_level_and_its_end_an_incident() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("topology.yaml");
    let text = "defaults: { interval: 200ms, timeout: 200ms }\ncomponents:\n  \
                backup:\n    instances: [\"127.0.0.1:1\"]\n    \
                probe: { heartbeat: { every: 1s, grace: 1s, token: hunter2hunter2 } }\n  \
                web: { instances: [\"127.0.0.1:1\"], probe: { tcp: {} } }\n";
    std::fs::write(&file, text).unwrap();
    let serve = serve(dir.path(), free_port(), &file.display().to_string());
    let at = |node: &str| format!("{}/api/v1/heartbeat/{node}", serve.url);
    let right = ("authorization", "Bearer hunter2hunter2");
    assert_eq!(serve.level_of("backup"), "unknown");
    // The wrong token, none at all though this is the very machine, nobody of that name, nobody who reports.
    assert_eq!(post(&at("backup-1"), &[("authorization", "Bearer hunter3")], ""), 401);
    assert_eq!(post(&at("backup-1"), &[("content-type", "application/json")], ""), 401);
    assert_eq!(post(&at("backupp-1"), &[right], ""), 404);
    assert_eq!(post(&at("web-1"), &[right], ""), 422);
    assert_eq!(post(&at("backup-1"), &[right], "{\"status\":\"perhaps\"}"), 400);
    assert_eq!(serve.level_of("backup"), "unknown");

    assert_eq!(post(&at("backup"), &[right], ""), 202);
    let green = || {
        post(&at("backup-1"), &[right], "{\"status\":\"ok\"}");
        serve.level_of("backup") == "green"
    };
    await_true("green", green);
    await_true("red for silence", || serve.level_of("backup") == "red");
    let board = get(&serve.url, "/api/v1/board");
    assert!(board.contains("\"no_heartbeat\"") && !board.contains("hunter2"), "{board}");
    await_true("green again", green);
}

/// Sends the log lines of a gateway until `enough`: as many for each server, with this status.
fn log_until(to: u16, servers: &[(u16, u16)], mut enough: impl FnMut() -> bool) {
    let gateway = UdpSocket::bind("127.0.0.1:0").unwrap();
    await_true("the log", || {
        for (server, status) in servers {
            let line = format!(
                "<190>Nov 28 12:00:00 topowatch: {{\"instance\":\"gateway-1\",\"path\":\"/\",\"method\":\"GET\",\
                     \"status\":\"{status}\",\"bytes\":\"10\",\"time\":\"0.010\",\
                     \"upstream\":\"127.0.0.1:{server}\",\"upstream_status\":\"{status}\",\"upstream_time\":\"0.009\"}}"
            );
            for _ in 0..20 {
                gateway.send_to(line.as_bytes(), ("127.0.0.1", to)).unwrap();
            }
        }
        enough()
    });
}

#[test]
fn the_gateway_s_log_names_the_server_whose_own_probe_is_green() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two, edge, log) = (free_port(), free_port(), free_port(), free_port());
    let _listeners = [listen(one), listen(two), listen(edge)];
    let file = dir.path().join("topology.yaml");
    let text = format!(
        "defaults: {{ interval: 200ms, timeout: 200ms }}\ncomponents:\n  gateway:\n    \
         instances: [\"127.0.0.1:{edge}\"]\n    probe: {{ tcp: {{}}, access_log: {{ window: 3s, errors: {{ yellow: 5%, red: 30% }} }} }}\n    \
         depends_on: [app]\n  app:\n    instances: [\"127.0.0.1:{one}\", \"127.0.0.1:{two}\"]\n    probe: {{ tcp: {{}} }}\n"
    );
    std::fs::write(&file, text).unwrap();
    let to = format!("127.0.0.1:{log}");
    let serve = serve_with(dir.path(), free_port(), &file.display().to_string(), &["--access-log", &to]);
    log_until(log, &[(one, 200), (two, 200)], || serve.level_of("gateway") == "green");
    // Half of what the gateway answers fails, all of it through the second server.
    log_until(log, &[(one, 200), (two, 503)], || serve.level_of("gateway") == "red");
    log_until(log, &[(one, 200), (two, 503)], || serve.open_incident().is_some());
    let why = serve.open_incident().unwrap();
    assert_eq!(why["verdict"]["roots"][0]["node"], "app-2", "{why:#}");
    log_until(log, &[(one, 200), (two, 200)], || serve.level_of("gateway") == "green");
}
