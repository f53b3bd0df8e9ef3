//! MariaDB, started directly: `mysqld_safe` would revive what somebody killed.

use anyhow::{Context as _, Result};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use super::{Launch, Site, schema, words};
use crate::plan::Instance;
use crate::secrets::{APP_USER, MONITOR_USER};

pub(super) const TEMPLATE: &str = "template-mysql";
pub(crate) const ADMIN: &str = "admin";
/// Small files: eight of these servers share a laptop.
const SIZES: [&str; 2] = ["--innodb-log-file-size=8M", "--innodb-buffer-pool-size=16M"];

pub(super) async fn make_template(site: &Site) -> Result<()> {
    let accounts = site.deployment.data.join("admin-mysql.sql");
    let password = site.secrets.read("admin-mysql")?;
    let text = format!(
        "FLUSH PRIVILEGES;\n\
         CREATE USER {ADMIN}@'%' IDENTIFIED BY '{password}';\n\
         GRANT ALL PRIVILEGES ON *.* TO {ADMIN}@'%' WITH GRANT OPTION;\n"
    );
    site.write_file(&accounts, &text)?;
    let mut install = site.tool(&site.programs.mariadb_install_db);
    install
        .arg("--no-defaults")
        .arg(format!("--datadir={}", site.deployment.data.join(TEMPLATE).display()))
        .arg(format!("--extra-file={}", accounts.display()))
        .args(["--auth-root-authentication-method=socket", "--skip-test-db", "--skip-name-resolve"])
        .args(SIZES);
    let made = site.run_tool(install).await;
    std::fs::remove_file(&accounts).ok();
    made
}

pub(super) fn launch(site: &Site, instance: &Instance) -> Launch {
    let home = site.deployment.home(&instance.name);
    let mut args = words([
        "--no-defaults".to_owned(),
        format!("--datadir={}", home.display()),
        format!("--socket={}", home.join("m.sock").display()),
        format!("--pid-file={}", home.join("m.pid").display()),
        format!("--bind-address={}", instance.address.ip()),
        format!("--port={}", instance.address.port()),
    ]);
    let fixed = [
        "--skip-name-resolve",
        "--skip-log-bin",
        "--performance-schema=OFF",
        "--max-connections=80",
        "--key-buffer-size=1M",
        "--aria-pagecache-buffer-size=1M",
        "--innodb-use-native-aio=OFF",
        // Written at every commit, synced every second: enough for a killed process.
        "--innodb-flush-log-at-trx-commit=2",
        "--character-set-server=utf8mb4",
        "--log-warnings=1",
    ];
    args.extend(SIZES.iter().chain(&fixed).map(Into::into));
    Launch::server(&site.programs.mariadbd, args)
}

pub(super) async fn ask(site: &Site, instance: &Instance) -> Result<()> {
    let mut connection = connect(site, instance, ADMIN, "mysql").await?;
    connection.execute("SELECT 1").await?;
    connection.close().await.ok();
    Ok(())
}

pub(super) async fn provision(site: &Site, instance: &Instance) -> Result<()> {
    let database = instance.component.database();
    let app = site.secrets.app(instance.component.name)?;
    let monitor = site.secrets.read("monitor-mysql")?;
    let mut admin = connect(site, instance, ADMIN, "mysql").await?;
    // SHOW VIEW is the least that lets the monitoring account enter the database; it reads no rows.
    let accounts = format!(
        "CREATE DATABASE {database};
         CREATE USER {APP_USER}@'%' IDENTIFIED BY '{app}';
         GRANT ALL PRIVILEGES ON {database}.* TO {APP_USER}@'%';
         CREATE USER {MONITOR_USER}@'%' IDENTIFIED BY '{monitor}' WITH MAX_USER_CONNECTIONS 5;
         GRANT PROCESS, REPLICATION CLIENT, SLAVE MONITOR ON *.* TO {MONITOR_USER}@'%';
         GRANT SHOW VIEW ON {database}.* TO {MONITOR_USER}@'%';"
    );
    sqlx::raw_sql(AssertSqlSafe(accounts)).execute(&mut admin).await.context("cannot create the accounts")?;
    admin.close().await.ok();

    let mut owner = connect(site, instance, APP_USER, database).await?;
    sqlx::raw_sql(schema::of(database)?).execute(&mut owner).await.context("cannot create the tables")?;
    owner.close().await.ok();
    Ok(())
}

async fn connect(site: &Site, instance: &Instance, user: &str, database: &str) -> Result<MySqlConnection> {
    let password = match user {
        ADMIN => site.secrets.read("admin-mysql")?,
        _ => site.secrets.app(instance.component.name)?,
    };
    let options = MySqlConnectOptions::new()
        .host(&instance.address.ip().to_string())
        .port(instance.address.port())
        .username(user)
        .password(&password)
        .database(database)
        .ssl_mode(MySqlSslMode::Disabled);
    Ok(MySqlConnection::connect_with(&options).await?)
}
