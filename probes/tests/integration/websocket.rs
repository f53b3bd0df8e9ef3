//! A real WebSocket server behind a real nginx.

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::fakes::Fake;
use crate::nginx;
use crate::support::{
    answer, await_answer, fault, free_port, home, look, mistakes, read, stop_resume_kill, summary,
};
use crate::table::Table;

/// Answers `hello` with `welcome`, after a push of its own; says goodbye to others.
async fn server(close: Option<CloseCode>) -> Fake {
    Fake::each(move |stream| async move {
        let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
        if let Some(code) = close {
            socket.close(Some(CloseFrame { code, reason: "so long".into() })).await.ok();
        }
        while let Some(Ok(message)) = socket.next().await {
            if message.to_text().is_ok_and(|text| text == "hello") {
                socket.send(Message::text("news")).await.ok();
                socket.send(Message::text("welcome, monitor")).await.ok();
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_push_centre_is_seen_as_it_is() {
    let mut table = Table::new("websocket");
    let app = server(None).await;
    let (port, dead) = (free_port(), free_port());
    let upgrading = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;";
    let servers = format!(
        "server {{\nlisten 127.0.0.1:{port};\n\
         location /push {{ proxy_pass http://127.0.0.1:{}; {upgrading} }}\n\
         location /plain {{ return 200 page; }}\n\
         location /closed {{ deny all; }}\n\
         location /dead {{ proxy_pass http://127.0.0.1:{dead}; {upgrading} }}\n}}\n",
        app.port
    );
    let mut server = nginx::start_with(home(), port, &servers);
    let at = |options: &str| read(&format!("{{ websocket: {{ {options} }} }}"));
    let push = at("path: /push, send: hello, expect: ^welcome");
    let seen = await_answer(&push, port).await;
    let found = answer(&seen);
    for signal in ["websocket.upgrade_seconds", "websocket.pong_seconds", "websocket.echo_seconds"] {
        assert!(found.signals[signal] > 0.0, "{signal}: {found:?}");
    }
    assert_eq!(found.signals["websocket.echo_ok"], 1.0);

    table.fault(
        "a page instead of the upgrade",
        &look(&at("path: /plain"), port).await,
        "bad_answer handshake assertion",
    );
    table.fault("`deny all`", &look(&at("path: /closed"), port).await, "auth handshake no_permission");
    table.fault(
        "nginx before a closed port",
        &look(&at("path: /dead"), port).await,
        "bad_answer handshake gateway",
    );
    let mut other = at("path: /push, send: hello, expect: goodbye");
    other.timeout = std::time::Duration::from_millis(800);
    table.signal(
        "an answer of the application that is not the expected one",
        &look(&other, port).await,
        "websocket.echo_ok",
        |ok| ok == 0.0,
    );
    for (how, code, expected) in [
        ("the server closes with 1001", CloseCode::Away, "dropped ask shutting_down"),
        ("the server closes with 1013", CloseCode::Again, "bad_answer ask throttled"),
        ("the server closes with 1008", CloseCode::Policy, "auth ask no_permission"),
    ] {
        let closing = self::server(Some(code)).await;
        table.fault(how, &look(&at("path: /"), closing.port).await, expected);
    }
    stop_resume_kill(&mut server, &push, "handshake", &mut table).await;
    table.finish();
}

#[tokio::test]
async fn a_pong_of_another_ping_does_not_count() {
    let fake = Fake::each(|stream| async move {
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        for _ in 0..3 {
            socket.send(Message::Pong(Bytes::from_static(b"another"))).await.ok();
        }
        std::future::pending::<()>().await;
    })
    .await;
    let mut probe = read("{ websocket: {} }");
    probe.timeout = std::time::Duration::from_millis(500);
    assert_eq!(summary(&look(&probe, fake.port).await), "hung ask");
}

#[tokio::test]
async fn a_message_without_end_is_cut() {
    let fake = Fake::each(|stream| async move {
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        socket.send(Message::text("x".repeat(10 << 20))).await.ok();
    })
    .await;
    let seen = look(&read("{ websocket: {} }"), fake.port).await;
    assert_eq!(summary(&seen), "bad_answer ask too_large", "{}", fault(&seen).words);
    assert_eq!(
        mistakes("{ websocket: { send: x } }"),
        ["probe `websocket`: `send` and `expect` go together"]
    );
}
