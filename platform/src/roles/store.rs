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
use sqlx::{AssertSqlSafe, Database, MySql, Pool, Postgres};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::breaker::Breaker;
use super::context::Context as Role;
use super::deadline;
use super::failure::Failure;
use super::health::Ping;
use super::metrics::Metrics;
use crate::clock;
use crate::plan::Instance;
use crate::secrets::APP_USER;
use crate::servers::key_of;

/// For one piece of work. Shorter than a caller waits, so that the caller hears which database it was.
pub(crate) const BUDGET: Duration = Duration::from_millis(250);
/// Connections a process may hold to one server.
const CONNECTIONS: u32 = 8;

pub(crate) struct Store<DB: Database> {
    /// As failures name it: the component, or the instance where there are shards.
    pub(crate) name: String,
    address: SocketAddrV4,
    pool: Pool<DB>,
    breaker: Breaker,
    /// Answers 1 where it can be written to.
    question: String,
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
            question: question(instance, "@@read_only = 0"),
            address: instance.address,
            pool: pool_options().connect_lazy_with(options),
            breaker: Breaker::default(),
            metrics: Arc::clone(&role.metrics),
        }))
    }
}

/// Where a commit must have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    Alone,
    /// On the replica, too.
    Both,
}

impl PgStore {
    /// The lone server of that component.
    pub(crate) fn postgres(role: &Role, component: &str) -> Result<Arc<Self>> {
        let instance =
            role.plan.of(component).next().with_context(|| format!("no instance of {component}"))?;
        Self::with(role, instance, component, Durability::Alone)
    }

    /// One server of a component, under the name that failures shall give it.
    pub(crate) fn with(
        role: &Role,
        instance: &Instance,
        name: &str,
        durability: Durability,
    ) -> Result<Arc<Self>> {
        let options = PgConnectOptions::new_without_pgpass()
            .host(&instance.address.ip().to_string())
            .port(instance.address.port())
            .username(APP_USER)
            .password(&role.password(instance.component.name)?)
            .database(instance.component.database())
            .application_name(&role.instance)
            .ssl_mode(PgSslMode::Disable);
        let options = match durability {
            Durability::Alone => options,
            // When the replica does not answer, the server ends the wait at the statement's limit and says
            // that the commit stands: an order is late by that much, never refused for it.
            Durability::Both => {
                options.options([("synchronous_commit", "remote_write"), ("statement_timeout", "120ms")])
            }
        };
        // A rush finds some connections made: making one takes longer than an order may.
        let ready = if durability == Durability::Both { CONNECTIONS / 2 } else { 0 };
        Ok(Arc::new(Self {
            name: name.into(),
            question: question(instance, "current_setting('transaction_read_only') = 'off'"),
            address: instance.address,
            pool: pool_options().min_connections(ready).connect_lazy_with(options),
            breaker: Breaker::default(),
            metrics: Arc::clone(&role.metrics),
        }))
    }
}

/// One that meets what traffic meets: the connection, the table, the right to write.
fn question(instance: &Instance, may_write: &str) -> String {
    let Some((table, key)) = key_of(instance.component.database()) else { return "SELECT 1".to_owned() };
    format!("SELECT CASE WHEN {may_write} THEN 1 ELSE 0 END + (SELECT COUNT(*) FROM {table} WHERE {key} = 0)")
}

/// Asked also while nobody waits for it.
impl Ping for MySqlStore {
    async fn ping(&self) -> Result<(), Failure> {
        let work = async {
            let mut connection = self.hold().await?;
            let answer = sqlx::query_scalar(AssertSqlSafe(self.question.clone()));
            let answer: i64 = answer.fetch_one(&mut *connection).await?;
            connection.done();
            Ok(answer)
        };
        self.writable(self.probe(work).await? > 0)
    }
}

impl Ping for PgStore {
    async fn ping(&self) -> Result<(), Failure> {
        let work = async {
            let mut connection = self.hold().await?;
            let answer = sqlx::query_scalar(AssertSqlSafe(self.question.clone()));
            let answer: i64 = answer.fetch_one(&mut *connection).await?;
            connection.done();
            Ok(answer)
        };
        self.writable(self.probe(work).await? > 0)
    }
}

impl<DB: Database> Store<DB> {
    /// Work on this database, within its budget and the time that is left.
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
            if !self.breaker.lets_through(clock::now()) {
                let reason = "did not answer lately: nobody waits for it now";
                return Err(Failure::unavailable(&self.name, reason));
            }
            self.anyway(deadline::cap(limit)?, limit, work).await
        }
    }

    /// A question about the server itself, whatever the breaker says.
    pub(crate) async fn probe<T>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, Failure> {
        self.anyway(BUDGET, BUDGET, work).await
    }

    /// Whatever the breaker says. `left` may be less than the limit that the server is given for it.
    async fn anyway<T>(
        &self,
        left: Duration,
        limit: Duration,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, Failure> {
        let (reason, answered) = match timeout(left, work).await {
            Ok(Ok(value)) => {
                self.heard(true);
                return Ok(value);
            }
            Ok(Err(sqlx::Error::Io(error))) => (error.to_string(), false),
            Ok(Err(sqlx::Error::PoolTimedOut)) | Err(_) => {
                // Cut short by the caller's deadline: that says nothing about the server.
                (format!("no answer within {} ms", left.as_millis()), left < limit)
            }
            Ok(Err(error)) => (error.to_string(), true),
        };
        if !answered {
            self.heard(false);
        }
        self.metrics.failed(&self.name);
        Err(Failure::unavailable(&self.name, reason))
    }

    fn heard(&self, good: bool) {
        if let Some(open) = self.breaker.heard(good, clock::now()) {
            self.metrics.breaker_open.with_label_values(&[self.name.as_str()]).set(i64::from(open));
        }
    }

    fn writable(&self, is_writable: bool) -> Result<(), Failure> {
        if is_writable { Ok(()) } else { Err(Failure::unavailable(&self.name, "is read-only")) }
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
