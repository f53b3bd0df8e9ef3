//! A real Redis: alone, as a replica, a sentinel and a node of a cluster.

use std::time::Duration;

use probes::{Prober, SentinelEnd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use topology::model::{Address, Probe};

use crate::certs::Root;
use crate::support::{
    Server, answer, await_answer, await_signal, await_summary, command, fault, free_port, home, look,
    program, read, stop_resume_kill, summary, words,
};
use crate::table::Table;

const PASSWORD: &str = "quite-secret";

fn start(more: &[&str]) -> Server {
    let redis = program("/usr/bin/redis-server", "redis-server");
    let (dir, port) = (home(), free_port());
    let mut command = command(&redis, dir.path());
    command.args(words(&["--bind", "127.0.0.1", "--save", "", "--enable-debug-command", "yes"]));
    command.args(["--port", &port.to_string()]).args(more);
    Server::start(command, port, Some(dir))
}

fn redis(options: &str) -> Probe {
    read(&format!("{{ redis: {{ password: {PASSWORD}, {options} }} }}"))
}

fn open(options: &str) -> Probe {
    read(&format!("{{ redis: {{ {options} }} }}"))
}

/// A session of somebody else's; it waits for the last answer, and before that for a place.
async fn session(port: u16, commands: &str) -> TcpStream {
    let text = format!("{commands}\r\nPING done\r\n");
    loop {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut heard = Vec::new();
        while matches!(stream.read_buf(&mut heard).await, Ok(read) if read > 0) {
            if String::from_utf8_lossy(&heard).contains("done") {
                let text = String::from_utf8_lossy(&heard);
                assert!(!text.contains("-ERR") && !text.contains("-NOAUTH"), "{commands}: {text}");
                return stream;
            }
        }
        let text = String::from_utf8_lossy(&heard);
        assert!(text.is_empty() || text.contains("max number of clients"), "{commands}: {text}");
    }
}

async fn admin(port: u16, commands: &str) -> TcpStream {
    session(port, &format!("AUTH {PASSWORD}\r\n{commands}")).await
}

#[tokio::test]
async fn redis_is_seen_as_it_is() {
    let mut table = Table::new("redis");
    let mut server = start(&["--maxmemory", "64mb", "--requirepass", PASSWORD]);
    let port = server.port;
    let (plain, writing) = (redis(""), redis("write_check: true"));
    let seen = await_answer(&plain, port).await;
    let found = answer(&seen);
    assert_eq!(found.role, Some("primary"));
    assert!(found.signals["redis.memory_used_ratio"] < 0.5, "{:?}", found.signals);
    assert_eq!(found.signals["redis.loading"], 0.0);
    for signal in ["redis.ping_seconds", "redis.clients_ratio", "net.connect_seconds"] {
        assert!(found.signals[signal] > 0.0, "{signal}");
    }
    assert!(!found.signals.contains_key("redis.write_ok"));
    assert_eq!(answer(&look(&writing, port).await).signals["redis.write_ok"], 1.0);

    let wrong = look(&read("{ redis: { password: guessed } }"), port).await;
    table.fault("a wrong password", &wrong, "auth handshake bad_credentials");
    assert!(!fault(&wrong).words.contains("guessed"));
    table.fault("no password", &look(&open(""), port).await, "auth ask no_credentials");
    admin(port, "ACL SETUSER weak on >weak-one resetkeys resetchannels -@all +client|setname").await;
    let weak = read("{ redis: { user: weak, password: weak-one } }");
    table.fault("an account that may not PING", &look(&weak, port).await, "auth ask no_permission");
    let grants = format!(
        "ACL SETUSER topowatch on >{PASSWORD} resetkeys ~_topowatch:* resetchannels -@all +ping +info +set +get +client|setname +cluster|info"
    );
    admin(port, &grants).await;
    let least = read(&format!("{{ redis: {{ user: topowatch, password: {PASSWORD}, write_check: true }} }}"));
    let seen = look(&least, port).await;
    assert_eq!((answer(&seen).signals["redis.write_ok"], answer(&seen).notes.len()), (1.0, 0), "{seen:?}");
    let strict = redis("expect_role: replica");
    table.signal("`expect_role: replica` of a primary", &look(&strict, port).await, "redis.role_ok", |ok| {
        ok == 0.0
    });

    admin(port, "CONFIG SET min-replicas-to-write 3").await;
    table.signal("`min-replicas-to-write 3`", &look(&writing, port).await, "redis.write_ok", |ok| ok == 0.0);
    admin(port, "CONFIG SET min-replicas-to-write 0\r\nCONFIG SET maxmemory 1mb\r\nCONFIG SET maxmemory-policy noeviction").await;
    let full = look(&writing, port).await;
    table.signal("`maxmemory` reached, `noeviction`", &full, "redis.write_ok", |ok| ok == 0.0);
    assert!(answer(&full).signals["redis.memory_used_ratio"] > 0.8, "reads are answered: {full:?}");
    admin(port, "CONFIG SET maxmemory 64mb").await;
    admin(port, "CLIENT PAUSE 60000 WRITE").await;
    table.signal("`CLIENT PAUSE` of writes", &look(&writing, port).await, "redis.write_ok", |ok| ok == 0.0);
    admin(port, "CLIENT UNPAUSE").await;
    admin(port, "CONFIG SET busy-reply-threshold 100").await;
    let mut script = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    script
        .write_all(format!("AUTH {PASSWORD}\r\nEVAL \"while true do end\" 0\r\n").as_bytes())
        .await
        .unwrap();
    table.fault(
        "a Lua script without end",
        &await_summary(&plain, port, "bad_answer").await,
        "bad_answer ask",
    );
    TcpStream::connect(("127.0.0.1", port))
        .await
        .unwrap()
        .write_all(format!("AUTH {PASSWORD}\r\nSCRIPT KILL\r\n").as_bytes())
        .await
        .unwrap();
    await_answer(&plain, port).await;
    drop(script);

    let kept = admin(port, "CONFIG SET maxclients 1").await;
    let full = await_summary(&plain, port, "bad_answer handshake connection_limit").await;
    table.fault("`maxclients` reached", &full, "bad_answer handshake connection_limit");
    drop(kept);
    await_answer(&plain, port).await;
    admin(port, "CONFIG SET maxclients 1000").await;

    failed_save(&mut table).await;
    loading(&mut table).await;
    watched(&server, &plain).await;
    stop_resume_kill(&mut server, &plain, "handshake", &mut table).await;
    replica(&mut table).await;
    sentinel(&mut table).await;
    cluster(&mut table).await;
    table.finish();
}

/// A directory stands where the dump should be written.
async fn failed_save(table: &mut Table) {
    let server = start(&["--save", "3600 1"]);
    let writing = open("write_check: true");
    await_answer(&writing, server.port).await;
    std::fs::create_dir(server.dir().join("dump.rdb")).unwrap();
    std::fs::write(server.dir().join("dump.rdb/in-the-way"), "").unwrap();
    session(server.port, "SET a 1\r\nBGSAVE").await;
    // The save fails some time after it was asked for, and may do so within a look.
    await_signal(&writing, server.port, "redis.bgsave_ok", |ok| ok == 0.0).await;
    let seen = look(&writing, server.port).await;
    assert_eq!(answer(&seen).signals["redis.bgsave_ok"], 0.0);
    table.signal("the dump cannot be saved", &seen, "redis.write_ok", |ok| ok == 0.0);
}

async fn loading(table: &mut Table) {
    let mut server = start(&["--key-load-delay", "50", "--loading-process-events-interval-bytes", "1024"]);
    await_answer(&open(""), server.port).await;
    session(server.port, "DEBUG POPULATE 100000").await;
    session(server.port, "SAVE").await;
    server.restart();
    let seen = await_signal(&open(""), server.port, "redis.loading", |loading| loading == 1.0).await;
    table.signal("it loads its dump", &seen, "redis.loading", |loading| loading == 1.0);
}

/// Whoever schedules looks runs them as tasks.
fn spawnable<F: Future + Send>(future: F) -> F {
    future
}

/// The sentinel of a connection of its own, and looks on a kept one.
async fn watched(server: &Server, plain: &Probe) {
    let port = server.port;
    let prober = Prober::new().unwrap();
    let address = Address { host: "127.0.0.1".to_owned(), port };
    let sentinel = spawnable(prober.sentinel(plain, &address, "cache-1"));
    let killing = async {
        let mut connected = false;
        while !connected {
            let mut stream = admin(port, "CLIENT LIST").await;
            stream.write_all(b"CLIENT LIST\r\nPING over\r\n").await.unwrap();
            let mut heard = Vec::new();
            while !String::from_utf8_lossy(&heard).contains("over") {
                stream.read_buf(&mut heard).await.unwrap();
            }
            connected = String::from_utf8_lossy(&heard).contains("name=topowatch");
        }
        admin(port, "CLIENT KILL TYPE normal SKIPME yes").await;
    };
    let both = async { tokio::join!(sentinel, killing).0 };
    let end = tokio::time::timeout(Duration::from_mins(1), both).await.unwrap();
    assert!(matches!(end, SentinelEnd::Ended { .. }), "{end:?}");
    assert_eq!(prober.sentinel(&redis("sentinel: off"), &address, "cache-1").await, SentinelEnd::Unsupported);

    let kept = redis("connection: kept");
    for _ in 0..2 {
        assert!(answer(&prober.look(&kept, &address, "cache-1").await).notes.is_empty());
    }
    admin(port, "CLIENT KILL TYPE normal SKIPME yes").await;
    let after = prober.look(&kept, &address, "cache-1").await;
    assert_eq!(answer(&after).notes, ["the kept connection had been cut"]);
    let again = prober.look(&kept, &address, "cache-1").await;
    assert!(!answer(&again).signals.contains_key("net.connect_seconds"), "{again:?}");
    assert!(
        answer(&prober.look_fresh(&kept, &address, "cache-1").await)
            .signals
            .contains_key("net.connect_seconds")
    );
    // The server hangs while the kept connection lies idle: that connection says so.
    server.signal(nix::sys::signal::Signal::SIGSTOP);
    assert_eq!(summary(&prober.look(&kept, &address, "cache-1").await), "hung ask");
    assert_eq!(summary(&prober.look(&kept, &address, "cache-1").await), "hung handshake");
    server.signal(nix::sys::signal::Signal::SIGCONT);
}

async fn replica(table: &mut Table) {
    let primary = start(&[]);
    let at = primary.port.to_string();
    let replica = start(&["--replicaof", "127.0.0.1", &at, "--replica-serve-stale-data", "no"]);
    let probe = open("");
    let seen = await_signal(&probe, replica.port, "redis.replica_link_up", |up| up == 1.0).await;
    assert_eq!(answer(&seen).role, Some("replica"));
    let seen = await_signal(&probe, primary.port, "redis.connected_replicas", |count| count == 1.0).await;
    assert!(answer(&seen).signals["redis.replica_lag_ratio"] < 1.0);
    let wanted = open("expect_role: primary");
    table.signal(
        "`expect_role: primary` of a replica",
        &look(&wanted, replica.port).await,
        "redis.role_ok",
        |ok| ok == 0.0,
    );
    drop(primary);
    let seen = await_signal(&probe, replica.port, "redis.replica_link_up", |up| up == 0.0).await;
    table.signal("the primary of a replica is gone", &seen, "redis.replica_link_up", |up| up == 0.0);
}

async fn sentinel(table: &mut Table) {
    let primary = start(&[]);
    let (dir, port) = (home(), free_port());
    let config = format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor shop 127.0.0.1 {} 2\nsentinel down-after-milliseconds shop 300\n",
        primary.port
    );
    let file = dir.path().join("sentinel.conf");
    std::fs::write(&file, config).unwrap();
    crate::support::give(&file);
    let mut command = command(&program("/usr/bin/redis-server", "redis-server"), dir.path());
    command.arg(&file).arg("--sentinel");
    let sentinel = Server::start(command, port, Some(dir));
    let probe = open("");
    let seen = await_signal(&probe, sentinel.port, "redis.sentinel_master_up", |up| up == 1.0).await;
    table.signal("one sentinel where two must agree", &seen, "redis.sentinel_quorum_ok", |ok| ok == 0.0);
    assert_eq!(answer(&seen).signals["redis.sentinel_peers"], 0.0);
    drop(primary);
    let seen = await_signal(&probe, sentinel.port, "redis.sentinel_master_up", |up| up == 0.0).await;
    table.signal("the primary of a sentinel is gone", &seen, "redis.sentinel_master_up", |up| up == 0.0);
}

async fn cluster(table: &mut Table) {
    let node = start(&["--cluster-enabled", "yes"]);
    let probe = open("write_check: true");
    let seen = await_answer(&probe, node.port).await;
    table.signal("a cluster whose slots nobody serves", &seen, "redis.cluster_state_ok", |ok| ok == 0.0);
    assert_eq!(answer(&seen).signals["redis.cluster_slots_missing"], 16384.0);
    session(node.port, "CLUSTER ADDSLOTSRANGE 0 16383").await;
    let seen = await_signal(&probe, node.port, "redis.cluster_state_ok", |ok| ok == 1.0).await;
    assert_eq!(answer(&seen).signals["redis.cluster_slots_missing"], 0.0);
    assert_eq!(answer(&seen).signals["redis.write_ok"], 1.0);
}

#[tokio::test]
async fn redis_under_tls() {
    let (root, dir, port) = (Root::new(), home(), free_port());
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, &root.pem).unwrap();
    crate::support::give(&ca);
    let files = root.sign(dir.path(), "redis", "cache.example", -1, 60);
    let mut command = command(&program("/usr/bin/redis-server", "redis-server"), dir.path());
    command.args(["--bind", "127.0.0.1", "--save", "", "--port", "0", "--tls-port", &port.to_string()]);
    command.arg("--tls-cert-file").arg(&files.certificate).arg("--tls-key-file").arg(&files.key);
    command.arg("--tls-ca-cert-file").arg(&ca).args(["--tls-auth-clients", "no"]);
    let tls = open(&format!("tls: {{ server_name: cache.example, ca: \"${{file:{}}}\" }}", ca.display()));
    let server = Server::start(command, port, Some(dir));
    let seen = await_answer(&tls, server.port).await;
    assert!(answer(&seen).signals["tls.expires_in_seconds"] > 59.0 * 86_400.0);
    assert!(answer(&seen).signals["redis.ping_seconds"] > 0.0);
    assert_eq!(summary(&look(&open("tls: true"), server.port).await), "tls tls untrusted");
    assert_eq!(summary(&look(&open(""), server.port).await), "dropped handshake");
}

/// For the measurements: a server, and probes of it on fresh and on kept connections.
pub(crate) async fn measured() -> (Server, Probe, Probe) {
    let server = start(&[]);
    await_answer(&open(""), server.port).await;
    (server, open("connection: fresh"), open("connection: kept"))
}
