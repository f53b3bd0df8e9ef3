//! `topowatch serve` as a process: ports, signals, restarts, receivers. Its targets are plain listeners.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::receiver::Receiver;
use crate::support::{Process, await_some, await_true, code, free_port, run, stderr, stdout, topowatch};

pub(crate) struct Serve {
    pub(crate) process: Process,
    pub(crate) url: String,
}

pub(crate) fn serve(dir: &Path, port: u16, file: &str) -> Serve {
    serve_with(dir, port, file, &[])
}

pub(crate) fn serve_with(dir: &Path, port: u16, file: &str, more: &[&str]) -> Serve {
    let mut command = topowatch();
    command.args(["serve", "--config", file, "--listen", &format!("127.0.0.1:{port}"), "--database"]);
    command.arg(format!("sqlite://{}", dir.join("history.db").display())).args(more);
    let process = Process::start(&mut command, &dir.join("serve.log"));
    let url = format!("http://127.0.0.1:{port}");
    let serve = Serve { process, url };
    await_true("the server", || serve.ask(&["health"]).is_some());
    serve
}

impl Serve {
    /// The JSON answer to a query; none while nothing answers.
    pub(crate) fn ask(&self, args: &[&str]) -> Option<Value> {
        let output = topowatch().args(args).args(["--json", "--url", &self.url]).output().unwrap();
        serde_json::from_str(&stdout(&output)).ok()
    }

    pub(crate) fn open_incident(&self) -> Option<Value> {
        self.ask(&["why"]).filter(|why| why["id"].is_string())
    }

    pub(crate) fn level_of(&self, node: &str) -> String {
        self.ask(&["health", node]).map(|node| node["level"].as_str().unwrap().to_owned()).unwrap_or_default()
    }
}

/// Two components, `web` on `db`, whose listeners the test can close; a fast interval, so that a test of a
/// whole outage takes seconds.
fn two(dir: &Path, db: u16, web: u16, receivers: &[(&str, &str)]) -> String {
    let list: Vec<String> =
        receivers.iter().map(|(name, url)| format!("{name}: {{ webhook: {{ url: \"{url}\" }} }}")).collect();
    let text = format!(
        "defaults: {{ interval: 200ms, timeout: 200ms }}\ncomponents:\n  \
         web: {{ instances: [\"127.0.0.1:{web}\"], probe: {{ tcp: {{}} }}, depends_on: [db] }}\n  \
         db: {{ instances: [\"127.0.0.1:{db}\"], probe: {{ tcp: {{}} }} }}\n\
         alerts: {{ receivers: {{ {} }} }}\n",
        list.join(", ")
    );
    let file = dir.join("topology.yaml");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

pub(crate) fn listen(port: u16) -> TcpListener {
    await_some("the port", || TcpListener::bind(("127.0.0.1", port)).ok())
}

#[test]
fn a_taken_port_says_how_to_find_its_holder() {
    let dir = tempfile::tempdir().unwrap();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap();
    let file = two(dir.path(), 1, 1, &[]);
    let database = format!("sqlite://{}", dir.path().join("x.db").display());
    let output = run(&["serve", "-c", &file, "--listen", &address.to_string(), "--database", &database]);
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).contains(&format!("ss -ltnp 'sport = :{}'", address.port())),
        "{}",
        stderr(&output)
    );
}

#[test]
fn sigterm_ends_it_with_0_also_while_a_page_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut serve = serve(dir.path(), port, &two(dir.path(), 1, 1, &[]));
    // An event stream never ends by itself.
    let mut page = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    std::io::Write::write_all(&mut page, b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut first = [0; 16];
    std::io::Read::read_exact(&mut page, &mut first).unwrap();
    serve.process.signal(Signal::SIGTERM);
    assert_eq!(serve.process.await_end(), 0);
}

#[test]
fn lesson_22_a_restart_in_an_outage_keeps_incident_and_since_and_tells_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (db, web, port) = (free_port(), free_port(), free_port());
    let receiver = Receiver::start();
    let file = two(dir.path(), db, web, &[("ops", &receiver.url)]);
    let _web = listen(web);
    let listener = listen(db);
    let mut first = serve(dir.path(), port, &file);
    await_true("green", || first.level_of("web") == "green" && first.level_of("db") == "green");
    drop(listener);
    await_true("the message", || receiver.events() == ["open"]);
    let before = first.open_incident().unwrap();
    let since = first.ask(&["health", "db-1"]).unwrap()["since"].clone();
    let component_since = first.ask(&["health", "web"]).unwrap()["since"].clone();

    first.process.signal(Signal::SIGKILL);
    first.process.await_end();
    let second = serve(dir.path(), port, &file);
    await_true("red again", || second.level_of("web") == "red");
    let after = second.open_incident().unwrap();
    assert_eq!(after["id"], before["id"]);
    assert_eq!(after["opened_at"], before["opened_at"]);
    assert_eq!(second.ask(&["health", "db-1"]).unwrap()["since"], since);
    assert_eq!(second.ask(&["health", "web"]).unwrap()["since"], component_since);

    let _mended = listen(db);
    await_true("green again", || second.ask(&["health"]).is_some_and(|h| h["level"] == "green"));
    await_true("the last message", || receiver.events().len() >= 2);
    assert_eq!(receiver.events(), ["open", "resolve"]);
    let keys: Vec<String> = receiver.told().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys[0], format!("{}-1", before["id"].as_str().unwrap()));
    assert_eq!(keys[1], format!("{}-2", before["id"].as_str().unwrap()));
}

#[test]
fn a_kill_between_incident_and_delivery_loses_and_doubles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (db, web, port) = (free_port(), free_port(), free_port());
    // The receiver is away: the message waits in the outbox.
    let away = free_port();
    let url = format!("http://127.0.0.1:{away}/hook");
    let file = two(dir.path(), db, web, &[("ops", &url)]);
    let _web = listen(web);
    let listener = listen(db);
    let mut first = serve(dir.path(), port, &file);
    await_true("green", || first.level_of("db") == "green");
    drop(listener);
    let log = dir.path().join("serve.log");
    await_true("a delivery that fails", || std::fs::read_to_string(&log).unwrap().contains("not taken"));
    first.process.signal(Signal::SIGKILL);
    first.process.await_end();

    let receiver = Receiver::start();
    // The same receiver by name, back under another address.
    let file = two(dir.path(), db, web, &[("ops", &receiver.url)]);
    let second = serve(dir.path(), port, &file);
    await_true("the message", || !receiver.events().is_empty());
    let _mended = listen(db);
    await_true("the last message", || receiver.events().len() >= 2);
    assert_eq!(receiver.events(), ["open", "resolve"]);
    assert!(receiver.told()[0].1["late_s"].as_f64().unwrap() > 0.0);
    drop(second);
}

#[test]
fn lesson_13_a_receiver_that_hangs_delays_no_probe_and_no_other_receiver() {
    let dir = tempfile::tempdir().unwrap();
    let (db, web, port) = (free_port(), free_port(), free_port());
    // It accepts (the kernel does) and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let hung = format!("http://{}/", silent.local_addr().unwrap());
    let receiver = Receiver::start();
    let file = two(dir.path(), db, web, &[("a-hung", &hung), ("ops", &receiver.url)]);
    let _web = listen(web);
    let listener = listen(db);
    let serve = serve(dir.path(), port, &file);
    await_true("green", || serve.level_of("db") == "green");
    drop(listener);
    await_true("the message", || receiver.events() == ["open"]);
    let _mended = listen(db);
    await_true("the last message", || receiver.events() == ["open", "resolve"]);
    let late = board(&serve.url)["monitor"]["late_s"].as_f64();
    // The hung receiver's own patience is ten seconds; probes are not held up by it.
    assert!(late.unwrap() < 5.0);
}

#[test]
fn the_token_of_a_receiver_stands_in_no_output() {
    let dir = tempfile::tempdir().unwrap();
    let (db, web, port) = (free_port(), free_port(), free_port());
    let url = format!("http://127.0.0.1:{}/hook?token=s3cret", free_port());
    let file = two(dir.path(), db, web, &[("ops", &url)]);
    let serve = serve(dir.path(), port, &file);
    let log = dir.path().join("serve.log");
    await_true("a delivery that fails", || std::fs::read_to_string(&log).unwrap().contains("not taken"));
    assert!(!std::fs::read_to_string(&log).unwrap().contains("s3cret"));
    for path in ["/api/v1/board", "/api/v1/topology", "/metrics", "/", "/healthz"] {
        let body = get(&serve.url, path);
        assert!(!body.is_empty() && !body.contains("s3cret"), "{path}");
    }
}

/// A plain GET.
pub(crate) fn get(url: &str, path: &str) -> String {
    use std::io::{Read, Write};
    let address = url.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut body = Vec::new();
    stream.read_to_end(&mut body).unwrap();
    String::from_utf8_lossy(&body).into_owned()
}

fn board(url: &str) -> Value {
    json(url, "/api/v1/board")
}

/// The JSON of a plain GET.
pub(crate) fn json(url: &str, path: &str) -> Value {
    let answer = get(url, path);
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    let (start, end) = (body.find('{').unwrap(), body.rfind('}').unwrap());
    serde_json::from_str(&body[start..=end]).unwrap()
}
