//! The matrix as Markdown and JSON, its sums, and what is promised of them.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::baseline::NAMES;
use crate::row::{Row, seconds};

/// The first named is a right one, in this share of all faults.
const TOP1: f64 = 0.97;
/// All roots and no other are named.
const EXACT: f64 = 0.95;
/// Both roots of a pair.
const BOTH: f64 = 0.90;
/// Better than the best of the simpler rules by so much.
const AHEAD: f64 = 0.15;
/// From a kill or a hang to the right verdict, in median.
const SOON: Duration = Duration::from_secs(6);

/// A share in per cent, and of how many.
fn share(rows: &[&Row], is: impl Fn(&Row) -> bool) -> (f64, usize) {
    let hits = rows.iter().filter(|row| is(row)).count();
    (if rows.is_empty() { 1.0 } else { hits as f64 / rows.len() as f64 }, rows.len())
}

fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort();
    times.get(times.len() / 2).copied()
}

/// Kills and hangs that ended in the right verdict: how soon. A wrong one counts as never.
fn soon(rows: &[&Row]) -> Option<Duration> {
    let sudden = |row: &&&Row| {
        let name = row.entry.name();
        row.entry.faults.len() == 1 && (name.starts_with("kill-") || name.starts_with("stop-"))
    };
    median(rows.iter().filter(sudden).map(|row| row.seen.right.unwrap_or(Duration::MAX)).collect())
}

/// All sums, as words.
pub(crate) fn summary(rows: &[&Row]) -> String {
    let pairs: Vec<&Row> = rows.iter().copied().filter(|row| row.entry.faults.len() > 1).collect();
    let edges: Vec<&Row> = rows.iter().copied().filter(|row| row.entry.is_edge()).collect();
    let mut text = String::new();
    let mut line = |name: &str, (part, of): (f64, usize)| {
        // Writing to a string does not fail, here and below.
        writeln!(text, "| {name} | {:.1} % | {of} |", part * 100.0).ok();
    };
    line("first named is right", share(rows, |row| row.top1));
    line("all roots named, and no other", share(rows, |row| row.exact));
    line("both roots of a pair", share(&pairs, |row| row.exact));
    line("edge faults named as edges", share(&edges, Row::edge_named));
    for (place, name) in NAMES.iter().enumerate() {
        line(&format!("{name}: first is right"), share(rows, |row| row.baselines[place].0));
        line(&format!("{name}: all roots and no other"), share(rows, |row| row.baselines[place].1));
    }
    line("one open, one end, updates between", share(rows, Row::quiet));
    line("green again", share(rows, |row| row.recovered.is_some()));
    format!(
        "| of all faults | share | faults |\n| --- | --: | --: |\n{text}\n\
         From a kill or a hang to the right verdict: a median of {}.\n",
        seconds(soon(rows).filter(|time| *time < Duration::MAX))
    )
}

/// What is promised and was not kept.
pub(crate) fn broken_promises(rows: &[&Row]) -> Vec<String> {
    let pairs: Vec<&Row> = rows.iter().copied().filter(|row| row.entry.faults.len() > 1).collect();
    let exact = share(rows, |row| row.exact).0;
    let best = (0..NAMES.len()).map(|place| share(rows, |row| row.baselines[place].1).0).fold(0.0, f64::max);
    let mut broken = Vec::new();
    let mut promise = |kept: bool, words: String| {
        if !kept {
            broken.push(words);
        }
    };
    let top1 = share(rows, |row| row.top1).0;
    promise(top1 >= TOP1, format!("the first named is right in {:.1} %", top1 * 100.0));
    promise(exact >= EXACT, format!("the roots are right in {:.1} %", exact * 100.0));
    let both = share(&pairs, |row| row.exact).0;
    promise(both >= BOTH, format!("both roots of a pair are named in {:.1} %", both * 100.0));
    promise(
        exact - best >= AHEAD,
        format!("the best of the simpler rules is right in {:.1} %", best * 100.0),
    );
    for row in rows {
        promise(row.quiet(), format!("{} was told as {}", row.entry.name(), row.events()));
        promise(row.recovered.is_some(), format!("{} did not end", row.entry.name()));
        let edge = !row.entry.is_edge() || row.edge_named();
        promise(edge, format!("{} is an edge's fault and was given to {}", row.entry.name(), row.verdict()));
    }
    let soon = soon(rows);
    promise(
        soon.is_none_or(|time| time < SOON),
        format!("a right verdict took a median of {}", seconds(soon)),
    );
    broken
}

/// `matrix.md` and `matrix.json`.
pub(crate) fn write(out: &Path, scale: &str, rate: u32, rows: &[&Row]) -> Result<()> {
    let mut text = format!("{}\n\n{}\n", heading(scale, rate), summary(rows));
    text.push_str("| fault | expected | verdict | first | all | trouble | right | green | messages |");
    for name in NAMES {
        write!(text, " {name} |").ok();
    }
    text.push_str("\n| --- | --- | --- | --- | --- | --: | --: | --: | --- |");
    text.push_str(&" --- |".repeat(NAMES.len()));
    text.push('\n');
    let mark = |right: bool| if right { "yes" } else { "**no**" };
    for row in rows {
        let cells = [
            row.entry.name().replace('+', " + "),
            row.expected(),
            row.verdict(),
            mark(row.top1).to_owned(),
            mark(row.exact).to_owned(),
            seconds(row.seen.trouble),
            seconds(row.seen.right),
            seconds(row.recovered),
            row.events(),
        ];
        write!(text, "| {} |", cells.join(" | ")).ok();
        for (_, exact) in row.baselines {
            write!(text, " {} |", if exact { "yes" } else { "no" }).ok();
        }
        text.push('\n');
    }
    std::fs::write(out.join("matrix.md"), text)?;
    let all: Vec<Value> = rows.iter().map(|row| row.to_json()).collect();
    let json = json!({ "scale": scale, "rate": rate, "machine": machine(), "rows": all });
    std::fs::write(out.join("matrix.json"), serde_json::to_string_pretty(&json)?)?;
    Ok(())
}

fn heading(scale: &str, rate: u32) -> String {
    format!(
        "Measured {} on {}, commit {}; scale {scale}, {rate} requests a second from customers.",
        jiff::Timestamp::now().strftime("%Y-%m-%d"),
        machine(),
        commit().unwrap_or_else(|| "unknown".to_owned()),
    )
}

/// Cores, model and memory.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let model = value(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let memory = value(&read("/proc/meminfo"), "MemTotal")
        .and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    format!("{cores} cores of {model}, {} GiB", memory.unwrap_or(0) / (1 << 20))
}

fn commit() -> Option<String> {
    let output = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
