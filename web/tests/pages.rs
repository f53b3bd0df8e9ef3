//! What people and scripts see, word for word.

use crate::fixture;
use crate::routes::{app, board, get, json};

macro_rules! snapshot {
    ($name:expr, $text:expr) => {{
        let text = $text;
        insta::with_settings!({ filters => vec![
            (r"/assets/[0-9a-f]{16}/", "/assets/HASH/"),
            (r#"data-run="[0-9a-f]+""#, r#"data-run="RUN""#),
        ], omit_expression => true }, { insta::assert_snapshot!($name, text) })
    }};
}

#[tokio::test]
async fn the_wall_when_all_is_well() {
    let (app, _publisher) = app(board("green"));
    snapshot!("wall-green-en", get(&app, "/?lang=en").await.2);
}

#[tokio::test]
async fn the_wall_when_a_database_is_down() {
    let (app, _publisher) = app(board("member-db"));
    let (_, _, html) = get(&app, "/?lang=zh").await;
    assert_eq!(html.matches("data-state=\"root\"").count(), 1);
    assert_eq!(html.matches("data-state=\"affected\"").count(), 3);
    assert_eq!(html.matches("data-hop=").count(), 3);
    snapshot!("wall-member-db-zh", html);
}

#[tokio::test]
async fn the_wall_when_the_monitor_is_blind() {
    let (app, _publisher) = app(board("blind"));
    let (_, _, html) = get(&app, "/?lang=en").await;
    assert!(!html.contains("data-state=\"root\""), "nobody is blamed");
    snapshot!("wall-blind-en", html);
}

#[tokio::test]
async fn the_first_round_says_how_far_it_is() {
    let (app, _publisher) = app(board("starting"));
    let (_, _, html) = get(&app, "/?lang=en").await;
    assert!(html.contains("Looking for the first time: "), "{html}");
    assert!(html.contains("data-mood=\"starting\""));
}

#[tokio::test]
async fn two_roots_have_two_numbers() {
    let (app, _publisher) = app(board("two-roots"));
    let (_, _, html) = get(&app, "/?lang=en").await;
    assert_eq!(html.matches("data-state=\"root\"").count(), 2);
    assert_eq!(html.matches("class=\"panel half").count(), 2);
}

#[tokio::test]
async fn a_broken_edge_blames_no_node() {
    let (app, _publisher) = app(board("edge"));
    let (_, _, html) = get(&app, "/?lang=en").await;
    assert!(!html.contains("data-state=\"root\""));
    assert!(html.contains("Order service → Order database"));
}

#[tokio::test]
async fn the_language_follows_the_browser() {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;
    let (app, _publisher) = app(board("green"));
    let request =
        Request::get("/").header("accept-language", "zh-CN,zh;q=0.9,en;q=0.8").body(Body::empty()).unwrap();
    let body = axum::body::to_bytes(app.oneshot(request).await.unwrap().into_body(), 1 << 20).await.unwrap();
    assert!(String::from_utf8_lossy(&body).contains("27 个组件全部正常"));
}

#[tokio::test]
async fn the_layout_is_the_same_at_every_level() {
    let mut sheets = std::collections::BTreeSet::new();
    for state in fixture::STATES {
        let (app, _publisher) = app(board(state));
        let (_, _, html) = get(&app, "/").await;
        let sheet = html.split('"').find(|part| part.starts_with("/assets/wall-")).unwrap().to_owned();
        sheets.insert(sheet);
    }
    assert_eq!(sheets.len(), 1, "{sheets:?}");
}

#[tokio::test]
async fn the_api_keeps_its_shape() {
    let (app, _publisher) = app(board("member-db"));
    let pretty = |value| serde_json::to_string_pretty(&value).unwrap();
    snapshot!("api-health", pretty(json(&app, "/api/v1/health").await));
    snapshot!("api-incident", pretty(json(&app, "/api/v1/incidents/20261124-0407-1").await));
    let mut board = json(&app, "/api/v1/board").await;
    // One of each is enough to see the shape.
    for (list, at) in [("components", 1), ("instances", 14), ("edges", 3), ("incidents", 0)] {
        let one = board[list][at].take();
        board[list] = serde_json::json!([one]);
    }
    snapshot!("api-board", pretty(board));
}
