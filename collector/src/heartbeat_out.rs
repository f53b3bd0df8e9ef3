//! The monitor's own heartbeat: a dead man's switch outside is pressed as long as everything advances, and notices
//! when that ends, for whatever reason.

use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::pulse::{Part, Pulse};

/// How long one beat may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Presses `url` every `every` while scheduler, verdict and storage all advance, until `shutdown`. The address counts
/// as a secret and is in no log.
///
/// # Errors
/// When the HTTP client cannot be set up.
pub async fn run(
    url: SecretString,
    every: Duration,
    pulse: Arc<Pulse>,
    clock: Clock,
    shutdown: CancellationToken,
) -> Result<(), reqwest::Error> {
    let client = crate::http_client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .user_agent(concat!("topowatch/", env!("CARGO_PKG_VERSION")))
        .build()?;
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut troubled = false;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = tick.tick() => {}
        }
        let standing = pulse.standing(clock.now());
        let trouble = if standing.is_empty() {
            beat(&client, &url).await.err()
        } else {
            let names: Vec<&str> = standing.into_iter().map(Part::as_str).collect();
            Some(format!("held back, since there is no advance of: {}", names.join(", ")))
        };
        match &trouble {
            Some(why) if !troubled => tracing::warn!("the monitor's heartbeat: {why}"),
            None if troubled => tracing::info!("the monitor's heartbeat is taken again"),
            _ => {}
        }
        troubled = trouble.is_some();
    }
}

async fn beat(client: &reqwest::Client, url: &SecretString) -> Result<(), String> {
    let sent = client.get(url.expose_secret()).send().await;
    let status = sent.map_err(|error| error.without_url().to_string())?.status();
    if status.is_success() { Ok(()) } else { Err(format!("status {}", status.as_u16())) }
}
