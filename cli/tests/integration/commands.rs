//! Commands that need no server: what they print and how they exit.

use crate::support::{code, run, stderr, stdout, topowatch};

fn write(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("topology.yaml");
    std::fs::write(&file, text).unwrap();
    let name = file.display().to_string();
    (dir, name)
}

const GOOD: &str = "components:\n  db: { instances: [\"127.0.0.1:1\"], probe: { tcp: {} } }\n";

#[test]
fn check_says_what_a_good_file_has() {
    let (_dir, file) = write(GOOD);
    let output = run(&["check", &file]);
    assert_eq!(code(&output), 0);
    assert!(stdout(&output).ends_with("is good: 1 components, 1 instances, 0 dependencies\n"));
}

#[test]
fn check_reports_every_mistake_with_its_place() {
    let (dir, file) = write(
        "components:\n  web:\n    instances: [\"127.0.0.1:${env:NO_SUCH_PORT}\"]\n    probe: { htpp: {} }\n    depends_on: [db]\n",
    );
    let output = topowatch().args(["check", &file]).output().unwrap();
    assert_eq!(code(&output), 2);
    let said = stderr(&output).replace(&dir.path().display().to_string(), "DIR");
    insta::assert_snapshot!(said);
}

#[test]
fn check_gives_its_findings_as_json() {
    let (dir, file) =
        write("components:\n  web: { instances: [\"x:1\"], probe: { tcp: {} }, depends_on: [wep] }\n");
    let output = run(&["check", "--json", &file]);
    assert_eq!(code(&output), 2);
    insta::assert_snapshot!(stdout(&output).replace(&dir.path().display().to_string(), "DIR"));
}

#[test]
fn a_file_that_is_not_there_or_not_text_is_broken() {
    let output = run(&["check", "no/such/file.yaml"]);
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains("no/such/file.yaml:1:1: error: the file cannot be read"),
        "{}",
        stderr(&output)
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.yaml");
    std::fs::write(&file, b"name: x\ntitle: \xff\n").unwrap();
    let output = run(&["check", file.to_str().unwrap()]);
    assert!(stderr(&output).contains("t.yaml:2:8: error: this is not UTF-8"), "{}", stderr(&output));
}

#[test]
fn serve_does_not_start_on_a_broken_file() {
    let (_dir, file) =
        write("components:\n  web: { instances: [\"x:1\"], probe: { tcp: {} }, depends_on: [wep] }\n");
    let output = run(&["serve", "-c", &file, "--listen", "127.0.0.1:0"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("nothing was started"));
}

#[test]
fn usage_errors_are_not_red() {
    for args in [&["heatlh"][..], &["health", "--nope"], &["health", "--wait", "blue"], &[]] {
        let output = run(args);
        assert_eq!(code(&output), 64, "{args:?}: {}", stderr(&output));
    }
    assert_eq!(code(&run(&["--help"])), 0);
    assert_eq!(code(&run(&["--version"])), 0);
}

#[test]
fn no_server_is_exit_3_and_says_what_to_do() {
    let output = run(&["health", "--url", "http://127.0.0.1:1"]);
    assert_eq!(code(&output), 3);
    assert!(stderr(&output).contains("nothing listens there"), "{}", stderr(&output));
    assert_eq!(code(&run(&["why", "--url", "http://127.0.0.1:1"])), 3);
}

#[test]
fn the_help_tells_all_commands_and_exit_codes() {
    insta::assert_snapshot!(stdout(&run(&["--help"])));
}

#[test]
fn a_closed_pipe_is_no_error() {
    use std::process::Stdio;
    let mut child = topowatch().arg("--help").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 0);
    assert_eq!(stderr(&output), "");
}

#[test]
fn probe_tells_each_step_and_the_fault() {
    let output = run(&["probe", "tcp://127.0.0.1:1"]);
    assert_eq!(code(&output), 2);
    assert!(stdout(&output).contains("fault    refused in tcp"), "{}", stdout(&output));
    let output = run(&["probe", "--json", "tcp://127.0.0.1:1"]);
    let looks: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(looks[0]["fault"]["kind"], "refused");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let output = run(&["probe", &format!("tcp://{}", listener.local_addr().unwrap())]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn health_once_needs_no_server() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (_dir, file) = write(&format!(
        "components:\n  up: {{ instances: [\"127.0.0.1:{port}\"], probe: {{ tcp: {{}} }} }}\n  down: {{ instances: [\"127.0.0.1:1\"], probe: {{ tcp: {{}} }} }}\n"
    ));
    let output = run(&["health", "--once", "-c", &file, "--json"]);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    let health: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let levels: Vec<&str> =
        health["components"].as_array().unwrap().iter().map(|c| c["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["green", "red"]);
    assert_eq!(code(&run(&["health", "up", "--once", "-c", &file])), 0);
}

#[test]
fn the_least_privileges_are_printed_and_a_fault_is_explained() {
    for kind in ["postgres", "mysql", "mariadb", "redis", "amqp", "rabbitmq"] {
        let output = topowatch().args(["probe", "--grants", kind]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("topowatch"), "{kind}: {text}");
    }
    let output = topowatch().args(["probe", "--grants", "tcp"]).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8(output.stderr).unwrap().contains("postgres"));

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("redis://127.0.0.1:{port}");
    let output = topowatch().args(["probe", &url]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("refused") && text.contains("usually  the process is not running"), "{text}");
    let output = topowatch().args(["probe", "--json", &url]).output().unwrap();
    let seen: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(seen[0]["fault"]["kind"], "refused");
    assert!(seen[0]["fault"]["usually"].is_string() && seen[0]["thresholds"].is_array(), "{seen}");
}
