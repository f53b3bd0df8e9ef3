//! `postgres`: a login, `SELECT 1`, and what the server's own views say.

use std::net::TcpStream as StdStream;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Executor, Row};
use topology::kind::{KindSpec, OptionForm, OptionSpec, SignalSpec, Unit};
use topology::level::Kind;

use crate::clock::now;
use crate::kept::{self, KEPT, Keep, Policy};
use crate::look::{Look, Stop};
use crate::postgres_faults as faults;
use crate::relay::Relay;
use crate::sentinel::SENTINEL;
use crate::spec::{CONNECT, COUNT, EXPECT_ROLE, OUGHT, PASSWORD, RATIO, SECONDS, STATE, TOTAL, USER, truth};
use crate::tls_session::DATABASE_TLS;

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
            name: "postgres.read_only",
            key: "read_only",
            red: Some(1.0),
            help: "A primary that takes no writes, by its own configuration: default_transaction_read_only. \
                   What is set for the database or the monitor's own account does not count.",
            ..STATE
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
            name: "postgres.replay_lag_bytes",
            key: "replay_lag_bytes",
            unit: Unit::Bytes,
            yellow: Some(64.0 * MIB),
            red: Some(1024.0 * MIB),
            help: "On a replica: what it has received and not replayed. Our choice.",
            ..COUNT
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
            name: "postgres.replica_lag_bytes",
            key: "replica_lag_bytes",
            unit: Unit::Bytes,
            yellow: Some(64.0 * MIB),
            red: Some(1024.0 * MIB),
            effect: Kind::AtRisk,
            help: "On a primary: how far the last of its standbys has to replay. Our choice.",
            ..COUNT
        },
        SignalSpec {
            name: "postgres.heartbeat_age_seconds",
            key: "heartbeat_age",
            yellow: Some(60.0),
            help: "On a replica: the age of the newest row of topowatch.heartbeat; it holds the interval of the \
                   write check. Our choice.",
            ..SECONDS
        },
        SignalSpec {
            name: "postgres.slots_inactive",
            key: "slots_inactive",
            yellow: Some(1.0),
            effect: Kind::AtRisk,
            help: "Replication slots that nobody reads; the WAL they hold back fills the disk. Follows \
                   awesome-prometheus-alerts.",
            ..COUNT
        },
        SignalSpec {
            name: "postgres.slots_lost",
            key: "slots_lost",
            red: Some(1.0),
            effect: Kind::AtRisk,
            help: "Slots whose WAL is gone: their replicas must be made anew.",
            ..COUNT
        },
        SignalSpec {
            name: "postgres.slot_retained_bytes",
            key: "slot_retained",
            unit: Unit::Bytes,
            yellow: Some(10.0 * 1024.0 * MIB),
            red: Some(50.0 * 1024.0 * MIB),
            effect: Kind::AtRisk,
            help: "The most WAL that one slot holds back. Our choice.",
            ..COUNT
        },
        SignalSpec {
            name: "postgres.xmin_age",
            key: "xmin_age",
            yellow: Some(10e6),
            red: Some(100e6),
            effect: Kind::AtRisk,
            help: "Transactions since the oldest snapshot in use; vacuum cleans nothing younger. Our choice.",
            ..COUNT
        },
        SignalSpec {
            name: "postgres.xid_age",
            key: "xid_age",
            yellow: Some(500e6),
            red: Some(1000e6),
            effect: Kind::AtRisk,
            help: "Transactions since the oldest unfrozen row; writes stop at some 2.1 billion. The figures are of \
                   Amazon's guide for RDS.",
            ..COUNT
        },
        SignalSpec {
            name: "postgres.mxid_age",
            key: "mxid_age",
            yellow: Some(500e6),
            red: Some(1000e6),
            effect: Kind::AtRisk,
            help: "The same for multixacts.",
            ..COUNT
        },
        SignalSpec {
            name: "postgres.deadlocks_per_second",
            key: "deadlocks",
            yellow: Some(0.083),
            effect: Kind::AtRisk,
            help: "Five a minute follows awesome-prometheus-alerts and postgres_exporter's mixin.",
            ..COUNT
        },
        SignalSpec {
            name: "postgres.rollback_ratio",
            key: "rollbacks",
            yellow: Some(0.1),
            effect: Kind::AtRisk,
            help: "Transactions rolled back, of all of the last minute; only of 20 or more, and one a second. Follows \
                   awesome-prometheus-alerts.",
            ..RATIO
        },
        SignalSpec {
            name: "postgres.archive_failed",
            key: "archive_failed",
            yellow: Some(1.0),
            effect: Kind::AtRisk,
            help: "The last WAL segment could not be archived; WAL piles up.",
            ..STATE
        },
        SignalSpec {
            name: "postgres.write_ok",
            key: "write_ok",
            help: "A row could be written; only with write_check.",
            ..OUGHT
        },
        SignalSpec {
            name: "postgres.write_locked",
            key: "write_locked",
            yellow: Some(1.0),
            effect: Kind::AtRisk,
            help: "The heartbeat table is locked, by a dump or a migration: no proof for other tables.",
            ..STATE
        },
        SignalSpec {
            name: "postgres.write_seconds",
            key: "write",
            yellow: Some(0.1),
            red: Some(1.0),
            help: "Writing it, with its fsync and without waiting for standbys. Our choice.",
            ..SECONDS
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
    grants: Some(GRANTS),
    exercises_dependencies: true,
    ports: &[5432],
    ..KindSpec::EMPTY
};

const GRANTS: &str = "\
CREATE ROLE topowatch LOGIN PASSWORD 'PASSWORD' CONNECTION LIMIT 5;
ALTER ROLE topowatch SET statement_timeout = '1500ms';
ALTER ROLE topowatch SET lock_timeout = '200ms';
ALTER ROLE topowatch SET idle_in_transaction_session_timeout = '5s';
GRANT pg_monitor TO topowatch;  -- without it the sessions of others are hidden
-- Only for write_check, in the database that is probed:
CREATE SCHEMA topowatch;
GRANT USAGE ON SCHEMA topowatch TO topowatch;
CREATE TABLE topowatch.heartbeat (
    id text PRIMARY KEY, ts timestamptz NOT NULL, seq bigint NOT NULL) WITH (fillfactor = 50);
GRANT SELECT, INSERT, UPDATE ON topowatch.heartbeat TO topowatch;
";

/// A log line and a fork for each login, and a thousand hashes on both sides.
const FRESH_EVERY: Duration = Duration::from_secs(15);
/// One row's update and one fsync.
const WRITE_EVERY: Duration = Duration::from_secs(15);
/// What changes slowly.
const SLOW_EVERY: Duration = Duration::from_mins(1);
const MIB: f64 = 1024.0 * 1024.0;

/// One scan of `pg_stat_activity`: no locks on tables, a millisecond or two.
const CORE: &str = "\
SELECT pg_is_in_recovery() AS replica,
  pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all,
  CASE WHEN current_setting('default_transaction_read_only') = 'on' THEN
    (SELECT source IN ('configuration file', 'command line', 'environment variable', 'global')
     FROM pg_settings WHERE name = 'default_transaction_read_only') ELSE false END AS read_only,
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
  COALESCE(max(age(backend_xmin)), 0)::float8 AS xmin_age,
  extract(epoch from pg_postmaster_start_time())::float8::text AS life,
  (current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - COALESCE(current_setting('reserved_connections', true), '0')::int)::float8 AS usable
FROM pg_stat_activity";

const PRIMARY: &str = "\
SELECT (count(*) FILTER (WHERE state = 'streaming'))::float8 AS streaming,
  max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn))::float8 AS lag,
  (SELECT count(*) FROM pg_replication_slots WHERE NOT active)::float8 AS slots_inactive,
  (SELECT count(*) FROM pg_replication_slots WHERE wal_status = 'lost')::float8 AS slots_lost,
  (SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)) FROM pg_replication_slots)::float8 AS retained
FROM pg_stat_replication";

/// Counters and ages: no locks, some catalogue pages.
const SLOW: &str = "\
SELECT (SELECT max(age(datfrozenxid)) FROM pg_database)::float8 AS xid_age,
  (SELECT max(mxid_age(datminmxid)) FROM pg_database)::float8 AS mxid_age,
  COALESCE((SELECT last_failed_time > COALESCE(last_archived_time, '-infinity') FROM pg_stat_archiver), false) AS archive";

const COUNTERS: &str = "\
SELECT xact_commit::float8 AS commits, xact_rollback::float8 AS rollbacks, deadlocks::float8 AS deadlocks,
  COALESCE(stats_reset::text, '') AS life
FROM pg_stat_database WHERE datname = current_database()";

/// Without waiting for standbys: where they are dead a commit would hang, whatever `statement_timeout` says.
const WRITE: &str = "\
SET synchronous_commit = local;
INSERT INTO topowatch.heartbeat VALUES ('$id', clock_timestamp(), 1)
ON CONFLICT (id) DO UPDATE SET ts = excluded.ts, seq = topowatch.heartbeat.seq + 1";

const HEARTBEAT: &str =
    "SELECT extract(epoch from clock_timestamp() - max(ts))::float8 AS age FROM topowatch.heartbeat";

/// The naive `now() - pg_last_xact_replay_timestamp()` grows on an idle primary; the CASE is 0 when the
/// receiver is cut off, which its own age shows.
const REPLICA: &str = "\
SELECT (CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
    WHEN pg_last_xact_replay_timestamp() IS NULL THEN NULL
    ELSE GREATEST(0, extract(epoch from now() - pg_last_xact_replay_timestamp())) END)::float8 AS lag,
  pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::float8 AS lag_bytes,
  pg_is_wal_replay_paused() AS paused,
  EXISTS (SELECT FROM pg_stat_wal_receiver) AS receiver,
  (SELECT extract(epoch from now() - last_msg_receipt_time) FROM pg_stat_wal_receiver LIMIT 1)::float8 AS age";

pub(crate) async fn probe(look: &mut Look<'_>) -> Result<(), Stop> {
    kept::look::<Conversation>(look).await
}

/// A logged-in connection, by way of its relay.
struct Conversation {
    connection: PgConnection,
    relay: Relay,
}

impl Keep for Conversation {
    const POLICY: Policy = Policy::Every(FRESH_EVERY);

    async fn open(look: &mut Look<'_>) -> Result<Self, Stop> {
        let (connection, relay) = faults::open(look).await?;
        Ok(Self { connection, relay })
    }

    async fn ask(&mut self, look: &mut Look<'_>) -> Result<(), Stop> {
        let asked = ask(look, &mut self.connection).await.map_err(|stop| self.relay.explain(stop));
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

async fn ask(look: &mut Look<'_>, connection: &mut PgConnection) -> Result<(), Stop> {
    let began = now();
    query(look, connection, "SELECT 1").await?.map_err(|error| faults::stop(&error, "ask"))?;
    look.put("postgres.select_seconds", look.since(began).as_secs_f64());
    let Some(core) = extra(look, connection, CORE, "status").await? else { return Ok(()) };
    let replica = core.try_get::<bool, _>("replica").unwrap_or(false);
    look.set_role("postgres.role_ok", if replica { "replica" } else { "primary" });
    look.put_some("postgres.uptime_seconds", number(&core, "uptime"));
    let life = core.try_get::<String, _>("life").unwrap_or_default();
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
        if look.probe.truth("write_check")
            && let Some(row) = extra(look, connection, HEARTBEAT, "heartbeat").await?
        {
            look.put_some("postgres.heartbeat_age_seconds", number(&row, "age"));
        }
    } else {
        primary(look, connection, &core, sees_all).await?;
    }
    slow(look, connection, &life).await?;
    if look.probe.truth("write_check") && !replica && !look.replay("write", WRITE_EVERY) {
        write_check(look, connection).await;
    }
    Ok(())
}

async fn primary(
    look: &mut Look<'_>,
    connection: &mut PgConnection,
    core: &PgRow,
    sees_all: bool,
) -> Result<(), Stop> {
    look.put_some("postgres.read_only", core.try_get("read_only").ok().map(truth));
    let row = extra(look, connection, PRIMARY, "replication").await?;
    if let Some(row) = row.filter(|_| sees_all) {
        look.put_some("postgres.replicas_connected", number(&row, "streaming"));
        look.put_some("postgres.replica_lag_bytes", number(&row, "lag"));
        look.put_some("postgres.slots_inactive", number(&row, "slots_inactive"));
        look.put_some("postgres.slots_lost", number(&row, "slots_lost"));
        look.put_some("postgres.slot_retained_bytes", number(&row, "retained"));
    }
    Ok(())
}

/// What changes slowly is not asked at each look.
async fn slow(look: &mut Look<'_>, connection: &mut PgConnection, life: &str) -> Result<(), Stop> {
    let counters = extra(look, connection, COUNTERS, "counters").await?;
    if let Some(row) = counters {
        let reset = row.try_get::<String, _>("life").unwrap_or_default();
        let life = format!("{life} {reset}");
        let (commits, rollbacks) = (number(&row, "commits"), number(&row, "rollbacks"));
        look.rate("postgres.deadlocks_per_second", number(&row, "deadlocks"), &life);
        look.share_of("postgres.rollback_ratio", rollbacks, commits, &life, 1.0);
    }
    if look.replay("slow", SLOW_EVERY) {
        return Ok(());
    }
    if let Some(row) = extra(look, connection, SLOW, "ages").await? {
        look.put_some("postgres.xid_age", number(&row, "xid_age"));
        look.put_some("postgres.mxid_age", number(&row, "mxid_age"));
        look.put_some("postgres.archive_failed", row.try_get("archive").ok().map(truth));
        look.remember("slow", &["postgres.xid_age", "postgres.mxid_age", "postgres.archive_failed"]);
    }
    Ok(())
}

/// Writes the instance's row: finds full disks, servers left read-only, and a wraparound stop. The question is
/// answered already, so a failure is a signal, no fault.
async fn write_check(look: &mut Look<'_>, connection: &mut PgConnection) {
    let (until, began) = (look.within(0.5, Duration::ZERO), now());
    // The name is of the file; a quote in it stays within the text.
    let text = WRITE.replace("$id", &look.instance.replace('\'', "''"));
    let writing = connection.execute(sqlx::raw_sql(AssertSqlSafe(text)));
    let why = match look.stage("deep", until, writing).await {
        Ok(Ok(_)) => {
            look.put("postgres.write_ok", 1.0);
            look.put("postgres.write_locked", 0.0);
            look.put("postgres.write_seconds", look.since(began).as_secs_f64());
            look.remember("write", &["postgres.write_"]);
            return;
        }
        Ok(Err(error)) => match faults::database_error(&error) {
            Some(said) if matches!(said.code(), "42501" | "42P01" | "3F000") => {
                look.note(&format!("write check: {}; see topowatch probe --grants postgres", said.message()));
                return;
            }
            Some(said) if said.code() == "55P03" => {
                look.put("postgres.write_locked", 1.0);
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
    look.put("postgres.write_ok", 0.0);
    look.note(&format!("write check: {why}"));
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
        ("postgres.xmin_age", "xmin_age"),
    ] {
        look.put_some(signal, number(core, column));
    }
}

fn replication(look: &mut Look<'_>, row: &PgRow, sees_all: bool) {
    look.put_some("postgres.replay_lag_seconds", number(row, "lag"));
    look.put_some("postgres.replay_lag_bytes", number(row, "lag_bytes"));
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
