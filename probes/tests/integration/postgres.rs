//! A real PostgreSQL.

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, Connection, Executor};

use nix::sys::signal::Signal;
use probes::{Prober, SentinelEnd};
use topology::model::{Address, Probe};

use crate::certs::Root;
use crate::support::{
    Server, answer, await_answer, await_signal, await_summary, command, free_port, give, home, look, program,
    read, run, stop_resume_kill, summary, words,
};
use crate::table::Table;

const PASSWORD: &str = "quite-secret";

/// Where the certificate's root is.
fn ca(server: &Server) -> String {
    server.dir().join("ca.pem").display().to_string()
}

fn start() -> Server {
    let initdb = program("/usr/lib/postgresql/15/bin/initdb", "postgresql-15");
    let postgres = program("/usr/lib/postgresql/15/bin/postgres", "postgresql-15");
    let (dir, port) = (home(), free_port());
    let (data, secret) = (dir.path().join("data"), dir.path().join("secret"));
    std::fs::write(&secret, PASSWORD).unwrap();
    give(&secret);
    let root = Root::new();
    std::fs::write(dir.path().join("ca.pem"), &root.pem).unwrap();
    let tls = root.sign(dir.path(), "db", "db.example", -1, 60);
    let mut making = command(&initdb, dir.path());
    making.args(words(&["--no-sync", "--username", "admin", "--auth", "scram-sha-256", "--locale", "C"]));
    making.arg("--pwfile").arg(&secret).arg("--pgdata").arg(&data);
    run(making, dir.path());
    let mut command = command(&postgres, dir.path());
    command.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-p", &port.to_string()]);
    let tls = [
        format!("ssl_cert_file={}", tls.certificate.display()),
        format!("ssl_key_file={}", tls.key.display()),
    ];
    let settings =
        ["fsync=off", "unix_socket_directories=", "max_connections=7", "max_wal_senders=3", "ssl=on"];
    for setting in settings.into_iter().chain(tls.iter().map(String::as_str)) {
        command.args(["-c", setting]);
    }
    Server::start(command, port, Some(dir))
}

/// A standby of the server.
fn standby(of: &Server) -> Server {
    let (dir, port) = (home(), free_port());
    let data = dir.path().join("data");
    let mut copying =
        command(&program("/usr/lib/postgresql/15/bin/pg_basebackup", "postgresql-15"), dir.path());
    copying.env("PGPASSWORD", PASSWORD).args(["-h", "127.0.0.1", "-U", "admin", "-p", &of.port.to_string()]);
    copying.args(words(&[
        "--no-sync",
        "--write-recovery-conf",
        "--checkpoint=fast",
        "--create-slot",
        "--slot=second",
    ]));
    copying.arg("--pgdata").arg(&data);
    run(copying, dir.path());
    let mut command = command(&program("/usr/lib/postgresql/15/bin/postgres", "postgresql-15"), dir.path());
    command.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-p", &port.to_string()]);
    let settings =
        ["fsync=off", "unix_socket_directories=", "max_connections=7", "max_wal_senders=3", "hot_standby=on"];
    for setting in settings {
        command.args(["-c", setting]);
    }
    Server::start(command, port, Some(dir))
}

async fn session(port: u16, user: &str) -> PgConnection {
    let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port).username(user);
    let options = options.password(PASSWORD).database("postgres").ssl_mode(PgSslMode::Disable);
    PgConnection::connect_with(&options).await.unwrap()
}

async fn run_sql(connection: &mut PgConnection, text: &str) {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(text.to_owned()))).await.unwrap();
}

fn by(user: &str, more: &str) -> Probe {
    read(&format!("{{ postgres: {{ user: {user}, password: {PASSWORD}, {more} }} }}"))
}

#[tokio::test]
async fn postgres_is_seen_as_it_is() {
    let mut table = Table::new("postgres");
    let mut server = start();
    let port = server.port;
    await_answer(&by("admin", ""), port).await;
    let mut admin = session(port, "admin").await;
    // What --grants prints is enough, and is what the tests run with.
    let grants = probes::specs().into_iter().find(|spec| spec.name == "postgres").unwrap().grants.unwrap();
    run_sql(&mut admin, &grants.replace("'PASSWORD'", &format!("'{PASSWORD}'"))).await;
    let accounts = format!(
        "CREATE ROLE stranger LOGIN PASSWORD '{PASSWORD}';
         CREATE ROLE limited LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 0;"
    );
    run_sql(&mut admin, &accounts).await;

    let monitor = by("topowatch", "expect_role: primary, write_check: true");
    let seen = await_answer(&monitor, port).await;
    let found = answer(&seen);
    assert_eq!(found.role, Some("primary"));
    assert_eq!(found.notes, [""; 0]);
    for signal in ["role_ok", "write_ok"] {
        assert_eq!(found.signals[&format!("postgres.{signal}")], 1.0, "{signal}");
    }
    for signal in ["lock_waiters", "syncrep_waiters", "slots_inactive", "archive_failed", "write_locked"] {
        assert_eq!(found.signals[&format!("postgres.{signal}")], 0.0, "{signal}");
    }
    for signal in [
        "select_seconds",
        "login_seconds",
        "uptime_seconds",
        "connections_used_ratio",
        "write_seconds",
        "xid_age",
    ] {
        assert!(found.signals[&format!("postgres.{signal}")] > 0.0, "{signal}");
    }

    let seen = await_answer(&by("stranger", "write_check: true"), port).await;
    assert!(!answer(&seen).signals.contains_key("postgres.connections_used_ratio"));
    assert!(!answer(&seen).signals.contains_key("postgres.write_ok"));
    let notes = &answer(&seen).notes;
    assert!(
        notes[0].starts_with("missing: pg_monitor") && notes[1].contains("--grants postgres"),
        "{notes:?}"
    );

    let wrong = look(&read("{ postgres: { user: topowatch, password: guessed } }"), port).await;
    table.fault("a wrong password", &wrong, "auth handshake bad_credentials");
    let nowhere = look(&by("topowatch", "database: nope"), port).await;
    table.fault("no such database", &nowhere, "bad_answer handshake wrong_database");
    let limited = look(&by("limited", ""), port).await;
    table.fault("`CONNECTION LIMIT` of the role", &limited, "bad_answer handshake account_limit");
    tls(&server, &mut table).await;

    run_sql(&mut admin, "BEGIN; LOCK TABLE topowatch.heartbeat").await;
    let locked = look(&monitor, port).await;
    table
        .signal("`LOCK TABLE topowatch.heartbeat`", &locked, "postgres.write_locked", |locked| locked == 1.0);
    run_sql(&mut admin, "ROLLBACK").await;
    run_sql(&mut admin, "ALTER DATABASE postgres SET default_transaction_read_only = on").await;
    let read_only = look(&monitor, port).await;
    table.signal("`default_transaction_read_only`", &read_only, "postgres.write_ok", |ok| ok == 0.0);
    assert_eq!(answer(&read_only).signals["postgres.read_only"], 0.0, "this database's, not the server's");
    admin.close().await.unwrap();
    let mut admin = session(port, "admin").await;
    run_sql(&mut admin, "SET default_transaction_read_only = off").await;
    run_sql(&mut admin, "ALTER DATABASE postgres RESET default_transaction_read_only").await;
    run_sql(&mut admin, "ALTER SYSTEM SET default_transaction_read_only = on").await;
    run_sql(&mut admin, "SELECT pg_reload_conf()").await;
    let refusing = await_signal(&monitor, port, "postgres.read_only", |on| on == 1.0).await;
    table.signal("the same for the whole server", &refusing, "postgres.read_only", |on| on == 1.0);
    run_sql(&mut admin, "ALTER SYSTEM RESET default_transaction_read_only").await;
    run_sql(&mut admin, "SELECT pg_reload_conf()").await;
    await_signal(&monitor, port, "postgres.read_only", |on| on == 0.0).await;

    replicated(&server, &mut admin, &mut table).await;
    ghost(&mut admin, &monitor, port, &mut table).await;
    watched(&mut admin, port).await;

    // Three of the seven slots are for superusers.
    admin.close().await.unwrap();
    let mut kept = Vec::new();
    while kept.len() < 4 {
        await_answer(&by("admin", ""), port).await;
        kept.push(session(port, "stranger").await);
    }
    let full = await_summary(&monitor, port, "bad_answer handshake connection_limit").await;
    table.fault("all of `max_connections` taken", &full, "bad_answer handshake connection_limit");
    drop(kept);
    await_answer(&monitor, port).await;

    // A smart shutdown waits for this session, and takes no new one.
    let kept = session(port, "stranger").await;
    server.signal(Signal::SIGTERM);
    let ending = await_summary(&monitor, port, "bad_answer").await;
    table.fault("`pg_ctl stop -m smart` with an open session", &ending, "bad_answer handshake shutting_down");
    drop(kept);
    await_summary(&monitor, port, "refused").await;
    server.restart();
    await_answer(&monitor, port).await;
    stop_resume_kill(&mut server, &monitor, "handshake", &mut table).await;
    table.finish();
}

async fn tls(server: &Server, table: &mut Table) {
    let port = server.port;
    let strict =
        by("topowatch", &format!("tls: {{ server_name: db.example, ca: \"${{file:{}}}\" }}", ca(server)));
    assert_eq!(summary(&look(&strict, port).await), "answer");
    let untrusted = look(&by("topowatch", "tls: true"), port).await;
    table.fault("a certificate of an unknown root", &untrusted, "tls tls untrusted");
    let certificate = read(&format!(
        "{{ tls: {{ starttls: postgres, server_name: db.example, ca: \"${{file:{}}}\" }} }}",
        ca(server)
    ));
    let seen = look(&certificate, port).await;
    assert!(answer(&seen).signals["tls.expires_in_seconds"] > 59.0 * 86_400.0);
}

async fn replicated(server: &Server, admin: &mut PgConnection, table: &mut Table) {
    let second = standby(server);
    let replica = by("topowatch", "expect_role: replica, write_check: true");
    let seen = await_answer(&replica, second.port).await;
    let found = answer(&seen);
    assert_eq!((found.role, found.signals["postgres.role_ok"]), (Some("replica"), 1.0));
    let seen = await_signal(&replica, second.port, "postgres.wal_receiver_up", |up| up == 1.0).await;
    assert!(answer(&seen).signals["postgres.heartbeat_age_seconds"] > 0.0, "{seen:?}");
    let primary = by("topowatch", "");
    // It streams before it has said how far it is.
    await_signal(&primary, server.port, "postgres.replicas_connected", |count| count == 1.0).await;
    await_signal(&primary, server.port, "postgres.replica_lag_bytes", |lag| lag >= 0.0).await;
    let wanted = look(&by("topowatch", "expect_role: primary"), second.port).await;
    table.signal("`expect_role: primary` of a standby", &wanted, "postgres.role_ok", |ok| ok == 0.0);
    let mut there = session(second.port, "admin").await;
    run_sql(&mut there, "SELECT pg_wal_replay_pause()").await;
    run_sql(admin, "CREATE TABLE more AS SELECT 1").await;
    let seen = await_signal(&replica, second.port, "postgres.replay_lag_bytes", |lag| lag > 0.0).await;
    assert_eq!(answer(&seen).signals["postgres.replay_paused"], 1.0);
    table.signal("`pg_wal_replay_pause()`", &seen, "postgres.replay_paused", |paused| paused == 1.0);
    there.close().await.unwrap();
    run_sql(admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_replication").await;
    server.signal(Signal::SIGSTOP);
    drop(second);
    server.signal(Signal::SIGCONT);
    let seen = await_signal(&primary, server.port, "postgres.slots_inactive", |count| count == 1.0).await;
    table.signal("the standby of a slot is gone", &seen, "postgres.slots_inactive", |count| count == 1.0);
    run_sql(admin, "SELECT pg_drop_replication_slot('second')").await;
}

/// A commit waits for ever for a standby that is not there; the probe's own write does not.
async fn ghost(admin: &mut PgConnection, monitor: &Probe, port: u16, table: &mut Table) {
    run_sql(admin, "ALTER SYSTEM SET synchronous_standby_names = 'ghost'").await;
    run_sql(admin, "SELECT pg_reload_conf()").await;
    let mut customer = session(port, "admin").await;
    let ordering =
        tokio::spawn(async move { customer.execute("CREATE TABLE orders (id int)").await.map(drop) });
    let seen = await_signal(monitor, port, "postgres.syncrep_waiters", |count| count == 1.0).await;
    table.signal(
        "`synchronous_standby_names = 'ghost'`, and an order",
        &seen,
        "postgres.syncrep_waiters",
        |count| count == 1.0,
    );
    assert_eq!(answer(&seen).signals["postgres.write_ok"], 1.0, "{seen:?}");
    run_sql(admin, "ALTER SYSTEM RESET synchronous_standby_names").await;
    run_sql(admin, "SELECT pg_reload_conf()").await;
    ordering.await.unwrap().unwrap();
}

/// The kept connection: cheap looks, a cut that is no outage, and a sentinel on it.
async fn watched(admin: &mut PgConnection, port: u16) {
    let kept = by("topowatch", "connection: kept");
    let prober = Prober::new().unwrap();
    let address = Address { host: "127.0.0.1".to_owned(), port };
    assert_eq!(
        prober.sentinel(&by("topowatch", "connection: fresh"), &address, "db-1").await,
        SentinelEnd::Unsupported
    );
    let first = prober.look(&kept, &address, "db-1").await;
    assert!(answer(&first).signals.contains_key("postgres.login_seconds"));
    let again = prober.look(&kept, &address, "db-1").await;
    assert!(!answer(&again).signals.contains_key("postgres.login_seconds"), "{again:?}");
    let mut sentinel = std::pin::pin!(prober.sentinel(&kept, &address, "db-1"));
    assert!(futures_util::poll!(sentinel.as_mut()).is_pending());
    prober.look(&kept, &address, "db-1").await;
    assert!(futures_util::poll!(sentinel.as_mut()).is_pending(), "a look's own answers are no end");
    run_sql(
        admin,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'topowatch'",
    )
    .await;
    let end = tokio::time::timeout(std::time::Duration::from_mins(1), sentinel).await.unwrap();
    assert!(matches!(end, SentinelEnd::Ended { .. }), "{end:?}");
    let after = prober.look(&kept, &address, "db-1").await;
    assert_eq!(answer(&after).notes, ["the kept connection had been cut"]);
}

/// For the measurements: a server, and probes of it on fresh and on kept connections.
pub(crate) async fn measured() -> (Server, Probe, Probe) {
    let server = start();
    await_answer(&by("admin", ""), server.port).await;
    (server, by("admin", "connection: fresh"), by("admin", "connection: kept"))
}
