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
    assert!(stdout(&output).ends_with("is good: 1 component, 1 instance, 0 dependencies\n"));
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
fn check_warns_of_a_bare_connect_to_a_server_that_can_be_asked() {
    let (_dir, file) = write(
        "components:\n  db: { instances: [\"10.0.0.1:3306\"], probe: { tcp: {} } }\n  web: { instances: [\"10.0.0.1:80\"], probe: { tcp: {} } }\n",
    );
    let output = run(&["check", &file]);
    assert_eq!(code(&output), 0);
    assert!(stdout(&output).ends_with("0 dependencies, 1 warning\n"), "{}", stdout(&output));
    let said = stderr(&output);
    assert!(
        said.contains("topology.yaml:2:46: warning: a bare connect to port 3306 does not see a hung server"),
        "{said}"
    );
    assert!(said.contains("`probe: { mysql: {} }` asks it"), "{said}");
}

#[test]
fn what_runs_programs_may_not_be_written_by_everybody() {
    use std::os::unix::fs::PermissionsExt;
    let (_dir, file) = write(
        "components:\n  disk: { instances: [\"10.0.0.1:1\"], probe: { exec: { command: [/bin/true] } } }\n",
    );
    let check = |mode| {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let output = run(&["check", &file]);
        (code(&output), stderr(&output))
    };
    assert_eq!(check(0o644), (0, String::new()));
    let (code, said) = check(0o664);
    assert!(
        code == 0 && said.contains("warning: the topology runs programs (`exec`), and its group may write"),
        "{said}"
    );
    let (code, said) = check(0o646);
    assert!(
        code == 2 && said.contains("error: ") && said.contains("everybody may write this file"),
        "{said}"
    );
    assert!(said.contains(&format!("chmod o-w {file}")), "{said}");
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

/// The mistakes of `bad/night.yaml`: a word that stands where the mistake is, and what is said.
const NIGHT: [(&str, &str); 22] = [
    ("3, timeout", "`3` is none"),
    ("red_afer", "unknown key in `confirm`"),
    ("red: 1s", "red is milder than yellow"),
    ("\"10.0.0.[9-3]", "the range `[9-3]` is empty"),
    ("miniap]", "depends on nothing"),
    ("servise", "there is no template of this name"),
    ("\"10.0.1.[1-9999999]", "more than 10000 instances"),
    ("\"10.0.2.2\"", "is not `host:port`"),
    ("order, {", "`order` depends on itself"),
    ("sometimes", "unknown strength"),
    ("\"Member", "this quote is not closed"),
    ("mq:5672\"", "a quote is missing"),
    ("- \"10.0.4.1", "this is not YAML"),
    ("lots", "`yellow` of `messages` is a number"),
    ("\"${file:no/such/file}\"", "cannot be read: there is no such file"),
    ("runbook: https", "stands twice"),
    ("[] }]", "`one_of` is an empty list"),
    ("\"DELETE", "`query` is one SELECT"),
    ("money", "has no source"),
    ("orders: { availability", "an objective for nothing"),
    ("100%", "`availability` lies between"),
    ("alert: {}", "unknown key in topology.yaml"),
];

#[test]
fn every_mistake_of_a_bad_night_has_its_line_and_column() {
    let text = include_str!("bad/night.yaml");
    let (dir, file) = write(text);
    let output = topowatch().args(["check", "--json", &file]).output().unwrap();
    assert_eq!(code(&output), 2);
    let found: Vec<serde_json::Value> = serde_json::from_str(&stdout(&output)).unwrap();
    for (word, says) in NIGHT {
        let at = text.find(word).unwrap_or_else(|| panic!("{word} is not in the file"));
        let line = text[..at].matches('\n').count() + 1;
        let column = text[..at].rsplit('\n').next().unwrap().chars().count() + 1;
        assert!(
            found.iter().any(|one| {
                (one["line"].as_u64(), one["column"].as_u64()) == (Some(line as u64), Some(column as u64))
                    && one["message"].as_str().unwrap().contains(says)
            }),
            "{line}:{column} {says}: {found:#?}"
        );
    }
    let output = topowatch().args(["check", &file]).output().unwrap();
    let said = stderr(&output).replace(&dir.path().display().to_string(), "DIR");
    assert!(!said.contains("hunter2"), "a password is repeated");
    assert!(!said.contains('\u{1b}'), "colour without a terminal");
    insta::assert_snapshot!(said);
}

#[test]
fn check_and_probe_take_overlays_and_includes() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::create_dir(dir.path().join("teams")).unwrap();
    std::fs::write(path("topology.yaml"), format!("include: [teams/*.yaml]\n{GOOD}")).unwrap();
    std::fs::write(
        path("teams/web.yaml"),
        "components:\n  web: { instances: [\"127.0.0.1:2\"], probe: { http: { password: \"${file:secret}\" } }, depends_on: [db] }\n",
    )
    .unwrap();
    std::fs::write(path("teams/secret"), "s3cret\n").unwrap();
    std::fs::write(
        path("prod.yaml"),
        "components: { db: { instances: [\"127.0.0.1:[1-3]\"] }, web: null }\n",
    )
    .unwrap();
    let main = path("topology.yaml");
    let output = run(&["check", "-c", &main]);
    let said = format!("{}{}", stdout(&output), stderr(&output));
    // `http` has no password: the mistake stands in the included file.
    assert!(said.contains("teams/web.yaml:2:55: error: unknown key in probe `http`: `password`"), "{said}");
    std::fs::write(
        path("teams/web.yaml"),
        "components:\n  web: { instances: [\"127.0.0.1:2\"], probe: { redis: { password: \"${file:secret}\" } }, depends_on: [db] }\n",
    )
    .unwrap();
    let output = run(&["check", "-c", &main]);
    assert!(
        stdout(&output).contains("(of 2 files) is good: 2 components, 2 instances, 1 dependency"),
        "{}",
        stderr(&output)
    );
    let output = run(&["check", &main, "--overlay", &path("prod.yaml")]);
    assert!(
        stdout(&output).contains("(of 3 files) is good: 1 component, 3 instances, 0 dependencies"),
        "{}",
        stderr(&output)
    );
    let output = run(&["probe", "db-3", "-c", &main, "--overlay", &path("prod.yaml")]);
    assert!(stdout(&output).contains("127.0.0.1:3"), "{}{}", stdout(&output), stderr(&output));
    let output = run(&["check", "-c", &main, "--overlay", "none.yaml"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("none.yaml:1:1: error: the file cannot be read"), "{}", stderr(&output));
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
