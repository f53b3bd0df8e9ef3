//! One instance of each component after the other is killed under load and started again when its time is
//! over. Which one is drawn by a seed, so that a run can be repeated. Those with a second instance come first,
//! each with a minute of its own: the promise is about the availability of that minute.

use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use serde_json::json;

use super::{AVAILABLE, DrillOptions, Stage, worst_step};
use crate::catalog::{COMPONENTS, Component};
use crate::deploy;
use crate::deployment::State;
use crate::load::{Mix, scramble};
use crate::process;

const RATE: u32 = 200;
/// Before the kill: the load has begun.
const BEFORE: Duration = Duration::from_secs(2);

/// How many minutes were worse than promised.
pub(super) async fn run(stage: &Stage, options: DrillOptions) -> Result<u32> {
    let state = State::load(&stage.dir)?.context("the platform was never completely up")?;
    let mut turns: Vec<(u64, &Component, bool)> = (0..)
        .zip(COMPONENTS)
        .filter_map(|(number, component)| {
            let count = state.components.get(component.name)?.len();
            // A shard's other server takes its place only when it is promoted.
            Some((number, component, count > 1 && !component.is_sharded()))
        })
        .collect();
    turns.sort_by_key(|(_, _, has_second)| !has_second);
    let mut worse = 0;
    for (number, component, has_second) in turns {
        let length = if has_second { options.each } else { options.others };
        let draw = scramble(options.seed.wrapping_mul(1000).wrapping_add(number));
        worse += u32::from(kill(stage, component, draw, length, has_second, options).await? && has_second);
        if stage.stop.is_cancelled() {
            break;
        }
    }
    Ok(worse)
}

/// Whether the time was worse than promised to those with a second instance.
async fn kill(
    stage: &Stage,
    component: &Component,
    draw: u64,
    length: Duration,
    has_second: bool,
    options: DrillOptions,
) -> Result<bool> {
    // Read anew: an instance that was started again has another process.
    let state = State::load(&stage.dir)?.context("the platform was never completely up")?;
    let list = state.components.get(component.name).map(Vec::as_slice).unwrap_or_default();
    let Some(victim) = list.get(draw as usize % list.len().max(1)) else { return Ok(false) };
    let killing = async {
        tokio::time::sleep(BEFORE).await;
        for process in process::family(victim.pid) {
            process.signal(Signal::SIGKILL);
        }
    };
    let (tally, ()) = tokio::join!(stage.load(options.rate.unwrap_or(RATE), length, Mix::default()), killing);
    let tally = tally?;
    deploy::mend(&stage.dir, None).await?;
    let availability = tally.availability();
    let (step, of_step) = worst_step(&tally);
    let second = if has_second { "" } else { " (no second instance)" };
    let failures: Vec<String> =
        tally.failures().iter().map(|(what, count)| format!("{count} x {what}")).collect();
    let words = format!(
        "{:<24} {:>8.3} % in {} s, worst step {step} {:.3} %, {} orders, {} asked again{second} {}",
        victim.name,
        availability * 100.0,
        length.as_secs(),
        of_step * 100.0,
        tally.orders(),
        tally.asked_again(),
        failures.join(", ")
    );
    stage.tell(words.trim_end(), || {
        json!({
            "component": component.name, "killed": victim.name, "second": has_second,
            "load": tally.to_json(length),
        })
    });
    Ok(availability < AVAILABLE)
}
