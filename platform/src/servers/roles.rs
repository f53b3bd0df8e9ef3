//! Our own processes: this program again, in another role.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::{Launch, Site};
use crate::plan::Instance;

pub(super) fn launch(site: &Site, role: &[&str]) -> Result<Launch> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut args: Vec<_> = role.iter().map(Into::into).collect();
    args.push("--dir".into());
    args.push(site.deployment.dir.clone().into_os_string());
    Ok(Launch { program, args, env: Vec::new(), as_account: false })
}

/// Well means: it and everything it depends on.
pub(super) async fn ask_deep(instance: &Instance) -> Result<()> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
    let answer = client.get(format!("http://{}/health/deep", instance.health)).send().await?;
    let health: serde_json::Value = answer.json().await?;
    if health.get("status").and_then(serde_json::Value::as_str) != Some("pass") {
        let output =
            health.get("output").and_then(serde_json::Value::as_str).unwrap_or("it does not say why");
        bail!("{} is not well: {output}", instance.name);
    }
    Ok(())
}

pub(super) async fn ask(instance: &Instance, path: &str) -> Result<()> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
    let answer = client.get(format!("http://{}{path}", instance.health)).send().await?;
    if !answer.status().is_success() {
        bail!("{path} answers {}", answer.status());
    }
    Ok(())
}
