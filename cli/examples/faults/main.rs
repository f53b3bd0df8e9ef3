//! The fault matrix: every fault that the ordering platform knows, alone and in pairs, on the running platform,
//! and what the monitor says of each.
//!
//! `faults [--scale small|full] [--only NAME,NAME] [--check]` brings up platform and monitor, and for each fault
//! waits for a green board, breaks it, watches the verdict until it has stood for ten seconds, records the case,
//! undoes it and waits for green again. The table goes to `--out` as Markdown and JSON after every fault.
//! With `--check` it ends with 1 when less is right than README promises.
#![allow(clippy::print_stdout, reason = "a tool: its progress and its table are its output")]
#![expect(clippy::disallowed_methods, reason = "a program of its own, and this is its clock")]

mod baseline;
mod board;
mod matrix;
mod messages;
mod row;
mod stage;
mod table;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Parser;

use crate::matrix::Entry;
use crate::messages::Messages;
use crate::row::Row;
use crate::stage::Stage;

/// Every fault of the ordering platform, and what the monitor says of it.
#[derive(Parser)]
struct Args {
    /// Where the platform lies while it runs
    #[arg(long, default_value = "target/faults/demo")]
    dir: PathBuf,
    /// Where the table and the recorded cases go
    #[arg(long, default_value = "target/faults")]
    out: PathBuf,
    /// How much of the platform
    #[arg(long, env = "FAULTS_SCALE", default_value = "small")]
    scale: String,
    /// These faults only, with commas or spaces between them, and pairs as `one+other`
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// No pairs
    #[arg(long)]
    singles: bool,
    /// So many of the single ones, drawn by `--seed`
    #[arg(long, conflicts_with = "only")]
    sample: Option<usize>,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Orders and all else from customers, requests a second
    #[arg(long, default_value_t = 20)]
    rate: u32,
    /// How long a verdict must have stood before the fault is undone
    #[arg(long, default_value_t = 10)]
    stand: u64,
    /// End with 1 when less is right than is promised
    #[arg(long)]
    check: bool,
}

/// A fault that shows nothing is given up after this time.
const PATIENCE: Duration = Duration::from_mins(1);
/// All must be green again in this time.
const RECOVERY: Duration = Duration::from_mins(2);

/// What came back is said to be over when it has been quiet for a minute.
const ENDS: Duration = Duration::from_secs(75);

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    // An error means that one is installed already: as good.
    rustls::crypto::ring::default_provider().install_default().ok();
    let known = stage::faults().await?;
    let only: Vec<String> = match args.sample {
        Some(count) => matrix::sample(&known, count, args.seed),
        None => args.only.iter().flat_map(|names| names.split_whitespace()).map(str::to_owned).collect(),
    };
    let entries = matrix::select(&known, &only, args.singles)?;
    std::fs::create_dir_all(args.out.join("cases"))?;
    let messages = Messages::receive().await?;
    println!("{} faults, {}: starting the platform in {}", entries.len(), args.scale, args.dir.display());
    let stage = Stage::start(&args.dir, &args.scale, messages.url(), args.rate).await?;
    let asked = tokio::signal::ctrl_c();
    tokio::pin!(asked);
    let order =
        if args.only.is_empty() { matrix::order(&entries, args.seed) } else { (0..entries.len()).collect() };
    let mut done: BTreeMap<usize, Row> = BTreeMap::new();
    let mut outcome = Ok(());
    for (number, place) in order.into_iter().enumerate() {
        let entry = &entries[place];
        let row = tokio::select! {
            row = one(&stage, &messages, entry, &args) => row,
            _ = &mut asked => { outcome = Err(anyhow::anyhow!("interrupted")); break; }
        };
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                outcome = Err(error.context(entry.name()));
                break;
            }
        };
        println!("{:>3}/{} {}", number + 1, entries.len(), row.line());
        done.insert(place, row);
        table::write(&args.out, &args.scale, args.rate, &done.values().collect::<Vec<_>>())?;
    }
    stage.end().await?;
    outcome?;
    let rows: Vec<&Row> = done.values().collect();
    println!("\n{}", table::summary(&rows));
    let broken = table::broken_promises(&rows);
    if args.check && !broken.is_empty() {
        bail!("{}", broken.join("; "));
    }
    Ok(())
}

/// One fault from green to green.
async fn one(stage: &Stage, messages: &Messages, entry: &Entry, args: &Args) -> Result<Row> {
    stage.await_green(RECOVERY).await?;
    let told_before = messages.count();
    let began = Instant::now();
    let faults = stage.break_all(entry).await?;
    let seen = watch::watch(stage, began, Duration::from_secs(args.stand), PATIENCE, &entry.truth).await?;
    let case = args.out.join("cases").join(format!("{}.json.gz", entry.name()));
    // What the monitor says of itself is no case of the platform's.
    let is_monitors = entry.faults.iter().any(|fault| fault == matrix::STARVED);
    let recorded = !is_monitors && stage.record(&seen, &case, entry, began.elapsed()).await?;
    let mut all_undone = true;
    for fault in faults {
        if let Err(error) = fault.undo().await {
            println!("        {}: {error:#}", entry.name());
            all_undone = false;
        }
    }
    let undone = Instant::now();
    let green = all_undone && stage.await_green(RECOVERY).await.is_ok();
    let recovered = green.then(|| undone.elapsed());
    if !green {
        stage.repair().await?;
    }
    messages.await_ends(told_before, ENDS).await;
    Ok(Row::new(entry, seen, recovered, messages.since(told_before), recorded))
}
