//! docs/lessons.md is true: every test that it names exists, and every test of a lesson stands in it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The names of all functions in Rust files below `dir`.
fn functions(dir: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            if !["target", "node_modules"].contains(&name.to_str().unwrap())
                && !name.to_str().unwrap().starts_with('.')
            {
                functions(&path, names);
            }
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let words =
                |line: &str| Some(line.split_once("fn ")?.1.split(['(', '<']).next()?.trim().to_owned());
            names.extend(text.lines().filter_map(words));
        }
    }
}

fn listed() -> (String, Vec<String>) {
    let text = std::fs::read_to_string(root().join("docs/lessons.md")).unwrap();
    let is_test = |word: &&str| {
        word.matches('_').count() >= 2
            && word.bytes().all(|b| b == b'_' || b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    let names = text.split('`').skip(1).step_by(2).filter(is_test).map(str::to_owned).collect();
    (text, names)
}

#[test]
fn every_test_that_the_list_names_exists_and_every_test_of_a_lesson_stands_in_it() {
    let mut known = BTreeSet::new();
    for member in ["topology", "probes", "collector", "web", "cli", "platform"] {
        functions(&root().join(member), &mut known);
    }
    let (_, named) = listed();
    assert!(named.len() > 50);
    for name in &named {
        assert!(known.contains(name), "docs/lessons.md names `{name}`, and there is no such test");
    }
    for name in known.iter().filter(|name| name.starts_with("lesson_") && name.as_bytes()[7].is_ascii_digit())
    {
        assert!(named.contains(name), "`{name}` stands not in docs/lessons.md");
    }
}

#[test]
fn every_row_has_a_test_or_a_reason() {
    let (text, _) = listed();
    let numbers: Vec<usize> =
        text.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |")?.0.parse().ok()).collect();
    assert_eq!(numbers, (1..=33).collect::<Vec<_>>());
    for row in text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---")) {
        let last = row.trim_end_matches('|').rsplit('|').next().unwrap().trim();
        assert!(last.len() > 3, "{row}");
    }
}
