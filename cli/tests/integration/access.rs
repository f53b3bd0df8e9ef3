//! Tokens, a private server, and a database that can only be read, as their users meet them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;

use serde_json::Value;

use crate::receiver::Receiver;
use crate::serving::{Serve, serve_with};
use crate::support::{Process, await_some, await_true, code, free_port, run, stderr, stdout, topowatch};

/// Status, headers and body of a request.
fn http(port: u16, head: &str, body: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{head}\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_owned(), body.to_owned())
}

fn file_of(dir: &Path, target: u16) -> String {
    let file = dir.join("topology.yaml");
    std::fs::write(
        &file,
        format!("components:\n  web: {{ instances: [\"127.0.0.1:{target}\"], probe: {{ tcp: {{}} }} }}\n"),
    )
    .unwrap();
    file.to_str().unwrap().to_owned()
}

/// Starts a private server; it answers the CLI only with a token.
fn private(dir: &Path, port: u16, file: &str, database: &str) -> Process {
    let mut command = topowatch();
    command.args(["serve", "--private", "--config", file, "--listen", &format!("127.0.0.1:{port}")]);
    command.args(["--database", database]);
    let process = Process::start(&mut command, &dir.join("serve.log"));
    await_true("the server", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    process
}

#[test]
fn lesson_cve_2026_32230_a_private_server_shows_nothing_without_a_token_and_forgets_removed_ones() {
    let dir = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", dir.path().join("history.db").display());
    let token = |args: &[&str]| {
        let mut all = vec!["token", "--database", &database];
        all.extend(args);
        run(&all)
    };
    let made = token(&["add", "wall", "--expires", "90d"]);
    assert_eq!(code(&made), 0, "{}", stderr(&made));
    let read = stdout(&made).trim().to_owned();
    let operate = stdout(&token(&["add", "ci", "--role", "operate"])).trim().to_owned();
    assert_eq!(code(&token(&["add", "ci"])), 1, "a name is taken once");
    assert_eq!(code(&token(&["add", "a b"])), 64);
    let list = stdout(&token(&["list", "--json"]));
    let secret = |token: &str| token.rsplit('_').next().unwrap().to_owned();
    assert!(list.contains("\"wall\"") && !list.contains(&secret(&read)), "{list}");
    let kept = std::fs::read(dir.path().join("history.db")).unwrap();
    let secret_bytes = secret(&read).into_bytes();
    assert!(
        !kept.windows(secret_bytes.len()).any(|window| window == secret_bytes),
        "the secret is in the file"
    );

    let port = free_port();
    let _server = private(dir.path(), port, &file_of(dir.path(), 1), &database);
    let with = |path: &str, token: &str| {
        http(port, &format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {token}"), "")
    };
    for path in ["/", "/api/v1/board", "/api/v1/history/changes", "/metrics", "/api/v1/events", "/nothing"] {
        assert_eq!(http(port, &format!("GET {path} HTTP/1.1"), "").0, 401, "{path}");
        assert_ne!(with(path.replace("events", "health").as_str(), &read).0, 401, "{path}");
    }
    // A browser is led to the login.
    let (status, head, _) = http(port, "GET / HTTP/1.1\r\nAccept: text/html", "");
    assert!(status == 303 && head.contains("location: /login"), "{head}");
    // Who watches the monitor has no token, and may ask before its first round is over.
    await_true("its health", || http(port, "GET /healthz HTTP/1.1", "").0 == 200);

    let login = |token: &str, more: &str| {
        let head = format!("POST /login HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded{more}");
        http(port, &head, &format!("token={token}"))
    };
    assert_eq!(login("tw_0_0", "").0, 401);
    assert_eq!(login(&read, "\r\nOrigin: https://evil.example").0, 403);
    let (status, head, _) = login(&read, "");
    assert_eq!(status, 303, "{head}");
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let session = cookie.split(';').next().unwrap().to_owned();
    let page = || http(port, &format!("GET / HTTP/1.1\r\nCookie: {session}"), "").0;
    assert_eq!(page(), 200);

    let change = |token: &str| {
        let head = format!(
            "POST /api/v1/changes HTTP/1.1\r\nContent-Type: application/json\r\nAuthorization: Bearer {token}"
        );
        http(port, &head, "{\"node\": \"web\", \"what\": \"release\"}").0
    };
    assert_eq!((change(&read), change(&operate)), (403, 201));
    // Who did it is kept, and who was refused.
    let audit = await_some("the audit log", || {
        let (_, _, body) = with("/api/v1/audit", &operate);
        let audit: Value = serde_json::from_str(&body).unwrap();
        audit["audit"].as_array().unwrap().iter().any(|line| line["who"] == "ci").then_some(body)
    });
    assert!(audit.contains("/api/v1/changes") && !audit.contains(&secret(&operate)), "{audit}");

    // A removed token ends its sessions, too, in a running server.
    assert_eq!(code(&token(&["remove", "wall"])), 0);
    await_true("the end of the session", || page() == 401);
    assert_eq!(with("/", &read).0, 401);
}

#[test]
fn lesson_16_a_database_that_can_only_be_read_keeps_no_monitor_from_watching() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can start the monitor as somebody who may not write");
        return;
    }
    let nobody = 65_534;
    let dir = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let receiver = Receiver::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let file = file_of(dir.path(), listener.local_addr().unwrap().port());
    let mut text = std::fs::read_to_string(&file).unwrap();
    let alerts =
        format!("alerts: {{ receivers: {{ ops: {{ webhook: {{ url: \"{}\" }} }} }} }}\n", receiver.url);
    text.push_str(&alerts);
    std::fs::write(&file, text).unwrap();
    let database = dir.path().join("history.db");
    let url = format!("sqlite://{}", database.display());
    assert_eq!(code(&run(&["token", "--database", &url, "list"])), 0);
    mode(&database, 0o444);
    mode(dir.path(), 0o555);

    let port = free_port();
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = topowatch();
    command.args(["serve", "--config", &file, "--listen", &format!("127.0.0.1:{port}"), "--database", &url]);
    command.uid(nobody).gid(nobody).current_dir("/");
    let process = Process::start(&mut command, log.path());
    let monitor = Serve { process, url: format!("http://127.0.0.1:{port}") };
    await_true("green", || monitor.level_of("web") == "green");
    let healthz = || -> Value { serde_json::from_str(&http(port, "GET /healthz HTTP/1.1", "").2).unwrap() };
    await_true("the trouble to be said", || healthz()["storage"].is_string());
    let page = http(port, "GET / HTTP/1.1", "").2;
    let said = page.contains("storage") || page.contains("Storage") || page.contains("history");
    assert!(said, "the page says it");
    drop(listener);
    await_true("red all the same", || monitor.level_of("web") == "red");
    assert!(monitor.open_incident().is_some());
    assert_eq!(receiver.events(), Vec::<String>::new());

    // Mended: by itself everything is written, and told.
    mode(dir.path(), 0o755);
    mode(&database, 0o644);
    for path in [dir.path(), &database] {
        chown(path, Some(nobody), Some(nobody)).unwrap();
    }
    await_true("the trouble to be over", || healthz()["storage"].is_null());
    await_true("the alert", || receiver.events() == ["open"]);
    assert_eq!(healthz()["standing"], serde_json::json!([]));
}

#[test]
fn lesson_14_the_monitors_own_heartbeat_stops_with_the_monitor() {
    let dir = tempfile::tempdir().unwrap();
    let switch = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/ping/s3cret", switch.local_addr().unwrap());
    let monitor = serve_with(
        dir.path(),
        free_port(),
        &file_of(dir.path(), 1),
        &["--heartbeat-url", &url, "--heartbeat-every", "1"],
    );
    // The first ones may be held back: nothing has been written yet.
    for _ in 0..3 {
        let (mut stream, _) = switch.accept().unwrap();
        let mut asked = [0; 19];
        stream.read_exact(&mut asked).unwrap();
        assert_eq!(&asked, b"GET /ping/s3cret HT");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    }
    assert!(!std::fs::read_to_string(dir.path().join("serve.log")).unwrap().contains("s3cret"));
    drop(monitor);
}
