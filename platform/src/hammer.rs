//! `hammer`: as much as it takes. Some connections, each asking again as soon as it is answered: this finds
//! the most that a part can do, and says nothing of how long a customer waits (`load` does).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use uuid::Uuid;

use crate::catalog::{SHARDS, STORES};
use crate::clock;
use crate::deployment::Deployment;
use crate::load::scramble;
use crate::output::say;
use crate::roles::read_answer;

/// A page that a mini-program server makes alone, and that an edge cache serves from its disk.
const PICTURE: &str = "/static/pictures/7.svg";

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum What {
    /// A picture through one gateway from the mini-program servers.
    Page,
    /// The same picture from one edge's own cache: nginx serving the same bytes.
    Edge,
    /// A page through one gateway that needs the product service and its cache.
    Product,
    /// Orders at one order service, without paying.
    Orders,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct HammerOptions {
    pub(crate) what: What,
    /// Orders go to so many of the shards.
    pub(crate) shards: u8,
    pub(crate) connections: u32,
    pub(crate) length: Duration,
}

pub(crate) async fn hammer(dir: &Path, options: HammerOptions) -> Result<u8> {
    let plan = Deployment::require(dir)?.plan()?;
    let (component, path) = match options.what {
        What::Page => ("gateway", PICTURE),
        What::Edge => ("cdn", PICTURE),
        What::Product => ("gateway", "/api/products/7"),
        What::Orders => ("order-service", "/api/orders"),
    };
    let door = plan.of(component).next().with_context(|| format!("no instance of {component}"))?.address;
    let url = format!("http://{door}{path}");
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
    let (well, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let began = clock::now();
    let end = began + options.length;
    let all = (0..options.connections).map(|number| {
        let (client, url, well, failed) =
            (client.clone(), url.clone(), Arc::clone(&well), Arc::clone(&failed));
        tokio::spawn(async move {
            let mut draw = u64::from(number) << 32;
            while clock::now() < end {
                draw += 1;
                let request = match options.what {
                    What::Orders => client.post(&url).json(&order(draw, options.shards)),
                    _ => client.get(&url),
                };
                let good = match request.send().await {
                    Ok(answer) => read_answer(answer).await.is_ok_and(|(status, _)| status.is_success()),
                    Err(_) => false,
                };
                let counter = if good { &well } else { &failed };
                counter.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    for one in all.collect::<Vec<_>>() {
        one.await.context("a connection's task failed")?;
    }
    let seconds = (clock::now() - began).as_secs_f64();
    let (well, failed) = (well.load(Ordering::Relaxed), failed.load(Ordering::Relaxed));
    say(json!({ "per_second": well as f64 / seconds, "well": well, "failed": failed, "seconds": seconds }));
    Ok(u8::from(failed > well / 100))
}

/// One whose key leads to one of the first shards.
fn order(draw: u64, shards: u8) -> serde_json::Value {
    let shard = draw % u64::from(shards.clamp(1, SHARDS));
    let mut key = Uuid::now_v7();
    while key.as_u128() % u128::from(SHARDS) != u128::from(shard) {
        key = Uuid::now_v7();
    }
    let draw = scramble(draw);
    json!({
        "request": key.to_string(), "member": draw % 1000 + 1, "store": draw % STORES.unsigned_abs() + 1,
        "product": draw % 60 + 1, "quantity": 1, "amount_fen": 100,
    })
}
