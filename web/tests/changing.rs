//! What changes something: who may, and who may not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use collector::board::FileTrouble;
use collector::watch::{BoardPublisher, board_channel};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use web::WebState;
use web::api::{Finding, ReloadDone, ReloadOutcome};

use crate::routes::{self, board, clock, get, json};

const CHANGING: [&str; 7] = [
    "/api/v1/reload",
    "/api/v1/changes",
    "/api/v1/silences",
    "/api/v1/silences/x/end",
    "/api/v1/maintenance",
    "/api/v1/incidents/x/acknowledge",
    "/api/v1/incidents/x/unacknowledge",
];
const HERE: &str = "127.0.0.1:50000";

struct Server {
    app: Router,
    reloads: Arc<AtomicUsize>,
    _publisher: BoardPublisher,
}

fn finding() -> Finding {
    Finding {
        file: "topology.yaml".to_owned(),
        line: 3,
        column: 5,
        severity: "error",
        message: "unknown key `instnces`".to_owned(),
        help: Some("did you mean `instances`?".to_owned()),
    }
}

fn server(token: Option<&str>, outcome: ReloadOutcome) -> Server {
    let (publisher, watch) = board_channel(board("green"));
    let mut state = WebState::new(watch, clock);
    let reloads = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reloads);
    state.token = token.map(|token| token.to_owned().into());
    state.reload = Some(Arc::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
        let outcome = outcome.clone();
        Box::pin(async move { outcome })
    }));
    Server { app: web::router(state, CancellationToken::new()), reloads, _publisher: publisher }
}

fn done() -> ReloadOutcome {
    ReloadOutcome::Done(ReloadDone {
        components: 2,
        instances: 3,
        added: vec!["b".to_owned()],
        removed: Vec::new(),
        changed: Vec::new(),
        kept: 3,
        warnings: Vec::new(),
    })
}

impl Server {
    async fn post(&self, path: &str, peer: &str, headers: &[(&str, &str)]) -> (StatusCode, Value) {
        let mut request = Request::post(path);
        let given = |name: &str| headers.iter().any(|(n, _)| *n == name);
        for (name, value) in [("host", "127.0.0.1:8440"), ("content-type", "application/json")] {
            if !given(name) {
                request = request.header(name, value);
            }
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::from("{}")).unwrap();
        request.extensions_mut().insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        let response = self.app.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }
}

#[tokio::test]
async fn without_a_token_only_this_machine_changes_something() {
    let server = server(None, done());
    assert_eq!(server.post("/api/v1/reload", HERE, &[]).await.0, StatusCode::OK);
    assert_eq!(
        server.post("/api/v1/reload", "[::1]:50000", &[("host", "[::1]:8440")]).await.0,
        StatusCode::OK
    );
    let refused: [(&str, &[(&str, &str)]); 6] = [
        ("10.0.0.9:50000", &[]),
        // A proxy on this machine: the person may sit anywhere.
        (HERE, &[("x-forwarded-for", "10.0.0.9")]),
        (HERE, &[("via", "1.1 nginx")]),
        // A name that leads here.
        (
            HERE,
            &[
                ("host", "evil.example:8440"),
                ("origin", "http://evil.example:8440"),
                ("sec-fetch-site", "same-origin"),
            ],
        ),
        // A page of another site, in a browser on this machine.
        (HERE, &[("sec-fetch-site", "cross-site")]),
        (HERE, &[("origin", "https://evil.example")]),
    ];
    for path in CHANGING {
        for (peer, headers) in refused {
            let (status, problem) = server.post(path, peer, headers).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{path} {peer} {headers:?}: {problem}");
        }
        let form = [("content-type", "application/x-www-form-urlencoded")];
        assert_eq!(server.post(path, HERE, &form).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let text = [("content-type", "text/plain; application/json")];
        assert_eq!(server.post(path, HERE, &text).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    assert_eq!(server.reloads.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_form_is_taken_from_a_page_of_ours_only() {
    let server = server(None, done());
    let form = ("content-type", "application/x-www-form-urlencoded");
    let ours = [form, ("origin", "http://127.0.0.1:8440"), ("sec-fetch-site", "same-origin")];
    // This server only shows a board: whoever gets so far got by the guard.
    let (status, problem) = server.post("/api/v1/silences", HERE, &ours).await;
    assert_eq!(status, StatusCode::NOT_IMPLEMENTED, "{problem}");
    let theirs = [form, ("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")];
    assert_eq!(server.post("/api/v1/silences", HERE, &theirs).await.0, StatusCode::FORBIDDEN);
    assert_eq!(server.post("/api/v1/silences", HERE, &[form]).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn with_a_token_nobody_gets_by_without_it() {
    let server = server(Some("0123456789abcdef0123"), done());
    for path in CHANGING {
        for wrong in [
            "",
            "Bearer ",
            "Bearer 0123456789abcdef012",
            "Basic 0123456789abcdef0123",
            "0123456789abcdef0123",
        ] {
            let (status, problem) = server.post(path, HERE, &[("authorization", wrong)]).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{path} {wrong}");
            assert!(!problem.to_string().contains("0123456789"));
        }
    }
    assert_eq!(server.reloads.load(Ordering::Relaxed), 0);
    let right = [("authorization", "Bearer 0123456789abcdef0123")];
    let (status, body) = server.post("/api/v1/reload", "10.0.0.9:50000", &right).await;
    assert_eq!((status, body["kept"].as_u64()), (StatusCode::OK, Some(3)));
    // Reading needs none.
    assert_eq!(get(&server.app, "/api/v1/changes").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_broken_file_is_answered_with_every_finding() {
    let broken = ReloadOutcome::Broken("topology.yaml is broken".to_owned(), vec![finding()]);
    let server = server(None, broken);
    let (status, problem) = server.post("/api/v1/reload", HERE, &[]).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["diagnostics"][0]["line"], 3);
    assert_eq!(problem["diagnostics"][0]["help"], "did you mean `instances`?");
}

#[tokio::test]
async fn the_page_and_the_monitor_s_own_health_tell_a_broken_file() {
    for state in ["green", "member-db"] {
        let mut board = board(state);
        let lines = vec!["topology.yaml:3:5: error: unknown <key>".to_owned(), "another".to_owned()];
        let trouble = FileTrouble::new(board.at, "topology.yaml".to_owned(), lines);
        board.monitor.file_trouble = Some(Arc::new(trouble));
        let (app, _publisher) = routes::app(board);
        let (_, _, html) = get(&app, "/?lang=en").await;
        assert!(html.contains("topology.yaml is broken (12:11:03)"), "{state}");
        assert!(
            html.contains("unknown &#60;key&#62; (and 1 more)")
                || html.contains("unknown &lt;key&gt; (and 1 more)"),
            "{state}"
        );
        assert!(get(&app, "/?lang=zh").await.2.contains("topology.yaml 有误"), "{state}");
        let health = json(&app, "/healthz").await;
        assert_eq!((health["ok"].as_bool(), health["topology"]["ok"].as_bool()), (Some(true), Some(false)));
        assert_eq!(health["topology"]["problems"][0], "topology.yaml:3:5: error: unknown <key>");
        let (_, _, metrics) = get(&app, "/metrics").await;
        assert!(metrics.contains("topowatch_topology_file_ok 0\n"));
    }
}
