//! `warm-up`: walks every product as a client would, through the gateway and the CDN, so that the morning's
//! first customers find everything in the caches. Done every night, too.

use std::net::SocketAddrV4;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, stream};

use crate::catalog::PRODUCTS;
use crate::deployment::Deployment;
use crate::output::say;
use crate::plan::Plan;
use crate::roles::read_answer;
use crate::servers::STATIC_MENU;

/// Few: the warm-up must not be what makes the night's customers wait.
const AT_ONCE: usize = 4;
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn warm_up(dir: &Path) -> Result<u8> {
    let plan = Deployment::require(dir)?.plan()?;
    let (well, all) = walk(&plan).await?;
    say(format!("{well} of {all} pages are in the caches"));
    Ok(u8::from(well < all))
}

/// How many pages came, and how many there are.
pub(crate) async fn walk(plan: &Plan) -> Result<(usize, usize)> {
    let client =
        reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().context("cannot make a client")?;
    let gateways = plan.addresses("gateway");
    let mut pages: Vec<String> = Vec::new();
    let at = |doors: &[SocketAddrV4], number: i64| doors.get(number as usize % doors.len().max(1)).copied();
    for product in 1..=PRODUCTS {
        pages.extend(at(&gateways, product).map(|door| format!("http://{door}/api/products/{product}")));
        // Every edge has a cache of its own.
        let edges = plan.addresses("cdn").into_iter();
        pages.extend(edges.map(|edge| format!("http://{edge}/static/pictures/{product}.svg")));
    }
    pages.extend(at(&gateways, 0).map(|door| format!("http://{door}/api/menu")));
    pages.extend(plan.addresses("cdn").into_iter().map(|edge| format!("http://{edge}{STATIC_MENU}")));
    let all = pages.len();
    let well = stream::iter(pages)
        .map(|page| {
            let asked = client.get(page).send();
            async move {
                match asked.await {
                    Ok(answer) => read_answer(answer).await.is_ok_and(|(status, _)| status.is_success()),
                    Err(_) => false,
                }
            }
        })
        .buffer_unordered(AT_ONCE)
        .filter(|well| std::future::ready(*well))
        .count()
        .await;
    Ok((well, all))
}
