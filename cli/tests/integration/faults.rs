//! A part of the fault matrix, drawn by a fixed seed; `make faults` has the whole of it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::left_behind;

/// Twelve of the platform's faults, each with its cause.
const FAULTS: usize = 12;
/// A debug build on the machine of a test run blurs some of them: what is promised is held to by `make faults`
/// on a release build.
const AT_LEAST_RIGHT: usize = 10;

#[test]
fn live_twelve_faults_are_given_to_their_causes_and_each_is_one_outage() {
    let dir = tempfile::tempdir().unwrap();
    let matrix = Path::new(env!("CARGO_BIN_EXE_topowatch")).with_file_name("examples").join("faults");
    let output = Command::new(&matrix)
        .args(["--sample", &FAULTS.to_string(), "--seed", "3", "--stand", "5", "--dir"])
        .arg(dir.path().join("demo"))
        .arg("--out")
        .arg(dir.path().join("out"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(dir.path().join("out/matrix.json")).unwrap();
    let table: Value = serde_json::from_str(&text).unwrap();
    let rows = table["rows"].as_array().unwrap();
    assert_eq!(rows.len(), FAULTS, "{said}");
    assert!(rows.iter().filter(|row| row["exact"] == true).count() >= AT_LEAST_RIGHT, "{said}");
    for row in rows {
        assert_eq!(row["quiet"], true, "{}: {}", row["fault"], row["events"]);
        assert!(row["green_s"].is_f64(), "{} did not end: {said}", row["fault"]);
    }
    assert_eq!(left_behind(dir.path()), Vec::<String>::new());
}
