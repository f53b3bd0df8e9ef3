//! Three times as many requests come as the site lets in. What is let in takes as long as without the rush,
//! the rest hears so at once. Unless a limit is given, it is 30 % of what the machine was measured to do a
//! moment before, so that the customers, who run here, too, are not the bottleneck.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::{DrillOptions, Stage, median, milliseconds, ratio};
use crate::deploy;
use crate::deployment::Deployment;
use crate::load::{self, Mix, Step};

const SHARE: f64 = 0.3;
const CONNECTIONS: u32 = 32;
const MEASURING: Duration = Duration::from_secs(8);
const NO_LIMIT: u32 = 1_000_000;
/// Below the limit, so that nothing is refused.
const QUIET: f64 = 0.8;
/// p99 of what is let in, of what it was below the limit.
const SLOWER: f64 = 2.0;
/// p95 of a refusal.
const AT_ONCE: Duration = Duration::from_millis(20);

/// How many parts of the promise were not kept.
pub(super) async fn run(stage: &Stage, options: DrillOptions) -> Result<u32> {
    let usual = Deployment::require(&stage.dir)?.rate_limit;
    let outcome = rounds(stage, options).await;
    deploy::limit(&stage.dir, usual)?;
    outcome
}

async fn rounds(stage: &Stage, options: DrillOptions) -> Result<u32> {
    // What the edge caches answer never comes to the gateways.
    let mix = Mix::default().without(Step::Static);
    let limit = if let Some(rate) = options.rate {
        rate
    } else {
        deploy::limit(&stage.dir, NO_LIMIT)?;
        let most = load::most(&stage.dir, mix, CONNECTIONS, MEASURING).await?;
        stage.tell(
            &format!("this machine does {most:.0} requests a second of the usual mix without pictures"),
            || json!({ "most_per_second": most }),
        );
        (most * SHARE) as u32
    };
    deploy::limit(&stage.dir, limit)?;
    let (mut ratios, mut refusals) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let quiet = (f64::from(limit) * QUIET) as u32;
        let before = stage.load(quiet.max(1), options.each, mix).await?;
        let during = stage.load(limit.saturating_mul(3), options.each, mix).await?;
        if stage.stop.is_cancelled() {
            return Ok(0);
        }
        let p99 = [&before, &during].map(|tally| tally.latency().quantile(0.99));
        let refused = during.refusals().quantile(0.95);
        ratios.push(ratio(p99[0], p99[1]));
        refusals.push(refused.as_secs_f64());
        let words = format!(
            "{} let in, {} refused, {} failed, {} shed; p99 of those let in {} below the limit, {} at three times it; \
             refused within {} (p95)",
            during.well(),
            during.refused(),
            during.failed(),
            during.shed(),
            milliseconds(p99[0]),
            milliseconds(p99[1]),
            milliseconds(refused)
        );
        stage.tell(&words, || {
            json!({
                "limit": limit, "p99_before_s": p99[0].as_secs_f64(), "p99_during_s": p99[1].as_secs_f64(),
                "refused_p95_s": refused.as_secs_f64(),
                "before": before.to_json(options.each), "during": during.to_json(options.each),
            })
        });
    }
    let (slower, refused) = (median(ratios), median(refusals));
    let words = format!(
        "p99 at three times the limit / below it: {slower:.2}; refused within {:.1} ms (p95); medians of {} rounds",
        refused * 1e3,
        options.rounds
    );
    stage.tell(&words, || json!({ "p99_ratio": slower, "refused_p95_s": refused }));
    Ok(u32::from(slower > SLOWER) + u32::from(refused > AT_ONCE.as_secs_f64()))
}
