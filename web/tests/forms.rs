//! The forms of the pages, over a collector that watches one instance which refuses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use collector::access::{Access, Role, new_token};
use collector::board::Board;
use collector::clock::{Clock, now};
use collector::run::{Collector, Looker, Looking};
use collector::store::{Restored, Store};
use collector::watch::BoardWatch;
use probes::observation::{Observation, Outcome};
use tokio_util::sync::CancellationToken;
use topology::fault::{Fault, FaultKind};
use topology::model::{Address, Probe};
use tower::ServiceExt;
use web::WebState;

use crate::fixture;

/// Nobody listens anywhere.
struct Refused;

impl Looker for Refused {
    fn look<'a>(&'a self, _: &'a Probe, _: &'a Address, _: &'a str) -> Looking<'a> {
        let outcome = Outcome::Fault(Fault::new(FaultKind::Refused, "tcp", "connection refused"));
        let took = Duration::from_millis(1);
        Box::pin(async move { Observation::of(took, outcome) })
    }
}

struct Server {
    app: Router,
    boards: BoardWatch,
    read: String,
    operate: String,
    shutdown: CancellationToken,
}

const HERE: &str = "127.0.0.1:8440";

/// With tokens of both kinds, or without any.
async fn server(tokens: bool) -> Server {
    let text = "defaults: { interval: 1s }\ncomponents:\n  db: { instances: [\"127.0.0.1:1\"], probe: { tcp: {} } }\n  \
                web: { instances: [\"127.0.0.1:2\"], probe: { tcp: {} } }\n";
    let new_id: collector::engine::NewId = collector::new_incident_id();
    let clock = Clock::of_process();
    let model = Arc::new(fixture::model(text));
    let (collector, boards) =
        Collector::new(model, Arc::new(Refused), clock, new_id, Restored::default(), None);
    let mut state = WebState::new(boards.clone(), now);
    state.control = Some(collector.control());
    let (mut read, mut operate) = (String::new(), String::new());
    if tokens {
        let store = Store::open("sqlite::memory:").await.unwrap();
        for (name, role, random, text) in
            [("wall", Role::Read, [3; 32], &mut read), ("wang", Role::Operate, [4; 32], &mut operate)]
        {
            let token = new_token(name, role, random, now(), None).unwrap();
            store.add_token(&token.row).await.unwrap();
            *text = token.text;
        }
        state.access = Some(Access::open(&store, [1; 32]).await);
    }
    let shutdown = CancellationToken::new();
    tokio::spawn(collector.run(shutdown.clone()));
    Server { app: web::router(state, shutdown.clone()), boards, read, operate, shutdown }
}

impl Server {
    async fn ask(&self, request: axum::http::request::Builder, body: &str) -> (StatusCode, String, String) {
        let mut request = request.header("host", HERE).body(Body::from(body.to_owned())).unwrap();
        let peer: SocketAddr = "127.0.0.1:50000".parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        let response = self.app.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let to = response.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, to.unwrap_or_default(), String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(&self, path: &str, token: &str) -> String {
        let mut request = Request::get(path).header("accept", "text/html");
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.ask(request, "").await.2
    }

    /// A form as a browser sends it from our page.
    async fn send(&self, path: &str, token: &str, form: &str) -> (StatusCode, String, String) {
        let mut request = Request::post(path)
            .header("accept", "text/html")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", format!("http://{HERE}"))
            .header("sec-fetch-site", "same-origin");
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.ask(request, form).await
    }

    async fn board(&self, what: impl Fn(&Board) -> bool) -> Arc<Board> {
        let mut boards = self.boards.clone();
        let found = async {
            loop {
                let board = boards.current();
                if what(&board) {
                    return board;
                }
                boards.changed().await.expect("the collector goes on");
            }
        };
        tokio::time::timeout(Duration::from_mins(1), found).await.expect("the board")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

#[tokio::test]
async fn an_incident_is_taken_on_noted_and_silenced_by_forms() {
    let server = server(false).await;
    let board = server.board(|board| !board.open.is_empty()).await;
    let id = board.open[0].id.clone();
    let path = format!("/incidents/{id}?lang=en");
    let html = server.get(&path, "").await;
    assert!(html.contains("value=\"acknowledge\"") && html.contains("value=\"silence\""), "{html}");
    let (status, to, body) = server.send(&path, "", "do=acknowledge&by=wang&note=on+it").await;
    assert_eq!((status, to.as_str()), (StatusCode::SEE_OTHER, path.as_str()), "{body}");
    let (status, ..) = server.send(&path, "", "do=note&by=li&note=%3Cb%3Erestarted%3C%2Fb%3E").await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let (status, ..) = server.send(&path, "", "do=silence&by=wang&for=2h&why=moving").await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let html = server.get(&path, "").await;
    assert!(html.contains("Acknowledged by wang at ") && html.contains(": on it</bdi>"), "{html}");
    assert!(html.contains("li: &#60;b&#62;restarted&#60;/b&#62;"), "{html}");
    assert!(html.contains("by wang: moving (") && html.contains("value=\"unacknowledge\""), "{html}");
    // Let go, and the silence ended, from the same page.
    let silence = server.board(|board| !board.silences.is_empty()).await.silences[0].id.clone();
    let (status, to, _) = server
        .send(&format!("/silences/{silence}/end?lang=en"), "", &format!("back={}", path.replace('?', "%3F")))
        .await;
    assert_eq!((status, to.as_str()), (StatusCode::SEE_OTHER, path.as_str()));
    let (status, to, _) = server.send(&format!("/silences/{silence}/end"), "", "back=//evil.example").await;
    assert_eq!((status, to.as_str()), (StatusCode::SEE_OTHER, "/"), "nobody is sent away");
    server.send(&path, "", "do=unacknowledge").await;
    let html = server.get(&path, "").await;
    assert!(html.contains("value=\"acknowledge\"") && !html.contains("moving ("), "{html}");
    assert!(html.contains("No longer acknowledged"));
}

#[tokio::test]
async fn a_node_is_silenced_and_paused_by_forms() {
    let server = server(false).await;
    server.board(|board| !board.open.is_empty()).await;
    let (status, to, body) =
        server.send("/nodes/db?lang=zh", "", "do=maintenance&by=wang&for=30m&why=").await;
    assert_eq!((status, to.as_str()), (StatusCode::SEE_OTHER, "/nodes/db?lang=zh"), "{body}");
    let html = server.get("/nodes/db?lang=zh", "").await;
    assert!(html.contains("维护至") && html.contains("立即结束"), "{html}");
    assert!(!server.get("/nodes/web?lang=zh", "").await.contains("维护至"));
    server.board(|board| board.instances[0].health == topology::level::Health::Paused).await;
}

#[tokio::test]
async fn what_cannot_be_done_is_said_on_a_page() {
    let server = server(false).await;
    for (path, form, status, words) in [
        ("/incidents/none?lang=en", "do=acknowledge&by=wang", 404, "there is no open incident `none`"),
        ("/incidents/none?lang=en", "do=acknowledge&by=", 422, "says not who"),
        ("/incidents/none?lang=en", "do=dance", 400, "what is to be done"),
        ("/nodes/db?lang=en", "do=silence&by=wang&for=forever", 422, "is a duration"),
        ("/nodes/nobody?lang=en", "do=silence&by=wang&for=2h", 404, "there is no node `nobody`"),
        ("/silences/none/end?lang=en", "back=/", 404, "there is no silence"),
    ] {
        let (found, _, html) = server.send(path, "", form).await;
        assert_eq!(found.as_u16(), status, "{path} {form}: {html}");
        assert!(html.contains("That was not done") && html.contains(words), "{path} {form}: {html}");
    }
}

#[tokio::test]
async fn a_reader_sees_no_form_but_why() {
    let server = server(true).await;
    let id = server.board(|board| !board.open.is_empty()).await.open[0].id.clone();
    let path = format!("/incidents/{id}?lang=en");
    for page in [path.as_str(), "/nodes/db?lang=en"] {
        let html = server.get(page, &server.read).await;
        assert!(html.contains("Your token may only read.") && !html.contains("method=\"post\""), "{html}");
        let html = server.get(page, "").await;
        assert!(html.contains("Whoever may operate") && html.contains("href=\"/login?lang=en\""), "{html}");
        assert!(!html.contains("method=\"post\""));
        let html = server.get(page, &server.operate).await;
        assert!(html.contains("method=\"post\"") && html.contains("name=\"by\" value=\"wang\""), "{html}");
    }
    let form = "do=acknowledge&by=wang";
    let (status, _, html) = server.send(&path, &server.read, form).await;
    assert!(status == StatusCode::FORBIDDEN && html.contains("this token may read"), "{html}");
    let (status, _, html) = server.send(&path, "", form).await;
    assert!(status == StatusCode::UNAUTHORIZED && html.contains("href=\"/login?lang=en\""), "{html}");
    let (status, ..) = server.send(&path, &server.operate, form).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn what_changes_something_answers_as_the_document_says() {
    let server = server(false).await;
    let id = server.board(|board| !board.open.is_empty()).await.open[0].id.clone();
    let silence = r#"{"nodes": ["db"], "for": "2h", "why": "moving"}"#;
    let mut silenced = String::new();
    for (method, path, asked, body, wanted) in [
        ("post", "/api/v1/silences", "/api/v1/silences".to_owned(), silence, 201),
        ("post", "/api/v1/maintenance", "/api/v1/maintenance".to_owned(), silence, 201),
        ("post", "/api/v1/changes", "/api/v1/changes".to_owned(), r#"{"node": "db", "what": "1.2"}"#, 201),
        (
            "post",
            "/api/v1/incidents/{id}/acknowledge",
            format!("/api/v1/incidents/{id}/acknowledge"),
            r#"{"by": "wang"}"#,
            200,
        ),
        (
            "post",
            "/api/v1/incidents/{id}/notes",
            format!("/api/v1/incidents/{id}/notes"),
            r#"{"by": "wang", "note": "x"}"#,
            200,
        ),
        (
            "delete",
            "/api/v1/incidents/{id}/acknowledge",
            format!("/api/v1/incidents/{id}/acknowledge"),
            "",
            200,
        ),
        ("delete", "/api/v1/silences/{id}", "/api/v1/silences/SILENCE".to_owned(), "", 200),
        ("get", "/api/v1/silences", "/api/v1/silences".to_owned(), "", 200),
        ("get", "/api/v1/record", "/api/v1/record".to_owned(), "", 200),
    ] {
        let asked = asked.replace("SILENCE", &silenced);
        let request = Request::builder().method(method.to_uppercase().as_str()).uri(&asked);
        let request =
            if body.is_empty() { request } else { request.header("content-type", "application/json") };
        let (status, _, answer) = server.ask(request, body).await;
        assert_eq!(status.as_u16(), wanted, "{method} {asked}: {answer}");
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        crate::openapi::check(path, method, status, &answer);
        if path == "/api/v1/silences" && method == "post" {
            silenced = answer["id"].as_str().unwrap().to_owned();
        }
    }
}
