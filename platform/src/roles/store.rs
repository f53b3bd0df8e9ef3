//! A service's own database, under a deadline. A connection whose work was cut off is closed: what the
//! server still answers on it would belong to an earlier question.

use std::net::SocketAddrV4;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::pool::{PoolConnection, PoolOptions};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{Database, MySql, Pool, Postgres};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::context::Context as Role;
use super::failure::Failure;
use super::health::Ping;
use super::metrics::Metrics;
use crate::secrets::APP_USER;

/// For one piece of work. Shorter than a caller waits, so that the caller hears which database it was.
pub(crate) const BUDGET: Duration = Duration::from_millis(250);
/// Connections a process may hold to one server.
const CONNECTIONS: u32 = 8;

pub(crate) struct Store<DB: Database> {
    /// As failures name it: the component, or the instance where there are shards.
    pub(crate) name: String,
    address: SocketAddrV4,
    pool: Pool<DB>,
    metrics: Arc<Metrics>,
}

pub(crate) type MySqlStore = Store<MySql>;
pub(crate) type PgStore = Store<Postgres>;

fn pool_options<DB: Database>() -> PoolOptions<DB> {
    PoolOptions::new()
        .max_connections(CONNECTIONS)
        .min_connections(0)
        .acquire_timeout(Duration::from_millis(240))
        // Kept: whoever stops a server's processes one by one should know them all.
        .idle_timeout(None)
        .max_lifetime(None)
}

impl MySqlStore {
    /// The lone server of that component.
    pub(crate) fn mysql(role: &Role, component: &str) -> Result<Arc<Self>> {
        let instance =
            role.plan.of(component).next().with_context(|| format!("no instance of {component}"))?;
        let options = MySqlConnectOptions::new()
            .host(&instance.address.ip().to_string())
            .port(instance.address.port())
            .username(APP_USER)
            .password(&role.password(component)?)
            .database(instance.component.database())
            .ssl_mode(MySqlSslMode::Disabled);
        Ok(Arc::new(Self {
            name: component.into(),
            address: instance.address,
            pool: pool_options().connect_lazy_with(options),
            metrics: Arc::clone(&role.metrics),
        }))
    }
}

impl PgStore {
    /// Every server of that component, in order: shards, or a lone one.
    pub(crate) fn postgres(role: &Role, component: &str) -> Result<Vec<Arc<Self>>> {
        let password = role.password(component)?;
        let instances: Vec<_> = role.plan.of(component).collect();
        let lone = instances.len() == 1;
        Ok(instances
            .into_iter()
            .map(|instance| {
                let options = PgConnectOptions::new_without_pgpass()
                    .host(&instance.address.ip().to_string())
                    .port(instance.address.port())
                    .username(APP_USER)
                    .password(&password)
                    .database(instance.component.database())
                    .application_name(&role.instance)
                    .ssl_mode(PgSslMode::Disable);
                Arc::new(Self {
                    name: if lone { component.into() } else { instance.name.as_str().into() },
                    address: instance.address,
                    pool: pool_options().connect_lazy_with(options),
                    metrics: Arc::clone(&role.metrics),
                })
            })
            .collect())
    }
}

impl Ping for MySqlStore {
    async fn ping(&self) -> Result<(), Failure> {
        self.within(async {
            let mut connection = self.hold().await?;
            sqlx::query("SELECT 1").execute(&mut *connection).await?;
            connection.done();
            Ok(())
        })
        .await
    }
}

impl Ping for PgStore {
    async fn ping(&self) -> Result<(), Failure> {
        self.within(async {
            let mut connection = self.hold().await?;
            sqlx::query("SELECT 1").execute(&mut *connection).await?;
            connection.done();
            Ok(())
        })
        .await
    }
}

impl<DB: Database> Store<DB> {
    /// Work on this database, within its budget.
    pub(crate) fn within<'a, T: Send + 'a>(
        &'a self,
        work: impl Future<Output = Result<T, sqlx::Error>> + Send + 'a,
    ) -> impl Future<Output = Result<T, Failure>> + Send + 'a {
        self.within_time(BUDGET, work)
    }

    /// The same for background work, which may take longer than a customer waits.
    pub(crate) fn within_time<'a, T: Send + 'a>(
        &'a self,
        limit: Duration,
        work: impl Future<Output = Result<T, sqlx::Error>> + Send + 'a,
    ) -> impl Future<Output = Result<T, Failure>> + Send + 'a {
        // On the heap: a query's state is large, and it would be copied into every caller's.
        let work = Box::pin(work);
        async move {
            let reason = match timeout(limit, work).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(sqlx::Error::Io(error))) => error.to_string(),
                Ok(Err(sqlx::Error::PoolTimedOut)) | Err(_) => {
                    format!("no answer within {} ms", limit.as_millis())
                }
                Ok(Err(error)) => error.to_string(),
            };
            self.metrics.failed(&self.name);
            Err(Failure::unavailable(&self.name, reason))
        }
    }

    /// A connection for one piece of work.
    pub(crate) async fn hold(&self) -> Result<Held<DB>, sqlx::Error> {
        if self.pool.size() == 0 {
            // The pool takes a refusal for a server about to start, and waits. A customer does not.
            TcpStream::connect(self.address).await?;
        }
        Ok(Held { connection: self.pool.acquire().await?, done: false })
    }
}

/// A connection that is closed unless its work came to an end.
pub(crate) struct Held<DB: Database> {
    connection: PoolConnection<DB>,
    done: bool,
}

impl<DB: Database> Held<DB> {
    /// Every answer was read: the next may have it.
    pub(crate) fn done(mut self) {
        self.done = true;
    }
}

impl<DB: Database> Drop for Held<DB> {
    fn drop(&mut self) {
        if !self.done {
            self.connection.close_on_drop();
        }
    }
}

impl<DB: Database> Deref for Held<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &Self::Target {
        &self.connection
    }
}

impl<DB: Database> DerefMut for Held<DB> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.connection
    }
}
