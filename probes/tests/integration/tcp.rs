//! Ports, and what they say first.

use nix::sys::signal::Signal;

use crate::fakes::Fake;
use crate::support::{
    Server, answer, await_answer, await_summary, command, free_port, home, look, mistakes, program, read,
    summary,
};
use crate::table::Table;

#[tokio::test]
async fn a_port_is_open_and_a_banner_is_more() {
    let mut table = Table::new("tcp");
    let redis = program("/usr/bin/redis-server", "redis-server");
    let (dir, port) = (home(), free_port());
    let mut command = command(&redis, dir.path());
    command.args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()]);
    let server = Server::start(command, port, Some(dir));
    let bare = read("{ tcp: {} }");
    let talk = read(r"{ tcp: { send: 'PING\r\n', expect: '^\+PONG' } }");
    let seen = await_answer(&talk, port).await;
    assert!(answer(&seen).signals["tcp.answer_seconds"] > 0.0);
    let other = read(r"{ tcp: { send: 'ECHO hello\r\n', expect: '^\+PONG' } }");
    table.fault(
        "an answer that is not the expected one",
        &look(&other, port).await,
        "bad_answer ask assertion",
    );
    server.signal(Signal::SIGSTOP);
    assert_eq!(summary(&look(&bare, port).await), "answer", "a bare connection sees the kernel only");
    table.fault("SIGSTOP, with `expect`", &look(&talk, port).await, "hung ask");
    server.signal(Signal::SIGCONT);
    drop(server);
    table.fault("SIGKILL", &await_summary(&bare, port, "refused").await, "refused tcp");
    let closing = Fake::closing().await;
    let seen = look(&read("{ tcp: { expect: x } }"), closing.port).await;
    table.fault("closed at once, with `expect`", &seen, "dropped ask");
    table.finish();
    assert_eq!(mistakes(r"{ tcp: { send: '\q' } }").len(), 1);
}
