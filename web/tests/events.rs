//! The event stream: changes arrive as patches, and a page that comes back misses nothing.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::http::{Request, StatusCode};
use collector::watch::board_channel;
use futures_util::StreamExt;
use serde_json::Value;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use web::WebState;

use crate::fixture;
use crate::routes::{app, board, clock, get};

struct Events(BodyDataStream);

impl Events {
    async fn open(app: &Router, query: &str, last: Option<&str>) -> Self {
        let mut request = Request::get(format!("/api/v1/events{query}"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert!(response.headers().get("content-encoding").is_none());
        Self(response.into_body().into_data_stream())
    }

    /// The next event: its name, id and data.
    async fn next(&mut self) -> Option<(String, String, String)> {
        let chunk =
            timeout(Duration::from_secs(5), self.0.next()).await.expect("an event within five seconds")?;
        let text = String::from_utf8(chunk.unwrap().to_vec()).unwrap();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim().to_owned()
        };
        Some((field("event:"), field("id:"), field("data:")))
    }

    /// The next event that is no sign of life.
    async fn change(&mut self) -> Option<(String, String, Value)> {
        loop {
            let (name, id, data) = self.next().await?;
            if name != "beat" {
                return Some((name, id, serde_json::from_str(&data).unwrap()));
            }
            assert!(data.len() < 40, "a sign of life is small: {data}");
        }
    }
}

fn later(state: &str, by: u64) -> collector::board::Board {
    let mut next = board(state);
    next.sequence += by;
    next
}

/// One model for all boards, as in life: a new one means a reload.
fn with_model(mut board: collector::board::Board, like: &collector::board::Board) -> collector::board::Board {
    board.model = like.model.clone();
    board
}

#[tokio::test]
async fn a_change_arrives_as_a_patch() {
    let first = board("green");
    let next = with_model(later("member-db", 1), &first);
    let (app, publisher) = app(first);
    get(&app, "/?lang=en").await;
    let mut events = Events::open(&app, "?since=41&lang=en", None).await;
    assert_eq!(events.next().await.unwrap().0, "beat");
    publisher.publish(next);
    let (name, id, patch) = events.change().await.unwrap();
    assert_eq!((name.as_str(), id.as_str()), ("board", "42"));
    assert_eq!(patch["header"]["mood"], "red");
    let cards = patch["cards"].as_object().unwrap();
    assert_eq!(cards.len(), 4, "only what changed: {cards:?}");
    let root = cards.values().find(|card| card["state"] == "root").unwrap();
    assert_eq!(root["fault"], "primary refused 1/2");
    assert_eq!(root["cells"], "rg");
    assert!(patch["lit"].as_object().unwrap().len() == 3 && patch["strip"].is_array());
    assert!(patch.to_string().len() < 6000, "{} bytes", patch.to_string().len());
}

#[tokio::test]
async fn a_page_that_comes_back_gets_what_it_missed() {
    let first = board("green");
    let (red, green) = (with_model(later("member-db", 1), &first), with_model(later("hung", 2), &first));
    let (app, publisher) = app(first);
    get(&app, "/?lang=en").await;
    let mut events = Events::open(&app, "?since=41&lang=en", None).await;
    publisher.publish(red);
    let (_, id, _) = events.change().await.unwrap();
    drop(events);
    publisher.publish(green);
    let mut events = Events::open(&app, "?since=41&lang=en", Some(&id)).await;
    let (name, id, patch) = events.change().await.unwrap();
    assert_eq!((name.as_str(), id.as_str()), ("board", "43"));
    // Against red, not against the page's first green: the database is green again.
    assert!(patch["cards"].as_object().unwrap().values().any(|card| card["level"] == "green"));
}

#[tokio::test]
async fn an_unknown_sequence_or_another_topology_resets() {
    let first = board("green");
    let (app, publisher) = app(first);
    get(&app, "/?lang=en").await;
    let mut lost = Events::open(&app, "?since=7&lang=en", None).await;
    assert_eq!(lost.next().await.unwrap().0, "reset");
    assert!(lost.next().await.is_none(), "a reset is the last word");
    let mut other_run = Events::open(&app, "?since=41&run=abc&lang=en", None).await;
    assert_eq!(other_run.next().await.unwrap().0, "reset");

    let mut events = Events::open(&app, "?since=41&lang=en", None).await;
    assert_eq!(events.next().await.unwrap().0, "beat");
    let mut other = fixture::green(fixture::model(&fixture::sixty()), clock());
    other.sequence = 50;
    publisher.publish(other);
    assert_eq!(events.change().await.unwrap().0, "reset");
}

#[tokio::test]
async fn the_same_topology_read_again_lays_out_nothing_anew() {
    let first = board("green");
    // A model of its own with the same content, as a reload makes one.
    let next = later("member-db", 1);
    assert!(!std::sync::Arc::ptr_eq(&first.model, &next.model));
    let (app, publisher) = app(first);
    get(&app, "/?lang=en").await;
    let mut events = Events::open(&app, "?since=41&lang=en", None).await;
    publisher.publish(next);
    let (name, id, _) = events.change().await.unwrap();
    assert_eq!((name.as_str(), id.as_str()), ("board", "42"));
}

#[tokio::test]
async fn streams_end_when_the_server_stops() {
    let (_publisher, watch) = board_channel(board("green"));
    let shutdown = CancellationToken::new();
    let app = web::router(WebState::new(watch, clock), shutdown.clone());
    let mut events = Events::open(&app, "", None).await;
    assert_eq!(events.next().await.unwrap().0, "beat");
    shutdown.cancel();
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn serving_ends_within_its_grace() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (_publisher, watch) = board_channel(board("green"));
    let shutdown = CancellationToken::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(web::serve(listener, WebState::new(watch, clock), shutdown.clone()));
    let mut reader = tokio::net::TcpStream::connect(address).await.unwrap();
    reader.write_all(b"GET /api/v1/events HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut buffer = [0; 512];
    assert!(reader.read(&mut buffer).await.unwrap() > 0);
    // A reader that goes away in the middle costs nothing but its own stream.
    let mut gone = tokio::net::TcpStream::connect(address).await.unwrap();
    gone.write_all(b"GET /api/v1/events HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    drop(gone);
    shutdown.cancel();
    timeout(Duration::from_secs(4), server).await.expect("it ends").unwrap().unwrap();
}

#[tokio::test]
async fn the_number_of_streams_is_bounded() {
    let (app, _publisher) = app(board("green"));
    let mut open = Vec::new();
    for _ in 0..500 {
        open.push(Events::open(&app, "", None).await);
    }
    let (status, headers, _) = get(&app, "/api/v1/events").await;
    assert_eq!(status, 503);
    assert_eq!(headers["content-type"], "application/problem+json");
    open.pop();
    drop(Events::open(&app, "", None).await);
}

/// What a page of the same stage and program says of itself.
async fn page_of(app: &Router) -> String {
    let (_, _, html) = get(app, "/?lang=en").await;
    let of = |name: &str| {
        let start = html.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
        html[start..].split('"').next().unwrap().to_owned()
    };
    format!("stage={}&version={}&lang=en", of("data-stage"), of("data-version"))
}

#[tokio::test]
async fn a_page_of_an_earlier_run_is_told_everything() {
    let (app, _publisher) = app(board("member-db"));
    let page = page_of(&app).await;
    let mut events = Events::open(&app, &format!("?since=9000&run=before&{page}"), None).await;
    let (name, _, all) = events.change().await.unwrap();
    assert_eq!(name, "board");
    assert_eq!(all["cards"].as_object().unwrap().len(), 27);
    assert_eq!(all["lit"].as_object().unwrap().len(), 28, "what is not lit is said, too");
    assert_eq!(all["header"]["mood"], "red");
    assert!(all["run"].is_string() && all["strip"][0][0] == serde_json::json!([]));
    let mut other = Events::open(&app, &format!("?since=9000&run=before&{page}1"), None).await;
    assert_eq!(other.next().await.unwrap().0, "board", "lang=en1 is no language");
    let other = page.replace("stage=", "stage=0");
    let mut other = Events::open(&app, &format!("?since=9000&run=before&{other}"), None).await;
    assert_eq!(other.next().await.unwrap().0, "reset");
}

#[tokio::test]
async fn asking_gives_what_a_stream_would() {
    let first = board("green");
    let next = with_model(later("member-db", 1), &first);
    let (app, publisher) = app(first);
    let page = page_of(&app).await;
    let ask = |since: u64, tag: Option<String>| {
        let mut request = Request::get(format!("/api/v1/changes-since?since={since}&{page}"));
        if let Some(tag) = tag {
            request = request.header("if-none-match", tag);
        }
        app.clone().oneshot(request.body(Body::empty()).unwrap())
    };
    let answer = ask(41, None).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
    let answer = ask(41, Some(tag.clone())).await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
    assert!(answer.headers()["topowatch-beat"].to_str().unwrap().contains(' '));
    publisher.publish(next);
    let answer = ask(41, Some(tag)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    let patch: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&patch["header"]["mood"], &patch["sequence"]), (&"red".into(), &42.into()));
    assert_eq!(patch["cards"].as_object().unwrap().len(), 4);
}

#[tokio::test]
async fn a_change_of_one_node_is_small() {
    let first = board("green");
    let mut next = with_model(later("green", 1), &first);
    let id = next.model.component_by_name("order-redis").unwrap();
    let instance = next.model.component(id).instance_ids().next().unwrap();
    let fault = topology::fault::Fault::new(topology::fault::FaultKind::Hung, "ask", "no answer");
    let (red, risk) = (topology::level::Health::Red, topology::level::Health::AtRisk);
    fixture::hurt(&mut next, instance, red, fault, ("hung", "挂起"), 1);
    fixture::mark(
        &mut next,
        "order-redis",
        risk,
        ("hung 1/1", "挂起 1/1"),
        ("1 of 1 is hung", "1 台挂起"),
        1,
    );
    let (app, publisher) = app(first);
    get(&app, "/?lang=en").await;
    let mut events = Events::open(&app, "?since=41&lang=en", None).await;
    publisher.publish(next);
    let (_, _, patch) = events.change().await.unwrap();
    assert_eq!(patch["cards"].as_object().unwrap().len(), 1);
    assert!(patch.to_string().len() < 1024, "{} bytes: {patch}", patch.to_string().len());
}
