//! A real Redis.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{
    Server, answer, await_answer, await_summary, command, fault, free_port, home, look, probe, program,
    stop_resume_kill, summary, with, words,
};
use crate::table::Table;

const PASSWORD: &str = "quite-secret";

fn start() -> Server {
    let redis = program("/usr/bin/redis-server", "redis-server");
    let (dir, port) = (home(), free_port());
    let mut command = command(&redis, dir.path());
    command.args(words(&["--bind", "127.0.0.1", "--save", "", "--maxmemory", "64mb"]));
    command.args(["--requirepass", PASSWORD, "--port", &port.to_string()]);
    Server::start(command, port, Some(dir))
}

/// A session of somebody else's.
async fn session(port: u16, commands: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(format!("AUTH {PASSWORD}\r\n{commands}").as_bytes()).await.unwrap();
    let mut read = [0; 256];
    let got = stream.read(&mut read).await.unwrap();
    assert!(read[..got].starts_with(b"+OK"), "{}", String::from_utf8_lossy(&read[..got]));
    stream
}

#[tokio::test]
async fn redis_is_seen_as_it_is() {
    let mut table = Table::new("redis");
    let mut server = start();
    let port = server.port;
    let plain = with(probe("redis"), &[("password", PASSWORD)]);
    let seen = await_answer(&plain, port).await;
    let found = answer(&seen);
    assert_eq!(found.role, Some("primary"));
    assert!(found.signals["redis.memory_used_ratio"] < 0.5, "{:?}", found.signals);
    assert_eq!(found.signals["redis.loading"], 0.0);
    for signal in ["redis.ping_seconds", "redis.clients_ratio", "net.connect_seconds"] {
        assert!(found.signals[signal] > 0.0, "{signal}");
    }
    assert!(!found.signals.contains_key("redis.write_ok"));

    let wrong = look(&with(probe("redis"), &[("password", "guessed")]), port).await;
    assert_eq!(summary(&wrong), "auth handshake bad_credentials");
    assert!(fault(&wrong).words.contains("WRONGPASS"), "{}", fault(&wrong).words);
    assert!(!fault(&wrong).words.contains("guessed"));
    assert_eq!(summary(&look(&probe("redis"), port).await), "auth ask no_credentials");

    let strict = with(probe("redis"), &[("password", PASSWORD), ("expect_role", "replica")]);
    assert_eq!(answer(&look(&strict, port).await).signals["redis.role_ok"], 0.0);

    let writing = with(probe("redis"), &[("password", PASSWORD), ("write_check", "true")]);
    let seen = look(&writing, port).await;
    assert_eq!(answer(&seen).signals["redis.write_ok"], 1.0);
    assert!(seen.stages.iter().any(|stage| stage.name == "deep"));
    session(port, "CONFIG SET min-replicas-to-write 3\r\n").await;
    let seen = look(&writing, port).await;
    assert_eq!(answer(&seen).signals["redis.write_ok"], 0.0);
    assert!(answer(&seen).notes.iter().any(|note| note.contains("NOREPLICAS")), "{:?}", answer(&seen).notes);

    let kept = session(port, "CONFIG SET maxclients 1\r\n").await;
    await_summary(&plain, port, "bad_answer handshake connection_limit").await;
    drop(kept);
    await_answer(&plain, port).await;

    stop_resume_kill(&mut server, &plain, "handshake", &mut table).await;
    table.finish();
}
