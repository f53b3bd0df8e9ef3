//! `websocket`: the upgrade, a ping, and where it is asked for an exchange of the application's own.

use std::error::Error as _;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::header::{self, HeaderValue};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use topology::fault::{Fault, FaultKind, Reason};
use topology::kind::{KindSpec, OptionForm, OptionSpec, SignalSpec};

use crate::clock::now;
use crate::dial;
use crate::expectation::{self, PATTERN};
use crate::http;
use crate::look::{Late, Look, Stop};
use crate::sentinel::SENTINEL_ON_WISH;
use crate::spec::{CONNECT, EXPIRES_IN, HOST, OUGHT, SECONDS, TLS_HANDSHAKE, TOTAL, truth};
use crate::stream::{Capped, MAX_BYTES, Overflow, Stream};
use crate::tls_session::{self, Settings, TLS};
use crate::web::{self, HEADERS, USER_AGENT};

/// One message at most.
const MAX_MESSAGE: usize = 64 * 1024;
/// Messages that the server may push before its answer.
const MAX_PUSHES: usize = 100;

pub(crate) static SPEC: KindSpec = KindSpec {
    name: "websocket",
    summary: "Upgrades to a WebSocket and pings it; with send it also waits for the application's answer. The \
              ping proves the server's event loop, the answer proves the application.",
    options: &[
        OptionSpec { name: "path", form: OptionForm::Path, default: Some("/"), help: "The socket's path." },
        HOST,
        TLS,
        HEADERS,
        OptionSpec {
            name: "origin",
            form: OptionForm::Text,
            default: None,
            help: "The Origin header; many servers check it.",
        },
        OptionSpec {
            name: "send",
            form: OptionForm::Text,
            default: None,
            help: "A text message for the application.",
        },
        OptionSpec {
            name: "expect",
            form: OptionForm::Checked(&PATTERN),
            default: None,
            help: "What its answer must hold; other messages in between are skipped.",
        },
        SENTINEL_ON_WISH,
    ],
    signals: &[
        SignalSpec {
            name: "websocket.upgrade_seconds",
            key: "upgrade",
            yellow: Some(0.3),
            red: Some(1.5),
            help: "From the request to 101. Our choice.",
            ..SECONDS
        },
        SignalSpec {
            name: "websocket.pong_seconds",
            key: "pong",
            yellow: Some(0.2),
            red: Some(1.0),
            help: "From the ping to its pong. Our choice.",
            ..SECONDS
        },
        SignalSpec {
            name: "websocket.echo_seconds",
            key: "echo",
            yellow: Some(0.5),
            red: Some(2.0),
            help: "From send to the expected answer. Our choice.",
            ..SECONDS
        },
        SignalSpec {
            name: "websocket.echo_ok",
            key: "echo_ok",
            help: "The expected answer came; only with send and expect.",
            ..OUGHT
        },
        CONNECT,
        TLS_HANDSHAKE,
        EXPIRES_IN,
        TOTAL,
    ],
    exercises_dependencies: true,
    wrong: Some(|probe| {
        let (send, expect) = (probe.text("send").is_some(), probe.text("expect").is_some());
        (send != expect).then(|| "`send` and `expect` go together".to_owned())
    }),
    ..KindSpec::EMPTY
};

type Socket = WebSocketStream<Capped<Stream>>;

pub(crate) async fn probe(look: &mut Look<'_>) -> Result<(), Stop> {
    let stream = dial::connect(look).await?;
    let host = look.probe.text("host");
    let tls = Settings::of(look.probe);
    let name = host.map_or(look.address.host.as_str(), web::without_port);
    let named = tls.map(|tls| tls.for_host(name));
    let stream = tls_session::secure(look, stream, named.as_ref()).await?;
    let (stream, overflow) = Capped::new(stream, MAX_BYTES);

    let request = request(look, named.is_some())?;
    let limits = WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let until = look.deadline();
    let upgrading = client_async_with_config(request, stream, Some(limits));
    let (mut socket, _) = match look.stage("handshake", until, upgrading).await.map_err(Late::hung)? {
        Ok(upgraded) => upgraded,
        Err(_) if overflow.happened() => return Err(Overflow::stop("handshake")),
        Err(error) => return Err(stop(&error, "handshake")),
    };
    look.put_some("websocket.upgrade_seconds", look.stage_seconds("handshake"));

    let began = now();
    let nonce = Bytes::from(look.shared.nonce().into_bytes());
    let pinging = ping(&mut socket, nonce);
    let ponged = look.stage("ask", until, pinging).await.map_err(Late::hung)?;
    ponged.map_err(|stop| if overflow.happened() { Overflow::stop("ask") } else { stop })?;
    look.put("websocket.pong_seconds", look.since(began).as_secs_f64());
    if let (Some(send), Some(expect)) = (look.probe.text("send"), look.probe.text("expect")) {
        echo(look, &mut socket, send, expect).await;
    }
    let goodbye = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    look.close(async { socket.close(Some(goodbye)).await }).await;
    Ok(())
}

fn request(look: &Look<'_>, tls: bool) -> Result<hyper::Request<()>, Stop> {
    let scheme = if tls { "wss" } else { "ws" };
    let path = look.probe.text("path").unwrap_or("/");
    let local = |error: &dyn std::fmt::Display| Stop::Local(format!("no request can be made: {error}"));
    let url = format!("{scheme}://{}{path}", look.address);
    let mut request = url.into_client_request().map_err(|error| local(&error))?;
    let headers = request.headers_mut();
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    for (name, text) in [(header::HOST, look.probe.text("host")), (header::ORIGIN, look.probe.text("origin"))]
    {
        if let Some(text) = text {
            headers.insert(name, HeaderValue::try_from(text).map_err(|error| local(&error))?);
        }
    }
    for (name, value) in look.probe.options.get("headers").map(web::headers).unwrap_or_default() {
        headers.insert(name, value);
    }
    Ok(request)
}

/// The pong must bring the ping's own words.
async fn ping(socket: &mut Socket, nonce: Bytes) -> Result<(), Stop> {
    socket.send(Message::Ping(nonce.clone())).await.map_err(|error| stop(&error, "ask"))?;
    for _ in 0..MAX_PUSHES {
        match next(socket, "ask").await? {
            Message::Pong(words) if words == nonce => return Ok(()),
            _ => {}
        }
    }
    Err(too_much("ask"))
}

/// The application's own answer. The ping is answered already, so a failure is a signal, no fault.
async fn echo(look: &mut Look<'_>, socket: &mut Socket, send: &str, expect: &str) {
    let Ok(pattern) = expectation::pattern(expect) else { return };
    let (until, began) = (look.within(1.0, Duration::ZERO), now());
    let asking = async {
        socket.send(Message::text(send.to_owned())).await.map_err(|error| stop(&error, "deep"))?;
        for _ in 0..MAX_PUSHES {
            if let Message::Text(text) = next(socket, "deep").await?
                && pattern.is_match(text.as_str())
            {
                return Ok(());
            }
        }
        Err(too_much("deep"))
    };
    let why = match look.stage("deep", until, asking).await {
        Ok(Ok(())) => None,
        Ok(Err(Stop::Fault(fault))) => Some(fault.words),
        Ok(Err(Stop::Local(words))) => Some(words),
        Err(_late) => Some("the expected answer did not come".to_owned()),
    };
    look.put("websocket.echo_ok", truth(why.is_none()));
    match why {
        None => look.put("websocket.echo_seconds", look.since(began).as_secs_f64()),
        Some(why) => look.note(&format!("echo: {why}")),
    }
}

async fn next(socket: &mut Socket, stage: &'static str) -> Result<Message, Stop> {
    match socket.next().await {
        Some(Ok(Message::Close(frame))) => Err(closed(frame.as_ref(), stage)),
        Some(Ok(message)) => Ok(message),
        Some(Err(error)) => Err(stop(&error, stage)),
        None => Err(stop(&Error::ConnectionClosed, stage)),
    }
}

fn too_much(stage: &'static str) -> Stop {
    let words = format!("{MAX_PUSHES} messages and no answer among them");
    Fault::new(FaultKind::BadAnswer, stage, &words).because(Reason::TooLarge).into()
}

/// The server says goodbye first.
fn closed(frame: Option<&CloseFrame>, stage: &'static str) -> Stop {
    let Some(frame) = frame else {
        return Fault::new(FaultKind::Dropped, stage, "the server closed the socket").into();
    };
    let words = format!("the server closed the socket: {} {}", u16::from(frame.code), frame.reason);
    let fault = |kind, reason| Stop::from(Fault::new(kind, stage, &words).because(reason));
    match frame.code {
        CloseCode::Away | CloseCode::Restart => fault(FaultKind::Dropped, Reason::ShuttingDown),
        CloseCode::Again => fault(FaultKind::BadAnswer, Reason::Throttled),
        CloseCode::Policy => fault(FaultKind::Auth, Reason::NoPermission),
        _ => Fault::new(FaultKind::Dropped, stage, &words).into(),
    }
}

fn stop(error: &Error, stage: &'static str) -> Stop {
    let fault = |kind, words: &str| Stop::from(Fault::new(kind, stage, words));
    match error {
        Error::Http(response) => {
            let status = response.status().as_u16();
            // A page is what a proxy gives that knows nothing of upgrades.
            let page = || {
                let words = format!("{status}: a page, and no upgrade to WebSocket");
                Fault::new(FaultKind::BadAnswer, stage, &words).because(Reason::Assertion)
            };
            let mut fault = http::status_fault(status).unwrap_or_else(page);
            fault.stage = stage;
            fault.into()
        }
        Error::Io(io) => dial::io_stop(io, stage),
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake | ProtocolError::HandshakeIncomplete) => {
            fault(FaultKind::Dropped, "connection closed before an answer")
        }
        Error::Capacity(_) => {
            let words = format!("a message of more than {} KiB", MAX_MESSAGE / 1024);
            Fault::new(FaultKind::BadAnswer, stage, &words).because(Reason::TooLarge).into()
        }
        Error::AttackAttempt => fault(FaultKind::Protocol, "headers without end"),
        other => match other.source().and_then(|source| dial::find_io(source)) {
            Some(io) => dial::io_stop(io, stage),
            None => fault(FaultKind::Protocol, &format!("not WebSocket: {other}")),
        },
    }
}
