//! What orders can wait for is gone for a minute: the broker, the OMS, push, messages. Orders are accepted at the
//! same rate meanwhile, and all of them arrive afterwards.

use anyhow::Result;
use serde_json::json;

use super::{AVAILABLE, DELIVERY, DrillOptions, Stage};
use crate::audit;
use crate::faults;
use crate::load::Mix;

const RATE: u32 = 60;
/// Orders accepted during an outage, of those accepted before it, a second: the draw of the steps makes them
/// differ by a few hundredths.
const SAME_RATE: f64 = 0.95;
/// What is taken away, by the fault that does it.
const OUTAGES: [(&str, &str); 4] = [
    ("RabbitMQ stopped", "kill-order-mq"),
    ("OMS stopped", "kill-oms"),
    ("push stopped", "kill-push-centre"),
    ("WeChat answers errors", "errors-wechat"),
];

/// How many outages customers noticed, or cost an order.
pub(super) async fn run(stage: &Stage, options: DrillOptions) -> Result<u32> {
    let rate = options.rate.unwrap_or(RATE);
    if !stage.json {
        crate::output::say(format!(
            "{:<22}{:>11}{:>11}{:>13}{:>17}{:>8}{:>7}{:>9}",
            "outage", "before", "during", "available", "delivered after", "orders", "lost", "doubled"
        ));
    }
    let mut broken = 0;
    for (what, fault) in OUTAGES {
        let before = stage.load(rate, options.each, Mix::default()).await?;
        let mut injected = faults::begin(&stage.dir, fault).await?;
        let during = stage.load(rate, options.each, Mix::default()).await;
        injected.undo().await?;
        let during = during?;
        if stage.stop.is_cancelled() {
            break;
        }
        let after = audit::follow(&stage.dir, DELIVERY).await?;
        let a_second = |orders: u64| orders as f64 / options.each.as_secs_f64();
        let (rate_before, rate_during) = (a_second(before.orders()), a_second(during.orders()));
        let is_well =
            rate_during >= rate_before * SAME_RATE && during.availability() >= AVAILABLE && after.is_clean();
        broken += u32::from(!is_well);
        let words = format!(
            "{what:<22}{rate_before:>9.1}/s{rate_during:>9.1}/s{:>11.3} %{:>15.1} s{:>8}{:>7}{:>9}",
            during.availability() * 100.0,
            after.waited.as_secs_f64(),
            after.orders,
            after.lost,
            after.doubled
        );
        stage.tell(&words, || {
            json!({
                "outage": what, "fault": fault, "seconds": options.each.as_secs_f64(),
                "orders_a_second_before": rate_before, "orders_a_second_during": rate_during,
                "availability": during.availability(), "delivered_after_s": after.waited.as_secs_f64(),
                "orders": after.orders, "lost": after.lost, "doubled": after.doubled,
            })
        });
    }
    Ok(broken)
}
