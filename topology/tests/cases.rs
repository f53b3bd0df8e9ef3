//! The project's own recorded cases: each must be answered exactly.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first thing that is wrong")]

use std::io::Read;
use std::path::{Path, PathBuf};

use topology::case::{RecordedCase, replay};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}

fn read(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    if path.extension().is_some_and(|e| e == "gz") {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap();
        return plain;
    }
    bytes
}

fn cases() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".json.gz"))
        .collect();
    files.sort();
    files
}

#[test]
fn every_case_of_our_own_is_answered_exactly() {
    let files = cases();
    assert!(files.len() >= 20, "only {} cases", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let case = RecordedCase::from_json(&read(&file)).unwrap();
        let beside = file.to_string_lossy().replace(".json.gz", ".truth.json");
        let truth: serde_json::Value = serde_json::from_slice(&read(Path::new(&beside))).unwrap();
        let truth: Vec<Vec<String>> = serde_json::from_value(truth["truth"].clone()).unwrap();
        let answer = replay(&case);
        let roots: Vec<&str> = answer.roots.iter().map(|root| root.node.as_str()).collect();
        let each = truth.iter().all(|names| names.iter().any(|name| roots.contains(&name.as_str())));
        if !each || roots.len() != truth.len() {
            wrong.push(format!("{}: wanted {truth:?}, got {roots:?}", answer.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_answer_is_the_same_every_time_and_says_why() {
    for file in cases() {
        let case = RecordedCase::from_json(&read(&file)).unwrap();
        let (one, two) = (replay(&case), replay(&case));
        assert_eq!(format!("{one:?}"), format!("{two:?}"));
        for root in &one.roots {
            assert!(!root.evidence.is_empty(), "{}: {} has no evidence", one.name, root.node);
            for (kind, text) in &root.evidence {
                assert!(!text.en.is_empty() && !text.zh.is_empty(), "{}: {kind}", one.name);
            }
        }
    }
}

#[test]
fn a_case_without_anything_wrong_has_no_root() {
    let case = br#"{"name":"calm","graph":{"nodes":[{"id":"a"},{"id":"b"}],"edges":[{"from":"a","to":"b"}]},
        "normal":{"from":0,"to":10},"incident":{"from":10,"to":20},
        "observations":[{"node":"a","t":1,"latency_s":0.01},{"node":"b","t":2},{"node":"a","t":12},
        {"node":"b","t":13,"fault":"hung"},{"node":"b","t":15}]}"#;
    let answer = replay(&RecordedCase::from_json(case).unwrap());
    assert!(answer.roots.is_empty());
}

#[test]
fn what_is_no_case_says_where() {
    let error = RecordedCase::from_json(b"{\"name\": \"x\",\n \"graph\": 3}").unwrap_err();
    assert_eq!(error.line(), 2);
}
