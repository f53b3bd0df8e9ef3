//! The push centre: long connections to the phones (WebSocket) and to the stores (TCP), told by the OMS
//! through Redis. It promises speed, not delivery: a store also asks once a minute, a phone can refresh.

pub(crate) mod frames;
mod hub;
mod news;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role as Side, WebSocketConfig};
use tokio_util::sync::CancellationToken;

pub(crate) use self::hub::Topic;
use self::hub::{Hub, Listener};
pub(crate) use self::news::CHANNEL;
use self::news::News;
use super::cache::Redis;
use super::context::Context;
use super::failure::Failure;
use super::health::Check;
use super::server::Role;

/// For the first word of a store.
const HELLO: Duration = Duration::from_secs(5);
/// A store that says nothing for this long is gone: it says something every five seconds.
const SILENCE: Duration = Duration::from_secs(30);
/// Phones are asked now and then; one that does not answer until the next time is gone.
const ASK_EVERY: Duration = Duration::from_secs(25);
/// A phone says less.
const LARGEST: usize = 4096;
/// For one word to get into the socket.
const SEND: Duration = Duration::from_secs(5);

struct Push {
    hub: Arc<Hub>,
    news: Arc<News>,
    stop: CancellationToken,
}

pub(crate) async fn role(context: &Context, stop: &CancellationToken) -> Result<Role> {
    let redis = Redis::new(context, "oms-redis")?;
    let hub = Hub::new(Arc::clone(&context.metrics));
    let news = News::new(context, Arc::clone(&hub), Arc::clone(&redis))?;
    tokio::spawn(Arc::clone(&news).run(stop.clone()));
    let stores = context.long_connections;
    let listener = TcpListener::bind(stores).await.with_context(|| format!("cannot listen on {stores}"))?;
    tokio::spawn(serve_stores(listener, Arc::clone(&hub), stop.clone()));
    let checks = vec![Check::datastore(context, "oms-redis", &news)];
    let push = Push { hub, news, stop: stop.clone() };
    let routes =
        Router::new().route("/api/ping", get(ping)).route("/push", get(phone)).with_state(Arc::new(push));
    Ok(Role { routes, checks })
}

/// Words of the OMS arrive here.
async fn ping(State(push): State<Arc<Push>>) -> Result<Json<Value>, Failure> {
    push.news.listens()?;
    Ok(Json(json!({ "status": "pass" })))
}

#[derive(Deserialize)]
struct Phone {
    member: i64,
}

/// From HTTP to a WebSocket, as RFC 6455 has it.
async fn phone(State(push): State<Arc<Push>>, Query(phone): Query<Phone>, mut request: Request) -> Response {
    let headers = request.headers();
    let is_asked =
        headers.get(header::UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"))
            && headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    let (true, Some(key)) = (is_asked, headers.get(header::SEC_WEBSOCKET_KEY)) else {
        return (StatusCode::UPGRADE_REQUIRED, [(header::UPGRADE, "websocket")]).into_response();
    };
    let accept = derive_accept_key(key.as_bytes());
    let Some(listener) = push.hub.listen(Topic::Member(phone.member)) else {
        return Failure::Overloaded.into_response();
    };
    let (upgrade, stop) = (hyper::upgrade::on(&mut request), push.stop.clone());
    tokio::spawn(async move {
        // A phone that gives up in between needs nothing more.
        let Ok(upgraded) = upgrade.await else { return };
        let limits = WebSocketConfig::default().max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST));
        let socket =
            WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Side::Server, Some(limits)).await;
        serve_phone(socket, listener, stop).await;
    });
    let headers = [
        (header::CONNECTION, "upgrade"),
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_ACCEPT, accept.as_str()),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

async fn serve_phone(
    mut socket: WebSocketStream<TokioIo<Upgraded>>,
    mut listener: Listener,
    stop: CancellationToken,
) {
    let mut asks = tokio::time::interval(ASK_EVERY);
    asks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    asks.reset();
    let mut answered = true;
    loop {
        let word = tokio::select! {
            () = stop.cancelled() => {
                timeout(SEND, socket.send(Message::Close(None))).await.ok();
                return;
            }
            words = listener.next() => match words {
                Some(words) => Message::Text(words.as_ref().into()),
                None => return,
            },
            heard = socket.next() => match heard {
                Some(Ok(_)) => {
                    answered = true;
                    continue;
                }
                _ => return,
            },
            _ = asks.tick() => {
                if !std::mem::take(&mut answered) {
                    return;
                }
                Message::Ping(Vec::new().into())
            }
        };
        if !matches!(timeout(SEND, socket.send(word)).await, Ok(Ok(()))) {
            return;
        }
    }
}

async fn serve_stores(listener: TcpListener, hub: Arc<Hub>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors: others must end first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (hub, stop) = (Arc::clone(&hub), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                // The store sees the end of the connection, whatever the reason.
                served = serve_store(stream, &hub) => drop(served),
            }
        });
    }
}

#[derive(Deserialize)]
struct Hello {
    store: i64,
}

async fn serve_store(mut stream: TcpStream, hub: &Arc<Hub>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let hello = timeout(HELLO, frames::read(&mut stream)).await??;
    let Hello { store } = serde_json::from_str(&hello)?;
    let Some(mut listener) = hub.listen(Topic::Store(store)) else { return Ok(()) };
    let (mut from, mut to) = stream.split();
    frames::write(&mut to, "{\"hello\":true}").await?;
    // A frame must not be given up half-way, so one side reads for as long as the connection lives.
    let (echo, mut echoes) = tokio::sync::mpsc::channel::<String>(4);
    let read = async {
        loop {
            let heard = timeout(SILENCE, frames::read(&mut from)).await??;
            if echo.send(heard).await.is_err() {
                return Ok::<(), std::io::Error>(());
            }
        }
    };
    let write = async {
        loop {
            let word: Arc<str> = tokio::select! {
                word = listener.next() => match word { Some(word) => word, None => return Ok(()) },
                heard = echoes.recv() => match heard { Some(heard) => heard.into(), None => return Ok(()) },
            };
            timeout(SEND, frames::write(&mut to, &word)).await??;
        }
    };
    tokio::select! {
        done = read => done,
        done = write => done,
    }
}
