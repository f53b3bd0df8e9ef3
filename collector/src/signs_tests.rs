//! What an engine that has seen some minutes tells the verdict.

use std::time::Duration;

use topology::fault::FaultKind;
use topology::level::{Health, Level};

use super::*;
use crate::play::{PLATFORM, Play};
use crate::testkit;

fn id(play: &Play, name: &str) -> InstanceId {
    play.board.model.instance_ids().find(|id| play.board.model.instance(*id).name == name).unwrap()
}

fn slow(seconds: f64) -> probes::observation::Observation {
    let mut observation = testkit::answer(&[("http.latency_seconds", seconds)]);
    observation.took = Duration::from_secs_f64(seconds);
    observation
}

#[test]
fn a_memory_that_fills_up_is_yellow_before_its_threshold_and_green_when_it_stops() {
    let mut play = Play::new("cache redis");
    let show = |play: &mut Play, used: f64| {
        play.break_it("cache-1", testkit::answer(&[("redis.memory_used_ratio", used)]));
        play.rounds(1);
    };
    let mut used = 0.30;
    while play.level("cache") == Level::Green {
        used += 0.01;
        assert!(used < 0.75, "no warning before 75 %");
        show(&mut play, used);
    }
    let cache = play.board.instance(InstanceId(0));
    assert_eq!(cache.health, Health::AtRisk);
    assert!(cache.short.en.starts_with("full in 2 min"), "{}", cache.short.en);
    assert!(cache.words.en.contains("(98 % is red)"), "{}", cache.words.en);
    assert!(cache.short.zh.ends_with(" 分钟后满"), "{}", cache.short.zh);
    for _ in 0..40 {
        show(&mut play, used);
    }
    assert_eq!(play.level("cache"), Level::Green);
}

#[test]
fn a_wait_is_told_by_how_much_and_only_where_it_is_one() {
    let mut play = Play::new("web -> db, cache\ndb\ncache redis");
    play.rounds(12);
    play.break_it("db-1", slow(0.6));
    play.break_it("cache-1", testkit::answer(&[("redis.memory_used_ratio", 0.96)]));
    play.rounds(3);
    let of = |name| play.engine.slower_by(id(&play, name), play.now);
    assert!((of("db-1").unwrap() - 0.598).abs() < 0.001, "{:?}", of("db-1"));
    assert!(of("web-1").unwrap().abs() < 1e-6);
    assert_eq!(of("cache-1"), None);
    // However long that lasts, it does not become normal.
    play.rounds(400);
    let of = |name| play.engine.slower_by(id(&play, name), play.now);
    assert!((of("db-1").unwrap() - 0.598).abs() < 0.001, "{:?}", of("db-1"));
}

#[test]
fn an_instance_nobody_knows_well_is_not_said_to_be_slower() {
    let mut play = Play::new("web");
    play.break_it("web-1", slow(0.6));
    play.rounds(3);
    assert_eq!(play.engine.slower_by(InstanceId(0), play.now), None);
}

#[test]
fn who_was_bad_long_before_is_old_unless_it_got_worse_or_an_incident_is_about_it() {
    let mut play = Play::new("web x2\nother\ndown");
    play.break_it("web-2", slow(0.6));
    play.break_it("down-1", testkit::fault(FaultKind::Refused, ""));
    play.rounds(610);
    assert!(play.engine.long_bad().is_empty());
    play.break_it("other-1", testkit::fault(FaultKind::Refused, ""));
    play.rounds(2);
    assert_eq!(play.engine.long_bad(), BTreeSet::from([id(&play, "web-2")]));
    let mut roots = play.roots();
    roots.sort();
    assert_eq!(roots, ["down-1", "other-1"]);
    // It gets worse: that is news.
    play.break_it("web-2", testkit::fault(FaultKind::Refused, ""));
    play.rounds(2);
    assert!(play.engine.long_bad().is_empty());
}

#[test]
fn a_queue_that_fills_is_told_with_what_was_normal() {
    let mut play = Play::new("mq amqp\nweb");
    let show = |play: &mut Play, messages: f64| {
        play.break_it("mq-1", testkit::answer(&[("amqp.queue_messages[orders]", messages)]));
        play.rounds(1);
    };
    for n in 0..60 {
        show(&mut play, 100.0 + f64::from(n % 4));
    }
    assert!(signs(&play.engine, play.now).is_empty());
    for n in 1..=30 {
        show(&mut play, 1000.0 * f64::from(n));
    }
    let signs = signs(&play.engine, play.now);
    assert_eq!(signs.len(), 1);
    let sign = &signs[0];
    assert_eq!((sign.meaning, sign.peer, sign.extreme), (Meaning::Backlog, None, 30_000.0));
    assert!(sign.normal < 110.0 && sign.now > 15_000.0, "{sign:?}");
}

#[test]
fn when_a_cause_recovers_everything_it_broke_is_asked_at_once_and_first() {
    let mut play = Play::new(PLATFORM);
    play.kill_member_db();
    play.rounds(3);
    play.broken.remove("member-db-1");
    let db = play.engine.jobs_of[id(&play, "member-db-1").index()][0];
    assert!(play.look(db, 10).asked.is_empty());
    let asked = play.look(db, 120).asked;
    let names: Vec<&str> = asked
        .iter()
        .map(|job| play.engine.model.instance(play.engine.jobs[*job].instance).name.as_str())
        .collect();
    let (first, rest) = names.split_at(8);
    assert!(first.iter().all(|name| play.engine.own(id(&play, name)).0.is_unhealthy()), "{first:?}");
    assert_eq!(first.len(), 8);
    assert!(rest.iter().all(|name| !first.contains(name)), "{rest:?}");
}

#[test]
fn a_signal_may_be_judged_by_how_many_times_its_own_normal_it_is() {
    let file = "components:\n  web:\n    instances: [\"127.0.0.1:80\"]\n    interval: 3s\n    timeout: 1s\n    probe: { http: { slow: { normal: { yellow: 3x, red: 10x } } } }\n";
    let mut play = Play::of(testkit::read(file));
    // A slow page by nature: no fixed limit stands beside its own normal.
    play.break_it("web-1", slow(0.5));
    play.rounds(150);
    assert_eq!(play.level("web"), Level::Green);
    play.break_it("web-1", slow(2.0));
    play.rounds(3);
    let web = play.board.instance(InstanceId(0));
    assert_eq!(web.health, Health::Impaired);
    assert!(web.words.en.contains("4.0 times its normal 500 ms"), "{}", web.words.en);
    play.break_it("web-1", slow(6.0));
    play.rounds(3);
    assert_eq!(play.level("web"), Level::Red);
    play.break_it("web-1", slow(0.5));
    play.rounds(3);
    assert_eq!(play.level("web"), Level::Green);
}
