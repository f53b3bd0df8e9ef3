//! `mysql`: a login, `SELECT 1`, and what MySQL or MariaDB say of themselves.

use std::collections::BTreeMap;

use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Column, Connection, Executor, Row, SqlSafeStr};
use topology::kind::{KindSpec, OptionForm, OptionSpec, SignalSpec};
use topology::level::Kind;

use crate::clock::now;
use crate::look::{Late, Look, Stop};
use crate::mysql_faults as faults;
use crate::spec::{CONNECT, COUNT, EXPECT_ROLE, OUGHT, PASSWORD, RATIO, SECONDS, TOTAL, USER, truth};

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
    exercises_dependencies: true,
    ..KindSpec::EMPTY
};

const VERSION: &str =
    "SELECT @@version AS version, @@read_only AS read_only, @@max_connections AS max_connections";
const STATUS: &str = "SHOW GLOBAL STATUS WHERE Variable_name IN \
    ('Threads_connected', 'Threads_running', 'Innodb_row_lock_current_waits', 'Uptime')";
const TRANSACTIONS: &str = "SELECT COALESCE(MAX(TIMESTAMPDIFF(SECOND, trx_started, NOW())), 0) AS oldest \
    FROM information_schema.innodb_trx";

pub(crate) async fn probe(look: &mut Look<'_>) -> Result<(), Stop> {
    let (mut connection, mut relay) = faults::open(look).await?;
    let asked = ask(look, &mut connection).await.map_err(|stop| relay.explain(stop));
    // A connection that timed out or failed is dropped: closing it would wait on the same dead socket.
    if asked.is_ok() {
        let goodbye = async {
            let closed = connection.close().await;
            relay.finish().await;
            closed
        };
        look.close(goodbye).await;
    }
    asked
}

async fn ask(look: &mut Look<'_>, connection: &mut MySqlConnection) -> Result<(), Stop> {
    let began = now();
    query(look, connection, "SELECT 1").await?.map_err(|error| faults::stop(&error, "ask"))?;
    look.put("mysql.select_seconds", (now() - began).as_secs_f64());

    let server = extra(look, connection, VERSION, "version").await?;
    let Some(server) = server.first() else { return Ok(()) };
    let mariadb = text(server, "version").is_some_and(|version| version.contains("MariaDB"));
    extra(look, connection, AssertSqlSafe(limits(look, mariadb)), "session limits").await?;

    let rows = extra(look, connection, STATUS, "status").await?;
    let status: BTreeMap<String, f64> = rows.iter().filter_map(status_row).collect();
    let counted = |name: &str| status.get(name).copied();
    if let (Some(used), Some(most)) = (counted("Threads_connected"), number(server, "max_connections"))
        && most > 0.0
    {
        look.put("mysql.connections_used_ratio", used / most);
    }
    look.put_some("mysql.threads_running", counted("Threads_running"));
    look.put_some("mysql.row_lock_waiting", counted("Innodb_row_lock_current_waits"));
    look.put_some("mysql.uptime_seconds", counted("Uptime"));

    let transactions = extra(look, connection, TRANSACTIONS, "transactions").await?;
    let oldest = transactions.first().and_then(|row| number(row, "oldest"));
    look.put_some("mysql.oldest_transaction_seconds", oldest);

    let read_only = number(server, "read_only") == Some(1.0);
    let replication = if mariadb { "SHOW ALL SLAVES STATUS" } else { "SHOW REPLICA STATUS" };
    let rows = extra(look, connection, replication, "replication").await?;
    for row in &rows {
        replica(look, row);
    }
    let replica = read_only || !rows.is_empty();
    look.set_role("mysql.role_ok", if replica { "replica" } else { "primary" });
    Ok(())
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

fn status_row(row: &MySqlRow) -> Option<(String, f64)> {
    Some((at(row, 0)?.to_owned(), at(row, 1)?.parse().ok()?))
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
