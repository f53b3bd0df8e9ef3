//! `promote`: the replica of an order database takes its primary's place. The primary must be dead, or is
//! killed first: two that both take orders would be the end of "no order is lost".

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};

use super::site::{Running, end_remains};
use crate::catalog::SHARDS;
use crate::clock;
use crate::output::say;
use crate::plan::Instance;
use crate::servers::POSTGRES_ADMIN;

/// For the replica to replay what it has and to open for writing.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn promote(dir: &Path, name: &str, force: bool) -> Result<u8> {
    let mut running = Running::open(dir)?;
    let plan = running.site.plan.clone();
    let shard =
        plan.of("order-db").find(|one| one.name == name).and_then(Instance::shard).with_context(|| {
            format!("write the shard's name, order-db-1 to order-db-{SHARDS}, not {name}")
        })?;
    let assigned = running.site.deployment.assigned.clone();
    let of = |replica: bool| {
        plan.of("order-db")
            .find(|one| one.shard() == Some(shard) && assigned.is_replica(one) == replica)
            .with_context(|| format!("shard {shard} lacks a server"))
    };
    let (primary, replica) = (of(false)?, of(true)?);
    if running.is_dead(replica) {
        bail!("{} is dead: there is nothing to promote; mend it with `up --repair`", replica.name);
    }
    if !running.is_dead(primary) && !force {
        bail!(
            "{} is alive, and two primaries would each take orders: pass --force to kill it first",
            primary.name
        );
    }
    // Also when its main process is dead: a backend of it might still write.
    end_remains(&running.site.deployment.marks_of(&primary.name)).await?;
    let began = clock::now();
    let mut admin = connect(&running, replica).await?;
    let promoted: bool = sqlx::query_scalar("SELECT pg_promote(true, 30)")
        .fetch_one(&mut admin)
        .await
        .with_context(|| format!("{} cannot be promoted", replica.name))?;
    admin.close().await.ok();
    if !promoted {
        bail!("{} did not become a primary within {} s", replica.name, PATIENCE.as_secs());
    }
    let promoted = &mut running.site.deployment.assigned.promoted;
    if !promoted.remove(&shard) {
        promoted.insert(shard);
    }
    running.apply()?;
    say(format!(
        "{} is the primary of shard {shard} now ({:.1} s); `up --repair` brings {} back as its replica",
        replica.name,
        (clock::now() - began).as_secs_f64(),
        primary.name
    ));
    Ok(0)
}

async fn connect(running: &Running, instance: &Instance) -> Result<PgConnection> {
    let options = PgConnectOptions::new_without_pgpass()
        .host(&instance.address.ip().to_string())
        .port(instance.address.port())
        .username(POSTGRES_ADMIN)
        .password(&running.site.secrets.read("admin-postgres")?)
        .database("postgres")
        .ssl_mode(PgSslMode::Disable);
    tokio::time::timeout(PATIENCE, PgConnection::connect_with(&options))
        .await
        .with_context(|| format!("{} does not answer", instance.name))?
        .with_context(|| format!("cannot reach {}", instance.name))
}
