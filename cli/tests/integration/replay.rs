//! `topowatch replay`, as its users meet it.

use std::path::PathBuf;

use crate::support::{run, stderr, stdout};

fn case(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../topology/cases");
    folder.join(format!("{name}.json.gz")).display().to_string()
}

#[test]
fn a_recorded_case_is_answered_with_its_evidence() {
    let output = run(&["replay", &case("primary-read-only")]);
    assert_eq!(output.status.code(), Some(0));
    insta::assert_snapshot!(stdout(&output));
}

#[test]
fn json_has_the_roots_and_all_suspects() {
    let output = run(&["replay", "--json", &case("monitor-lost-one-zone")]);
    let answer: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(answer["name"], "monitor-lost-one-zone");
    assert_eq!(answer["roots"][0]["node"], "monitor -> zone=a");
    assert_eq!(answer["roots"][0]["kind"], "monitor");
    assert!(answer["suspects"].as_array().unwrap().len() > 1);
    let several = run(&["replay", "--json", &case("one-line-cut"), &case("name-gone")]);
    let lines = stdout(&several);
    assert_eq!(lines.lines().count(), 2, "one object a line");
    for line in lines.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

#[test]
fn what_is_no_case_is_told_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("no.json");
    std::fs::write(&file, "{\"name\": \"x\",\n  \"graph\": 3}").unwrap();
    let output = run(&["replay", &file.display().to_string()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("no.json:2:"), "{}", stderr(&output));
    let missing = run(&["replay", "nowhere.json"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("nowhere.json cannot be read"), "{}", stderr(&missing));
}
