//! A played outage as a recorded case.

use serde_json::Value;
use topology::fault::FaultKind;

use super::*;
use crate::changes::ChangeNote;
use crate::play::{PLATFORM, Play};
use crate::testkit;

fn outage() -> Play {
    let mut play = Play::new(PLATFORM);
    play.rounds(20);
    let (at, now) = (play.now, play.now);
    let note =
        ChangeNote { at, node: "member-db".to_owned(), what: "upgrade".to_owned(), by: None, link: None };
    play.engine.note_change(note, now);
    play.kill_member_db();
    play.break_it(
        "member-db-1",
        testkit::fault(FaultKind::Refused, "127.0.4.1:80: connection refused by 10.9.8.7"),
    );
    play.break_it("order-1", testkit::answer(&[("http.latency_seconds", 0.1)]));
    play.rounds(5);
    play
}

fn case(play: &Play, length: u64, incident: Option<&str>) -> Value {
    let recording = play.engine.recording(play.now);
    serde_json::to_value(recording.case(Duration::from_secs(length), incident).unwrap()).unwrap()
}

#[test]
fn an_outage_is_recorded_as_the_format_has_it() {
    let play = outage();
    let case = case(&play, 900, None);
    let list = |key: &str| case[key].as_array().unwrap().clone();
    let graph = |key: &str| case["graph"][key].as_array().unwrap().clone();
    assert_eq!((graph("components").len(), graph("nodes").len(), graph("edges").len()), (6, 12, 5));
    assert_eq!(graph("nodes")[0], serde_json::json!({ "id": "gateway-1", "component": "gateway" }));
    assert_eq!(
        graph("edges")[1],
        serde_json::json!({ "from": "miniapp", "to": "member", "strength": "required" })
    );
    // Two rounds at the start, twenty well, five bad: three seconds each.
    assert_eq!(list("observations").len(), 12 * 27);
    assert_eq!(case["normal"], serde_json::json!({ "from": 0.0, "to": 66.0 }));
    assert_eq!(case["incident"], serde_json::json!({ "from": 66.0, "to": 78.0 }));
    assert_eq!(case["noticed"], 69.0);
    let bad: Vec<Value> = list("observations")
        .into_iter()
        .filter(|o| o["node"] == "member-db-1" && !o["fault"].is_null())
        .collect();
    assert_eq!(bad.len(), 5);
    assert_eq!((bad[0]["fault"].as_str(), bad[0]["level"].as_str()), (Some("refused"), Some("red")));
    assert_eq!(bad[0]["t"], 66.0);
    let good = list("observations").into_iter().find(|o| o["node"] == "member-db-1").unwrap();
    assert!(good.get("level").is_none() && good.get("fault").is_none());
    assert!((good["latency_s"].as_f64().unwrap() - 0.002).abs() < 1e-5);
    let blames = list("witnesses").into_iter().find(|w| w["by"] == "member-1").unwrap();
    assert_eq!((blames["on"].as_str(), blames["ok"].as_bool()), (Some("member-db"), Some(false)));
    let series = &list("series")[0];
    assert_eq!(
        (series["node"].as_str(), series["unit"].as_str(), series["bad"].as_str()),
        (Some("order-1"), Some("s"), Some("up"))
    );
    assert_eq!(series["points"][0], serde_json::json!([66.0, 0.1]));
    assert_eq!(list("changes")[0], serde_json::json!({ "node": "member-db", "t": 63.0, "what": "upgrade" }));
}

#[test]
fn no_address_leaves_the_house() {
    let case = case(&outage(), 900, None).to_string();
    assert!(
        case.contains("member-db-1: ") || case.contains("(address): connection refused by (address)"),
        "{case}"
    );
    for address in ["127.0.", "10.9.8.7"] {
        assert!(!case.contains(address), "{address}");
    }
    let cleaner = Cleaner::of(&testkit::model("web"));
    assert_eq!(
        cleaner.clean("dial 127.0.0.1:80: refused. See [::1]:9, 1.5 s, 503"),
        "dial web-1: refused. See (address), 1.5 s, 503"
    );
}

#[test]
fn a_shorter_time_has_less_and_an_incident_by_name_has_all() {
    let play = outage();
    let short = case(&play, 6, None);
    assert_eq!(short["observations"].as_array().unwrap().len(), 12 * 3);
    assert_eq!(short["normal"], serde_json::json!({ "from": 0.0, "to": 0.0 }));
    let id = play.board.open[0].id.clone();
    assert_eq!(case(&play, 6, Some(&id))["observations"].as_array().unwrap().len(), 12 * 27);
    let recording = play.engine.recording(play.now);
    assert_eq!(
        recording.case(Duration::from_secs(1), Some("none")).unwrap_err(),
        NoCase::Unknown("none".to_owned())
    );
}

#[test]
fn what_is_over_can_be_recorded_while_it_is_remembered() {
    let mut play = outage();
    play.broken.clear();
    play.rounds(5);
    let id = play.board.resolved[0].id.clone();
    let over = case(&play, 60, None);
    assert_eq!(over["incident_id"], id);
    assert!(over["incident"]["to"].as_f64() < Some(93.0));
    play.rounds(400);
    let recording = play.engine.recording(play.now);
    assert!(matches!(recording.case(Duration::from_mins(1), Some(&id)), Err(NoCase::Forgotten { .. })));
    let quiet = case(&play, 60, None);
    assert_eq!(quiet["incident"]["from"], quiet["incident"]["to"]);
}

#[test]
fn a_large_platform_is_thinned_where_it_was_well() {
    let mut play = Play::new("db\nweb x900 -> db");
    play.break_it("db-1", testkit::fault(FaultKind::Refused, ""));
    play.rounds(250);
    let case = case(&play, 900, None);
    let observations = case["observations"].as_array().unwrap();
    let of = |node: &str| observations.iter().filter(|o| o["node"] == node).count();
    assert!(
        observations.len() <= MAX_ENTRIES && observations.len() > MAX_ENTRIES / 4,
        "{}",
        observations.len()
    );
    assert_eq!((of("db-1"), of("web-1")), (252, 126));
}
