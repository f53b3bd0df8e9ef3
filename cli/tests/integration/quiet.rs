//! `topowatch silence`, `ack` and `alert test` against a running server and a receiver.

use serde_json::Value;

use crate::receiver::Receiver;
use crate::serving::{Serve, json, listen, serve};
use crate::support::{await_true, code, free_port, run, stderr, stdout, topowatch};

fn file(dir: &std::path::Path, db: u16, url: &str) -> String {
    let text = format!(
        "defaults: {{ interval: 200ms, timeout: 200ms, confirm: {{ red_after: 1 }} }}\ncomponents:\n  \
         order-db: {{ instances: [{{ address: \"127.0.0.1:{db}\", labels: {{ zone: a }} }}], probe: {{ tcp: {{}} }}, runbook: \"https://wiki.example/db\" }}\n\
         alerts:\n  page: https://watch.example\n  receivers: {{ ops: {{ webhook: {{ url: \"{url}\", secret: s }} }} }}\n  \
         maintenance: {{ backup: {{ cron: \"0 2 * * sun\", zone: Asia/Shanghai, for: 2h, nodes: [order-db], why: weekly }} }}\n"
    );
    let file = dir.join("topology.yaml");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

fn ask(serve: &Serve, args: &[&str]) -> (i32, String, String) {
    let output = topowatch().args(args).args(["--url", &serve.url]).env("USER", "wang").output().unwrap();
    (code(&output), stdout(&output), stderr(&output))
}

#[test]
fn a_silence_an_acknowledgement_and_their_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (db, port, receiver) = (free_port(), free_port(), Receiver::start());
    let file = file(dir.path(), db, &receiver.url);
    let listener = listen(db);
    let serve = serve(dir.path(), port, &file);
    await_true("green", || serve.level_of("order-db") == "green");

    // What matches nothing says so, and what is meant is found by its beginning.
    let (exit, _, said) = ask(&serve, &["silence", "ordre-db"]);
    assert_eq!(exit, 64);
    assert!(said.contains("did you mean `order-db`?"), "{said}");
    let (exit, _, said) = ask(&serve, &["silence", "zone=b"]);
    assert!(exit == 64 && said.contains("no instance has the label"), "{said}");
    let (exit, said, _) = ask(&serve, &["silence", "order", "--for", "2h", "--why", "moving it"]);
    assert_eq!(exit, 0);
    assert!(
        said.contains("silence order-db") && said.contains("moving it (1 instances, 0 open incidents)"),
        "{said}"
    );
    let (_, said, _) = ask(&serve, &["silence", "list"]);
    assert!(said.contains("window backup: weekly"), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("  20")).count(), 3, "{said}");

    drop(listener);
    await_true("the incident", || serve.open_incident().is_some_and(|incident| incident["silenced"] == true));
    let id = serve.open_incident().unwrap()["id"].as_str().unwrap().to_owned();
    let list: Value = json(&serve.url, "/api/v1/silences");
    assert_eq!(list["silences"][0]["matches"]["incidents"][0], id.as_str());
    assert!(receiver.told().is_empty());
    let silence = list["silences"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(ask(&serve, &["silence", "end", &silence[..20]]).0, 0);
    await_true("the message", || receiver.events() == ["open"]);
    assert_eq!(receiver.told()[0].1["links"]["incident"], format!("https://watch.example/incidents/{id}"));
    assert_eq!(receiver.told()[0].1["links"]["runbook"], "https://wiki.example/db");

    let (exit, said, _) = ask(&serve, &["ack", "--note", "on it"]);
    assert_eq!(exit, 0);
    assert!(said.contains("wang has it"), "{said}");
    assert_eq!(serve.open_incident().unwrap()["acknowledged"]["note"], "on it");
    let (_, said, _) = ask(&serve, &["ack", &id[..20], "--undo"]);
    assert!(said.contains("nobody has it"), "{said}");
    assert_eq!(ask(&serve, &["ack", "0000"]).0, 64);

    let _mended = listen(db);
    await_true("the end", || receiver.events() == ["open", "resolve"]);
    assert_eq!(ask(&serve, &["ack"]).0, 64, "nothing is open");

    // Maintenance pauses the node.
    assert_eq!(ask(&serve, &["silence", "order-db", "--maintenance", "--for", "1h"]).0, 0);
    await_true("a pause", || serve.level_of("order-db") == "paused");
}

#[test]
fn a_receiver_is_tried_without_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    let path = file(dir.path(), 1, &receiver.url);
    let output = run(&["alert", "test", "ops", "-c", &path]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("ops (webhook) took a test message"));
    let told = receiver.told();
    assert_eq!(told[0].1["event"], "test");
    let schema: Value = serde_json::from_str(&stdout(&run(&["schema", "--webhook"]))).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = schema.iter_errors(&told[0].1).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");

    let output = run(&["alert", "test", "opz", "-c", &path]);
    assert_eq!(code(&output), 64);
    assert!(stderr(&output).contains("did you mean `ops`?"), "{}", stderr(&output));
    let away = file(dir.path(), 1, "http://127.0.0.1:1/hook?token=s3cret");
    let output = run(&["alert", "test", "ops", "-c", &away]);
    assert_eq!(code(&output), 1);
    assert!(!stderr(&output).contains("s3cret"), "{}", stderr(&output));
}

#[test]
fn check_prints_the_next_three_occurrences_by_the_zones_clocks() {
    let dir = tempfile::tempdir().unwrap();
    let said = stdout(&run(&["check", &file(dir.path(), 1, "http://127.0.0.1:1/")]));
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("  Sun ")).collect();
    assert!(lines.len() >= 3, "{said}");
    assert!(
        lines.iter().all(|line| line.contains("02:00 +08:00 to Sun") && line.contains("04:00 +08:00")),
        "{said}"
    );
}
