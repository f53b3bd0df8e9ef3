//! Talking to the servers as their administrator, to break them and to mend them.

use std::net::SocketAddrV4;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo as _, RedisConnectionInfo};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::time::timeout;

use crate::catalog::Kind;
use crate::deployment::Deployment;
use crate::plan::Instance;
use crate::privileges;
use crate::secrets::APP_USER;
use crate::servers::{MYSQL_ADMIN, POSTGRES_ADMIN, Programs, Site, rabbitmqctl};

const LIMIT: Duration = Duration::from_secs(5);

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum As {
    Admin,
    /// The account of the services, under another program's name.
    Caller(&'static str),
}

/// One open session.
pub(super) enum Session {
    Postgres(PgConnection),
    MariaDb(MySqlConnection),
}

impl Session {
    pub(super) async fn open(deployment: &Deployment, instance: &Instance, who: As) -> Result<Self> {
        let (secrets, component) = (deployment.secrets(), instance.component);
        let (ip, port) = (instance.address.ip().to_string(), instance.address.port());
        let opening = async {
            Ok::<_, anyhow::Error>(if component.kind == Kind::Postgres {
                let options = PgConnectOptions::new_without_pgpass().host(&ip).port(port);
                let options = options.database(component.database()).ssl_mode(PgSslMode::Disable);
                let options = match who {
                    As::Admin => options.username(POSTGRES_ADMIN).password(&secrets.read("admin-postgres")?),
                    As::Caller(name) => options
                        .username(APP_USER)
                        .password(&secrets.app(component.name)?)
                        .application_name(name),
                };
                Self::Postgres(PgConnection::connect_with(&options).await?)
            } else {
                let options = MySqlConnectOptions::new().host(&ip).port(port);
                let options = options.database(component.database()).ssl_mode(MySqlSslMode::Disabled);
                let options = match who {
                    As::Admin => options.username(MYSQL_ADMIN).password(&secrets.read("admin-mysql")?),
                    As::Caller(_) => options.username(APP_USER).password(&secrets.app(component.name)?),
                };
                Self::MariaDb(MySqlConnection::connect_with(&options).await?)
            })
        };
        timeout(LIMIT, opening).await.with_context(|| format!("{} does not answer", instance.name))?
    }

    pub(super) async fn run(&mut self, statement: &str) -> Result<()> {
        let statement = AssertSqlSafe(statement.to_owned());
        let running = async {
            match self {
                Self::Postgres(session) => sqlx::raw_sql(statement).execute(session).await.map(drop),
                Self::MariaDb(session) => sqlx::raw_sql(statement).execute(session).await.map(drop),
            }
        };
        timeout(LIMIT, running).await.context("no answer to a statement")??;
        Ok(())
    }

    /// Ends the services' sessions, so that they have to log in again.
    pub(super) async fn end_sessions(&mut self, but: Option<&str>) -> Result<()> {
        match self {
            Self::Postgres(session) => {
                sqlx::query(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE usename = $1 AND application_name IS DISTINCT FROM $2",
                )
                .bind(APP_USER)
                .bind(but)
                .execute(session)
                .await?;
            }
            Self::MariaDb(session) => {
                // Long idle ones belong to whoever holds them on purpose.
                let open: Vec<i64> = sqlx::query_scalar(
                    "SELECT CAST(id AS SIGNED) FROM information_schema.processlist WHERE user = ?",
                )
                .bind(APP_USER)
                .fetch_all(&mut *session)
                .await?;
                for id in open {
                    // One that has just gone needs no end.
                    sqlx::raw_sql(AssertSqlSafe(format!("KILL {id}"))).execute(&mut *session).await.ok();
                }
            }
        }
        Ok(())
    }
}

/// Statements of the administrator, one after the other.
pub(super) async fn sql(dir: &Path, name: &str, statements: &[String]) -> Result<()> {
    let deployment = Deployment::require(dir)?;
    let plan = deployment.plan()?;
    let mut session = Session::open(&deployment, plan.instance(name)?, As::Admin).await?;
    for statement in statements {
        session.run(statement).await.with_context(|| format!("{name} refuses `{statement}`"))?;
    }
    Ok(())
}

pub(super) async fn connect_redis(
    deployment: &Deployment,
    address: SocketAddrV4,
    password: Option<&str>,
) -> Result<MultiplexedConnection> {
    let usual = deployment.secrets().redis()?;
    let info = (address.ip().to_string(), address.port())
        .into_connection_info()?
        .set_redis_settings(RedisConnectionInfo::default().set_password(password.unwrap_or(&usual)));
    let limits =
        AsyncConnectionConfig::new().set_connection_timeout(Some(LIMIT)).set_response_timeout(Some(LIMIT));
    Ok(Client::open(info)?.get_multiplexed_async_connection_with_config(&limits).await?)
}

/// Commands to a Redis. A password that it does not have any more means that this was done before.
pub(super) async fn redis(
    dir: &Path,
    name: &str,
    password: Option<&str>,
    commands: &[Vec<String>],
) -> Result<()> {
    let deployment = Deployment::require(dir)?;
    let plan = deployment.plan()?;
    let address = plan.instance(name)?.address;
    let mut connection = match connect_redis(&deployment, address, password).await {
        Ok(connection) => connection,
        Err(_) if password.is_some() => connect_redis(&deployment, address, None).await?,
        Err(error) => return Err(error),
    };
    for words in commands {
        let [first, rest @ ..] = &words[..] else { continue };
        redis::cmd(first)
            .arg(rest)
            .exec_async(&mut connection)
            .await
            .with_context(|| format!("{name} refuses {first}"))?;
    }
    Ok(())
}

pub(super) async fn rabbit(dir: &Path, name: &str, words: &[String]) -> Result<()> {
    let deployment = Deployment::require(dir)?;
    let site = Site {
        plan: deployment.plan()?,
        secrets: deployment.secrets(),
        account: privileges::unprivileged()?,
        programs: Programs::find()?,
        deployment,
    };
    let instance = site.plan.instance(name)?;
    if instance.component.kind != Kind::RabbitMq {
        bail!("{name} is no RabbitMQ");
    }
    rabbitmqctl(&site, instance, words).await
}
