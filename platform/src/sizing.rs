//! `plan`: what the story's load needs. Each step of a customer is done alone for a while, and the processor
//! time that it costs each component is read from the kernel: that is the same on a busy machine. The rest is
//! multiplication, and is shown.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::catalog::{COMPONENTS, Kind, SHARDS};
use crate::deployment::{Deployment, State};
use crate::load::{self, LoadOptions, Mix, STEPS, Step};
use crate::output::{say, warn};
use crate::process;
use crate::roles::cancel_on_signal;

/// Machines are not planned to be fuller than this: what is left is for the second after a machine is lost.
const FULL: f64 = 0.6;
/// The lunch peak over the day's mean.
const PEAK: f64 = 20.0;
const DAY_S: f64 = 86_400.0;
/// Of all requests. The rest is browsing; what is the same for everybody comes from the CDN on top.
const COUPONS: f64 = 0.03;
/// How often a customer looks after an order.
const LOOKS_PER_ORDER: f64 = 3.0;
/// Use over the use without customers from which on the difference counts.
const CLEARLY: f64 = 1.25;
/// Pictures and menus for each page that is browsed.
const STATICS_PER_PAGE: f64 = 2.0;

#[derive(Clone, Copy, Debug)]
pub(crate) struct SizingOptions {
    pub(crate) target: u32,
    pub(crate) orders_a_day: u32,
    pub(crate) cores: u32,
    pub(crate) rate: u32,
    pub(crate) length: Duration,
    pub(crate) json: bool,
}

/// Processor milliseconds of one step, by component.
type Costs = BTreeMap<&'static str, BTreeMap<Step, f64>>;

#[derive(Clone, Debug, PartialEq)]
struct Need {
    component: &'static str,
    /// Processor seconds a second at the peak.
    cores: f64,
    instances: u64,
    words: String,
}

/// Steps a second at the peak.
fn rates(target: f64, orders_a_day: f64) -> BTreeMap<Step, f64> {
    let orders = orders_a_day / DAY_S * PEAK;
    let (coupons, looks) = (target * COUPONS, orders * LOOKS_PER_ORDER);
    let pages = (target - orders - coupons - looks).max(0.0);
    BTreeMap::from([
        (Step::Static, pages * STATICS_PER_PAGE),
        (Step::Browse, pages),
        (Step::Order, orders),
        (Step::Coupon, coupons),
        (Step::Refresh, looks),
    ])
}

fn needs(costs: &Costs, rates: &BTreeMap<Step, f64>, cores: f64) -> Vec<Need> {
    let listed = COMPONENTS.iter().filter_map(|component| Some((component, costs.get(component.name)?)));
    listed
        .map(|(component, by_step)| {
            let used: f64 = by_step.iter().map(|(step, ms)| ms / 1e3 * rates.get(step).unwrap_or(&0.0)).sum();
            // Redis works on one core, whatever the machine has.
            let each = if component.kind == Kind::Redis { 1.0 } else { cores } * FULL;
            let (instances, words) = match component.kind {
                Kind::Redis => {
                    let shards = (used / each).ceil().max(1.0);
                    (shards * 2.0, format!("{shards:.0} shards on one core each, with a replica each"))
                }
                Kind::Postgres if component.is_sharded() => {
                    let shards = (used / 2.0 / each).ceil().max(f64::from(SHARDS));
                    (shards * 2.0, format!("{shards:.0} shards, with a replica each"))
                }
                Kind::Postgres | Kind::MariaDb | Kind::RabbitMq => {
                    let primaries = (used / each).ceil().max(1.0);
                    (primaries * 2.0, format!("{primaries:.0} with a replica each"))
                }
                // One more than needed: any one may be lost.
                _ => ((used / each).ceil() + 1.0, "one of them spare".to_owned()),
            };
            Need { component: component.name, cores: used, instances: instances as u64, words }
        })
        .collect()
}

pub(crate) async fn plan(dir: &Path, options: SizingOptions) -> Result<u8> {
    let stop = CancellationToken::new();
    cancel_on_signal(&stop)?;
    let costs = measure(dir, options, &stop).await?;
    let rates = rates(f64::from(options.target), f64::from(options.orders_a_day));
    let needs = needs(&costs, &rates, f64::from(options.cores));
    if options.json {
        say(serde_json::to_string_pretty(&to_json(&costs, &rates, &needs))?);
    } else {
        say(text(options, &costs, &rates, &needs));
    }
    Ok(0)
}

async fn measure(dir: &Path, options: SizingOptions, stop: &CancellationToken) -> Result<Costs> {
    let deployment = Deployment::require(dir)?;
    let tell = |words: String| {
        if !options.json {
            warn(words);
        }
    };
    if f64::from(deployment.rate_limit) < f64::from(options.rate) * 1.5 {
        bail!("the gateways let in {} requests a second only: see `limit`", deployment.rate_limit);
    }
    tell(format!("quiet for {} s: what is used without customers", options.length.as_secs()));
    let before = used(dir)?;
    tokio::select! {
        () = stop.cancelled() => bail!("interrupted"),
        () = tokio::time::sleep(options.length) => {}
    }
    let after = used(dir)?;
    let quiet = |component: &str| grown(&before, &after, component) / options.length.as_secs_f64();
    let mut costs = Costs::new();
    for step in STEPS {
        tell(format!("{} at {}/s for {} s", step.word(), options.rate, options.length.as_secs()));
        let before = used(dir)?;
        let load =
            LoadOptions { rate: options.rate, length: options.length, mix: Mix::only(step), json: true };
        let (tally, ran) = load::run(dir, load, stop).await?;
        // What an order causes ends with its pickup code: not before the kitchen has made it.
        tokio::time::sleep(Duration::from_secs(2)).await;
        if stop.is_cancelled() {
            bail!("interrupted");
        }
        let after = used(dir)?;
        let all = ran.as_secs_f64() + 2.0;
        let well = tally.well().max(1) as f64;
        for component in COMPONENTS {
            let (all_used, idle) = (grown(&before, &after, component.name), quiet(component.name) * all);
            // What is not clearly more than without customers is not their doing.
            let cost = if all_used < idle * CLEARLY { 0.0 } else { all_used - idle };
            costs.entry(component.name).or_default().insert(step, cost / well * 1e3);
        }
    }
    costs.retain(|name, _| before.contains_key(*name));
    Ok(costs)
}

/// Processor seconds of every component until now.
fn used(dir: &Path) -> Result<BTreeMap<String, f64>> {
    let state = State::load(dir)?.context("the platform was never completely up")?;
    let of = |pid: i32| -> f64 { process::family(pid).iter().map(|one| one.cpu().as_secs_f64()).sum() };
    Ok(state
        .components
        .iter()
        .map(|(name, list)| (name.clone(), list.iter().map(|running| of(running.pid)).sum()))
        .collect())
}

fn grown(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>, component: &str) -> f64 {
    let at = |book: &BTreeMap<String, f64>| book.get(component).copied().unwrap_or_default();
    at(after) - at(before)
}

fn text(options: SizingOptions, costs: &Costs, rates: &BTreeMap<Step, f64>, needs: &[Need]) -> String {
    let mut text = format!(
        "{} requests/s at the peak and {} orders a day ({:.0}/s at the peak, {PEAK} times the mean)\n",
        options.target,
        options.orders_a_day,
        rates.get(&Step::Order).unwrap_or(&0.0)
    );
    let steps: Vec<String> =
        rates.iter().map(|(step, rate)| format!("{} {rate:.0}/s", step.word())).collect();
    writeln!(text, "steps: {}", steps.join(", ")).ok();
    writeln!(
        text,
        "an instance has {} cores, {:.0} % of them used; cost of one step in processor milliseconds\n",
        options.cores,
        FULL * 100.0
    )
    .ok();
    write!(text, "{:<22}", "component").ok();
    for step in STEPS {
        write!(text, "{:>9}", step.word()).ok();
    }
    writeln!(text, "{:>9}{:>11}", "cores", "instances").ok();
    for need in needs {
        write!(text, "{:<22}", need.component).ok();
        for step in STEPS {
            let cost = costs.get(need.component).and_then(|by| by.get(&step)).copied().unwrap_or_default();
            write!(text, "{cost:>9.3}").ok();
        }
        writeln!(text, "{:>9.1}{:>11}  {}", need.cores, need.instances, need.words).ok();
    }
    let (cores, instances) = (
        needs.iter().map(|need| need.cores).sum::<f64>(),
        needs.iter().map(|need| need.instances).sum::<u64>(),
    );
    write!(text, "\ntogether {cores:.0} cores at work, {instances} instances").ok();
    if cfg!(debug_assertions) {
        text.push_str(
            "\nmeasured on a build without optimisation: our own processes cost several times less",
        );
    }
    text
}

fn to_json(costs: &Costs, rates: &BTreeMap<Step, f64>, needs: &[Need]) -> Value {
    let by_step = |book: &BTreeMap<Step, f64>| -> Value {
        book.iter().map(|(step, value)| (step.word().to_owned(), Value::from(*value))).collect()
    };
    let components: Vec<Value> = needs
        .iter()
        .map(|need| {
            json!({
                "component": need.component, "cores": need.cores, "instances": need.instances,
                "words": need.words, "cost_ms": costs.get(need.component).map(by_step),
            })
        })
        .collect();
    json!({ "steps_per_second": by_step(rates), "used_share": FULL, "components": components })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_made_of_its_steps() {
        let rates = rates(100_000.0, 5_000_000.0);
        let orders = rates[&Step::Order];
        assert!((orders - 1157.4).abs() < 0.1, "{orders}");
        let sum: f64 = STEPS.iter().filter(|step| **step != Step::Static).map(|step| rates[step]).sum();
        assert!((sum - 100_000.0).abs() < 1e-6);
    }

    #[test]
    fn instances_are_cores_over_what_one_may_use_and_one_to_spare() {
        let cost = |ms| BTreeMap::from([(Step::Browse, ms)]);
        let costs = Costs::from([
            ("miniapp-server", cost(1.0)),
            ("order-db", cost(0.1)),
            ("order-redis", cost(0.05)),
        ]);
        let needs = needs(&costs, &BTreeMap::from([(Step::Browse, 24_000.0)]), 4.0);
        let of = |name: &str| needs.iter().find(|need| need.component == name).unwrap().clone();
        // 24 cores, 2.4 of each machine.
        assert_eq!((of("miniapp-server").cores, of("miniapp-server").instances), (24.0, 11));
        // Four shards whatever the load, each with a replica.
        assert_eq!(of("order-db").instances, 8);
        // 1.2 cores, 0.6 of each: two shards with replicas.
        assert_eq!(of("order-redis").instances, 4);
    }
}
