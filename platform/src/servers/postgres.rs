//! PostgreSQL, started directly: nothing may revive what somebody killed.

use anyhow::{Context as _, Result};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use super::{Launch, Site, schema, words};
use crate::plan::Instance;
use crate::secrets::{APP_USER, MONITOR_USER};

pub(super) const TEMPLATE: &str = "template-postgres";
const ADMIN: &str = "postgres";

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

pub(super) fn launch(site: &Site, instance: &Instance) -> Launch {
    let home = site.deployment.home(&instance.name);
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
        "max_connections=60".to_owned(),
        // What a killed process had committed is in the kernel's hands; only a dead machine loses it.
        "fsync=off".to_owned(),
        "wal_level=replica".to_owned(),
        "max_wal_size=64MB".to_owned(),
        "min_wal_size=32MB".to_owned(),
        "autovacuum_naptime=30s".to_owned(),
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

pub(super) async fn provision(site: &Site, instance: &Instance) -> Result<()> {
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
