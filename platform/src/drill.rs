//! `drill`: one instance of each component after the other is killed under load and started again. Which one
//! is drawn by a seed, so that a run can be repeated.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::catalog::COMPONENTS;
use crate::deploy;
use crate::deployment::State;
use crate::load::{self, LoadOptions, Mix, scramble};
use crate::output::say;
use crate::process;
use crate::roles::cancel_on_signal;

/// Before the kill: the load has begun.
const BEFORE: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug)]
pub(crate) struct DrillOptions {
    pub(crate) seed: u64,
    pub(crate) rate: u32,
    /// For each component.
    pub(crate) each: Duration,
    pub(crate) json: bool,
}

/// Exit status 1 when a component with a second instance cost more than one request in a thousand.
pub(crate) async fn drill(dir: &Path, options: DrillOptions) -> Result<u8> {
    let stop = CancellationToken::new();
    cancel_on_signal(&stop)?;
    let mut worse = 0;
    for (number, component) in COMPONENTS.iter().enumerate() {
        let state = State::load(dir)?.context("the platform was never completely up")?;
        let Some(list) = state.components.get(component.name) else { continue };
        let draw = scramble(options.seed.wrapping_mul(1000).wrapping_add(number as u64)) as usize;
        let Some(victim) = list.get(draw % list.len().max(1)) else { continue };
        let load = LoadOptions { rate: options.rate, length: options.each, mix: Mix::default(), json: true };
        let killing = async {
            tokio::time::sleep(BEFORE).await;
            for process in process::family(victim.pid) {
                process.signal(Signal::SIGKILL);
            }
        };
        let (outcome, ()) = tokio::join!(load::run(dir, load, &stop), killing);
        let (tally, ran) = outcome?;
        deploy::mend(dir, None).await?;
        if stop.is_cancelled() {
            return Ok(130);
        }
        let told = tally.to_json(ran);
        let has_second = list.len() > 1 && component.name != "order-db";
        let availability = told.get("availability").and_then(Value::as_f64).unwrap_or_default();
        worse += u8::from(has_second && availability < 0.999);
        if options.json {
            say(
                json!({ "component": component.name, "killed": victim.name, "second": has_second, "load": told }),
            );
        } else {
            let second = if has_second { "" } else { " (no second instance)" };
            say(format!(
                "{:<24} {:>8.3} % available, {} orders{second} {}",
                victim.name,
                availability * 100.0,
                told["orders_accepted"],
                told["failures"]
            ));
        }
    }
    Ok(u8::from(worse > 0))
}
