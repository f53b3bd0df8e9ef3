//! `impact` and `spof`: questions about the file, asked without a server and without its secrets.

use std::path::Path;

use serde_json::Value;

use crate::support::{code, run, stderr, stdout};

const SHOP: &str = r#"name: shop
components:
  gateway:
    instances:
      - { address: "10.0.0.1:80", labels: { host: h1 } }
      - { address: "10.0.0.2:80", labels: { host: h2 } }
    probe: { tcp: {} }
    depends_on: [web]
  web:
    instances: ["10.0.1.[1-4]:80"]
    policy: { replicas: { min_healthy: 80% } }
    probe: { tcp: {} }
    depends_on: [orders, { on: mail, strength: optional }]
  orders:
    instances:
      - { address: "10.0.2.[1-2]:80", labels: { host: h7 } }
    probe: { tcp: {} }
    depends_on: [db, { on: queue, strength: async }]
  back-office:
    instances: ["10.0.5.[1-2]:80"]
    probe: { tcp: {} }
    depends_on: [mail]
  db:
    instances: ["${env:NO_SUCH_HOST}:${env:NO_SUCH_PORT}"]
    probe: { postgres: { database: shop, user: monitor, password: "${file:no/such/secret}" } }
  queue: { instances: ["10.0.3.1:80"], probe: { tcp: {} } }
  mail: { instances: ["10.0.4.[1-2]:80"], probe: { tcp: {} } }
alerts:
  receivers:
    ops: { webhook: { url: "${env:NO_SUCH_WEBHOOK}" } }
"#;

fn shop() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("topology.yaml");
    std::fs::write(&file, SHOP).unwrap();
    let name = file.display().to_string();
    (dir, name)
}

fn root() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../topology.yaml").display().to_string()
}

#[test]
fn impact_tells_what_breaks_and_what_stays_up() {
    let (_dir, file) = shop();
    let mut said = String::new();
    for target in ["db", "queue", "mail", "gateway-1", "web-2", "host=h7"] {
        let output = run(&["impact", target, "-c", &file]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        said.push_str(&stdout(&output));
        said.push_str("---\n");
    }
    insta::assert_snapshot!(said);
}

#[test]
fn impact_as_json() {
    let (_dir, file) = shop();
    let output = run(&["impact", "orders", "-c", &file, "--json"]);
    insta::assert_snapshot!(stdout(&output));
}

#[test]
fn a_name_that_nothing_has_is_a_usage_error_with_a_suggestion() {
    let (_dir, file) = shop();
    for (target, says) in [
        ("oders", "there is no node `oders`: did you mean `orders`?"),
        ("host=h8", "no instance has the label `host=h8`: did you mean `host=h"),
        ("web-", "`web-` may be any of web-1, web-2, web-3, web-4"),
    ] {
        let output = run(&["impact", target, "-c", &file]);
        assert_eq!(code(&output), 64, "{target}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{target}: {}", stderr(&output));
    }
    let output = run(&["impact", "back", "-c", &file]);
    assert!(stdout(&output).starts_with("If back-office breaks"), "a prefix will do");
}

#[test]
fn spof_tells_the_worst_first() {
    let (_dir, file) = shop();
    let output = run(&["spof", "-c", &file]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    insta::assert_snapshot!(stdout(&output));
}

#[test]
fn spof_fails_a_pipeline_only_when_asked_to() {
    let (dir, file) = shop();
    let yellow = dir.path().join("yellow.yaml");
    std::fs::write(
        &yellow,
        "components:\n  web: { instances: [\"10.0.0.[1-2]:80\"], probe: { tcp: {} }, depends_on: [{ on: mail, strength: optional }] }\n  mail: { instances: [\"10.0.1.1:80\"], probe: { tcp: {} } }\n",
    )
    .unwrap();
    let none = dir.path().join("none.yaml");
    std::fs::write(&none, "components:\n  web: { instances: [\"10.0.0.[1-2]:80\"], probe: { tcp: {} } }\n")
        .unwrap();
    let (yellow, none) = (yellow.display().to_string(), none.display().to_string());
    for (file, fail_on, expected) in [
        (&file, "red", 2),
        (&file, "yellow", 2),
        (&yellow, "red", 0),
        (&yellow, "yellow", 1),
        (&none, "red", 0),
        (&none, "yellow", 0),
    ] {
        let output = run(&["spof", "-c", file, "--fail-on", fail_on]);
        assert_eq!(code(&output), expected, "{file} --fail-on {fail_on}: {}", stdout(&output));
    }
    assert_eq!(code(&run(&["spof", "-c", &yellow, "--fail-on", "green"])), 64);
    assert_eq!(
        stdout(&run(&["spof", "-c", &none])),
        "topology has no single point of failure that its file shows.\n"
    );
}

#[test]
fn a_broken_file_is_said_as_check_says_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.yaml");
    std::fs::write(
        &file,
        "components:\n  web:\n    instances: [\"${env:NO_SUCH}:1\"]\n    probe: { tcp: {} }\n    depends_on: [wep]\n",
    )
    .unwrap();
    for command in [&["spof", "-c"][..], &["impact", "web", "-c"]] {
        let output = run(&[command, &[file.to_str().unwrap()]].concat());
        assert_eq!(code(&output), 2);
        assert!(stderr(&output).contains("did you mean `web`"), "{}", stderr(&output));
        assert!(!stderr(&output).contains("NO_SUCH"), "only what matters here: {}", stderr(&output));
    }
}

#[test]
fn every_component_of_the_demo_with_one_instance_is_named_with_its_reason() {
    let output = run(&["spof", "-c", &root(), "--json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let answer: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let points = answer["points"].as_array().unwrap();
    let (model, _) =
        topology::read(&std::fs::read_to_string(root()).unwrap(), &probes::specs(), &Blind).unwrap();
    let mut seen = 0;
    for component in model.components.iter().filter(|component| component.instances.len() == 1) {
        let point = points.iter().find(|point| point["node"] == component.name.as_str());
        let point = point.unwrap_or_else(|| panic!("{} is not named", component.name));
        assert_eq!(point["kind"], "single_instance");
        assert!(!point["why"].as_str().unwrap().is_empty(), "{point}");
        seen += 1;
    }
    assert!(seen > 10, "the demo has more than ten of them");
    let oms_db = points.iter().find(|point| point["node"] == "oms-db").unwrap();
    assert_eq!(oms_db["level"], "red");
    assert!(oms_db["why"].as_str().unwrap().contains("pos cuts its users off"), "{oms_db}");
    // What the CDN has still reaches its users without the member database.
    let member_db = points.iter().find(|point| point["node"] == "member-db").unwrap();
    assert_eq!(member_db["level"], "yellow");
    assert!(member_db["why"].as_str().unwrap().contains("gateway"), "{member_db}");
    let levels: Vec<&str> = points.iter().map(|point| point["level"].as_str().unwrap()).collect();
    assert!(levels.is_sorted(), "red comes before yellow: {levels:?}");
}

/// Has nothing and gives something.
struct Blind;

impl topology::Environment for Blind {
    fn variable(&self, _: &str) -> Option<String> {
        Some("x".to_owned())
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Ok("x".to_owned())
    }
}
