//! Every route: status, headers, and nothing that a hostile target could slip in.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use collector::board::Board;
use collector::watch::{BoardPublisher, board_channel};
use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use topology::fault::{Fault, FaultKind};
use topology::level::Health;
use topology::model::InstanceId;
use topology::text::Text;
use tower::ServiceExt;
use web::WebState;

use crate::fixture;

pub(crate) fn clock() -> Timestamp {
    "2026-11-24T12:11:03.6Z".parse().unwrap()
}

/// A router over one board; the publisher must live as long.
pub(crate) fn app(board: Board) -> (Router, BoardPublisher) {
    let (publisher, watch) = board_channel(board);
    let mut state = WebState::new(watch, clock);
    state.zone = jiff::tz::TimeZone::UTC;
    (web::router(state, CancellationToken::new()), publisher)
}

pub(crate) fn board(state: &str) -> Board {
    fixture::board(state, "2026-11-24T12:11:03Z".parse().unwrap())
}

pub(crate) async fn get(app: &Router, path: &str) -> (StatusCode, HeaderMap, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 8 << 20).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
}

pub(crate) async fn json(app: &Router, path: &str) -> Value {
    serde_json::from_str(&get(app, path).await.2).unwrap()
}

const PAGES: [&str; 17] = [
    "/",
    "/?lang=zh&theme=light",
    "/nodes/member-db",
    "/nodes/miniapp-server-3?lang=zh",
    "/incidents/20261124-0407-1",
    "/incidents/20261123-07?lang=zh",
    "/table",
    "/table?q=member&sort=latency&lang=zh",
    "/history",
    "/history?lang=zh&from=2026-11-20&to=2026-11-22",
    "/nodes/member-db?range=7d&lang=zh",
    "/login",
    "/embed",
    "/?kiosk=1&distance=far",
    "/wall/nobody",
    "/nodes/nobody",
    "/nowhere",
];

/// Pictures for other pages.
const PICTURES: [&str; 5] = [
    "/topology.svg",
    "/topology.svg?lang=zh&theme=light",
    "/badge.svg",
    "/badge/member-db.svg",
    "/badge/member-db-1.svg?lang=zh",
];

/// The policy of every answer, word for word.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'";

#[tokio::test]
async fn every_route_answers_with_the_headers() {
    let (app, _publisher) = app(board("member-db"));
    let api = [
        ("/api/v1/health", 200),
        ("/api/v1/board", 200),
        ("/api/v1/incidents", 200),
        ("/api/v1/incidents?state=open", 200),
        ("/api/v1/incidents?state=odd", 400),
        ("/api/v1/incidents?state=open&state=open", 400),
        ("/api/v1/nodes/%FF", 400),
        ("/api/v1/events?group=a&group=b", 400),
        ("/api/v1/incidents/20261124-0407-1", 200),
        ("/api/v1/incidents/none", 404),
        ("/api/v1/nodes/member-db", 200),
        ("/api/v1/nodes/member", 404),
        ("/api/v1/topology", 200),
        ("/api/v1/changes-since", 200),
        ("/api/v1/changes", 200),
        ("/api/v1/changes?since=2026-11-24T12:00:00Z", 200),
        ("/api/v1/changes?since=yesterday", 400),
        ("/api/v1/reload", 405),
        ("/api/v1/record", 501),
        ("/api/v1/nothing", 404),
        ("/metrics", 200),
        ("/healthz", 200),
    ];
    let pages = PAGES.iter().chain(&PICTURES).map(|path| (*path, if path.contains("/no") { 0 } else { 200 }));
    for (path, wanted) in api.into_iter().chain(pages) {
        let (status, headers, body) = get(&app, path).await;
        if wanted > 0 {
            assert_eq!(status, wanted, "{path}: {body}");
        }
        let csp = headers["content-security-policy"].to_str().unwrap();
        assert!(!csp.contains("unsafe"), "{path}: {csp}");
        if path == "/embed" {
            assert!(csp.starts_with("default-src 'none'") && csp.ends_with("frame-ancestors *"), "{csp}");
            assert!(!csp.contains("script-src"), "it needs none: {csp}");
        } else {
            assert_eq!(csp, POLICY, "{path}");
        }
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["referrer-policy"], "same-origin", "{path}");
        assert_eq!(headers["cross-origin-opener-policy"], "same-origin", "{path}");
        if path.starts_with("/api/") && !status.is_success() {
            assert_eq!(headers["content-type"], "application/problem+json", "{path}");
            let problem: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(problem["status"], status.as_u16());
        }
    }
}

#[tokio::test]
async fn an_address_of_a_page_that_cannot_be_read_is_answered_with_a_page() {
    let (app, _publisher) = app(board("member-db"));
    for path in ["/?lang=en&lang=zh", "/nodes/%FF", "/table?theme=dark&theme=light"] {
        let (status, headers, body) = get(&app, path).await;
        assert_eq!(status, 400, "{path}: {body}");
        assert_eq!(headers["content-type"], "text/html; charset=utf-8", "{path}");
        assert!(body.contains("</html>"), "{path}: {body}");
    }
}

#[tokio::test]
async fn pages_carry_no_inline_script_and_no_style() {
    let states = fixture::STATES.into_iter().map(|state| (state, board(state)));
    // The only one with a wall for each group.
    let groups = fixture::groups_down("2026-11-24T12:11:03Z".parse().unwrap());
    for (state, board) in states.chain([("groups", groups)]) {
        let (app, _publisher) = app(board);
        for path in
            PAGES.into_iter().chain(PICTURES).chain(["/wall/data-Member", "/wall/data-Member?lang=zh"])
        {
            let (_, headers, html) = get(&app, path).await;
            assert_eq!(headers["cache-control"], "no-store", "{path}");
            assert!(!html.contains(" style="), "{state} {path}");
            assert!(!html.contains("<style"), "{state} {path}");
            for handler in [" onclick=", " onload=", " onerror=", " onsubmit=", " onchange=", " oninput="] {
                assert!(!html.contains(handler), "{state} {path}: {handler}");
            }
            assert!(!html.contains("javascript:"), "{state} {path}");
            for script in html.split("<script").skip(1) {
                assert!(script.starts_with(" type=\"module\" src=\"/assets/"), "{script}");
                assert!(script.split('>').nth(1).is_some_and(|rest| rest.starts_with("</script")));
            }
        }
    }
}

#[tokio::test]
async fn assets_are_found_and_kept_for_ever() {
    let (app, _publisher) = app(board("green"));
    let (_, _, html) = get(&app, "/").await;
    let mut urls: Vec<&str> = html.split('"').filter(|part| part.starts_with("/assets/")).collect();
    urls.dedup();
    assert!(urls.len() >= 7, "{urls:?}");
    for url in urls {
        let (status, headers, body) = get(&app, url).await;
        assert_eq!(status, 200, "{url}");
        assert!(headers["cache-control"].to_str().unwrap().contains("immutable"), "{url}");
        assert!(!body.is_empty());
    }
    assert_eq!(get(&app, "/assets/0000000000000000/wall.js").await.0, 404);
}

#[tokio::test]
async fn hostile_text_stays_text() {
    let evil = "<script>alert(1)</script>\"'&\u{202e}<img src=x onerror=alert(1)>";
    let mut board = board("member-db");
    let id = InstanceId(0);
    fixture::hurt(
        &mut board,
        id,
        Health::Red,
        Fault::new(FaultKind::BadAnswer, "ask", evil),
        (evil, evil),
        9,
    );
    for component in &mut board.components {
        component.words = Text::same(evil);
        component.short = Text::same(evil);
        component.health = Health::Red;
    }
    board.sentence = Text::same(evil);
    board.advice = Text::same(evil);
    let (app, _publisher) = app(board);
    for path in ["/", "/?lang=zh", "/nodes/gateway", "/nodes/%3Cscript%3E", "/incidents/%3Cscript%3E"] {
        let (_, _, html) = get(&app, path).await;
        assert!(!html.contains("<script>"), "{path}");
        assert!(!html.contains("<img"), "{path}");
    }
    // What a probe keeps of a target's words has lost its direction marks already.
    let node = json(&app, "/api/v1/nodes/gateway-1").await;
    assert!(!node["words"].as_str().unwrap().contains('\u{202e}'));
}

#[tokio::test]
async fn the_board_has_an_entity_tag() {
    let (app, _publisher) = app(board("green"));
    let (_, headers, _) = get(&app, "/api/v1/board").await;
    let request =
        Request::get("/api/v1/board").header("if-none-match", &headers["etag"]).body(Body::empty()).unwrap();
    assert_eq!(app.oneshot(request).await.unwrap().status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn answers_are_compressed_when_asked() {
    let (app, _publisher) = app(board("member-db"));
    let (_, _, html) = get(&app, "/").await;
    let script = html.split('"').find(|part| part.ends_with("/wall.css")).unwrap().to_owned();
    for path in ["/", "/history", "/nodes/member-db", script.as_str()] {
        // What a browser sends, and what an old proxy does.
        for (accepted, encoding) in [("gzip, deflate, br, zstd", "br"), ("gzip", "gzip")] {
            let request = Request::get(path).header("accept-encoding", accepted).body(Body::empty()).unwrap();
            let response = app.clone().oneshot(request).await.unwrap();
            assert_eq!(response.headers()["content-encoding"], encoding, "{path}");
            let size = to_bytes(response.into_body(), 1 << 20).await.unwrap().len();
            assert!(size < 20_000, "{path}: {size} bytes");
        }
    }
}

#[tokio::test]
async fn metrics_name_levels_and_latency() {
    let (app, _publisher) = app(board("member-db"));
    let (_, headers, text) = get(&app, "/metrics").await;
    assert!(headers["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    for line in [
        "topowatch_component_level{component=\"member-db\"} 2",
        "topowatch_component_level{component=\"store-db\"} 0",
        "topowatch_instance_level{component=\"member-db\",instance=\"member-db-1\"} 2",
        "topowatch_component_own_level{component=\"store-db\"} 0",
        "topowatch_component_instances{component=\"member-db\",level=\"red\"} 1",
        "topowatch_open_incidents 1",
        "topowatch_unacknowledged_incidents 1",
        "topowatch_root_cause_level{root_cause=\"member-db-1\",kind=\"instance\"} 2",
        "topowatch_build_info{version=\"0.1.0\"} 1",
    ] {
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn metrics_have_a_line_for_each_root_cause_and_none_when_all_is_well() {
    let (app, _publisher) = app(board("two-roots"));
    let text = get(&app, "/metrics").await.2;
    let lines =
        |text: &str| text.lines().filter(|line| line.starts_with("topowatch_root_cause_level{")).count();
    assert_eq!(lines(&text), 2, "{text}");
    assert!(text.contains("topowatch_platform_level 2\n"));
    let (app, _publisher) = self::app(board("green"));
    let text = get(&app, "/metrics").await.2;
    assert_eq!(lines(&text), 0, "{text}");
    assert!(!text.contains("topowatch_instance_fault"), "a metric without samples is not there");
    assert!(text.contains("topowatch_platform_level 0\n"));
}

#[tokio::test]
async fn a_standing_collector_is_not_healthy() {
    let mut old = board("green");
    old.at -= jiff::SignedDuration::from_secs(60);
    let (app, _publisher) = app(old);
    let (status, _, body) = get(&app, "/healthz").await;
    assert_eq!(status, 503, "{body}");
}

#[tokio::test]
async fn a_platform_of_groups_has_a_wall_for_each() {
    let (app, _publisher) = app(fixture::groups_down("2026-11-24T12:11:03Z".parse().unwrap()));
    let (_, _, html) = get(&app, "/?lang=en").await;
    assert_eq!(html.matches("class=\"card ").count(), 25, "a card a team and tier, and the gateway");
    assert!(html.contains("href=\"/wall/data-Member?lang=en\""));
    assert!(html.contains("Member DB 1 refused 1/2"), "the root has its own name on its group's card");
    assert_eq!(html.matches("data-state=\"root\"").count(), 1);
    let (status, _, html) = get(&app, "/wall/data-Member?lang=en").await;
    assert_eq!(status, 200);
    assert_eq!(html.matches("class=\"card ").count(), 5);
    assert!(html.contains("href=\"/nodes/member-db-1?lang=en\""));
    let css = html.split('"').find(|part| part.starts_with("/assets/wall-")).unwrap();
    assert_eq!(get(&app, css).await.0, 200);
}

#[tokio::test]
async fn a_component_with_very_many_instances_shows_a_bar_and_its_unhealthy_ones() {
    let mut board = fixture::green(fixture::model(&fixture::huge()), clock());
    let id = board.model.component_by_name("miniapp").unwrap();
    let all: Vec<InstanceId> = board.model.component(id).instance_ids().collect();
    assert!(all.len() > 700);
    for id in all.iter().take(61) {
        board.instances[id.index()].health = Health::Red;
    }
    let (app, _publisher) = app(board);
    let (_, _, html) = get(&app, "/?lang=en").await;
    let card = html.split("<a class=\"card ").find(|part| part.contains("/nodes/miniapp?")).unwrap();
    let card = card.split("</a>").next().unwrap();
    assert!(card.contains("<svg class=\"bar\"") && card.contains("<rect class=\"r\""), "{card}");
    assert_eq!(card.matches("<i class=\"r\"></i>").count(), 24, "{card}");
    assert!(card.contains("<b>+37</b>"), "{card}");
}

#[tokio::test]
async fn the_table_is_sorted_and_searched_by_the_server() {
    let (app, _publisher) = app(board("member-db"));
    let rows = |html: &str| html.matches("<th scope=\"row\">").count();
    let (_, _, html) = get(&app, "/table?lang=en").await;
    assert_eq!(rows(&html), 73);
    let first = html.split("<th scope=\"row\">").nth(1).unwrap();
    assert!(first.contains("member-db-1"), "the cause before those it broke: {first}");
    let second = html.split("<th scope=\"row\">").nth(2).unwrap();
    assert!(second.contains("miniapp-server-1"), "and they in file order: {second}");
    let (_, _, html) = get(&app, "/table?lang=en&q=MEMBER-DB").await;
    assert_eq!(rows(&html), 2);
    let (_, _, html) = get(&app, "/table?lang=en&sort=name").await;
    assert!(html.split("<th scope=\"row\">").nth(1).unwrap().contains("coupon-db-1"));
    let (_, _, html) = get(&app, "/table?lang=en&q=%3Cscript%3E").await;
    assert!(rows(&html) == 0 && !html.contains("<script>"));
}

#[tokio::test]
async fn the_wall_of_a_moment_that_is_over() {
    let now = board("member-db");
    let dir = tempfile::tempdir().unwrap();
    let store = fixture::past::of(&now, dir.path()).await;
    let (_publisher, watch) = board_channel(now);
    let mut state = WebState::new(watch, clock);
    state.zone = jiff::tz::TimeZone::UTC;
    assert_eq!(
        get(&web::router(state.clone(), CancellationToken::new()), "/?at=1").await.0,
        404,
        "no past here"
    );
    state.history = Some(collector::history::History::of(&store));
    let app = web::router(state, CancellationToken::new());
    let (status, _, html) = get(&app, "/?lang=en&at=2026-11-24T12:00:00Z").await;
    assert_eq!(status, 200);
    assert!(html.contains("All 27 components are healthy") && html.contains("/travel.js"), "{html}");
    assert!(!html.contains("/wall.js") && !html.contains("http-equiv=\"refresh\""));
    assert!(html.contains("type=\"range\"") && html.contains(">12:00:00</time>"));
    let (_, _, html) = get(&app, "/?lang=en&at=2026-11-24T12:09:00Z").await;
    assert!(html.contains("Member database is down") && html.contains("data-state=\"root\""));
    let told = json(&app, "/api/v1/changes-since?lang=en&at=2026-11-24T12:00:00Z").await;
    assert_eq!((&told["header"]["mood"], &told["sequence"]), (&"green".into(), &0.into()));
    assert_eq!(told["cards"].as_object().unwrap().len(), 27);
    assert_eq!(get(&app, "/api/v1/changes-since?at=soon").await.0, 400);
    assert_eq!(get(&app, "/?at=soon").await.0, 404);
    let (_, _, html) = get(&app, "/incidents/20261124-0407-1?lang=en").await;
    assert!(
        html.contains("the wall as it was") && html.contains("&#38;from=") || html.contains("&amp;from="),
        "{html}"
    );
}
