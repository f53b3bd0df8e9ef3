//! Looking back through the API, on a real database.

use axum::Router;
use axum::http::StatusCode;
use collector::history::History;
use collector::store::{Batch, LevelChange, LevelDetail, LookRow, Store};
use collector::watch::{BoardPublisher, board_channel};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use web::WebState;

use crate::routes::{board, clock, get, json};

struct Server {
    app: Router,
    _publisher: BoardPublisher,
    _dir: tempfile::TempDir,
}

fn ago(minutes: i64) -> Timestamp {
    clock() - SignedDuration::from_mins(minutes)
}

fn level(node: &str, minutes_ago: i64, health: &str, own: &str) -> LevelChange {
    let level = if health == "impaired" || health == "at_risk" { "yellow" } else { health };
    LevelChange {
        node: node.to_owned(),
        at: ago(minutes_ago),
        level: level.to_owned(),
        words: if health == "green" { String::new() } else { "no answer in 1.5 s".to_owned() },
        detail: LevelDetail {
            health: health.to_owned(),
            own: own.to_owned(),
            inherited_from: if own == health { Vec::new() } else { vec!["member-db".to_owned()] },
            ..LevelDetail::default()
        },
        again: false,
    }
}

/// An hour in which member-db was red for ten minutes, half an hour ago, and member-service with it.
async fn server() -> Server {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&format!("sqlite://{}", dir.path().join("past.db").display())).await.unwrap();
    let mut batch = Batch::default();
    for change in [
        level("member-db", 60, "green", "green"),
        level("member-db-1", 60, "green", "green"),
        level("member-service", 60, "green", "green"),
        level("member-db", 30, "red", "red"),
        level("member-db-1", 30, "red", "red"),
        level("member-service", 30, "red", "green"),
        level("member-db", 20, "green", "green"),
        level("member-db-1", 20, "green", "green"),
        level("member-service", 20, "green", "green"),
    ] {
        let at = change.at;
        batch.level(change, at);
    }
    batch.watched(ago(60), clock());
    for second in (0..3_600).step_by(3) {
        batch.look(LookRow {
            node: "member-db-1".to_owned(),
            at: ago(60) + SignedDuration::from_secs(second),
            signals: vec![("latency_seconds".to_owned(), 0.002)],
        });
    }
    store.write(&batch).await.unwrap();
    let (publisher, watch) = board_channel(board("green"));
    let mut state = WebState::new(watch, clock);
    state.history = Some(History::of(&store));
    Server { app: web::router(state, CancellationToken::new()), _publisher: publisher, _dir: dir }
}

fn component<'a>(board: &'a Value, name: &str) -> &'a Value {
    board["components"].as_array().unwrap().iter().find(|c| c["name"] == name).unwrap()
}

#[tokio::test]
async fn the_board_of_then_has_the_shape_of_the_board() {
    let server = server().await;
    for path in ["/api/v1/board", "/api/v1/history/board"] {
        let then = json(&server.app, &format!("{path}?at={}", ago(25))).await;
        assert_eq!(then["level"], "red", "{then}");
        assert_eq!(component(&then, "member-db")["own"], "red");
        let service = component(&then, "member-service");
        assert_eq!((&service["level"], &service["own"]), (&"red".into(), &"green".into()));
        assert_eq!(service["inherited_from"][0], "member-db");
        let edges = then["edges"].as_array().unwrap();
        assert!(edges.iter().any(|edge| edge["to"] == "member-db" && edge["level"] == "red"));
        // What nobody had looked at is unknown, not green.
        assert_eq!(component(&then, "gateway")["level"], "unknown");
    }
    let now = json(&server.app, "/api/v1/board").await;
    let then = json(&server.app, &format!("/api/v1/board?at={}", ago(25))).await;
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&now), keys(&then));
    let before = json(&server.app, &format!("/api/v1/board?at={}", ago(90))).await;
    assert_eq!(before["sentence"], "The monitor was not watching then");
}

#[tokio::test]
async fn availability_changes_and_signals_are_told_with_what_was_seen() {
    let server = server().await;
    let window = format!("from={}&to={}", ago(120), clock());
    let found = json(&server.app, &format!("/api/v1/history/availability?{window}")).await;
    let of = |name: &str| {
        found["nodes"].as_array().unwrap().iter().find(|node| node["node"] == name).unwrap().clone()
    };
    assert_eq!(
        (of("member-db")["red_own_s"].as_f64(), of("member-db")["outages"].as_u64()),
        (Some(600.0), Some(1))
    );
    assert_eq!(of("member-service")["red_inherited_s"], 600.0);
    // An hour of two was seen.
    assert_eq!(of("member-db")["coverage"], 0.5);
    let changes = json(&server.app, &format!("/api/v1/history/changes?{window}&limit=4")).await;
    assert_eq!((changes["changes"].as_array().unwrap().len(), &changes["more"]), (4, &true.into()));
    let path = format!("/api/v1/history/nodes/member-db-1?{window}&points=10");
    let series = json(&server.app, &path).await;
    let points = series["signals"]["latency_seconds"].as_array().unwrap();
    assert_eq!(points.iter().map(|point| point[4].as_u64().unwrap()).sum::<u64>(), 1200);
    assert!(points.len() <= 11, "{}", points.len());
}

#[tokio::test]
async fn nonsense_is_refused_in_words() {
    let server = server().await;
    for path in [
        "/api/v1/board?at=yesterday",
        "/api/v1/board?at=2030-01-01T00:00:00Z",
        "/api/v1/history/board",
        "/api/v1/history/changes?from=2026-11-24T12:00:00Z&to=2026-11-24T11:00:00Z",
        "/api/v1/history/changes?from=2020-11-24T12:00:00Z",
        "/api/v1/history/changes?limit=many",
    ] {
        let (status, _, body) = get(&server.app, path).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {body}");
    }
    let (status, _, body) = get(&server.app, "/api/v1/history/nodes/nobody").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{body}");
    assert_eq!(get(&server.app, "/api/v1/incidents/none").await.0, StatusCode::NOT_FOUND);
}
