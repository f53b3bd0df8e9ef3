//! One authorization layer: no route gets past it.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use collector::access::{Access, Role, new_token};
use collector::store::Store;
use collector::watch::{BoardPublisher, board_channel};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use web::WebState;

use crate::routes::{board, clock};

struct Server {
    app: Router,
    read: String,
    operate: String,
    _publisher: BoardPublisher,
}

async fn server() -> Server {
    let store = Store::open("sqlite::memory:").await.unwrap();
    let mut texts = Vec::new();
    for (name, role, random) in [("wall", Role::Read, [3; 32]), ("ci", Role::Operate, [4; 32])] {
        let token = new_token(name, role, random, clock(), None).unwrap();
        store.add_token(&token.row).await.unwrap();
        texts.push(token.text);
    }
    let (publisher, watch) = board_channel(board("green"));
    let mut state = WebState::new(watch, clock);
    state.access = Some(Access::open(&store, [1; 32]).await);
    state.private = true;
    let app = web::router(state, CancellationToken::new());
    let operate = texts.pop().unwrap();
    Server { app, read: texts.pop().unwrap(), operate, _publisher: publisher }
}

impl Server {
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> StatusCode {
        let mut request = Request::builder().method(method).uri(path).header("host", "watch.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::from("{}")).unwrap();
        let peer: SocketAddr = "127.0.0.1:50000".parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        self.app.clone().oneshot(request).await.unwrap().status()
    }
}

/// Every route of the source, with something for what stands in braces; and some that are none.
fn routes() -> Vec<String> {
    let source = include_str!("../src/server.rs");
    let literals = source.split(".route(").skip(1).filter_map(|rest| rest.split('"').nth(1));
    let filled = literals.map(|route| {
        let parts: Vec<&str> =
            route.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
        parts.join("/")
    });
    filled.chain(["/nowhere", "/api/v1/nothing", "/login/x", "/healthz/x"].map(str::to_owned)).collect()
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn lesson_cve_2026_32230_no_route_is_read_without_a_token() {
    let (server, routes) = (server().await, routes());
    assert!(routes.len() > 20, "{routes:?}");
    for path in &routes {
        let open = path == "/login" || path == "/healthz" || path.starts_with("/assets/");
        for method in ["GET", "HEAD"] {
            let status = server.ask(method, path, &[]).await;
            assert_eq!(status == StatusCode::UNAUTHORIZED, !open, "{method} {path}: {status}");
            let bearer = format!("Bearer {}", server.read);
            let status = server.ask(method, path, &[("authorization", &bearer)]).await;
            assert_ne!(status, StatusCode::UNAUTHORIZED, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn lesson_cve_2023_49805_no_route_changes_something_without_a_token_or_for_another_site() {
    let server = server().await;
    let (read, operate) = (format!("Bearer {}", server.read), format!("Bearer {}", server.operate));
    for path in routes() {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            // Two forms of ours, and reports, whose own guard has its own tests.
            let reports = path.starts_with("/api/v1/heartbeat/");
            if method == "POST" && reports {
                continue;
            }
            let forms = method == "POST" && (path == "/login" || path == "/logout");
            let refused = |status: StatusCode| matches!(status.as_u16(), 401 | 403 | 415);
            let status = server.ask(method, &path, &[JSON]).await;
            assert!(refused(status) || forms, "{method} {path}: {status}");
            let status = server.ask(method, &path, &[JSON, ("authorization", &read)]).await;
            assert!(status == StatusCode::FORBIDDEN || forms, "{method} {path}: {status}");
            for evil in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
                let status = server.ask(method, &path, &[JSON, ("authorization", &operate), evil]).await;
                assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path} {evil:?}");
            }
            let form = ("content-type", "application/x-www-form-urlencoded");
            let status = server.ask(method, &path, &[form, ("authorization", &operate)]).await;
            assert!(status == StatusCode::UNSUPPORTED_MEDIA_TYPE || forms, "{method} {path}: {status}");
        }
    }
    // Nobody echoes a request.
    for (path, method) in [("/", "TRACE"), ("/api/v1/board", "QUERY")] {
        let status = server.ask(method, path, &[JSON, ("authorization", &operate)]).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
    // And with the right one it passes.
    let status = server.ask("POST", "/api/v1/curves/orders", &[JSON, ("authorization", &operate)]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn lesson_cve_2022_46146_every_wrong_token_is_refused_as_the_last_one() {
    let server = server().await;
    for wrong in ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer tw_x_y", &format!("bearer {}", server.read)]
    {
        let status = server.ask("GET", "/api/v1/board", &[("authorization", wrong)]).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{wrong}");
    }
}
