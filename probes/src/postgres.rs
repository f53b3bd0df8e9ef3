//! `postgres`: a login, `SELECT 1`, and what the server's own views say.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Executor, Row};
use topology::kind::{KindSpec, OptionForm, OptionSpec, SignalSpec};
use topology::level::Kind;

use crate::clock::now;
use crate::look::{Look, Stop};
use crate::postgres_faults as faults;
use crate::spec::{CONNECT, COUNT, EXPECT_ROLE, OUGHT, PASSWORD, RATIO, SECONDS, STATE, TOTAL, USER, truth};

pub(crate) static SPEC: KindSpec = KindSpec {
    name: "postgres",
    summary: "Logs in, runs SELECT 1 and reads pg_stat_activity and, on a replica, how far it has replayed.",
    options: &[
        OptionSpec {
            name: "database",
            form: OptionForm::Text,
            default: Some("postgres"),
            help: "The database to log in to.",
        },
        USER,
        PASSWORD,
        EXPECT_ROLE,
    ],
    signals: &[
        SignalSpec {
            name: "postgres.select_seconds",
            key: "select",
            yellow: Some(0.05),
            red: Some(0.5),
            help: "SELECT 1 on the open connection. Our choice.",
            ..SECONDS
        },
        SignalSpec {
            name: "postgres.login_seconds",
            key: "login",
            yellow: Some(0.3),
            red: Some(1.5),
            help: "Connecting and logging in: a fork and the password's rounds on both sides. Our choice.",
            // Users come through pools: a slow login is the first sign, and they do not feel it yet.
            effect: Kind::AtRisk,
            ..SECONDS
        },
        SignalSpec {
            name: "postgres.role_ok",
            key: "role_ok",
            help: "It has the role of expect_role.",
            ..OUGHT
        },
        SignalSpec {
            name: "postgres.connections_used_ratio",
            key: "connections_used",
            yellow: Some(0.8),
            red: Some(0.95),
            help: "Client backends of max_connections less the reserved ones. Yellow follows \
                   awesome-prometheus-alerts and postgres_exporter's mixin.",
            ..RATIO
        },
        SignalSpec {
            name: "postgres.lock_waiters",
            key: "lock_waiters",
            yellow: Some(5.0),
            red: Some(50.0),
            help: "Sessions that wait for a lock. Our choice.",
            ..COUNT
        },
        SignalSpec {
            name: "postgres.lock_wait_seconds",
            key: "lock_wait",
            yellow: Some(5.0),
            red: Some(30.0),
            help: "The longest of them. Our choice.",
            ..SECONDS
        },
        SignalSpec {
            name: "postgres.oldest_transaction_seconds",
            key: "oldest_transaction",
            yellow: Some(120.0),
            red: Some(1800.0),
            effect: Kind::AtRisk,
            help: "Yellow follows awesome-prometheus-alerts; red is our choice. Raise it for reporting.",
            ..SECONDS
        },
        SignalSpec {
            name: "postgres.idle_in_transaction_seconds",
            key: "idle_in_transaction",
            yellow: Some(60.0),
            red: Some(600.0),
            effect: Kind::AtRisk,
            help: "The longest session that holds a transaction open and does nothing. Our choice.",
            ..SECONDS
        },
        SignalSpec {
            name: "postgres.syncrep_waiters",
            key: "syncrep_waiters",
            help: "Commits that wait for a synchronous standby; a few short ones are normal, see syncrep_wait.",
            ..COUNT
        },
        SignalSpec {
            name: "postgres.syncrep_wait_seconds",
            key: "syncrep_wait",
            yellow: Some(1.0),
            red: Some(5.0),
            help: "The longest of them: without its standby every synchronous commit hangs. Our choice.",
            ..SECONDS
        },
        SignalSpec {
            name: "postgres.replicas_connected",
            key: "replicas_connected",
            bad: topology::kind::Bad::Below,
            effect: Kind::AtRisk,
            help: "On a primary: standbys that stream. No default: it depends on the site.",
            ..COUNT
        },
        SignalSpec {
            name: "postgres.replay_lag_seconds",
            key: "replay_lag",
            yellow: Some(5.0),
            red: Some(60.0),
            help: "On a replica: the age of what it has replayed, 0 when it has all it received. Yellow follows \
                   awesome-prometheus-alerts; red is our choice.",
            ..SECONDS
        },
        SignalSpec {
            name: "postgres.wal_receiver_up",
            key: "wal_receiver_up",
            help: "On a replica: it is connected to a primary.",
            ..OUGHT
        },
        SignalSpec {
            name: "postgres.wal_receiver_age_seconds",
            key: "wal_receiver_age",
            yellow: Some(20.0),
            red: Some(60.0),
            help: "On a replica: since the primary's last word; it grows while the status still says streaming. \
                   The primary speaks every 10 to 30 s (wal_receiver_status_interval, wal_sender_timeout).",
            ..SECONDS
        },
        SignalSpec {
            name: "postgres.replay_paused",
            key: "replay_paused",
            yellow: Some(1.0),
            effect: Kind::AtRisk,
            help: "On a replica: somebody paused it.",
            ..STATE
        },
        SignalSpec {
            name: "postgres.uptime_seconds",
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

/// One scan of `pg_stat_activity`: no locks on tables, a millisecond or two.
const CORE: &str = "\
SELECT pg_is_in_recovery() AS replica,
  pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all,
  extract(epoch from clock_timestamp() - pg_postmaster_start_time())::float8 AS uptime,
  (count(*) FILTER (WHERE backend_type = 'client backend'))::float8 AS clients,
  (count(*) FILTER (WHERE wait_event_type = 'Lock'))::float8 AS lock_waiters,
  (count(*) FILTER (WHERE wait_event = 'SyncRep'))::float8 AS syncrep_waiters,
  COALESCE(max(extract(epoch from clock_timestamp() - xact_start))
    FILTER (WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()), 0)::float8 AS oldest_transaction,
  COALESCE(max(extract(epoch from clock_timestamp() - state_change))
    FILTER (WHERE state LIKE 'idle in transaction%'), 0)::float8 AS idle_in_transaction,
  COALESCE(max(extract(epoch from clock_timestamp() - state_change))
    FILTER (WHERE wait_event_type = 'Lock'), 0)::float8 AS lock_wait,
  COALESCE(max(extract(epoch from clock_timestamp() - state_change))
    FILTER (WHERE wait_event = 'SyncRep'), 0)::float8 AS syncrep_wait,
  (current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - COALESCE(current_setting('reserved_connections', true), '0')::int)::float8 AS usable
FROM pg_stat_activity";

const PRIMARY: &str =
    "SELECT (count(*) FILTER (WHERE state = 'streaming'))::float8 AS streaming FROM pg_stat_replication";

/// The naive `now() - pg_last_xact_replay_timestamp()` grows on an idle primary; the CASE is 0 when the
/// receiver is cut off, which its own age shows.
const REPLICA: &str = "\
SELECT (CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
    ELSE GREATEST(0, extract(epoch from now() - pg_last_xact_replay_timestamp())) END)::float8 AS lag,
  pg_is_wal_replay_paused() AS paused,
  EXISTS (SELECT FROM pg_stat_wal_receiver) AS receiver,
  (SELECT extract(epoch from now() - last_msg_receipt_time) FROM pg_stat_wal_receiver LIMIT 1)::float8 AS age";

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

async fn ask(look: &mut Look<'_>, connection: &mut PgConnection) -> Result<(), Stop> {
    let began = now();
    query(look, connection, "SELECT 1").await?.map_err(|error| faults::stop(&error, "ask"))?;
    look.put("postgres.select_seconds", (now() - began).as_secs_f64());
    let Some(core) = extra(look, connection, CORE, "status").await? else { return Ok(()) };
    let replica = core.try_get::<bool, _>("replica").unwrap_or(false);
    look.set_role("postgres.role_ok", if replica { "replica" } else { "primary" });
    look.put_some("postgres.uptime_seconds", number(&core, "uptime"));
    let sees_all = core.try_get::<bool, _>("sees_all").unwrap_or(false);
    if sees_all {
        activity(look, &core);
    } else {
        look.note("missing: pg_monitor (GRANT pg_monitor TO the probe's user)");
    }
    if replica {
        if let Some(row) = extra(look, connection, REPLICA, "replica").await? {
            replication(look, &row, sees_all);
        }
    } else if let Some(row) = extra(look, connection, PRIMARY, "replication").await?
        && sees_all
    {
        look.put_some("postgres.replicas_connected", number(&row, "streaming"));
    }
    Ok(())
}

fn activity(look: &mut Look<'_>, core: &PgRow) {
    if let (Some(clients), Some(usable)) = (number(core, "clients"), number(core, "usable"))
        && usable > 0.0
    {
        look.put("postgres.connections_used_ratio", clients / usable);
    }
    for (signal, column) in [
        ("postgres.lock_waiters", "lock_waiters"),
        ("postgres.lock_wait_seconds", "lock_wait"),
        ("postgres.oldest_transaction_seconds", "oldest_transaction"),
        ("postgres.idle_in_transaction_seconds", "idle_in_transaction"),
        ("postgres.syncrep_waiters", "syncrep_waiters"),
        ("postgres.syncrep_wait_seconds", "syncrep_wait"),
    ] {
        look.put_some(signal, number(core, column));
    }
}

fn replication(look: &mut Look<'_>, row: &PgRow, sees_all: bool) {
    look.put_some("postgres.replay_lag_seconds", number(row, "lag"));
    look.put_some("postgres.replay_paused", row.try_get("paused").ok().map(truth));
    look.put_some("postgres.wal_receiver_up", row.try_get("receiver").ok().map(truth));
    if sees_all {
        look.put_some("postgres.wal_receiver_age_seconds", number(row, "age"));
    }
}

fn number(row: &PgRow, column: &str) -> Option<f64> {
    row.try_get::<Option<f64>, _>(column).ok().flatten()
}

/// One row by the simple protocol, which poolers understand too.
async fn query(
    look: &mut Look<'_>,
    connection: &mut PgConnection,
    text: &'static str,
) -> Result<sqlx::Result<PgRow>, Stop> {
    let until = look.deadline();
    look.stage("ask", until, connection.fetch_one(sqlx::raw_sql(text))).await.map_err(crate::look::Late::hung)
}

/// A question beyond the first: an error of the server's is a remark then, for it does answer.
async fn extra(
    look: &mut Look<'_>,
    connection: &mut PgConnection,
    text: &'static str,
    what: &str,
) -> Result<Option<PgRow>, Stop> {
    match query(look, connection, text).await? {
        Ok(row) => Ok(Some(row)),
        Err(error) => match faults::database_error(&error) {
            Some(said) => {
                look.note(&format!("{what}: {}", said.message()));
                Ok(None)
            }
            None => Err(faults::stop(&error, "ask")),
        },
    }
}
