//! `drill`: the platform's promises, put to the test on the running platform. Each drill prints a table and
//! ends with an audit; exit status 1 when a promise was not kept.

mod kills;
mod outages;
mod overload;
mod shard;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::audit;
use crate::load::{self, LoadOptions, Mix, Tally};
use crate::output::say;
use crate::roles::cancel_on_signal;

/// Availability that a minute must have where a second instance does the work.
const AVAILABLE: f64 = 0.999;
/// For orders that are still on their way when a drill has ended.
const DELIVERY: Duration = Duration::from_mins(3);

/// What is broken, and which promise is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum What {
    /// One instance of each component is killed in turn: customers notice nothing where there is a second one.
    Kills,
    /// The broker, the OMS and push are gone, and messages fail: orders are accepted all the same.
    Outages,
    /// One order database is killed: a quarter of the orders fails at once, the others stay as quick.
    Shard,
    /// Three times as many requests as the site lets in: those let in stay quick, the others are refused at once.
    Overload,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct DrillOptions {
    pub(crate) what: What,
    pub(crate) seed: u64,
    /// Requests a second; for `overload`, the limit of the site.
    pub(crate) rate: Option<u32>,
    /// The length of one outage.
    pub(crate) each: Duration,
    /// The same for a component without a second instance, where no promise is looked at.
    pub(crate) others: Duration,
    pub(crate) rounds: u8,
    pub(crate) json: bool,
}

/// Exit status 1 when a promise was not kept.
pub(crate) async fn drill(dir: &Path, options: DrillOptions) -> Result<u8> {
    let stop = CancellationToken::new();
    cancel_on_signal(&stop)?;
    let stage = Stage { dir: dir.to_owned(), stop, json: options.json };
    let broken = match options.what {
        What::Kills => kills::run(&stage, options).await?,
        What::Outages => outages::run(&stage, options).await?,
        What::Shard => shard::run(&stage, options).await?,
        What::Overload => overload::run(&stage, options).await?,
    };
    if stage.stop.is_cancelled() {
        let words = "stopped before its end: `ordering-platform audit` tells what became of its orders";
        stage.tell(words, || serde_json::json!({ "stopped": true }));
        return Ok(130);
    }
    let lost = audit::audit(dir, DELIVERY, options.json).await?;
    Ok(u8::from(broken > 0).max(lost))
}

/// Where a drill takes place, and what it says.
struct Stage {
    dir: PathBuf,
    stop: CancellationToken,
    json: bool,
}

impl Stage {
    async fn load(&self, rate: u32, length: Duration, mix: Mix) -> Result<Tally> {
        let options = LoadOptions { rate, length, mix, json: true };
        Ok(load::run(&self.dir, options, &self.stop).await?.0)
    }

    fn tell(&self, words: &str, value: impl FnOnce() -> Value) {
        if self.json {
            say(value());
        } else {
            say(words);
        }
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// How many times the first the second is.
fn ratio(before: Duration, during: Duration) -> f64 {
    during.as_secs_f64() / before.as_secs_f64().max(1e-6)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The availability of the step that had it worst.
fn worst_step(tally: &Tally) -> (&'static str, f64) {
    tally.by_step().min_by(|one, other| one.1.total_cmp(&other.1)).unwrap_or(("none", 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((ratio(Duration::from_millis(10), Duration::from_millis(25)) - 2.5).abs() < 1e-9);
    }
}
