//! Another topology in the middle of everything.

use std::time::Duration;

use topology::fault::FaultKind;
use topology::level::Level;

use super::*;
use crate::changes::ChangeNote;
use crate::play::{PLATFORM, Play};
use crate::testkit;

/// [`PLATFORM`] with its lines in another order, and one component more.
const OTHER: &str = "
    search
    order-db tcp
    member-db tcp
    order x2 -> order-db
    member x2 -> member-db
    miniapp x4 -> member, order, search
    gateway x3 -> miniapp
";

fn since(play: &Play, name: &str) -> (Health, Timestamp) {
    let NodeId::Instance(id) = play.engine.names.node(name).unwrap() else { panic!("{name}") };
    (play.board.instance(id).health, play.board.instance(id).since)
}

#[test]
fn the_same_file_again_changes_nothing_at_all() {
    let mut play = Play::new(PLATFORM);
    play.kill_member_db();
    play.rounds(4);
    let before = format!("{:?}", play.board.open);
    let moves = play.reload(PLATFORM);
    let all: Vec<Origin> = (0..12).map(Origin::Same).collect();
    assert_eq!(moves.jobs, all);
    assert_eq!(moves.report, Reloaded { kept: 12, ..Reloaded::default() });
    assert_eq!(format!("{:?}", play.board.open), before);
    play.broken.clear();
    play.rounds(7);
    assert_eq!(play.messages(), ["open", "resolve"]);
}

#[test]
fn an_open_incident_goes_on_under_new_numbers() {
    let mut play = Play::new(PLATFORM);
    play.kill_member_db();
    play.rounds(4);
    let (id, opened) = (play.board.open[0].id.clone(), play.board.open[0].opened_at);
    let red = since(&play, "member-db-1");
    let recent = |play: &Play| play.engine.states.iter().map(|s| s.recent.len()).sum::<usize>();
    let looks = recent(&play);

    let moves = play.reload(OTHER);
    assert_eq!(moves.report.added, ["search", "search-1", "gateway-3"]);
    // The test's addresses go by the line; only the line of `order` is the same.
    assert_eq!((moves.report.removed.len(), moves.report.changed.len()), (0, 10));
    assert_eq!(since(&play, "member-db-1"), red);
    assert_eq!(recent(&play), looks);
    assert_eq!(since(&play, "search-1").0, Health::Unknown);
    assert_eq!((play.board.open[0].id.as_str(), play.board.open[0].opened_at), (id.as_str(), opened));
    assert_eq!(play.roots(), ["member-db-1"]);
    assert_eq!(play.board.sentence.en, "member-db is down: 3 others affected");
    play.rounds(2);
    play.broken.clear();
    play.rounds(3);
    assert_eq!(play.board.level, Level::Green);
    play.rounds(4);
    assert_eq!(play.messages(), ["open", "resolve"]);
    assert_eq!(play.board.resolved[0].id, id);
}

#[test]
fn a_suspicion_is_confirmed_across_a_reload() {
    let mut play = Play::new(PLATFORM);
    play.break_it("order-db-1", testkit::fault(FaultKind::Refused, ""));
    play.rounds(1);
    assert_eq!(play.level("order-db"), Level::Green);
    play.reload(OTHER);
    assert_eq!(play.level("order-db"), Level::Green);
    play.rounds(1);
    assert_eq!(play.level("order-db"), Level::Red);
}

#[test]
fn an_incident_ends_with_the_node_that_it_blames() {
    let mut play = Play::new("web x2\nbatch x2");
    play.break_it("batch-1", testkit::fault(FaultKind::Refused, ""));
    play.break_it("batch-2", testkit::fault(FaultKind::Refused, ""));
    play.rounds(6);
    assert_eq!(play.messages(), ["open"]);
    let moves = play.reload("web x2");
    assert_eq!(moves.report.removed, ["batch", "batch-1", "batch-2"]);
    assert_eq!(play.board.level, Level::Green);
    assert_eq!(play.messages(), ["open", "resolve"]);
    let over = &play.board.resolved[0];
    assert_eq!(over.title.en, "batch is down: nobody else is affected");
    assert!(
        Play::timeline(over).last().unwrap().ends_with("no longer in the topology file"),
        "{:?}",
        Play::timeline(over)
    );
}

#[test]
fn an_incident_moves_to_whoever_is_still_broken_when_its_root_is_taken_out() {
    let mut play = Play::new(PLATFORM);
    play.kill_member_db();
    play.rounds(4);
    let id = play.board.open[0].id.clone();
    play.reload(&PLATFORM.replace("member-db tcp", "").replace("member x2 -> member-db", "member x2"));
    assert_eq!(play.board.open.len(), 1);
    assert_eq!(play.board.open[0].id, id);
    assert_eq!(play.roots(), ["member"]);
    let timeline = Play::timeline(&play.board.open[0]);
    assert!(
        timeline.iter().any(|line| line == "member-db-1 is no longer in the topology file"),
        "{timeline:?}"
    );
    // A new cause is told once it stands.
    play.rounds(2);
    play.broken.clear();
    play.rounds(7);
    assert_eq!(play.messages(), ["open", "update", "resolve"]);
}

#[test]
fn only_what_is_asked_otherwise_is_asked_anew() {
    let mut play = Play::new("web x2 -> db\ndb");
    let text = "name: test\ndefaults: { interval: 3s, timeout: 1500ms }\ncomponents:\n  \
        web: { instances: [\"127.0.0.[1-2]:80\"], probe: { http: {} }, depends_on: [{ on: db, strength: optional }] }\n  \
        db: { instances: [\"127.0.1.1:80\"], probe: { http: { slow: { yellow: 200ms } } } }\n";
    let model = testkit::read(text);
    let moves = play.engine.reload(Arc::new(model), play.now);
    assert_eq!(moves.jobs, [Origin::Same(0), Origin::Same(1), Origin::Changed(2)]);
    assert_eq!(moves.report.changed, ["db-1"]);
    assert_eq!(moves.report.kept, 3);
}

#[test]
fn another_password_is_another_question() {
    let with = |password: &str| {
        testkit::read(&format!(
            "components:\n  db: {{ instances: [\"127.0.0.1:1\"], probe: {{ redis: {{ password: {password} }} }} }}\n"
        ))
    };
    let (a, b, c) = (with("one"), with("one"), with("two"));
    let probe = |model: &Model| Arc::clone(&model.components[0].probes[0]);
    let mut asked = Alike::default();
    assert!(asked.ask(&probe(&a), &probe(&b)));
    assert!(!asked.ask(&probe(&a), &probe(&c)));
}

#[test]
fn a_node_of_the_same_name_elsewhere_is_another_node() {
    let mut play = Play::new("web x2\nother");
    let text = "name: test\ncomponents:\n  \
        web: { instances: [\"127.0.0.1:80\"], probe: { http: {} } }\n  \
        other: { instances: [{ name: web-2, address: \"127.0.1.1:80\" }], probe: { http: {} } }\n";
    let moves = play.engine.reload(Arc::new(testkit::read(text)), play.now);
    play.publish();
    assert_eq!(since(&play, "web-1").0, Health::Green);
    assert_eq!(since(&play, "web-2").0, Health::Unknown);
    assert_eq!(moves.report.removed, ["web-2", "other-1"]);
}

#[test]
fn a_change_shortly_before_stands_in_the_timeline_of_its_incident() {
    let mut play = Play::new(PLATFORM);
    let change = |play: &Play, ago: u64, node: &str, what: &str| ChangeNote {
        at: play.now - Duration::from_secs(ago),
        node: node.to_owned(),
        what: what.to_owned(),
        by: Some("ci".to_owned()),
        link: None,
    };
    let now = play.now;
    for note in [
        change(&play, 31 * 60, "member-db", "too old"),
        change(&play, 60, "member-db", "minor upgrade"),
        change(&play, 60, "order", "somebody else's"),
    ] {
        assert!(play.engine.note_change(note, now));
    }
    play.kill_member_db();
    play.rounds(3);
    let told = |play: &Play| {
        Play::timeline(&play.board.open[0]).into_iter().filter(|l| l.contains("Change")).collect::<Vec<_>>()
    };
    assert_eq!(told(&play), ["Change to member-db: minor upgrade (by ci)"]);
    assert!(play.board.open[0].timeline.is_sorted_by_key(|entry| entry.at));
    // Said late, and after the onset.
    let (late, after) =
        (change(&play, 30, "member-db-1", "restart"), change(&play, 0, "member-db", "restore"));
    let now = play.now;
    play.engine.note_change(late, now);
    play.engine.note_change(after, now);
    play.rounds(1);
    assert_eq!(told(&play).len(), 2);
    assert!(told(&play)[1].contains("restart"));
    play.rounds(2);
    assert_eq!(told(&play).len(), 2);
}
