//! `mysql`: a login, `SELECT 1`, and what MySQL or MariaDB say of themselves.

use std::collections::BTreeMap;
use std::net::TcpStream as StdStream;
use std::sync::Arc;
use std::time::Duration;

use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Column, Executor, Row, SqlSafeStr};
use topology::kind::{KindSpec, OptionForm, OptionSpec, SignalSpec};
use topology::level::Kind;

use crate::clock::now;
use crate::kept::{self, KEPT, Keep, Policy};
use crate::look::{Late, Look, Stop};
use crate::mysql_faults as faults;
use crate::relay::Relay;
use crate::sentinel::SENTINEL;
use crate::spec::{CONNECT, COUNT, EXPECT_ROLE, OUGHT, PASSWORD, RATIO, SECONDS, STATE, TOTAL, USER, truth};
use crate::tls_session::DATABASE_TLS;

pub(crate) static SPEC: KindSpec = KindSpec {
    name: "mysql",
    summary: "Logs in to MySQL or MariaDB, runs SELECT 1 and reads the status and, on a replica, its threads.",
    options: &[
        OptionSpec {
            name: "database",
            form: OptionForm::Text,
            default: None,
            help: "The database to log in to; none is needed.",
        },
        USER,
        PASSWORD,
        EXPECT_ROLE,
        DATABASE_TLS,
        OptionSpec {
            name: "write_check",
            form: OptionForm::Truth,
            default: Some("false"),
            help: "Whether to write a row of topowatch.heartbeat (see --grants) on a primary, every 15 s, and at \
                   each look while that fails.",
        },
        KEPT,
        SENTINEL,
    ],
    signals: &[
        SignalSpec {
            name: "mysql.select_seconds",
            key: "select",
            yellow: Some(0.05),
            red: Some(0.5),
            help: "SELECT 1 on the open connection. Our choice.",
            ..SECONDS
        },
        SignalSpec {
            name: "mysql.login_seconds",
            key: "login",
            yellow: Some(0.3),
            red: Some(1.5),
            help: "Connecting and logging in; reverse DNS without skip_name_resolve. Our choice.",
            // Users come through pools: a slow login is the first sign, and they do not feel it yet.
            effect: Kind::AtRisk,
            ..SECONDS
        },
        SignalSpec {
            name: "mysql.role_ok",
            key: "role_ok",
            help: "It has the role of expect_role.",
            ..OUGHT
        },
        SignalSpec {
            name: "mysql.connections_used_ratio",
            key: "connections_used",
            yellow: Some(0.8),
            red: Some(0.95),
            help: "Threads_connected of max_connections. Yellow follows awesome-prometheus-alerts.",
            ..RATIO
        },
        SignalSpec {
            name: "mysql.threads_running",
            key: "threads_running",
            help: "Statements under way, the probe's included; piles up before a hang. No default: about four \
                   times the cores is much.",
            ..COUNT
        },
        SignalSpec {
            name: "mysql.row_lock_waiting",
            key: "row_lock_waiting",
            yellow: Some(5.0),
            red: Some(50.0),
            help: "Transactions that wait for a row. Our choice.",
            ..COUNT
        },
        SignalSpec {
            name: "mysql.oldest_transaction_seconds",
            key: "oldest_transaction",
            yellow: Some(120.0),
            red: Some(1800.0),
            effect: Kind::AtRisk,
            help: "The oldest InnoDB transaction, as for PostgreSQL.",
            ..SECONDS
        },
        SignalSpec {
            name: "mysql.replica_io_up",
            key: "replica_io_up",
            help: "On a replica: it is connected to its source. Critical in awesome-prometheus-alerts.",
            ..OUGHT
        },
        SignalSpec {
            name: "mysql.replica_sql_up",
            key: "replica_sql_up",
            help: "On a replica: it applies what it receives. Critical in awesome-prometheus-alerts.",
            ..OUGHT
        },
        SignalSpec {
            name: "mysql.replica_lag_seconds",
            key: "replica_lag",
            yellow: Some(5.0),
            red: Some(30.0),
            help: "On a replica: Seconds_Behind less a wanted delay; absent while a thread stands. Red follows \
                   awesome-prometheus-alerts.",
            ..SECONDS
        },
        SignalSpec {
            name: "mysql.history_list_length",
            key: "history_list",
            yellow: Some(50_000.0),
            red: Some(1_000_000.0),
            effect: Kind::AtRisk,
            help: "Undo records that cannot be purged: the shadow of a long transaction (MariaDB). Yellow follows \
                   awesome-prometheus-alerts.",
            ..COUNT
        },
        SignalSpec {
            name: "mysql.log_waits_per_second",
            key: "log_waits",
            yellow: Some(10.0),
            effect: Kind::AtRisk,
            help: "Waits for a larger log buffer. Follows awesome-prometheus-alerts and mysqld_exporter's mixin.",
            ..COUNT
        },
        SignalSpec {
            name: "mysql.aborted_connects_per_second",
            key: "aborted_connects",
            yellow: Some(1.0),
            effect: Kind::AtRisk,
            help: "Logins that failed or were broken off. Our choice.",
            ..COUNT
        },
        SignalSpec {
            name: "mysql.slow_queries_per_second",
            key: "slow_queries",
            help: "Statements over long_query_time; shown only.",
            ..COUNT
        },
        SignalSpec {
            name: "mysql.questions_per_second",
            key: "questions",
            help: "Statements of clients; shown only.",
            ..COUNT
        },
        SignalSpec {
            name: "mysql.galera_ready_ok",
            key: "galera_ready",
            help: "In a Galera cluster: it takes queries (wsrep_ready).",
            ..OUGHT
        },
        SignalSpec {
            name: "mysql.galera_primary_ok",
            key: "galera_primary",
            help: "In a Galera cluster: it belongs to the part with the majority (wsrep_cluster_status).",
            ..OUGHT
        },
        SignalSpec {
            name: "mysql.galera_synced_ok",
            key: "galera_synced",
            yellow: Some(0.0),
            red: None,
            effect: Kind::AtRisk,
            help: "In a Galera cluster: it has all writes (wsrep_local_state 4); a donor has not.",
            ..OUGHT
        },
        SignalSpec {
            name: "mysql.write_ok",
            key: "write_ok",
            help: "A row could be written; only with write_check.",
            ..OUGHT
        },
        SignalSpec {
            name: "mysql.write_locked",
            key: "write_locked",
            yellow: Some(1.0),
            effect: Kind::AtRisk,
            help: "The heartbeat table is locked, by a backup (FLUSH TABLES WITH READ LOCK) or a migration: no \
                   proof for other tables.",
            ..STATE
        },
        SignalSpec {
            name: "mysql.write_seconds",
            key: "write",
            yellow: Some(0.1),
            red: Some(1.0),
            help: "Writing it, with its fsync and semi-synchronous replicas. Our choice.",
            ..SECONDS
        },
        SignalSpec {
            name: "mysql.uptime_seconds",
            key: "uptime",
            bad: topology::kind::Bad::Below,
            effect: Kind::AtRisk,
            help: "Since it was started. No default: a restart is seen by its probes.",
            ..SECONDS
        },
        CONNECT,
        TOTAL,
    ],
    grants: Some(GRANTS),
    exercises_dependencies: true,
    ports: &[3306],
    ..KindSpec::EMPTY
};

const GRANTS: &str = "\
CREATE USER 'topowatch'@'%' IDENTIFIED BY 'PASSWORD' WITH MAX_USER_CONNECTIONS 5;
GRANT PROCESS, REPLICATION CLIENT ON *.* TO 'topowatch'@'%';
GRANT SLAVE MONITOR ON *.* TO 'topowatch'@'%';  -- MariaDB from 10.5 on
-- Only for write_check:
CREATE DATABASE topowatch;
CREATE TABLE topowatch.heartbeat (
    id varchar(64) PRIMARY KEY, ts timestamp(6) NOT NULL, seq bigint NOT NULL) ENGINE=InnoDB;
GRANT SELECT, INSERT, UPDATE ON topowatch.heartbeat TO 'topowatch'@'%';
-- Never SUPER or CONNECTION_ADMIN: they pass by read_only and max_connections, and the probe would not see them.
";

/// A log line for each login, and a reverse lookup where `skip_name_resolve` is off.
const FRESH_EVERY: Duration = Duration::from_secs(15);
/// One row's update and one fsync; it is replicated.
const WRITE_EVERY: Duration = Duration::from_secs(15);
/// The list of transactions is read under their mutex.
const TRANSACTIONS_EVERY: Duration = Duration::from_secs(15);

const VERSION: &str =
    "SELECT @@version AS version, @@read_only AS read_only, @@max_connections AS max_connections";
const STATUS: &str = "SHOW GLOBAL STATUS WHERE Variable_name IN \
    ('Threads_connected', 'Threads_running', 'Innodb_row_lock_current_waits', 'Uptime', 'Questions', 'Slow_queries', \
    'Aborted_connects', 'Innodb_log_waits', 'Innodb_history_list_length', 'wsrep_ready', 'wsrep_local_state', \
    'wsrep_cluster_status', 'wsrep_cluster_size')";
const TRANSACTIONS: &str = "SELECT COALESCE(MAX(TIMESTAMPDIFF(SECOND, trx_started, NOW())), 0) AS oldest \
    FROM information_schema.innodb_trx";

pub(crate) async fn probe(look: &mut Look<'_>) -> Result<(), Stop> {
    kept::look::<Conversation>(look).await
}

/// A logged-in connection, by way of its relay.
struct Conversation {
    connection: MySqlConnection,
    relay: Relay,
    /// The server's flavour, once its limits are set.
    mariadb: Option<bool>,
}

impl Keep for Conversation {
    const POLICY: Policy = Policy::Every(FRESH_EVERY);

    async fn open(look: &mut Look<'_>) -> Result<Self, Stop> {
        let (connection, relay) = faults::open(look).await?;
        Ok(Self { connection, relay, mariadb: None })
    }

    async fn ask(&mut self, look: &mut Look<'_>) -> Result<(), Stop> {
        let asked = ask(look, &mut self.connection, &mut self.mariadb).await;
        let asked = asked.map_err(|stop| self.relay.explain(stop));
        self.relay.refill();
        asked
    }

    async fn close(self, look: &Look<'_>) {
        self.relay.goodbye(look, self.connection).await;
    }

    fn socket(&self) -> Option<Arc<StdStream>> {
        self.relay.socket.clone()
    }
}

async fn ask(
    look: &mut Look<'_>,
    connection: &mut MySqlConnection,
    known: &mut Option<bool>,
) -> Result<(), Stop> {
    let began = now();
    query(look, connection, "SELECT 1").await?.map_err(|error| faults::stop(&error, "ask"))?;
    look.put("mysql.select_seconds", look.since(began).as_secs_f64());

    let server = extra(look, connection, VERSION, "version").await?;
    let Some(server) = server.first() else { return Ok(()) };
    let mariadb = if let Some(mariadb) = known {
        *mariadb
    } else {
        let mariadb = text(server, "version").is_some_and(|version| version.contains("MariaDB"));
        extra(look, connection, AssertSqlSafe(limits(look, mariadb)), "session limits").await?;
        *known.insert(mariadb)
    };

    let rows = extra(look, connection, STATUS, "status").await?;
    let status: BTreeMap<&str, &str> = rows.iter().filter_map(status_row).collect();
    let counted = |name: &str| status.get(name).and_then(|value| value.parse::<f64>().ok());
    if let (Some(used), Some(most)) = (counted("Threads_connected"), number(server, "max_connections"))
        && most > 0.0
    {
        look.put("mysql.connections_used_ratio", used / most);
    }
    look.put_some("mysql.threads_running", counted("Threads_running"));
    look.put_some("mysql.row_lock_waiting", counted("Innodb_row_lock_current_waits"));
    look.put_some("mysql.uptime_seconds", counted("Uptime"));

    look.put_some("mysql.history_list_length", counted("Innodb_history_list_length"));
    // A younger server is another one: its counters began anew, and fall.
    look.rate("mysql.log_waits_per_second", counted("Innodb_log_waits"), "");
    look.rate("mysql.aborted_connects_per_second", counted("Aborted_connects"), "");
    look.rate("mysql.slow_queries_per_second", counted("Slow_queries"), "");
    look.rate("mysql.questions_per_second", counted("Questions"), "");
    // The variables are there without Galera too, with nobody in the cluster.
    if counted("wsrep_cluster_size").is_some_and(|size| size > 0.0) {
        let is = |name: &str, good: &str| status.get(name).map(|value| truth(*value == good));
        look.put_some("mysql.galera_ready_ok", is("wsrep_ready", "ON"));
        look.put_some("mysql.galera_primary_ok", is("wsrep_cluster_status", "Primary"));
        look.put_some("mysql.galera_synced_ok", is("wsrep_local_state", "4"));
    }

    if !look.replay("transactions", TRANSACTIONS_EVERY) {
        let transactions = extra(look, connection, TRANSACTIONS, "transactions").await?;
        let oldest = transactions.first().and_then(|row| number(row, "oldest"));
        look.put_some("mysql.oldest_transaction_seconds", oldest);
        look.remember("transactions", &["mysql.oldest_transaction_seconds"]);
    }

    let read_only = number(server, "read_only") == Some(1.0);
    let replication = if mariadb { "SHOW ALL SLAVES STATUS" } else { "SHOW REPLICA STATUS" };
    let rows = extra(look, connection, replication, "replication").await?;
    for row in &rows {
        replica(look, row);
    }
    let replica = read_only || !rows.is_empty();
    look.set_role("mysql.role_ok", if replica { "replica" } else { "primary" });
    let primary_wanted = look.probe.text("expect_role") == Some("primary");
    if look.probe.truth("write_check") && (!replica || primary_wanted) && !look.replay("write", WRITE_EVERY) {
        write_check(look, connection).await;
    }
    Ok(())
}

/// Writes the instance's row: finds full disks, and servers left read-only. The question is answered already, so a
/// failure is a signal, no fault.
async fn write_check(look: &mut Look<'_>, connection: &mut MySqlConnection) {
    let (until, began) = (look.deadline(), now());
    let name: String = look.instance.chars().take(64).collect();
    let text = format!(
        "INSERT INTO topowatch.heartbeat VALUES ('{}', NOW(6), 1) ON DUPLICATE KEY UPDATE ts = VALUES(ts), \
         seq = seq + 1",
        name.replace('\\', "\\\\").replace('\'', "''")
    );
    let writing = connection.execute(sqlx::raw_sql(AssertSqlSafe(text)));
    let why = match look.stage("deep", until, writing).await {
        Ok(Ok(_)) => {
            look.put("mysql.write_ok", 1.0);
            look.put("mysql.write_locked", 0.0);
            look.put("mysql.write_seconds", look.since(began).as_secs_f64());
            look.remember("write", &["mysql.write_"]);
            return;
        }
        Ok(Err(error)) => match faults::database_error(&error) {
            Some(said) if matches!(said.number(), 1044 | 1049 | 1142 | 1146) => {
                look.note(&format!("write check: {}; see topowatch probe --grants mysql", said.message()));
                return;
            }
            Some(said) if said.number() == 1205 => {
                look.put("mysql.write_locked", 1.0);
                look.note("write check: the heartbeat table is locked");
                return;
            }
            Some(said) => said.message().to_owned(),
            None => error.to_string(),
        },
        Err(_late) => {
            look.spoiled = true;
            "the write hung".to_owned()
        }
    };
    look.put("mysql.write_ok", 0.0);
    look.note(&format!("write check: {why}"));
}

/// The server goes on with a query that its client gave up: it needs a limit of its own.
fn limits(look: &Look<'_>, mariadb: bool) -> String {
    let longest = look.probe.timeout.mul_f64(0.75).as_secs_f64().min(1.5);
    let statement = if mariadb {
        format!("max_statement_time = {longest:.3}")
    } else {
        format!("max_execution_time = {:.0}", longest * 1e3)
    };
    format!("SET SESSION {statement}, lock_wait_timeout = 1, innodb_lock_wait_timeout = 1")
}

fn status_row(row: &MySqlRow) -> Option<(&str, &str)> {
    Some((at(row, 0)?, at(row, 1)?))
}

/// One row of the replica status, whose columns have old names and new ones.
fn replica(look: &mut Look<'_>, row: &MySqlRow) {
    let either = |old, new| text(row, old).or_else(|| text(row, new));
    let runs = |word: &str| truth(word == "Yes");
    let io = either("Slave_IO_Running", "Replica_IO_Running");
    look.put_some("mysql.replica_io_up", io.map(runs));
    look.put_some("mysql.replica_sql_up", either("Slave_SQL_Running", "Replica_SQL_Running").map(runs));
    let behind =
        either("Seconds_Behind_Master", "Seconds_Behind_Source").and_then(|text| text.parse::<f64>().ok());
    let wanted = number(row, "SQL_Delay").unwrap_or(0.0);
    look.put_some("mysql.replica_lag_seconds", behind.map(|behind| (behind - wanted).max(0.0)));
    if let Some(error) = text(row, "Last_IO_Error").filter(|error| !error.is_empty()) {
        look.note(&format!("replication: {error}"));
    }
}

/// A column by its name; the text protocol sends every value as text.
fn text<'r>(row: &'r MySqlRow, column: &str) -> Option<&'r str> {
    let index = row.columns().iter().position(|known| known.name().eq_ignore_ascii_case(column))?;
    at(row, index)
}

fn at(row: &MySqlRow, index: usize) -> Option<&str> {
    row.try_get_unchecked::<Option<&str>, _>(index).ok().flatten()
}

fn number(row: &MySqlRow, column: &str) -> Option<f64> {
    text(row, column)?.parse().ok()
}

async fn query(
    look: &mut Look<'_>,
    connection: &mut MySqlConnection,
    text: impl SqlSafeStr,
) -> Result<sqlx::Result<Vec<MySqlRow>>, Stop> {
    let until = look.deadline();
    look.stage("ask", until, connection.fetch_all(sqlx::raw_sql(text))).await.map_err(Late::hung)
}

/// A question beyond the first: an error of the server's (a right that is missing, mostly) is a remark
/// then, for it does answer.
async fn extra(
    look: &mut Look<'_>,
    connection: &mut MySqlConnection,
    text: impl SqlSafeStr,
    what: &str,
) -> Result<Vec<MySqlRow>, Stop> {
    match query(look, connection, text).await? {
        Ok(rows) => Ok(rows),
        Err(error) => match faults::database_error(&error) {
            Some(said) => {
                look.note(&format!("{what}: {}", said.message()));
                Ok(Vec::new())
            }
            None => Err(faults::stop(&error, "ask")),
        },
    }
}
