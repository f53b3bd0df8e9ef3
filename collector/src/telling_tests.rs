//! What receivers are told of whole outages: cascades, flapping, silences, maintenance, restarts.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::SignedDuration;
use proptest::prelude::*;
use topology::fault::FaultKind;
use topology::level::Level;
use topology::model::Policy;

use crate::announce::Event;
use crate::incident::{Acknowledgement, IncidentState};
use crate::play::{PLATFORM, Play};
use crate::silence::{QuietKind, Silence};
use crate::testkit;

/// A database, and 200 instances of ten services behind it in three layers.
fn behind_one_database() -> Play {
    let mut lines = String::from("db tcp\n");
    for n in 0..4 {
        writeln!(lines, "low{n} x20 -> db").unwrap();
    }
    for n in 0..3 {
        writeln!(lines, "mid{n} x20 -> low{n}, low3").unwrap();
    }
    for n in 0..3 {
        writeln!(lines, "top{n} x20 -> mid{n}").unwrap();
    }
    Play::new(&lines)
}

fn break_layer(play: &mut Play, layer: &str, count: usize, on: impl Fn(usize) -> String) {
    for n in 0..count {
        for i in 1..=20 {
            play.break_it(&format!("{layer}{n}-{i}"), testkit::blames(&on(n)));
        }
    }
}

fn refused() -> probes::observation::Observation {
    testkit::fault(FaultKind::Refused, "connection refused")
}

/// One open first, one end last, updates between; how many updates.
fn updates(events: &[Event]) -> usize {
    assert_eq!(events.first(), Some(&Event::Open), "{events:?}");
    assert!(events.last().is_some_and(|event| event.is_end()), "{events:?}");
    let inner = &events[1..events.len() - 1];
    assert!(inner.iter().all(|event| *event == Event::Update), "{events:?}");
    inner.len()
}

#[test]
fn lesson_01_a_cascade_of_200_instances_is_one_open_at_most_two_updates_and_one_resolve() {
    let mut play = behind_one_database();
    // The users notice first, layer by layer: the cause is the last to be confirmed.
    break_layer(&mut play, "low", 4, |_| "db".to_owned());
    play.rounds(1);
    break_layer(&mut play, "mid", 3, |n| format!("low{n}"));
    play.rounds(1);
    break_layer(&mut play, "top", 3, |n| format!("mid{n}"));
    play.break_it("db-1", refused());
    play.rounds(40);
    assert_eq!(play.level("top0"), Level::Red);
    // It recovers from below, and the last take their time.
    play.broken.remove("db-1");
    play.rounds(1);
    for layer in ["low", "mid", "top"] {
        play.broken.retain(|name, _| !name.starts_with(layer));
        play.rounds(2);
    }
    play.rounds(60);
    let told = play.told_to("ops");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(updates(told.values().next().unwrap()) <= 2, "{told:?}");
}

/// Forty instances of one component that are down and up for so many rounds each, 120 rounds long, and then well;
/// how often receivers are told that it is open.
fn forty_flapping(rounds: usize) -> usize {
    let mut play = Play::new("web x40 -> db\ndb tcp");
    for round in 0..120 {
        for i in 1..=40 {
            if (round / rounds).is_multiple_of(2) {
                play.break_it(&format!("web-{i}"), refused());
            } else {
                play.broken.remove(&format!("web-{i}"));
            }
        }
        play.rounds(1);
    }
    play.broken.clear();
    play.rounds(60);
    assert_eq!(play.level("web"), Level::Green);
    let told = play.told_to("ops");
    for events in told.values() {
        assert!(updates(events) <= 2, "{told:?}");
    }
    told.values().flatten().filter(|event| **event == Event::Open).count()
}

#[test]
fn lesson_08_forty_flapping_instances_are_told_once() {
    // Six seconds down and six up, and nine and nine: the message is out before the first of them is up again.
    assert_eq!(forty_flapping(2), 1);
    assert_eq!(forty_flapping(3), 1);
}

#[test]
fn lesson_08_what_flaps_slowly_is_told_once_more_when_it_is_known_to_flap() {
    for rounds in [4, 5, 6, 10] {
        let opens = forty_flapping(rounds);
        assert!(opens <= 2, "{rounds}: {opens}");
    }
}

#[test]
fn an_end_right_after_its_open_waits_a_little_and_no_restart_forgets_it() {
    let mut play = Play::new("a tcp\nb tcp");
    play.break_it("a-1", refused());
    play.rounds(4);
    assert_eq!(play.messages(), ["open"]);
    play.broken.clear();
    play.rounds(2);
    assert!(play.board.open.is_empty(), "the page says at once that it is over");
    assert_eq!(play.messages(), ["open"]);
    // It comes back after the end was due, and its first board is shown to nobody.
    play.now += SignedDuration::from_secs(60);
    play.restart();
    let now = play.now;
    let (_, unseen) = play.engine.board(now, crate::board::MonitorState::default());
    assert!(unseen.is_empty(), "{unseen:?}");
    assert_eq!(play.messages(), ["open"]);
    play.rounds(2);
    assert_eq!(play.board.resolved.len(), 1);
    play.rounds(6);
    assert_eq!(play.messages(), ["open", "resolve"]);
    play.rounds(60);
    assert_eq!(play.messages(), ["open", "resolve"]);
}

#[test]
fn what_comes_back_before_its_end_is_told_is_the_same_incident() {
    let mut play = Play::new("a tcp\nb tcp");
    play.break_it("a-1", refused());
    play.rounds(4);
    let id = play.board.open[0].id.clone();
    play.broken.clear();
    play.rounds(2);
    play.break_it("a-1", refused());
    play.rounds(3);
    assert_eq!((play.board.open.len(), &play.board.open[0].id), (1, &id));
    assert!(Play::timeline(&play.board.open[0]).contains(&"It is back".to_owned()));
    assert!(play.board.resolved.is_empty());
    assert_eq!(play.messages(), ["open"]);
    // It may come back again: now its end waits as long as a flapping instance must be quiet, and no longer.
    play.broken.clear();
    play.rounds(15);
    assert_eq!(play.messages(), ["open"]);
    play.rounds(8);
    assert_eq!(play.messages(), ["open", "resolve"]);
}

#[test]
fn an_outage_is_called_at_its_end_what_it_was_at_its_worst() {
    let mut play = Play::new("web x2 -> db\ndb tcp");
    play.break_it("db-1", testkit::fault(FaultKind::Hung, "connected, no answer in 1.5 s"));
    for i in 1..=2 {
        play.break_it(&format!("web-{i}"), testkit::blames("db"));
    }
    play.rounds(12);
    let title = play.board.open[0].title.clone();
    assert!(title.en.contains("hung"), "{title:?}");
    // It answers, and is still slow to take who waited.
    play.broken.clear();
    play.break_it("db-1", testkit::answer(&[("tcp.connect_seconds", 0.3)]));
    play.rounds(6);
    play.broken.clear();
    play.rounds(12);
    assert!(play.board.open.is_empty());
    assert_eq!(play.board.resolved[0].title, title);
}

#[test]
fn an_outage_that_lasts_ends_at_once() {
    let mut play = Play::new("a tcp\nb tcp");
    play.break_it("a-1", refused());
    play.rounds(12);
    play.broken.clear();
    play.rounds(2);
    assert_eq!(play.messages(), ["open", "resolve"]);
}

#[test]
fn another_shard_that_breaks_is_news_and_another_copy_waits() {
    let second = |policy: Policy| {
        let mut model = testkit::model("db x4 tcp");
        model.components[0].policy = policy;
        let mut play = Play::of(model);
        play.break_it("db-1", refused());
        play.rounds(12);
        play.broken.clear();
        play.rounds(3);
        play.break_it("db-2", refused());
        play.rounds(4);
        play.messages()
    };
    assert_eq!(second(Policy::Shards), ["open", "resolve", "open"]);
    assert_eq!(second(Policy::DEFAULT), ["open", "resolve"]);
}

#[test]
fn what_flaps_says_how_often() {
    let mut play = Play::new("a tcp\nb tcp");
    for round in 0..60 {
        if round / 3 % 2 == 0 {
            play.break_it("a-1", refused());
        } else {
            play.broken.clear();
        }
        play.rounds(1);
        let state = &play.board.instances[0];
        if state.flapping {
            assert!(
                state.words.en.starts_with("flapping: ") && state.words.en.contains(" changes in "),
                "{state:?}"
            );
            assert!(state.words.zh.starts_with("抖动："), "{state:?}");
            assert!(!state.short.en.is_empty());
        }
    }
    assert!(play.board.instances[0].flapping);
    assert!(play.board.components[0].words.en.contains("flapping: "));
}

#[test]
fn a_route_for_promises_holds_while_the_error_budget_burns() {
    let file = "components:\n  db: { instances: [\"127.0.0.1:1\"], probe: { tcp: {} }, interval: 3s }\n\
                objectives: { db: { availability: 99.9% } }\n\
                alerts: { receivers: { ops: { webhook: { url: \"http://x\" } } }, routes: { promise: { objective_at_risk: true, to: ops } } }\n";
    let mut play = Play::of(testkit::read(file));
    play.engine.burning = Some(std::collections::BTreeSet::new());
    play.break_it("db-1", refused());
    play.rounds(10);
    assert_eq!((play.board.open.len(), play.messages().len()), (1, 0), "it is red, and the budget lasts");
    play.engine.burning = Some(["db".to_owned()].into());
    play.rounds(1);
    assert_eq!(play.messages(), ["open"]);
    // Where nobody knows how fast it burns, better one call too many.
    let mut play = Play::of(testkit::read(file));
    play.break_it("db-1", refused());
    play.rounds(5);
    assert_eq!(play.messages(), ["open"]);
}

fn quiet(play: &Play, kind: QuietKind, node: &str, seconds: i64) -> Silence {
    Silence {
        id: format!("quiet-{}", play.now.as_second()),
        kind,
        nodes: vec![node.to_owned()],
        from: play.now,
        until: play.now + SignedDuration::from_secs(seconds),
        by: None,
        why: None,
        created_at: play.now,
    }
}

#[test]
fn a_silence_keeps_quiet_records_all_and_lets_the_open_out_when_it_ends() {
    let mut play = Play::new(PLATFORM);
    let silence = quiet(&play, QuietKind::Silence, "member-db", 60);
    assert!(play.engine.silence(silence.clone()));
    play.kill_member_db();
    play.rounds(10);
    assert!(play.board.open[0].silenced && play.messages().is_empty());
    assert!(silence.names(&play.board.model, &play.board.open[0]));
    play.rounds(15);
    assert_eq!(play.messages(), ["open"], "it is still going on");
    // Silenced again, its end is told all the same.
    let again = quiet(&play, QuietKind::Silence, "*", 600);
    play.engine.silence(again);
    play.broken.clear();
    play.rounds(4);
    assert_eq!(play.messages(), ["open", "resolve"]);
}

#[test]
fn lesson_06_a_silence_that_is_over_holds_nothing_back() {
    let mut play = Play::new(PLATFORM);
    let silence = quiet(&play, QuietKind::Silence, "member-db-1", 3600);
    let id = silence.id.clone();
    play.engine.silence(silence);
    play.kill_member_db();
    play.rounds(5);
    assert!(play.messages().is_empty());
    let now = play.now;
    assert!(play.engine.end_silence(&id, now).is_some());
    play.rounds(1);
    assert_eq!(play.messages(), ["open"]);
}

#[test]
fn a_silence_of_one_root_keeps_no_other_quiet() {
    let mut play = Play::new(PLATFORM);
    let silence = quiet(&play, QuietKind::Silence, "member-db", 3600);
    play.engine.silence(silence);
    play.break_it("order-db-1", refused());
    play.kill_member_db();
    play.rounds(5);
    assert_eq!(play.messages(), ["open"]);
}

#[test]
fn maintenance_pauses_nodes_and_what_they_break_is_nobodys_news() {
    let mut play = Play::new("web x2 -> db\ndb tcp\nother tcp");
    let window = quiet(&play, QuietKind::Maintenance, "db", 30);
    play.engine.silence(window);
    play.break_it("db-1", refused());
    play.rounds(5);
    assert_eq!(play.level("db"), Level::Paused);
    assert_eq!(play.level("web"), Level::Green);
    assert!(play.board.open.is_empty());
    // The window ends, and it is still down.
    play.rounds(10);
    assert_eq!(play.level("db"), Level::Red);
    assert_eq!(play.messages(), ["open"]);
}

#[test]
fn lesson_04_an_incident_that_maintenance_overtakes_is_resolved_when_it_is_over() {
    let mut play = Play::new("web x2 -> db\ndb tcp");
    play.break_it("db-1", refused());
    play.rounds(5);
    assert_eq!(play.messages(), ["open"]);
    let window = quiet(&play, QuietKind::Maintenance, "db", 300);
    play.engine.silence(window);
    play.rounds(20);
    assert_eq!(play.messages(), ["open"], "a pause is no recovery");
    play.broken.clear();
    play.rounds(3);
    assert_eq!(play.messages(), ["open", "resolve"], "and no pause keeps a recovery back");
}

#[test]
fn a_window_of_the_file_pauses_by_its_clock() {
    let mut play = Play::of(testkit::read(
        "components:\n  db: { instances: [\"127.0.0.1:1\"], probe: { tcp: {} } }\n\
         alerts: { maintenance: { m: { cron: \"*/10 * * * *\", zone: Asia/Shanghai, for: 2m, nodes: db } } }\n",
    ));
    let mut paused = 0;
    for _ in 0..400 {
        play.rounds(1);
        paused += usize::from(play.level("db") == Level::Paused);
    }
    // 20 minutes hold two windows of two minutes, 40 rounds each.
    assert!((78..=82).contains(&paused), "{paused}");
}

#[test]
fn who_takes_it_on_stands_in_the_incident_and_ends_the_updates() {
    let mut play = Play::new(PLATFORM);
    play.kill_member_db();
    play.rounds(5);
    let id = play.board.open[0].id.clone();
    let ack = Acknowledgement { at: play.now, by: "wang".to_owned(), note: None, level: Level::Green };
    let now = play.now;
    assert!(play.engine.acknowledge(&id, Some(ack), now).is_some());
    assert!(play.engine.acknowledge("no-such", None, now).is_none());
    play.break_it("order-db-1", refused());
    play.rounds(30);
    assert_eq!(play.board.open[0].acknowledged.as_ref().map(|ack| ack.by.as_str()), Some("wang"));
    assert!(Play::timeline(&play.board.open[0]).contains(&"Acknowledged by wang".to_owned()));
    play.broken.clear();
    play.rounds(6);
    assert_eq!(play.messages(), ["open", "resolve"]);
}

#[test]
fn two_incidents_that_turn_out_to_be_one_become_one() {
    let mut play = Play::new("a tcp\nb tcp");
    play.break_it("a-1", refused());
    play.rounds(1);
    play.break_it("b-1", refused());
    play.rounds(5);
    assert_eq!(play.board.open.len(), 2);
    let ids: Vec<String> = play.board.open.iter().map(|incident| incident.id.clone()).collect();
    play.reload("web x2 -> a, b\na tcp\nb tcp");
    play.rounds(3);
    assert_eq!(play.board.open.len(), 1);
    let gone = play.board.resolved.iter().find(|incident| ids.contains(&incident.id)).unwrap().clone();
    assert_eq!(gone.state, IncidentState::Resolved);
    assert_eq!(gone.subsumed_by.as_ref(), Some(&play.board.open[0].id));
    play.broken.clear();
    play.rounds(5);
    let told = play.told_to("ops");
    assert_eq!(told.len(), 2);
    assert_eq!(told[&gone.id].last(), Some(&Event::Subsume));
    for events in told.values() {
        updates(events);
    }
}

#[test]
fn lesson_05_a_restart_while_symptoms_and_cause_arrive_sends_nothing_new() {
    let mut play = Play::new(PLATFORM);
    play.kill_member_db();
    play.rounds(5);
    let id = play.board.open[0].id.clone();
    for _ in 0..3 {
        play.restart();
        play.rounds(3);
    }
    assert_eq!(play.board.open[0].id, id);
    assert_eq!(play.messages(), ["open"]);
    play.broken.clear();
    play.rounds(4);
    assert_eq!(play.messages(), ["open", "resolve"]);
}

#[test]
fn lesson_03_what_was_seen_before_the_cause_recovered_opens_nothing_afterwards() {
    let mut play = Play::new("web x2 -> db\ndb tcp");
    play.break_it("db-1", refused());
    for i in 1..=2 {
        play.break_it(&format!("web-{i}"), testkit::blames("db"));
    }
    play.rounds(5);
    // A look that began while the database was down and comes in when all is over.
    let stale = play.now;
    play.broken.clear();
    play.rounds(5);
    assert!(play.board.open.is_empty());
    for job in 0..2 {
        for _ in 0..3 {
            play.engine.fold(job, stale, play.now, testkit::blames("db"));
        }
    }
    play.publish();
    assert!(play.board.open.is_empty(), "{:?}", play.roots());
    assert_eq!(play.messages(), ["open", "resolve"]);
}

#[test]
fn who_was_affected_a_moment_ago_is_not_yet_an_outage_of_his_own() {
    let mut play = Play::new("web x4 -> order, pay\norder x2 -> db\npay x2\ndb x4 tcp");
    let break_all = |play: &mut Play, name: &str, count: usize, on: Option<&str>| {
        for i in 1..=count {
            play.break_it(&format!("{name}-{i}"), on.map_or_else(refused, testkit::blames));
        }
    };
    break_all(&mut play, "db", 4, None);
    break_all(&mut play, "order", 2, Some("db"));
    break_all(&mut play, "web", 4, Some("order"));
    play.rounds(5);
    assert_eq!(play.board.open.len(), 1);
    // The databases start again one by one; in the crowd that comes back the servers fail on somebody else.
    for well in ["db-1", "db-2", "order-1", "order-2"] {
        play.broken.remove(well);
    }
    play.break_it("db-3", testkit::fault(FaultKind::BadAnswer, "the database system is starting up"));
    break_all(&mut play, "web", 4, Some("pay"));
    play.rounds(2);
    assert_eq!(play.board.open.len(), 1, "{:?}", play.roots());
    // What stays is an outage.
    play.rounds(8);
    assert_eq!(play.board.open.len(), 2, "{:?}", play.roots());
}

/// What may happen in a history.
#[derive(Clone, Debug)]
enum Happens {
    Breaks(usize),
    Mends(usize),
    Silence(usize, i64),
    Maintenance(usize, i64),
    Acknowledged,
    Restart,
    Rounds(usize),
    /// The receiver is away for so many messages.
    Away(usize),
}

const NODES: [&str; 5] = ["db-1", "mq-1", "shop-1", "shop-2", "web-1"];

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (0..NODES.len()).prop_map(Happens::Breaks),
        4 => (0..NODES.len()).prop_map(Happens::Mends),
        1 => (0..NODES.len(), 10..200_i64).prop_map(|(n, s)| Happens::Silence(n, s)),
        1 => (0..NODES.len(), 10..200_i64).prop_map(|(n, s)| Happens::Maintenance(n, s)),
        1 => Just(Happens::Acknowledged),
        2 => Just(Happens::Restart),
        6 => (1..8_usize).prop_map(Happens::Rounds),
        1 => (1..4_usize).prop_map(Happens::Away),
    ]
}

/// A receiver that is told in order, each message until it is taken.
#[derive(Default)]
struct Inbox {
    taken: Vec<(String, u32, Event)>,
    waiting: std::collections::VecDeque<(String, u32, Event)>,
    away: usize,
}

impl Inbox {
    fn deliver(&mut self) {
        while let Some(first) = self.waiting.pop_front() {
            if self.away > 0 {
                self.away -= 1;
                self.waiting.push_front(first);
                return;
            }
            self.taken.push(first);
        }
    }
}

fn cases() -> ProptestConfig {
    let cases =
        if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 48 };
    ProptestConfig { cases, max_shrink_iters: 300, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    /// Whatever happens, each open is ended exactly once for each receiver, in the order of its messages.
    #[test]
    fn lesson_04_every_history_resolves_each_open_exactly_once(history in prop::collection::vec(happens(), 1..40)) {
        let mut play = Play::of(testkit::read(
            "defaults: { interval: 3s }\ncomponents:\n  \
             web: { instances: [\"127.0.0.1:1\"], probe: { http: {} }, depends_on: [shop] }\n  \
             shop: { instances: [\"127.0.1.[1-2]:1\"], probe: { http: {} }, depends_on: [db, { on: mq, strength: async }] }\n  \
             db: { instances: [\"127.0.0.2:1\"], probe: { tcp: {} } }\n  \
             mq: { instances: [\"127.0.0.3:1\"], probe: { tcp: {} } }\n\
             alerts:\n  receivers:\n    ops: { webhook: { url: \"http://x\" } }\n    boss: { webhook: { url: \"http://x\" } }\n  \
             routes:\n    all: { to: ops, escalate: [{ after: 30s, to: boss }] }\n    red: { level: red, nodes: [web], to: boss }\n",
        ));
        let mut inboxes: BTreeMap<&str, Inbox> = [("ops", Inbox::default()), ("boss", Inbox::default())].into();
        let mut seen = 0;
        for step in history.into_iter().chain([Happens::Rounds(80)]) {
            let now = play.now;
            match step {
                Happens::Breaks(n) => play.break_it(NODES[n], refused()),
                Happens::Mends(n) => drop(play.broken.remove(NODES[n])),
                Happens::Silence(n, seconds) => {
                    let silence = quiet(&play, QuietKind::Silence, NODES[n], seconds);
                    play.engine.silence(silence);
                }
                Happens::Maintenance(n, seconds) => {
                    let window = quiet(&play, QuietKind::Maintenance, NODES[n], seconds);
                    play.engine.silence(window);
                }
                Happens::Acknowledged => {
                    if let Some(open) = play.board.open.first().map(|open| open.id.clone()) {
                        let ack = Acknowledgement { at: now, by: "wang".to_owned(), note: None, level: Level::Green };
                        play.engine.acknowledge(&open, Some(ack), now);
                    }
                }
                Happens::Restart => play.restart(),
                Happens::Away(n) => inboxes.values_mut().for_each(|inbox| inbox.away += n),
                // The last of them, when all is well again.
                Happens::Rounds(80) => {
                    play.broken.clear();
                    play.rounds(80);
                }
                Happens::Rounds(n) => play.rounds(n),
            }
            for change in &play.history[seen..] {
                for message in &change.messages {
                    let inbox = inboxes.get_mut(message.receiver.as_str()).unwrap();
                    inbox.waiting.push_back((change.incident.id.clone(), change.told.messages, message.event));
                }
            }
            seen = play.history.len();
            inboxes.values_mut().for_each(Inbox::deliver);
        }
        prop_assert!(play.board.open.is_empty(), "{:?}", play.roots());
        for (name, inbox) in &mut inboxes {
            inbox.away = 0;
            inbox.deliver();
            let mut told: BTreeMap<&str, Vec<(u32, Event)>> = BTreeMap::new();
            for (id, number, event) in &inbox.taken {
                told.entry(id).or_default().push((*number, *event));
            }
            for (id, messages) in told {
                let ends = messages.iter().filter(|(_, event)| event.is_end()).count();
                let opens = messages.iter().filter(|(_, event)| *event == Event::Open).count();
                prop_assert_eq!((opens, ends), (1, 1), "{} {}: {:?}", name, id, messages);
                prop_assert_eq!(messages[0].1, Event::Open);
                prop_assert!(messages.last().unwrap().1.is_end());
                prop_assert!(messages.windows(2).all(|two| two[0].0 < two[1].0), "{} {}: {:?}", name, id, messages);
            }
        }
    }
}
