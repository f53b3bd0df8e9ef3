//! A real PostgreSQL.

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::support::{
    Server, answer, await_answer, await_summary, command, fault, free_port, give, home, look, probe, program,
    run, stop_resume_kill, summary, with, words,
};
use crate::table::Table;

const PASSWORD: &str = "quite-secret";

fn start() -> Server {
    let initdb = program("/usr/lib/postgresql/15/bin/initdb", "postgresql-15");
    let postgres = program("/usr/lib/postgresql/15/bin/postgres", "postgresql-15");
    let (dir, port) = (home(), free_port());
    let (data, secret) = (dir.path().join("data"), dir.path().join("secret"));
    std::fs::write(&secret, PASSWORD).unwrap();
    give(&secret);
    let mut making = command(&initdb, dir.path());
    making.args(words(&["--no-sync", "--username", "admin", "--auth", "scram-sha-256", "--locale", "C"]));
    making.arg("--pwfile").arg(&secret).arg("--pgdata").arg(&data);
    run(making, dir.path());
    let mut command = command(&postgres, dir.path());
    command.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-p", &port.to_string()]);
    for setting in ["fsync=off", "unix_socket_directories=", "max_connections=6", "max_wal_senders=0"] {
        command.args(["-c", setting]);
    }
    Server::start(command, port, Some(dir))
}

async fn session(port: u16, user: &str) -> PgConnection {
    let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port).username(user);
    let options = options.password(PASSWORD).database("postgres").ssl_mode(PgSslMode::Disable);
    PgConnection::connect_with(&options).await.unwrap()
}

#[tokio::test]
async fn postgres_is_seen_as_it_is() {
    let mut table = Table::new("postgres");
    let mut server = start();
    let port = server.port;
    let by = |user: &'static str| with(probe("postgres"), &[("user", user), ("password", PASSWORD)]);
    await_answer(&by("admin"), port).await;
    let mut admin = session(port, "admin").await;
    let accounts = format!(
        "CREATE ROLE monitor LOGIN PASSWORD '{PASSWORD}'; GRANT pg_monitor TO monitor;
         CREATE ROLE stranger LOGIN PASSWORD '{PASSWORD}';
         CREATE ROLE limited LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 0;"
    );
    admin.execute(sqlx::raw_sql(AssertSqlSafe(accounts))).await.unwrap();

    let seen = await_answer(&with(by("monitor"), &[("expect_role", "primary")]), port).await;
    let found = answer(&seen);
    assert_eq!(found.role, Some("primary"));
    assert_eq!(found.notes, [""; 0]);
    assert_eq!(found.signals["postgres.role_ok"], 1.0);
    assert_eq!(found.signals["postgres.lock_waiters"], 0.0);
    assert_eq!(found.signals["postgres.syncrep_waiters"], 0.0);
    assert!(found.signals["postgres.connections_used_ratio"] > 0.0);
    for signal in [
        "postgres.select_seconds",
        "postgres.login_seconds",
        "net.connect_seconds",
        "postgres.uptime_seconds",
    ] {
        assert!(found.signals[signal] > 0.0, "{signal}");
    }

    let seen = await_answer(&by("stranger"), port).await;
    assert!(!answer(&seen).signals.contains_key("postgres.connections_used_ratio"));
    assert!(answer(&seen).notes[0].starts_with("missing: pg_monitor"), "{:?}", answer(&seen).notes);

    let wrong = look(&with(by("monitor"), &[("password", "guessed")]), port).await;
    assert_eq!(summary(&wrong), "auth handshake bad_credentials");
    assert_eq!(fault(&wrong).words, "password authentication failed for user \"monitor\"");
    let nowhere = look(&with(by("monitor"), &[("database", "nope")]), port).await;
    assert_eq!(summary(&nowhere), "bad_answer handshake wrong_database");
    assert_eq!(summary(&look(&by("limited"), port).await), "bad_answer handshake account_limit");

    // Three of the six slots are for superusers.
    admin.close().await.unwrap();
    let mut kept = Vec::new();
    while kept.len() < 3 {
        await_answer(&by("admin"), port).await;
        kept.push(session(port, "monitor").await);
    }
    await_summary(&by("monitor"), port, "bad_answer handshake connection_limit").await;
    drop(kept);
    await_answer(&by("monitor"), port).await;

    stop_resume_kill(&mut server, &by("monitor"), "handshake", &mut table).await;
    table.finish();
}
