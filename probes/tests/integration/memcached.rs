//! A real memcached.

use tokio::net::TcpStream;

use crate::support::{
    Server, answer, await_answer, await_summary, command, free_port, home, look, program, read,
    stop_resume_kill,
};
use crate::table::Table;

fn start(more: &[&str]) -> Server {
    let memcached = program("/usr/bin/memcached", "memcached");
    let (dir, port) = (home(), free_port());
    let mut command = command(&memcached, dir.path());
    command.args(["-l", "127.0.0.1", "-U", "0", "-t", "1", "-p", &port.to_string()]).args(more);
    Server::start(command, port, Some(dir))
}

#[tokio::test]
async fn memcached_is_seen_as_it_is() {
    let mut table = Table::new("memcached");
    let mut server = start(&["-m", "8", "-c", "128"]);
    let port = server.port;
    let plain = read("{ memcached: {} }");
    let seen = await_answer(&plain, port).await;
    let found = answer(&seen);
    assert!(found.signals["memcached.connections_ratio"] > 0.0, "{found:?}");
    assert!(found.signals["memcached.memory_ratio"] < 0.5);
    assert!(found.signals["memcached.version_seconds"] > 0.0);
    let writing = look(&read("{ memcached: { write_check: true } }"), port).await;
    assert_eq!(answer(&writing).signals["memcached.write_ok"], 1.0);

    let fast = start(&["-c", "32"]);
    await_answer(&plain, fast.port).await;
    let mut kept = Vec::new();
    // It opens no more files than this, its own included.
    for _ in 0..32 {
        kept.push(TcpStream::connect(("127.0.0.1", fast.port)).await.unwrap());
    }
    let full = await_summary(&plain, fast.port, "bad_answer ask connection_limit").await;
    table.fault("`-c 32` and as many connections", &full, "bad_answer ask connection_limit");
    drop(kept);
    await_answer(&plain, fast.port).await;

    // It counts connections of its own too: the probe says when four fifths are taken.
    let mut kept = Vec::new();
    let mut near = look(&plain, port).await;
    while answer(&near).signals["memcached.connections_ratio"] < 0.8 {
        kept.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
        near = look(&plain, port).await;
    }
    table.signal("four fifths of the connections taken", &near, "memcached.connections_ratio", |ratio| {
        ratio >= 0.8
    });
    drop(kept);
    // No item fits into a slab of this size any more.
    let small = start(&["-m", "1", "-I", "512k", "-M"]);
    let writing = read("{ memcached: { write_check: true } }");
    await_answer(&writing, small.port).await;
    fill(small.port).await;
    let full = look(&writing, small.port).await;
    table.signal("`-M` and a full memory", &full, "memcached.write_ok", |ok| ok == 0.0);

    stop_resume_kill(&mut server, &plain, "ask", &mut table).await;
    table.finish();
}

/// Items of the check's own size until none is taken any more.
async fn fill(port: u16) {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut stream = BufReader::new(stream);
    for number in 0..200_000 {
        let item = format!("set _topowatch:{number:016} 0 0 18\r\n{}\r\n", "x".repeat(18));
        stream.write_all(item.as_bytes()).await.unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        if line.starts_with("SERVER_ERROR") {
            return;
        }
    }
    panic!("the memory never filled");
}
