//! A light steady load, so that every figure of the platform is alive: five requests a second, one of them
//! an order. Open loop: a slow platform does not get fewer requests.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::context::Context;
use super::peers::read_answer;
use crate::accepted::Accepted;

const EVERY: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(4);
/// When everything hangs, requests are left out rather than piled up.
const UNDER_WAY: usize = 50;

pub(crate) async fn run(context: &Context, accepted: Accepted, stop: CancellationToken) -> Result<()> {
    let accepted = Arc::new(accepted);
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .context("cannot make an HTTP client")?;
    let gateways = context.plan.addresses("gateway");
    let slots = Arc::new(Semaphore::new(UNDER_WAY));
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut count: u64 = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        let Some(gateway) = gateways.get((count % gateways.len().max(1) as u64) as usize) else {
            return Ok(());
        };
        if let Ok(slot) = Arc::clone(&slots).try_acquire_owned() {
            let request = request(&client, &format!("http://{gateway}"), count);
            let accepted = is_order(count).then(|| Arc::clone(&accepted));
            tokio::spawn(async move {
                // What comes back is the business of whoever watches; a failed one is not repeated.
                if let Ok(answer) = request.send().await
                    && let Ok((status, body)) = read_answer(answer).await
                    && let (true, Some(accepted)) = (status.is_success(), accepted)
                {
                    accepted.note(&body);
                }
                drop(slot);
            });
        }
        count += 1;
    }
}

fn is_order(count: u64) -> bool {
    count.is_multiple_of(5)
}

/// The mix of a quiet hour, members and stores in turn.
fn request(client: &reqwest::Client, gateway: &str, count: u64) -> reqwest::RequestBuilder {
    let (member, store, product) = (count * 7 % 1000 + 1, count * 3 % 20 + 1, count * 11 % 60 + 1);
    match count % 5 {
        _ if is_order(count) => client.post(format!("{gateway}/api/orders")).json(&json!({
            "member": member, "store": store, "product": product, "request": Uuid::now_v7().to_string(),
        })),
        1 => client.get(format!("{gateway}/api/menu")),
        2 if count.is_multiple_of(4) => client
            .post(format!("{gateway}/api/coupons/claim"))
            .json(&json!({ "member": member, "campaign": count % 3 + 1 })),
        3 => client.get(format!("{gateway}/api/products/{product}")),
        _ => client.get(format!("{gateway}/api/home?member={member}&store={store}")),
    }
}
