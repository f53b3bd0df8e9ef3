//! Runs the verdict on recorded cases and prints how often it was right.
//!
//! `cargo run --release -p topology --example cases -- [--verbose] [--confidence] [--drop-edges SHARE] [--reverse] DIR...`
//!
//! Each `NAME.json` or `NAME.json.gz` has its truth beside it in `NAME.truth.json[.gz]`:
//! `{truth: [[names accepted for root 1], ...], kind}`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a tool for developers: it stops at the first bad file"
)]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use topology::case::{Answer, RecordedCase, replay};

#[derive(Deserialize)]
struct Truth {
    kind: String,
    truth: Vec<Vec<String>>,
}

#[derive(Default, Clone)]
struct Tally {
    cases: usize,
    top1: usize,
    top3: usize,
    exact: usize,
}

struct Options {
    verbose: bool,
    drop: f64,
    reverse: bool,
    only: Option<String>,
    without: Vec<String>,
    until: f64,
}

fn main() {
    let mut options =
        Options { verbose: false, drop: 0.0, reverse: false, only: None, without: Vec::new(), until: 1.0 };
    let (mut brief, mut confidence) = (false, false);
    let mut folders = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--verbose" => options.verbose = true,
            "--brief" => brief = true,
            "--confidence" => confidence = true,
            "--reverse" => options.reverse = true,
            "--drop-edges" => options.drop = args.next().and_then(|v| v.parse().ok()).expect("a share"),
            "--without" => options.without.extend(args.next()),
            "--until" => options.until = args.next().and_then(|v| v.parse().ok()).expect("a share"),
            "--only" => options.only = args.next(),
            _ => folders.push(PathBuf::from(arg)),
        }
    }
    let mut sets: BTreeMap<String, Tally> = BTreeMap::new();
    let mut kinds: BTreeMap<(String, String), Tally> = BTreeMap::new();
    let mut sure = Sure::new();
    for folder in folders.iter().flat_map(|f| sets_in(f)) {
        let set = folder.file_name().unwrap().to_string_lossy().into_owned();
        let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
            .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .filter(|p| is_case(p))
            .collect();
        files.sort();
        for file in files {
            if options.only.as_ref().is_some_and(|o| !file.to_string_lossy().contains(o.as_str())) {
                continue;
            }
            let mut case =
                RecordedCase::from_json(&read(&file)).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            let truth: Truth = serde_json::from_slice(&read(&truth_of(&file))).unwrap();
            for what in &options.without {
                match what.as_str() {
                    "witnesses" => case.witnesses.clear(),
                    "series" if !case.observations.is_empty() => case.series.clear(),
                    "changes" => case.changes.clear(),
                    _ => {}
                }
            }
            if options.until < 1.0 && !case.observations.is_empty() {
                let end = case.incident.from + options.until * (case.incident.to - case.incident.from);
                case.incident.to = end;
                case.observations.retain(|o| o.t <= end);
                case.witnesses.retain(|w| w.t <= end);
                case.series.iter_mut().for_each(|s| s.points.retain(|p| p.0 <= end));
            }
            let rounds = if options.drop > 0.0 { 5 } else { 1 };
            let edges = case.graph.edges.clone();
            for round in 0..rounds {
                case.graph.edges.clone_from(&edges);
                if options.reverse {
                    for e in &mut case.graph.edges {
                        std::mem::swap(&mut e.from, &mut e.to);
                    }
                }
                if options.drop > 0.0 {
                    let mut state = round * 7919 + 17;
                    case.graph.edges.retain(|e| {
                        state = hash(state, &e.from, &e.to);
                        (state % 1000) as f64 >= options.drop * 1000.0
                    });
                }
                let answer = replay(&case);
                let result = judge(&answer, &truth.truth);
                for tally in [
                    sets.entry(set.clone()).or_default(),
                    kinds.entry((set.clone(), truth.kind.clone())).or_default(),
                ] {
                    tally.cases += 1;
                    tally.top1 += usize::from(result.0);
                    tally.top3 += usize::from(result.1);
                    tally.exact += usize::from(result.2);
                }
                for root in &answer.roots {
                    let right = truth.truth.iter().any(|t| t.contains(&root.node));
                    let bucket = (root.confidence * 10.0).floor().min(9.0) as u32;
                    let entry = sure.entry((set.clone(), bucket)).or_default();
                    entry.0 += 1;
                    entry.1 += usize::from(right);
                    entry.2 += root.confidence;
                }
                if options.verbose && !(result.0 && result.2) {
                    let names: Vec<String> =
                        answer.roots.iter().map(|r| format!("{} {:.2}", r.node, r.confidence)).collect();
                    let more: Vec<&str> = answer
                        .suspects
                        .iter()
                        .skip(answer.roots.len())
                        .take(4)
                        .map(|s| s.node.as_str())
                        .collect();
                    println!(
                        "{} {}: wanted {:?}, got {names:?}, then {more:?}",
                        answer.name, truth.kind, truth.truth
                    );
                }
                if options.only.is_some() {
                    for r in answer.suspects.iter().take(6) {
                        println!("  {} {} {:.2}", r.kind, r.node, r.confidence);
                        for (k, t) in &r.evidence {
                            println!("     {k}: {}", t.en);
                        }
                    }
                }
            }
        }
    }
    if confidence {
        calibration(sure);
        return;
    }
    println!("{:<44} {:>5} {:>6} {:>6} {:>6}", "", "cases", "top-1", "top-3", "exact");
    let line = |name: &str, t: &Tally| {
        let share = |n: usize| n as f64 / t.cases as f64;
        println!(
            "{name:<44} {:>5} {:>6.3} {:>6.3} {:>6.3}",
            t.cases,
            share(t.top1),
            share(t.top3),
            share(t.exact)
        );
    };
    for (set, tally) in &sets {
        line(set, tally);
        if brief {
            continue;
        }
        for ((_, kind), tally) in kinds.iter().filter(|((s, _), _)| s == set) {
            line(&format!("  {kind}"), tally);
        }
    }
    if brief {
        return;
    }
    println!();
    calibration(sure);
}

/// Roots by claimed confidence: how many, the mean claim, how many of them right.
type Sure = BTreeMap<(String, u32), (usize, usize, f64)>;

/// What was claimed, and how often it was right, of each set and of all together.
fn calibration(mut sure: Sure) {
    println!("{:<20} {:>10} {:>6} {:>8} {:>6}", "confidence", "", "roots", "claimed", "right");
    let mut all: BTreeMap<u32, (usize, usize, f64)> = BTreeMap::new();
    for ((_, bucket), (n, right, claimed)) in &sure {
        let entry = all.entry(*bucket).or_default();
        *entry = (entry.0 + n, entry.1 + right, entry.2 + claimed);
    }
    sure.extend(all.into_iter().map(|(bucket, sums)| (("~all".to_owned(), bucket), sums)));
    for ((set, bucket), (n, right, claimed)) in &sure {
        println!(
            "{set:<20} {:>4.1}-{:<4.1} {n:>7} {:>8.2} {:>6.2}",
            f64::from(*bucket) / 10.0,
            f64::from(*bucket + 1) / 10.0,
            claimed / *n as f64,
            *right as f64 / *n as f64
        );
    }
}

/// A folder with cases, or those below it that have some.
fn sets_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        eprintln!("{} is not there: skipped", folder.display());
        return Vec::new();
    };
    let mut inside: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    inside.sort();
    if inside.iter().any(|p| is_case(p)) {
        return vec![folder.to_path_buf()];
    }
    inside.into_iter().filter(|p| p.is_dir()).flat_map(|p| sets_in(&p)).collect()
}

/// Whether the first, one of the first three, and the whole set of roots are right.
fn judge(answer: &Answer, truth: &[Vec<String>]) -> (bool, bool, bool) {
    if truth.is_empty() {
        let none = answer.roots.is_empty();
        return (none, none, none);
    }
    let accepted = |name: &str| truth.iter().any(|t| t.iter().any(|n| n == name));
    let top1 = answer.suspects.first().is_some_and(|s| accepted(&s.node));
    let top3 = answer.suspects.iter().take(3).any(|s| accepted(&s.node));
    let exact = answer.roots.len() == truth.len()
        && truth.iter().all(|t| answer.roots.iter().any(|r| t.contains(&r.node)));
    (top1, top3, exact)
}

fn is_case(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    (name.ends_with(".json") || name.ends_with(".json.gz")) && !name.contains(".truth.json")
}

fn truth_of(path: &Path) -> PathBuf {
    let name = path.to_string_lossy();
    let stem = name.trim_end_matches(".gz").trim_end_matches(".json");
    let plain = PathBuf::from(format!("{stem}.truth.json"));
    if plain.exists() { plain } else { PathBuf::from(format!("{stem}.truth.json.gz")) }
}

fn read(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    if path.extension().is_some_and(|e| e == "gz") {
        let mut out = Vec::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut out).unwrap();
        out
    } else {
        bytes
    }
}

/// FNV-1a, so that the same edges are dropped everywhere.
fn hash(seed: u64, a: &str, b: &str) -> u64 {
    a.bytes()
        .chain(b.bytes())
        .fold(seed ^ 0xcbf2_9ce4_8422_2325, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
