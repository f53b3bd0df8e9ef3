//! A running `topowatch serve`, and what is changed under it: its file, its receivers, the platform.

use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::receiver::Receiver;
use crate::serving::{Serve, get, json, listen, serve, serve_with};
use crate::support::{await_some, await_true, code, free_port, run, stderr, stdout, topowatch};

/// Components of one instance each, which need those named behind `>`.
struct Topology<'a> {
    nodes: &'a [(&'a str, u16)],
    receivers: &'a [(&'a str, &'a str)],
}

impl Topology<'_> {
    fn text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::from("defaults: { interval: 200ms, timeout: 200ms }\ncomponents:\n");
        for (node, port) in self.nodes {
            let (name, needs) = node.split_once('>').unwrap_or((node, ""));
            writeln!(
                text,
                "  {name}: {{ instances: [{{ address: \"127.0.0.1:{port}\", labels: {{ version: \"7\" }} }}], \
                 probe: {{ tcp: {{}} }}, depends_on: [{needs}] }}"
            )
            .unwrap();
        }
        let receivers: Vec<String> = self
            .receivers
            .iter()
            .map(|(n, url)| format!("{n}: {{ webhook: {{ url: \"{url}\" }} }}"))
            .collect();
        writeln!(text, "alerts: {{ receivers: {{ {} }} }}", receivers.join(", ")).unwrap();
        text
    }

    /// Written as an editor does: another file, renamed over the one before.
    fn write(&self, dir: &Path) -> PathBuf {
        put(dir, &self.text())
    }
}

fn put(dir: &Path, text: &str) -> PathBuf {
    let (file, next) = (dir.join("topology.yaml"), dir.join("topology.yaml.next"));
    std::fs::write(&next, text).unwrap();
    std::fs::rename(&next, &file).unwrap();
    file
}

impl Serve {
    fn command(&self, args: &[&str]) -> std::process::Output {
        topowatch().args(args).args(["--url", &self.url]).output().unwrap()
    }

    fn log(dir: &Path) -> String {
        std::fs::read_to_string(dir.join("serve.log")).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let board = json(&self.url, "/api/v1/board");
        board["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["name"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[test]
fn a_reload_in_an_outage_keeps_the_incident_and_a_broken_file_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (db, web, more, port) = (free_port(), free_port(), free_port(), free_port());
    let receiver = Receiver::start();
    let receivers = [("ops", receiver.url.as_str())];
    let two = [("web>db", web), ("db", db)];
    let file = Topology { nodes: &two, receivers: &receivers }.write(dir.path());
    let (_web, _more) = (listen(web), listen(more));
    let listener = listen(db);
    let serve = serve(dir.path(), port, &file.display().to_string());
    await_true("green", || serve.level_of("web") == "green" && serve.level_of("db") == "green");
    drop(listener);
    await_true("the message", || receiver.events() == ["open"]);
    let before = serve.open_incident().unwrap();
    let since = serve.ask(&["health", "db-1"]).unwrap()["since"].clone();

    // Broken, twice over: both mistakes are told, and nothing has changed.
    std::fs::write(dir.path().join("password"), "hunter2hunter2").unwrap();
    put(
        dir.path(),
        "components:\n  web: { instnces: [\"127.0.0.1:1\"] }\n  db: { instances: [\"${file:password}\"], depends_on: [wep] }\n",
    );
    let output = serve.command(&["reload"]);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("topology.yaml:2:10: error: ") && said.contains("instnces"), "{said}");
    assert!(said.contains("`${file:password}` is not `host:port`"), "{said}");
    assert!(said.contains("wep") && said.contains("the one before stays in force"), "{said}");
    assert_eq!(serve.names(), ["web", "db"]);
    let health = json(&serve.url, "/healthz");
    assert_eq!((health["ok"].as_bool(), health["topology"]["ok"].as_bool()), (Some(true), Some(false)));
    assert!(health["topology"]["problems"].as_array().unwrap().len() >= 2, "{health}");
    assert!(get(&serve.url, "/?lang=en").contains("topology.yaml is broken"));
    assert!(Serve::log(dir.path()).contains("the one before stays in force"));
    let everything = [
        Serve::log(dir.path()),
        health.to_string(),
        said,
        get(&serve.url, "/"),
        stdout(&serve.command(&["reload", "--json"])),
    ];
    assert!(everything.iter().all(|text| !text.contains("hunter2")));
    assert_eq!(serve.open_incident().unwrap()["id"], before["id"]);

    // Good, in another order and with one more.
    let three = [("db", db), ("extra", more), ("web>db, extra", web)];
    Topology { nodes: &three, receivers: &receivers }.write(dir.path());
    let output = serve.command(&["reload", "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let done: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(done["added"], serde_json::json!(["extra", "extra-1"]));
    assert_eq!((done["kept"].as_u64(), done["changed"].as_array().unwrap().len()), (Some(2), 0));
    // The answer comes after the board: whoever asks now sees the new one.
    assert_eq!(serve.names(), ["db", "extra", "web"]);
    assert_eq!(json(&serve.url, "/healthz")["topology"]["ok"], true);
    let after = serve.open_incident().unwrap();
    assert_eq!((&after["id"], &after["opened_at"]), (&before["id"], &before["opened_at"]));
    assert_eq!(after["verdict"]["roots"][0]["node"], "db-1");
    assert_eq!(serve.ask(&["health", "db-1"]).unwrap()["since"], since);
    await_true("the new one", || serve.level_of("extra") == "green");

    let _mended = listen(db);
    await_true("the last message", || receiver.events().len() >= 2);
    assert_eq!(receiver.events(), ["open", "resolve"]);
    await_true("green", || serve.ask(&["health"]).is_some_and(|h| h["level"] == "green"));
}

#[test]
fn the_file_is_followed_and_sighup_is_a_reload() {
    let dir = tempfile::tempdir().unwrap();
    let (a, port) = (free_port(), free_port());
    let _a = listen(a);
    let file = Topology { nodes: &[("a", a)], receivers: &[] }.write(dir.path());
    let mut serve = serve(dir.path(), port, &file.display().to_string());
    Topology { nodes: &[("a", a), ("b", a)], receivers: &[] }.write(dir.path());
    await_true("the file to be noticed", || serve.names() == ["a", "b"]);

    // Behind a symbolic link, as a ConfigMap is; and SIGHUP, whoever comes first.
    let next = dir.path().join("other.yaml");
    std::fs::write(&next, Topology { nodes: &[("c", a)], receivers: &[] }.text()).unwrap();
    std::os::unix::fs::symlink(&next, dir.path().join("link")).unwrap();
    std::fs::rename(dir.path().join("link"), &file).unwrap();
    serve.process.signal(Signal::SIGHUP);
    await_true("the other file", || serve.names() == ["c"]);

    // A file that is gone is a broken one; the last good one stays.
    std::fs::remove_file(&file).unwrap();
    await_true("the trouble", || json(&serve.url, "/healthz")["topology"]["ok"] == false);
    assert_eq!(serve.names(), ["c"]);
    Topology { nodes: &[("c", a)], receivers: &[] }.write(dir.path());
    await_true("the end of the trouble", || json(&serve.url, "/healthz")["topology"]["ok"] == true);
    serve.process.signal(Signal::SIGTERM);
    assert_eq!(serve.process.await_end(), 0);
}

#[test]
fn many_reloads_at_once_end_in_one_good_state() {
    let dir = tempfile::tempdir().unwrap();
    let (a, port) = (free_port(), free_port());
    let _a = listen(a);
    let file = Topology { nodes: &[("a", a)], receivers: &[] }.write(dir.path());
    let serve = serve(dir.path(), port, &file.display().to_string());
    Topology { nodes: &[("b", a), ("a", a)], receivers: &[] }.write(dir.path());
    let asking: Vec<_> = (0..6)
        .map(|_| {
            topowatch()
                .args(["reload", "--json", "--url", &serve.url])
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    serve.process.signal(Signal::SIGHUP);
    for one in asking {
        let output = one.wait_with_output().unwrap();
        assert_eq!(code(&output), 0);
        let done: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(done["components"], 2);
    }
    await_true("green", || serve.level_of("a") == "green" && serve.level_of("b") == "green");
}

#[test]
fn receivers_change_with_the_file_and_what_waited_goes_to_the_new_address() {
    let dir = tempfile::tempdir().unwrap();
    let (db, port) = (free_port(), free_port());
    let away = format!("http://127.0.0.1:{}/hook", free_port());
    let file = Topology { nodes: &[("db", db)], receivers: &[("ops", &away)] }.write(dir.path());
    let serve = serve(dir.path(), port, &file.display().to_string());
    await_true("red", || serve.level_of("db") == "red");
    await_true("a delivery that fails", || Serve::log(dir.path()).contains("not taken"));
    let (ops, extra) = (Receiver::start(), Receiver::start());
    Topology { nodes: &[("db", db)], receivers: &[("ops", &ops.url), ("extra", &extra.url)] }
        .write(dir.path());
    assert_eq!(code(&serve.command(&["reload"])), 0);
    await_true("the message that waited", || ops.events() == ["open"]);
    let _db = listen(db);
    // Who is there only now is told that it is open, and so of a pair.
    await_true("the end", || ops.events() == ["open", "resolve"] && extra.events() == ["open", "resolve"]);
}

#[test]
fn what_changes_something_needs_the_token_where_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let (short, long) = (dir.path().join("short"), dir.path().join("long"));
    std::fs::write(&short, "12345\n").unwrap();
    std::fs::write(&long, "0123456789abcdef0123\n").unwrap();
    let file = Topology { nodes: &[("a", 1)], receivers: &[] }.write(dir.path()).display().to_string();
    let (short, long) = (short.display().to_string(), long.display().to_string());
    let output = run(&["serve", "-c", &file, "--listen", "127.0.0.1:0", "--token-file", &short]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("16 printable characters"), "{}", stderr(&output));

    let serve = serve_with(dir.path(), port, &file, &["--token-file", &long]);
    for args in [&["reload"][..], &["change", "a", "release 2"]] {
        let output = serve.command(args);
        assert_eq!(code(&output), 1, "{args:?}");
        assert!(stderr(&output).contains("TOPOWATCH_TOKEN"), "{}", stderr(&output));
        let wrong = topowatch()
            .args(args)
            .args(["--url", &serve.url])
            .env("TOPOWATCH_TOKEN", "x".repeat(20))
            .output();
        assert_eq!(code(&wrong.unwrap()), 1);
        let mut right = args.to_vec();
        right.extend(["--token-file", &long]);
        assert_eq!(code(&serve.command(&right)), 0);
        let given = topowatch()
            .args(args)
            .args(["--url", &serve.url])
            .env("TOPOWATCH_TOKEN", "0123456789abcdef0123")
            .output();
        assert_eq!(code(&given.unwrap()), 0);
    }
    assert!(!Serve::log(dir.path()).contains("0123456789abcdef0123"));
}

/// An outage of `db` after a change to it, seen on the board.
fn outage(dir: &Path) -> (Serve, u16, TcpListener) {
    let (db, web, port) = (free_port(), free_port(), free_port());
    let file = Topology { nodes: &[("web>db", web), ("db", db)], receivers: &[] }.write(dir);
    let web = listen(web);
    let listener = listen(db);
    let serve = serve(dir, port, &file.display().to_string());
    await_true("green", || serve.level_of("db") == "green" && serve.level_of("web") == "green");
    let output = serve.command(&[
        "change",
        "db",
        "minor \u{1b}[31mupgrade",
        "--by",
        "ci",
        "--link",
        "https://ci.example/7",
    ]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    drop(listener);
    await_true("the incident", || serve.open_incident().is_some());
    (serve, port, web)
}

#[test]
fn a_change_is_told_with_the_outage_that_follows_and_kept_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (mut first, port, _web) = outage(dir.path());
    let why = first.open_incident().unwrap();
    let lines: Vec<&str> =
        why["timeline"].as_array().unwrap().iter().map(|e| e["what"].as_str().unwrap()).collect();
    assert_eq!(lines[0], "Change to db: minor [31mupgrade (by ci)", "{lines:?}");

    for (args, exit, words) in [
        (&["change", "dbb", "x"][..], 64, "did you mean `db`?"),
        (&["change", "version=8", "x"], 64, "no instance has the label"),
        (&["change", "db", " "], 64, "says nothing"),
        (&["change", "db", "x", "--link", "javascript:alert(1)"], 64, "http or https"),
        (&["change", "db", "x", "--at", "2020-01-01T00:00:00Z"], 64, "more than a day back"),
        (&["change", "db", "x", "--at", "2220-01-01T00:00:00Z"], 64, "lies ahead"),
        (&["change", "db", "x", "--at", "noon"], 64, "says 400"),
    ] {
        let output = first.command(args);
        assert_eq!(code(&output), exit, "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{args:?}: {}", stderr(&output));
    }
    assert_eq!(code(&first.command(&["change", "version=7", "rollout", "--by", "ci"])), 0);

    let changes = json(&first.url, "/api/v1/changes");
    let list = changes["changes"].as_array().unwrap();
    assert_eq!(list.iter().map(|c| c["node"].as_str().unwrap()).collect::<Vec<_>>(), ["db", "version=7"]);
    assert_eq!(list[0]["link"], "https://ci.example/7");
    let since = list[1]["at"].as_str().unwrap();
    assert_eq!(
        json(&first.url, &format!("/api/v1/changes?since={since}"))["changes"].as_array().unwrap().len(),
        1
    );

    first.process.signal(Signal::SIGTERM);
    assert_eq!(first.process.await_end(), 0);
    let file = dir.path().join("topology.yaml").display().to_string();
    let second = serve(dir.path(), port, &file);
    assert_eq!(json(&second.url, "/api/v1/changes"), changes);
}

#[test]
fn a_real_outage_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let (serve, _, _web) = outage(dir.path());
    // A few looks into the outage.
    await_some("red looks", || {
        let case = json(&serve.url, "/api/v1/record?for=15m");
        let red = case["observations"].as_array()?.iter().filter(|o| o["fault"] == "refused").count();
        (red >= 5).then_some(())
    });
    let file = dir.path().join("case.json.gz");
    let output = serve.command(&["record", "-o", file.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains(" observations of 2 nodes, incident "), "{}", stdout(&output));
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(&file).unwrap()).read_to_string(&mut text).unwrap();
    assert!(!text.contains("127.0.0.1"), "an address left the house");
    let case: Value = serde_json::from_str(&text).unwrap();
    let names = |list: &Value, key: &str| -> Vec<String> {
        list.as_array().unwrap().iter().map(|one| one[key].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&case["graph"]["components"], "id"), ["web", "db"]);
    assert_eq!(names(&case["graph"]["nodes"], "component"), ["web", "db"]);
    assert_eq!(case["graph"]["nodes"][1]["labels"]["version"], "7");
    assert_eq!(
        case["graph"]["edges"],
        serde_json::json!([{ "from": "web", "to": "db", "strength": "required" }])
    );
    let (onset, end) = (case["incident"]["from"].as_f64().unwrap(), case["incident"]["to"].as_f64().unwrap());
    assert_eq!(case["normal"]["to"].as_f64(), Some(onset));
    assert!(0.0 < onset && onset <= case["noticed"].as_f64().unwrap() && onset < end, "{onset} {end}");
    let observations = case["observations"].as_array().unwrap();
    assert!(observations.is_sorted_by_key(|o| (o["t"].as_f64().unwrap() * 1000.0) as i64));
    let bad: Vec<&Value> = observations.iter().filter(|o| o["fault"].is_string()).collect();
    assert!(
        bad.len() >= 5 && bad.iter().all(|o| o["node"] == "db-1" && o["t"].as_f64() >= Some(onset)),
        "{bad:?}"
    );
    assert!(observations.iter().any(|o| o["node"] == "web-1" && o["level"].is_null()));
    assert_eq!(
        (case["changes"][0]["node"].as_str(), case["changes"].as_array().unwrap().len()),
        (Some("db"), 1)
    );
    assert_eq!(case["incident_id"], serve.open_incident().unwrap()["id"]);

    // Plain, to standard output; a name that is none; a time that is none.
    let output = serve.command(&["record", "-o", "-", "--for", "1s"]);
    let short: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert!(short["observations"].as_array().unwrap().len() < observations.len());
    assert_eq!(code(&serve.command(&["record", "nonesuch"])), 64);
    assert!(get(&serve.url, "/api/v1/record?for=soon").starts_with("HTTP/1.1 400"));
}
