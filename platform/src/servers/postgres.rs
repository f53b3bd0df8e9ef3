//! PostgreSQL, started directly: nothing may revive what somebody killed.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use super::{Launch, Site, schema, words};
use crate::clock;
use crate::plan::Instance;
use crate::process::MARKER;
use crate::secrets::{APP_USER, MONITOR_USER};

pub(super) const TEMPLATE: &str = "template-postgres";
/// A template with the tables of a shard in it. All eight servers of orders begin as copies of it, so that
/// the replicas are copies of their primaries.
const ORDERS_TEMPLATE: &str = "template-orders";
pub(crate) const ADMIN: &str = "postgres";
const REPLICATOR: &str = "replicator";
/// Tells PostgreSQL to follow a primary.
const STANDBY: &str = "standby.signal";
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) async fn make_template(site: &Site) -> Result<()> {
    let password_file = site.deployment.data.join("admin-postgres");
    site.write_file(&password_file, &site.secrets.read("admin-postgres")?)?;
    let mut initdb = site.tool(&site.programs.initdb);
    initdb
        .arg("--pgdata")
        .arg(site.deployment.data.join(TEMPLATE))
        .args(["--no-sync", "--username", ADMIN, "--auth", "scram-sha-256", "--encoding", "UTF8"])
        .args(["--locale", "C", "--pwfile"])
        .arg(&password_file);
    let made = site.run_tool(initdb).await;
    std::fs::remove_file(&password_file).ok();
    made
}

/// Starts one server on a copy of the empty template, makes the tables, ends it in order.
pub(super) async fn make_orders_template(site: &Site) -> Result<()> {
    let home = site.deployment.data.join(ORDERS_TEMPLATE);
    site.make_dir(&home)?;
    site.copy_template(TEMPLATE, &home).await?;
    let Some(first) = site.plan.of("order-db").next() else { return Ok(()) };
    let log = std::fs::File::create(site.deployment.log(ORDERS_TEMPLATE))?;
    let mut server = site.tool(&site.programs.postgres);
    server
        .args(launch_in(site, first, &home).args)
        .env(MARKER, &site.deployment.id)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true);
    let mut server = server.spawn().context("cannot start postgres")?;
    let deadline = clock::now() + PATIENCE;
    while let Err(error) = ask(site, first).await {
        if server.try_wait()?.is_some() || clock::now() > deadline {
            return Err(error.context("the template of the orders' databases does not start"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    provision_orders(site, first).await?;
    if let Some(pid) = server.id() {
        // An end in order: a copy of what a killed server left could not be followed.
        kill(Pid::from_raw(pid.cast_signed()), Signal::SIGINT)?;
    }
    server.wait().await?;
    Ok(())
}

/// Fresh data, as primary or as replica.
pub(super) async fn prepare(site: &Site, instance: &Instance, home: &Path) -> Result<()> {
    if !instance.component.is_sharded() {
        return site.copy_template(TEMPLATE, home).await;
    }
    site.copy_template(ORDERS_TEMPLATE, home).await?;
    if site.deployment.assigned.is_replica(instance) { follow(site, instance, home) } else { Ok(()) }
}

/// Makes it follow the other server of its shard.
fn follow(site: &Site, instance: &Instance, home: &Path) -> Result<()> {
    let primary = partner(site, instance)?;
    let password = site.secrets.read("replicator-postgres")?;
    let settings = format!(
        "primary_conninfo = 'host={} port={} user={REPLICATOR} password={password} application_name={} sslmode=disable'\n",
        primary.address.ip(),
        primary.address.port(),
        // Names with a hyphen would need quotes in every list of standbys.
        instance.name.replace('-', "_"),
    );
    site.write_file(&home.join("postgresql.auto.conf"), &settings)?;
    site.write_file(&home.join(STANDBY), "")
}

/// The other server of the same shard.
fn partner<'a>(site: &'a Site, instance: &Instance) -> Result<&'a Instance> {
    site.plan
        .of("order-db")
        .find(|other| other.shard() == instance.shard() && other.name != instance.name)
        .with_context(|| format!("{} has no other server in its shard", instance.name))
}

/// A primary whose replica was promoted comes back as the replica, on a fresh copy: what it had written and
/// not handed on must not come back.
pub(super) async fn renew(site: &Site, instance: &Instance) -> Result<()> {
    let home = site.deployment.home(&instance.name);
    if !site.deployment.assigned.is_replica(instance) || home.join(STANDBY).exists() {
        return Ok(());
    }
    std::fs::remove_dir_all(&home).with_context(|| format!("cannot remove {}", home.display()))?;
    site.make_dir(&home)?;
    let primary = partner(site, instance)?;
    let mut copy = site.tool(&site.programs.pg_basebackup);
    copy.env("PGPASSWORD", site.secrets.read("replicator-postgres")?)
        .args(["--username", REPLICATOR, "--host"])
        .arg(primary.address.ip().to_string())
        .args(["--port", &primary.address.port().to_string()])
        .args(["--checkpoint=fast", "--wal-method=stream", "--no-sync", "--pgdata"])
        .arg(&home);
    site.run_tool(copy).await?;
    follow(site, instance, &home)
}

pub(super) fn launch(site: &Site, instance: &Instance) -> Launch {
    launch_in(site, instance, &site.deployment.home(&instance.name))
}

fn launch_in(site: &Site, instance: &Instance, home: &Path) -> Launch {
    let mut args = words([
        "-D".to_owned(),
        home.display().to_string(),
        "-h".to_owned(),
        instance.address.ip().to_string(),
        "-p".to_owned(),
        instance.address.port().to_string(),
    ]);
    let settings = [
        format!("cluster_name={}", instance.name),
        "unix_socket_directories=".to_owned(),
        "shared_buffers=16MB".to_owned(),
        "max_connections=120".to_owned(),
        // What a killed process had committed is in the kernel's hands; only a dead machine loses it.
        "fsync=off".to_owned(),
        "wal_level=replica".to_owned(),
        "max_wal_size=64MB".to_owned(),
        "min_wal_size=32MB".to_owned(),
        "autovacuum_naptime=30s".to_owned(),
        // A server that does not answer is found out in seconds, not in a minute.
        "wal_sender_timeout=5s".to_owned(),
        "wal_receiver_timeout=5s".to_owned(),
        "wal_retrieve_retry_interval=500ms".to_owned(),
        "wal_keep_size=64MB".to_owned(),
        // Who wants a commit on both servers says so, one transaction at a time.
        "synchronous_commit=local".to_owned(),
        format!("synchronous_standby_names={}", if instance.component.is_sharded() { "*" } else { "" }),
        "log_min_messages=warning".to_owned(),
    ];
    for setting in settings {
        args.push("-c".into());
        args.push(setting.into());
    }
    Launch::server(&site.programs.postgres, args)
}

pub(super) async fn ask(site: &Site, instance: &Instance) -> Result<()> {
    let mut connection = connect(site, instance, ADMIN, "postgres").await?;
    connection.execute("SELECT 1").await?;
    connection.close().await.ok();
    Ok(())
}

/// The servers of orders were made from a template that has all of it.
pub(super) async fn provision(site: &Site, instance: &Instance) -> Result<()> {
    if instance.component.is_sharded() { Ok(()) } else { make_database(site, instance).await }
}

async fn provision_orders(site: &Site, first: &Instance) -> Result<()> {
    let password = site.secrets.read("replicator-postgres")?;
    let mut admin = connect(site, first, ADMIN, "postgres").await?;
    let account = format!("CREATE ROLE {REPLICATOR} REPLICATION LOGIN PASSWORD '{password}'");
    sqlx::raw_sql(AssertSqlSafe(account))
        .execute(&mut admin)
        .await
        .context("cannot create the replicator")?;
    admin.close().await.ok();
    make_database(site, first).await?;
    if site.deployment.history {
        let mut owner = connect(site, first, APP_USER, first.component.database()).await?;
        sqlx::raw_sql(schema::HISTORY).execute(&mut owner).await.context("cannot make a history")?;
        owner.close().await.ok();
    }
    Ok(())
}

async fn make_database(site: &Site, instance: &Instance) -> Result<()> {
    let database = instance.component.database();
    let app = site.secrets.app(instance.component.name)?;
    let monitor = site.secrets.read("monitor-postgres")?;
    let mut admin = connect(site, instance, ADMIN, "postgres").await?;
    // The passwords are hexadecimal digits of our own making: nothing to quote.
    let accounts = format!(
        "CREATE ROLE {APP_USER} LOGIN PASSWORD '{app}';
         CREATE ROLE {MONITOR_USER} LOGIN PASSWORD '{monitor}' CONNECTION LIMIT 5;
         GRANT pg_monitor TO {MONITOR_USER};"
    );
    sqlx::raw_sql(AssertSqlSafe(accounts)).execute(&mut admin).await.context("cannot create the accounts")?;
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {database} OWNER {APP_USER}")))
        .execute(&mut admin)
        .await
        .context("cannot create the database")?;
    admin.close().await.ok();

    let mut owner = connect(site, instance, APP_USER, database).await?;
    sqlx::raw_sql(schema::of(database)?).execute(&mut owner).await.context("cannot create the tables")?;
    owner.close().await.ok();
    Ok(())
}

async fn connect(site: &Site, instance: &Instance, user: &str, database: &str) -> Result<PgConnection> {
    let password = match user {
        ADMIN => site.secrets.read("admin-postgres")?,
        _ => site.secrets.app(instance.component.name)?,
    };
    let options = PgConnectOptions::new_without_pgpass()
        .host(&instance.address.ip().to_string())
        .port(instance.address.port())
        .username(user)
        .password(&password)
        .database(database)
        .ssl_mode(PgSslMode::Disable);
    Ok(PgConnection::connect_with(&options).await?)
}
