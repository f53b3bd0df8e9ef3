//! The pages that look back: a node's curves, the history page, who was told of an incident.

use axum::Router;
use axum::http::StatusCode;
use collector::board::Board;
use collector::history::History;
use collector::objectives::{ObjectiveState, Objectives};
use collector::watch::{BoardPublisher, board_channel};
use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;
use web::WebState;

use crate::fixture;
use crate::routes::{app, board, clock, get};

pub(crate) struct Server {
    pub(crate) app: Router,
    _publisher: BoardPublisher,
    _dir: tempfile::TempDir,
}

/// A server over `board` and the eight days before it.
pub(crate) async fn server(board: Board, objectives: Objectives) -> Server {
    let dir = tempfile::tempdir().unwrap();
    let store = fixture::past::of(&board, dir.path()).await;
    let (publisher, watch) = board_channel(board);
    let mut state = WebState::new(watch, clock);
    state.zone = jiff::tz::TimeZone::UTC;
    state.history = Some(History::of(&store));
    state.objectives = objectives;
    Server { app: web::router(state, CancellationToken::new()), _publisher: publisher, _dir: dir }
}

/// The part of a page from one mark to another.
fn part<'h>(html: &'h str, from: &str, to: &str) -> &'h str {
    let rest = html.split(from).nth(1).unwrap_or_else(|| panic!("no {from} in {html}"));
    rest.split(to).next().unwrap()
}

#[tokio::test]
async fn a_node_s_signals_are_curves_over_hours_and_days() {
    let server = server(board("member-db"), Objectives::default()).await;
    let page = async |range: &str| get(&server.app, &format!("/nodes/member-db?lang=en{range}")).await.2;
    let hour = page("").await;
    let signals = part(&hour, "id=\"signals\"", "</section>");
    assert!(
        signals.contains("<h3>Latency</h3>") && signals.contains("<h3>Looks that failed</h3>"),
        "{signals}"
    );
    assert!(signals.contains("mysql.connections_used_ratio"));
    assert!(
        signals.contains("<polyline points=\"") && signals.contains("class=\"bad\""),
        "the outage is shaded"
    );
    assert!(signals.contains("href=\"/nodes/member-db?lang=en&#38;range=24h#signals\""), "{signals}");
    assert!(signals.contains("range=1h#signals\" aria-current=\"true\""));
    assert!(signals.contains(" · 11:11 – 12:11</small>"));
    // An hour three days ago was seen by nobody: that is a gap in a week, and in no shorter range.
    let parts = |html: &str| part(html, "<h3>Latency</h3>", "</svg>").matches("<polyline").count();
    assert_eq!((parts(&hour), parts(&page("&range=24h").await)), (1, 1));
    let week = page("&range=7d").await;
    assert_eq!(parts(&week), 2);
    assert!(week.contains("<span>17 Nov</span>") && week.contains("<span>24 Nov</span>"));
    let levels = part(&week, "<dl class=\"levels\">", "</dl>");
    assert_eq!(levels.matches("<svg").count(), 3, "own, inherited, shown");
    assert!(levels.contains("class=\"red\""), "{levels}");
    // Of one instance its own; what nobody asks for is an hour.
    let (_, _, one) = get(&server.app, "/nodes/member-db-2?lang=zh&range=forever").await;
    assert!(one.contains("<h3>延迟</h3>") && one.contains("aria-current=\"true\">1 小时</a>"), "{one}");
}

#[tokio::test]
async fn without_a_past_there_are_figures_and_no_ranges() {
    let (app, _publisher) = app(board("member-db"));
    let (_, _, html) = get(&app, "/nodes/order-redis?lang=en").await;
    let signals = part(&html, "id=\"signals\"", "</section>");
    assert!(signals.contains("redis.memory_used_ratio") && !signals.contains("range="), "{signals}");
}

#[tokio::test]
async fn a_node_links_to_other_tools() {
    let text = fixture::DEMO.replacen(
        "components:\n",
        "links: { cat: \"https://cat.example/app/{component}\", host: \"http://{host}:9100/?i={instance}\" }\ncomponents:\n",
        1,
    );
    let (app, _publisher) = app(fixture::green(fixture::model(&text), clock()));
    let (_, _, html) = get(&app, "/nodes/member-db?lang=en").await;
    assert!(
        html.contains("<a href=\"https://cat.example/app/member-db\" rel=\"noreferrer noopener\">cat</a>")
    );
    assert!(html.contains(":9100/?i=member-db-2\" rel=\"noreferrer noopener\">host</a>"), "{html}");
    let node = crate::routes::json(&app, "/api/v1/nodes/member-db").await;
    assert_eq!(
        node["links"],
        serde_json::json!([{"name": "cat", "url": "https://cat.example/app/member-db"}])
    );
    let node = crate::routes::json(&app, "/api/v1/nodes/member-db-1").await;
    assert_eq!(node["links"].as_array().unwrap().len(), 2);
}

fn promises() -> Objectives {
    let objective = topology::model::Objective {
        component: topology::model::ComponentId(0),
        availability: 0.9999,
        window: std::time::Duration::from_hours(30 * 24),
    };
    let seen = |red: u64| collector::history::Availability {
        node: "gateway".to_owned(),
        time: collector::history::Stretch {
            green: std::time::Duration::from_hours(29 * 24),
            red_inherited: std::time::Duration::from_secs(red),
            ..collector::history::Stretch::default()
        },
        coverage: 0.97,
        outages: 1,
    };
    let (long, calm) = (seen(196), seen(0));
    let state = ObjectiveState::of("gateway", &objective, &long, [[&calm; 2]; 2]);
    Objectives::fixed(vec![state])
}

#[tokio::test]
async fn the_history_page_tells_what_happened_this_week() {
    let server = server(board("member-db"), promises()).await;
    let (status, _, html) = get(&server.app, "/history?lang=en").await;
    assert_eq!(status, StatusCode::OK);
    // An hour of 168 was not watched.
    assert!(html.contains("17 Nov 12:11 – 24 Nov 12:11 · 7 d · watched 99.4\u{2009}%"), "{html}");
    let incidents = part(&html, "<ol class=\"told\">", "</ol>");
    for words in
        ["Member database is down", "Coupon Redis full", "RabbitMQ restarted", "goes on", "3 min 22 s"]
    {
        assert!(incidents.contains(words), "{words}: {incidents}");
    }
    assert!(html.contains("<small>3, 2 of them red</small>"));
    let promises = part(&html, "<tbody>", "</tbody>");
    for words in ["99.99\u{2009}%", "3 min 16 s", "class=\"r w red\"", "24.4\u{2009}%", "seen 97.0"] {
        assert!(promises.contains(words), "{words}: {promises}");
    }
    // Own and inherited apart: the database by itself, the service because of it.
    let row = |name: &str| {
        let rest = html.split(&format!("/nodes/{name}?lang=en\">")).last().unwrap();
        rest.split("</tr>").next().unwrap().to_owned()
    };
    assert!(
        row("member-db").contains("<td class=\"r\">3 min 22 s</td><td class=\"r\">–</td>"),
        "{}",
        row("member-db")
    );
    assert!(
        row("gateway").contains("<td class=\"r\">–</td><td class=\"r\">3 min 16 s</td>"),
        "{}",
        row("gateway")
    );
    let (_, _, html) = get(&server.app, "/history?lang=zh&from=2026-11-23&to=2026-11-23").await;
    assert!(html.contains("11月23日 00:00 – 11月24日 00:00") && html.contains("RabbitMQ 重启"), "{html}");
    assert!(!html.contains("优惠券 Redis 写满") && !html.contains("会员数据库宕机"));
}

#[tokio::test]
async fn the_history_page_says_what_is_wrong_with_a_question() {
    let server = server(board("green"), Objectives::default()).await;
    for query in ["from=soon", "from=2026-11-23&to=2026-11-22", "from=2020-01-01", "from=2030-01-01"] {
        let (status, _, html) = get(&server.app, &format!("/history?lang=en&{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert!(html.contains("this is the last week"), "{query}: {html}");
    }
    let (app, _publisher) = app(board("green"));
    let (status, _, html) = get(&app, "/history?lang=en").await;
    assert_eq!(status, StatusCode::OK);
    assert!(html.contains("this server keeps no history"));
}

#[tokio::test]
async fn an_incident_tells_who_was_told_and_how_late() {
    let server = server(board("member-db"), Objectives::default()).await;
    let (_, _, html) = get(&server.app, "/incidents/20261124-0407-1?lang=en").await;
    let sent = part(&html, "id=\"sent\"", "</section>");
    for words in ["ops", "mail", "taken 12:07:44", "not taken yet", "the mail server refuses the connection"]
    {
        assert!(sent.contains(words), "{words}: {sent}");
    }
    // What is long over is still known.
    let mut later = board("green");
    later.resolved.clear();
    later.at += SignedDuration::from_secs(1);
    let (_, _, html) = get(&server.app, "/incidents/20261123-07?lang=en").await;
    let sent = part(&html, "id=\"sent\"", "</section>");
    assert!(sent.contains("resolved") && sent.contains("2 s"), "{sent}");
    assert!(!html.contains("id=\"forms\""), "what is over needs nobody");
}
