//! A real MariaDB.

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::support::{
    Server, answer, await_answer, await_summary, command, fault, free_port, give, home, look, probe, program,
    run, stop_resume_kill, summary, with, words,
};
use crate::table::Table;

const PASSWORD: &str = "quite-secret";
const SIZES: [&str; 2] = ["--innodb-log-file-size=8M", "--innodb-buffer-pool-size=16M"];

fn start() -> Server {
    let install = program("/usr/bin/mariadb-install-db", "mariadb-server");
    let mariadbd = program("/usr/sbin/mariadbd", "mariadb-server");
    let (dir, port) = (home(), free_port());
    let (data, accounts) = (dir.path().join("data"), dir.path().join("accounts.sql"));
    let text = format!(
        "FLUSH PRIVILEGES;\n\
         CREATE USER monitor@'%' IDENTIFIED BY '{PASSWORD}';\n\
         GRANT PROCESS, REPLICATION CLIENT, SLAVE MONITOR ON *.* TO monitor@'%';\n\
         CREATE USER stranger@'%' IDENTIFIED BY '{PASSWORD}';\n\
         CREATE USER limited@'%' IDENTIFIED BY '{PASSWORD}' WITH MAX_USER_CONNECTIONS 1;\n\
         CREATE USER admin@'%' IDENTIFIED BY '{PASSWORD}';\n\
         GRANT ALL PRIVILEGES ON *.* TO admin@'%';\n"
    );
    std::fs::write(&accounts, text).unwrap();
    give(&accounts);
    let mut making = command(&install, dir.path());
    making.arg("--no-defaults").arg(format!("--datadir={}", data.display()));
    making.arg(format!("--extra-file={}", accounts.display())).args(SIZES);
    making.args(words(&[
        "--auth-root-authentication-method=socket",
        "--skip-test-db",
        "--skip-name-resolve",
    ]));
    run(making, dir.path());
    let mut command = command(&mariadbd, dir.path());
    command.arg("--no-defaults").arg(format!("--datadir={}", data.display())).args(SIZES);
    command.arg(format!("--socket={}", dir.path().join("m.sock").display()));
    command.arg(format!("--pid-file={}", dir.path().join("m.pid").display()));
    command.arg("--bind-address=127.0.0.1").arg(format!("--port={port}"));
    command.args(words(&["--skip-name-resolve", "--skip-log-bin", "--innodb-use-native-aio=OFF"]));
    Server::start(command, port, Some(dir))
}

async fn session(port: u16, user: &str) -> MySqlConnection {
    let options = MySqlConnectOptions::new().host("127.0.0.1").port(port).username(user);
    let options = options.password(PASSWORD).ssl_mode(MySqlSslMode::Disabled);
    MySqlConnection::connect_with(&options).await.unwrap()
}

#[tokio::test]
async fn mariadb_is_seen_as_it_is() {
    let mut table = Table::new("mysql");
    let mut server = start();
    let port = server.port;
    let by = |user: &'static str| with(probe("mysql"), &[("user", user), ("password", PASSWORD)]);
    let seen = await_answer(&with(by("monitor"), &[("expect_role", "primary")]), port).await;
    let found = answer(&seen);
    assert_eq!(found.role, Some("primary"));
    assert_eq!(found.notes, [""; 0]);
    assert_eq!(found.signals["mysql.role_ok"], 1.0);
    assert_eq!(found.signals["mysql.row_lock_waiting"], 0.0);
    for signal in
        ["mysql.select_seconds", "mysql.login_seconds", "net.connect_seconds", "mysql.connections_used_ratio"]
    {
        assert!(found.signals[signal] > 0.0, "{signal}");
    }
    assert!(found.signals.contains_key("mysql.oldest_transaction_seconds"));

    let seen = look(&by("stranger"), port).await;
    assert!(answer(&seen).notes.iter().any(|note| note.contains("denied")), "{:?}", answer(&seen).notes);
    assert!(!answer(&seen).signals.contains_key("mysql.oldest_transaction_seconds"));

    let wrong = look(&with(by("monitor"), &[("password", "guessed")]), port).await;
    assert_eq!(summary(&wrong), "auth handshake bad_credentials");
    assert!(fault(&wrong).words.starts_with("Access denied"), "{}", fault(&wrong).words);
    let nowhere = look(&with(by("admin"), &[("database", "nope")]), port).await;
    assert_eq!(summary(&nowhere), "bad_answer handshake wrong_database");

    let kept = session(port, "limited").await;
    assert_eq!(summary(&look(&by("limited"), port).await), "bad_answer handshake account_limit");
    drop(kept);

    let mut admin = session(port, "admin").await;
    admin.execute(AssertSqlSafe("SET GLOBAL max_connections = 10".to_owned())).await.unwrap();
    let mut kept = Vec::new();
    while kept.len() < 9 {
        kept.push(session(port, "stranger").await);
    }
    await_summary(&by("monitor"), port, "bad_answer handshake connection_limit").await;
    drop(kept);
    await_answer(&by("monitor"), port).await;
    admin.execute(AssertSqlSafe("SET GLOBAL read_only = 1".to_owned())).await.unwrap();
    let seen = look(&with(by("monitor"), &[("expect_role", "primary")]), port).await;
    assert_eq!(answer(&seen).signals["mysql.role_ok"], 0.0);

    stop_resume_kill(&mut server, &by("monitor"), "handshake", &mut table).await;
    table.finish();
}
