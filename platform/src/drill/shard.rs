//! One of the four order databases is killed: its quarter of the new orders fails at once, and those of the
//! other three take as long as before.

use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use serde_json::json;

use super::{DrillOptions, Stage, median, milliseconds, ratio};
use crate::catalog::SHARDS;
use crate::deploy;
use crate::deployment::State;
use crate::load::{Mix, Step, scramble};
use crate::process;

const RATE: u32 = 40;
/// Of all new orders: a shard's share, and what chance adds to it.
const FAILING: f64 = 0.30;
/// A customer of the lost shard hears it within this time.
const AT_ONCE: Duration = Duration::from_secs(1);
/// The others' p99, of what it was before.
const SLOWER: f64 = 2.0;

/// How many parts of the promise were not kept.
pub(super) async fn run(stage: &Stage, options: DrillOptions) -> Result<u32> {
    let rate = options.rate.unwrap_or(RATE);
    let (mut ratios, mut broken) = (Vec::new(), 0);
    for round in 0..options.rounds {
        let draw = scramble(options.seed.wrapping_mul(1000).wrapping_add(u64::from(round)));
        let name = format!("order-db-{}", draw % u64::from(SHARDS) + 1);
        let before = stage.load(rate, options.each, Mix::only(Step::Order)).await?;
        let state = State::load(&stage.dir)?.context("the platform was never completely up")?;
        let victim = state.find(&name).with_context(|| format!("{name} does not run"))?;
        for process in process::family(victim.pid) {
            process.signal(Signal::SIGKILL);
        }
        let during = stage.load(rate, options.each, Mix::only(Step::Order)).await;
        deploy::mend(&stage.dir, None).await?;
        let during = during?;
        if stage.stop.is_cancelled() {
            return Ok(broken);
        }
        let p99 = [&before, &during].map(|tally| tally.latency().quantile(0.99));
        let (failing, slowest) = (1.0 - during.availability(), during.slowest_failure());
        ratios.push(ratio(p99[0], p99[1]));
        broken += u32::from(failing > FAILING) + u32::from(slowest > AT_ONCE);
        let words = format!(
            "{name}: {:.1} % of {} orders fail, the slowest after {}; p99 of the others {} before, {} during",
            failing * 100.0,
            during.sent(),
            milliseconds(slowest),
            milliseconds(p99[0]),
            milliseconds(p99[1])
        );
        stage.tell(&words, || {
            json!({
                "killed": name, "failing": failing, "slowest_failure_s": slowest.as_secs_f64(),
                "p99_before_s": p99[0].as_secs_f64(), "p99_during_s": p99[1].as_secs_f64(),
                "before": before.to_json(options.each), "during": during.to_json(options.each),
            })
        });
    }
    let slower = median(ratios);
    stage.tell(
        &format!("p99 during / before: {slower:.2} (median of {} rounds)", options.rounds),
        || json!({ "p99_ratio": slower }),
    );
    Ok(broken + u32::from(slower > SLOWER))
}
