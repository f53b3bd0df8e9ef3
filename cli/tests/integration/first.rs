//! The way to a first file, and the tools around: import, init, discover, completions, manual pages.

use std::io::Write as _;
use std::process::Stdio;

use crate::support::{code, run, stderr, stdout, topowatch};

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

const IMPORTS: [(&str, &[&str]); 9] = [
    ("compose", &["compose-voting.yml"]),
    ("compose", &["compose-blog.yml"]),
    ("compose", &["compose-shop.yml"]),
    ("kubernetes", &["kubernetes-shop.yaml"]),
    ("nginx", &["nginx-gateway.conf"]),
    ("prometheus", &["prometheus.yml", "blackbox.yml", "targets/cache.json"]),
    ("gatus", &["gatus.yaml"]),
    ("uptime-kuma", &["uptime-kuma.json"]),
    ("otel", &["jaeger-dependencies.json"]),
];

#[test]
fn what_is_imported_passes_check_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    for (format, names) in IMPORTS {
        let file = dir.path().join("topology.yaml");
        let file = file.to_str().unwrap();
        let mut command = topowatch();
        command.args(["import", format]).args(names.iter().map(|name| fixture(name)));
        let output = command.args(["-o", file, "--force"]).output().unwrap();
        assert_eq!((code(&output), stdout(&output)), (0, String::new()), "{format}: {}", stderr(&output));
        assert!(stderr(&output).contains("Next: topowatch check"), "{}", stderr(&output));
        let checked = run(&["check", file]);
        assert_eq!(code(&checked), 0, "{format}: {}", stderr(&checked));
    }
}

#[test]
fn an_import_goes_to_standard_output_and_over_no_file() {
    let compose = fixture("compose-voting.yml");
    let output = run(&["import", "compose", &compose, "--json"]);
    assert_eq!(code(&output), 0);
    assert!(stdout(&output).starts_with("# Made by `topowatch import compose`"), "{}", stdout(&output));
    let report: serde_json::Value = serde_json::from_str(&stderr(&output)).unwrap();
    assert_eq!(report["variables"], serde_json::json!(["DB_PASSWORD"]));
    assert!(report["notes"][0]["line"].is_u64() && report["notes"][0]["why"].is_string(), "{report}");

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.yaml");
    std::fs::write(&file, "mine\n").unwrap();
    let output = run(&["import", "compose", &compose, "-o", file.to_str().unwrap()]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("--force"), "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine\n");
}

#[test]
fn an_import_reads_standard_input_and_says_what_is_broken() {
    let import = |format: &str, text: &[u8]| {
        let mut child = topowatch()
            .args(["import", format, "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text).unwrap();
        child.wait_with_output().unwrap()
    };
    let list = br#"{"kind":"List","items":[{"kind":"Service","metadata":{"name":"redis"},"spec":{"ports":[{"port":6379}]}}]}"#;
    let output = import("kubernetes", list);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("redis.default.svc.cluster.local:6379"), "{}", stdout(&output));
    let output = import("compose", b"services:\n  web:\n\timage: x\n");
    assert_eq!((code(&output), stdout(&output)), (2, String::new()));
    assert!(stderr(&output).contains("standard input:3:2: error: "), "{}", stderr(&output));
    let output = import("compose", b"services: { job: { image: x } }\n");
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("nothing was found"), "{}", stderr(&output));
    assert_eq!(code(&run(&["import", "compose", "/no/such/file"])), 2);
}

#[test]
fn init_writes_a_good_file_and_keeps_an_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("topology.yaml");
    let file = file.to_str().unwrap();
    let init = |more: &[&str]| {
        let mut command = topowatch();
        command.args(["init", file]).args(more).stdin(Stdio::null()).output().unwrap()
    };
    let output = init(&[]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(code(&run(&["check", file])), 0);
    assert_eq!(code(&init(&[])), 1);
    let nodes = ["--force", "--name", "shop", "--node", "web=http://10.0.0.1:8080/health", "--node"];
    let output =
        init(&[&nodes[..], &["db=postgres://m:hunter2@10.0.0.5/shop", "--edge", "web:db:optional"]].concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = std::fs::read_to_string(file).unwrap();
    assert!(!text.contains("hunter2") && text.contains("strength: optional"), "{text}");
    let checked = run(&["check", file]);
    assert!(stdout(&checked).contains("2 components, 2 instances, 1 dependency"), "{}", stderr(&checked));
    assert_eq!(code(&init(&["--force", "--node", "x=gopher://y"])), 64);
    assert_eq!(code(&init(&["--force", "--node", "x=http://y", "--edge", "x:z"])), 64);
}

#[test]
fn discover_sees_a_listener_of_this_host_and_drift_compares() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let seen = dir.path().join("here.json");
    let output = run(&["discover", "--json", "-o", seen.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&seen).unwrap()).unwrap();
    let services = json["hosts"][0]["services"].as_array().unwrap();
    let own = services
        .iter()
        .find(|service| service["listens"].as_array().unwrap().contains(&at.to_string().into()));
    assert!(own.is_some(), "{json}");

    let merged = run(&["discover", "--merge", seen.to_str().unwrap()]);
    assert_eq!(code(&merged), 0, "{}", stderr(&merged));
    let file = dir.path().join("topology.yaml");
    std::fs::write(&file, stdout(&merged)).unwrap();
    assert_eq!(code(&run(&["check", file.to_str().unwrap()])), 0);

    let drift = |text: String| {
        std::fs::write(&file, text).unwrap();
        run(&["drift", "-c", file.to_str().unwrap(), seen.to_str().unwrap(), "--json"])
    };
    let output = drift(format!("components:\n  own: {{ instances: [\"{at}\"], probe: {{ tcp: {{}} }} }}\n"));
    assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
    let output =
        drift("components:\n  own: { instances: [\"127.0.0.1:1\"], probe: { tcp: {} } }\n".to_owned());
    assert_eq!(code(&output), 1, "{}", stdout(&output));
    let told: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(told["instances"]["not_seen"][0]["name"], "own-1");

    std::fs::write(&seen, "{\n  \"version\": 1,\n  \"hosts\": 3 }").unwrap();
    let output = run(&["drift", "-c", file.to_str().unwrap(), seen.to_str().unwrap()]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("here.json:3:"), "{}", stderr(&output));
}

#[test]
fn completions_and_manual_pages_are_made_for_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completions", shell]);
        assert!(code(&output) == 0 && stdout(&output).contains("discover"), "{shell}");
    }
    let dir = tempfile::tempdir().unwrap();
    let output = run(&["man", dir.path().to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    for name in ["topowatch", "topowatch-import", "topowatch-alert-test", "topowatch-mcp"] {
        let page = std::fs::read_to_string(dir.path().join(format!("{name}.1"))).unwrap();
        assert!(page.contains(".TH") && page.contains(".SH NAME"), "{name}: {page}");
    }
    assert!(stdout(&run(&["man"])).contains(".SH SYNOPSIS"));
}
