//! Faults that lie in a server's settings rather than in its processes.

use std::time::Duration;

use anyhow::{Context as _, Result};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo as _, RedisConnectionInfo};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{AssertSqlSafe, Connection as _};

use crate::deployment::{Deployment, Running};
use crate::secrets::{APP_USER, Secrets};
use crate::servers::MYSQL_ADMIN;

const LIMIT: Duration = Duration::from_secs(2);
/// Less than an empty Redis needs for itself and a few keys.
const TOO_LITTLE: &str = "1mb";
/// What the configuration of every cache here says.
const USUAL: [(&str, &str); 2] = [("maxmemory", "64mb"), ("maxmemory-policy", "allkeys-lru")];
const FILLER: &str = "filler";
const FILLERS: u32 = 64;

/// A Redis that takes no more.
pub(super) struct Full {
    secrets: Secrets,
    address: String,
}

impl Full {
    /// How to undo it, and the deed.
    pub(super) fn of(
        deployment: &Deployment,
        running: &Running,
    ) -> (Self, impl Future<Output = Result<()>> + use<>) {
        let full = || Self { secrets: deployment.secrets(), address: running.address.clone() };
        let deed = full();
        (full(), async move { deed.fill().await })
    }

    async fn connect(&self) -> Result<MultiplexedConnection> {
        let (host, port) = self.address.split_once(':').context("an address without a port")?;
        let info = (host, port.parse::<u16>()?)
            .into_connection_info()?
            .set_redis_settings(RedisConnectionInfo::default().set_password(self.secrets.redis()?));
        let limits = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(LIMIT))
            .set_response_timeout(Some(LIMIT));
        Ok(Client::open(info)?.get_multiplexed_async_connection_with_config(&limits).await?)
    }

    async fn fill(&self) -> Result<()> {
        let mut redis = self.connect().await?;
        set(&mut redis, "maxmemory-policy", "noeviction").await?;
        set(&mut redis, "maxmemory", TOO_LITTLE).await?;
        let filler = "x".repeat(64 * 1024);
        for number in 0..FILLERS {
            let key = format!("{FILLER}:{number}");
            if redis::cmd("SET").arg(key).arg(&filler).exec_async(&mut redis).await.is_err() {
                // "OOM command not allowed": it is full.
                break;
            }
        }
        Ok(())
    }

    pub(super) async fn undo(self) -> Result<()> {
        let mut redis = self.connect().await?;
        for (name, value) in USUAL {
            set(&mut redis, name, value).await?;
        }
        let keys: Vec<String> = (0..FILLERS).map(|number| format!("{FILLER}:{number}")).collect();
        redis::cmd("DEL").arg(keys).exec_async(&mut redis).await?;
        Ok(())
    }
}

async fn set(redis: &mut MultiplexedConnection, name: &str, value: &str) -> Result<()> {
    redis::cmd("CONFIG").arg("SET").arg(name).arg(value).exec_async(redis).await?;
    Ok(())
}

/// The password that the services know, while the server has another.
pub(super) struct OldPassword {
    options: MySqlConnectOptions,
    password: String,
}

impl OldPassword {
    /// How to undo it, and the deed.
    pub(super) fn of(
        deployment: &Deployment,
        running: &Running,
    ) -> Result<(Self, impl Future<Output = Result<()>> + use<>)> {
        let plan = deployment.plan()?;
        let (instance, secrets) = (plan.instance(&running.name)?, deployment.secrets());
        let options = MySqlConnectOptions::new()
            .host(&instance.address.ip().to_string())
            .port(instance.address.port())
            .username(MYSQL_ADMIN)
            .password(&secrets.read("admin-mysql")?)
            .database("mysql")
            .ssl_mode(MySqlSslMode::Disabled);
        let old = Self { options: options.clone(), password: secrets.app(instance.component.name)? };
        Ok((old, change(options)))
    }

    pub(super) async fn undo(self) -> Result<()> {
        let mut admin = MySqlConnection::connect_with(&self.options).await?;
        set_password(&mut admin, &self.password).await?;
        admin.close().await.ok();
        Ok(())
    }
}

async fn change(options: MySqlConnectOptions) -> Result<()> {
    let mut admin = MySqlConnection::connect_with(&options).await?;
    set_password(&mut admin, "nobody-knows-this-one").await?;
    // Open connections would go on as if nothing had happened.
    let open: Vec<i64> =
        sqlx::query_scalar("SELECT CAST(id AS SIGNED) FROM information_schema.processlist WHERE user = ?")
            .bind(APP_USER)
            .fetch_all(&mut admin)
            .await?;
    for id in open {
        // One that has just gone needs no end.
        sqlx::raw_sql(AssertSqlSafe(format!("KILL {id}"))).execute(&mut admin).await.ok();
    }
    admin.close().await.ok();
    Ok(())
}

async fn set_password(admin: &mut MySqlConnection, password: &str) -> Result<()> {
    // Hexadecimal digits of our own making, or the words above: nothing to quote.
    let statement = format!("ALTER USER {APP_USER}@'%' IDENTIFIED BY '{password}'");
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(admin).await.context("cannot change the password")?;
    Ok(())
}
