//! `promote`: the replica of an order database takes its primary's place. The primary must be dead, or is
//! killed first: two that both take orders would be the end of "no order is lost".

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};

use super::site::{Running, end_remains};
use crate::catalog::SHARDS;
use crate::clock;
use crate::output::say;
use crate::plan::Instance;
use crate::process::Life;
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
    if !is_gone(&running, primary).await {
        if !force {
            bail!(
                "{} is alive, and two primaries would each take orders: pass --force to end it first",
                primary.name
            );
        }
        end_in_order(&running, primary).await;
    }
    // Also when its main process is dead: a backend of it might still write.
    end_remains(&running.site.deployment.marks_of(&primary.name)).await?;
    let began = clock::now();
    let mut admin = connect(&running, replica).await?;
    let missing = missing_orders(&running, primary, &mut admin).await;
    if missing > 0 && !force {
        bail!(
            "{missing} orders that {} wrote never reached {}: start it again with `up --repair` and nothing is \
             lost, or pass --force to go on without them",
            primary.name,
            replica.name
        );
    }
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

/// One that was just killed may take a moment to be gone.
async fn is_gone(running: &Running, instance: &Instance) -> bool {
    for _ in 0..10 {
        if running.is_dead(instance) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

/// A server that is asked to end hands all it wrote to its replica first.
async fn end_in_order(running: &Running, primary: &Instance) {
    let Some(found) = running.state.find(&primary.name) else { return };
    let process = found.process();
    process.signal(Signal::SIGCONT);
    process.signal(Signal::SIGINT);
    let deadline = clock::now() + Duration::from_secs(10);
    while process.life() != Life::Dead && clock::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Rows of orders in the primary's log that the replica never got, where the primary's disk can be read. An
/// order that was being written when it died counts, too: nobody was told of that one.
async fn missing_orders(running: &Running, primary: &Instance, replica: &mut PgConnection) -> usize {
    let asked: Result<(String, String), _> = sqlx::query_as(
        "SELECT GREATEST(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text,
             (SELECT '1663/' || oid FROM pg_database WHERE datname = current_database()) || '/'
                 || pg_relation_filenode('orders')",
    )
    .fetch_one(replica)
    .await;
    let Ok((from, orders)) = asked else { return 0 };
    let mut dump = tokio::process::Command::new(&running.site.programs.pg_waldump);
    dump.arg("--path")
        .arg(running.site.deployment.home(&primary.name).join("pg_wal"))
        .args(["--start", &from, "--rmgr", "Heap", "--relation", &orders])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    // It ends with an error where the log ends: what it printed counts.
    match tokio::time::timeout(PATIENCE, dump.output()).await {
        Ok(Ok(output)) => {
            String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.contains("INSERT")).count()
        }
        _ => 0,
    }
}

async fn connect(running: &Running, instance: &Instance) -> Result<PgConnection> {
    let options = PgConnectOptions::new_without_pgpass()
        .host(&instance.address.ip().to_string())
        .port(instance.address.port())
        .username(POSTGRES_ADMIN)
        .password(&running.site.secrets.read("admin-postgres")?)
        .database(instance.component.database())
        .ssl_mode(PgSslMode::Disable);
    tokio::time::timeout(PATIENCE, PgConnection::connect_with(&options))
        .await
        .with_context(|| format!("{} does not answer", instance.name))?
        .with_context(|| format!("cannot reach {}", instance.name))
}
