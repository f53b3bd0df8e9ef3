//! What checking pages costs with nothing but tokio and reqwest: the floor that `make bench` measures topowatch
//! against. One task for each URL asks it every interval on a fresh connection and reads the answer.
//!
//! `bare_loop INTERVAL_S SECONDS URL...` prints `checks failed cpu_seconds rss_kib`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

#[derive(Default)]
struct Tally {
    checks: AtomicU64,
    failed: AtomicU64,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "its answer")]
#[expect(clippy::disallowed_methods, reason = "a program of its own, and this is its clock")]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [every, seconds, urls @ ..] = args.as_slice() else {
        anyhow::bail!("bare_loop INTERVAL_S SECONDS URL...");
    };
    let (every, seconds): (f64, u64) = (every.parse()?, seconds.parse()?);
    // An error means that one is installed already: as good.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let client =
        reqwest::Client::builder().pool_max_idle_per_host(0).timeout(Duration::from_secs(2)).build()?;
    let tally = Arc::new(Tally::default());
    let start = Instant::now();
    for (i, url) in urls.iter().enumerate() {
        let (client, url, tally) = (client.clone(), reqwest::Url::parse(url)?, Arc::clone(&tally));
        let phase = Duration::from_secs_f64(every * i as f64 / urls.len() as f64);
        tokio::spawn(async move {
            let mut ticks = interval_at(start + phase, Duration::from_secs_f64(every));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                ticks.tick().await;
                let asked = client.get(url.clone()).send().await;
                let good = match asked {
                    Ok(answer) if answer.status().is_success() => answer.bytes().await.is_ok(),
                    _ => false,
                };
                tally.checks.fetch_add(1, Ordering::Relaxed);
                tally.failed.fetch_add(u64::from(!good), Ordering::Relaxed);
            }
        });
    }
    // The first round is warming up.
    tokio::time::sleep(Duration::from_secs_f64(every)).await;
    let before = (cpu()?, tally.checks.load(Ordering::Relaxed));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let spent = cpu()?.saturating_sub(before.0);
    let checks = tally.checks.load(Ordering::Relaxed) - before.1;
    println!("{checks} {} {:.3} {}", tally.failed.load(Ordering::Relaxed), spent.as_secs_f64(), resident()?);
    Ok(())
}

/// CPU time of this process, user and system.
fn cpu() -> anyhow::Result<Duration> {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF)?;
    let of = |time: nix::sys::time::TimeVal| -> anyhow::Result<Duration> {
        Ok(Duration::new(time.tv_sec().try_into()?, u32::try_from(time.tv_usec())? * 1000))
    };
    Ok(of(usage.user_time())? + of(usage.system_time())?)
}

/// Resident memory, in KiB.
fn resident() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line.and_then(|rest| rest.split_whitespace().next()).unwrap_or("0").parse()?)
}
