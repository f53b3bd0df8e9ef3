//! Whole outages, played through the engine without waiting.

use super::*;
use crate::board::MonitorState;
use crate::play::{PLATFORM, Play};
use crate::testkit;
use topology::level::Level;
use topology::model::ComponentId;

#[test]
fn before_the_first_round_all_is_unknown_and_the_page_says_so() {
    let mut engine = Engine::new(
        Arc::new(testkit::model(PLATFORM)),
        Timestamp::UNIX_EPOCH,
        0,
        Arc::new(|_| String::new()),
    );
    let (board, _) = engine.board(Timestamp::UNIX_EPOCH, MonitorState::default());
    assert_eq!(board.level, Level::Unknown);
    assert_eq!(board.sentence.en, "Looking for the first time: 0 of 12 seen");
}

#[test]
fn a_healthy_platform_is_one_green_sentence() {
    let play = Play::new(PLATFORM);
    assert_eq!(play.board.sentence.en, "All 6 components are healthy");
    assert_eq!(play.board.sentence.zh, "6 个组件全部正常");
    assert_eq!(play.board.level, Level::Green);
    assert!(play.history.is_empty());
}

#[test]
fn one_hung_server_is_yellow_named_and_local_and_turns_green_by_itself() {
    let mut play = Play::new(PLATFORM);
    play.break_it("miniapp-3", testkit::fault(FaultKind::Hung, "connected, no answer in 1.5 s"));
    play.rounds(1);
    let id = InstanceId(4);
    assert!(play.board.instance(id).suspected && play.board.instance(id).health == Health::Green);
    play.rounds(1);
    assert_eq!(play.board.instance(id).health, Health::Red);
    assert_eq!(play.board.sentence.en, "1 of 4 miniapp instances is hung");
    assert!(
        play.board.advice.en.contains("nobody else is affected. Restart miniapp-3"),
        "{}",
        play.board.advice.en
    );
    assert_eq!((play.level("miniapp"), play.level("gateway")), (Level::Yellow, Level::Green));
    assert_eq!(play.board.component(ComponentId(1)).short.en, "hung 1/4");
    assert_eq!(play.roots(), ["miniapp-3"]);
    play.broken.clear();
    play.rounds(2);
    assert_eq!(play.board.level, Level::Green);
    assert_eq!(play.told(), ["opened", "resolved"]);
    // Over before its hold: nobody was told that it began, so nobody is told that it ended.
    assert!(play.messages().is_empty());
}

#[test]
fn a_dead_database_is_one_incident_that_names_it_and_ends_by_itself() {
    let mut play = Play::new(PLATFORM);
    play.kill_member_db();
    play.rounds(4);
    assert_eq!(play.roots(), ["member-db-1"]);
    assert_eq!(play.board.sentence.en, "member-db is down: 3 others affected");
    let incident = &play.board.open[0];
    let affected: Vec<&str> = incident
        .verdict
        .affected
        .iter()
        .map(|a| play.board.model.component(a.component).name.as_str())
        .collect();
    assert_eq!(affected, ["member", "miniapp", "gateway"]);
    assert!(incident.verdict.roots[0].evidence.len() >= 2);
    // Own levels that are another's doing are kept apart.
    let member = play.board.component(ComponentId(2));
    assert_eq!(member.own, Health::Red);
    assert_eq!(member.explained_by, Some(incident.verdict.roots[0].culprit));
    let lit: Vec<u32> = play.board.edges.iter().filter_map(|e| e.lit).map(|lit| lit.hops).collect();
    assert_eq!(lit.len(), 3);
    play.broken.clear();
    play.rounds(3);
    assert_eq!(play.board.level, Level::Green);
    // Its end waits a little: it came right after the open.
    play.rounds(4);
    assert_eq!(play.messages(), ["open", "resolve"]);
    assert_eq!(play.board.resolved[0].title.en, "member-db is down: 3 others affected");
}

#[test]
fn lesson_03_recovery_of_a_cause_blames_nobody_else() {
    let mut play = Play::new(PLATFORM);
    play.kill_member_db();
    play.rounds(3);
    // The database is back; those that need it still say what they said.
    play.broken.remove("member-db-1");
    play.rounds(2);
    assert_eq!(play.roots(), ["member-db-1"]);
    assert_eq!(play.board.sentence.en, "member-db answers again; 3 still recovering");
    play.broken.clear();
    play.rounds(2);
    assert!(play.board.open.is_empty());
    // Its end waits a little: it came right after the open.
    play.rounds(4);
    assert_eq!(play.messages(), ["open", "resolve"]);
}

#[test]
fn who_asks_a_cause_may_see_it_well_before_its_own_second_look() {
    let mut play = Play::new(PLATFORM);
    play.kill_member_db();
    play.rounds(4);
    // The database is still confirmed down, nobody who asks it suffers any more, and those farther up have not heard.
    for member in ["member-1", "member-2"] {
        play.break_it(member, testkit::praises("member-db"));
    }
    play.rounds(2);
    assert_eq!(play.roots(), ["member-db-1"]);
    play.broken.remove("member-db-1");
    play.rounds(2);
    assert_eq!(play.board.sentence.en, "member-db answers again; 2 still recovering");
    play.broken.clear();
    play.rounds(6);
    assert_eq!(play.messages(), ["open", "resolve"]);
    assert_eq!(play.told().iter().filter(|told| **told == "opened").count(), 1);
    // One that stays broken behind a cause that does so, too, is a second trouble.
    play.kill_member_db();
    play.rounds(4);
    for member in ["member-1", "member-2"] {
        play.break_it(member, testkit::praises("member-db"));
    }
    play.broken.retain(|name, _| name.starts_with("member"));
    play.break_it("miniapp-1", testkit::fault(FaultKind::Hung, "connected, no answer in 1.5 s"));
    play.rounds(9);
    let mut roots = play.roots();
    roots.sort();
    assert_eq!(roots, ["member-db-1", "miniapp-1"]);
}

#[test]
fn of_two_causes_one_may_be_well_first_and_its_affected_blame_nobody() {
    let mut play = Play::new(PLATFORM);
    play.kill_member_db();
    play.break_it("order-db-1", testkit::fault(FaultKind::Refused, "connection refused"));
    for order in ["order-1", "order-2"] {
        play.break_it(order, testkit::blames("order-db"));
    }
    play.rounds(4);
    let mut roots = play.roots();
    roots.sort();
    assert_eq!(roots, ["member-db-1", "order-db-1"]);
    play.broken.remove("member-db-1");
    play.rounds(3);
    assert_eq!(play.roots(), ["order-db-1"]);
    let lines: Vec<&str> = play.board.open[0].timeline.iter().map(|line| &*line.what.en).collect();
    assert!(lines.contains(&"member-db answers again"), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("cannot reach")), "{lines:?}");
    // Who stays broken is a trouble of its own in the end.
    play.rounds(9);
    assert!(play.roots().contains(&"member -> member-db".to_owned()), "{:?}", play.roots());
}

#[test]
fn a_cause_that_is_only_at_risk_any_more_has_recovered() {
    let mut play = Play::new(&PLATFORM.replace("member-db tcp", "member-db mysql"));
    play.kill_member_db();
    play.rounds(4);
    // It is back and a little hurried; those farther up still say what they said, and blame who is well.
    play.break_it("member-db-1", testkit::answer(&[("mysql.connections_used_ratio", 0.85)]));
    play.rounds(2);
    play.broken.remove("member-1");
    play.broken.remove("member-2");
    play.rounds(2);
    assert_eq!(play.level("member-db"), Level::Yellow);
    assert_eq!(play.roots(), ["member-db-1"]);
}

#[test]
fn a_way_that_is_not_blamed_any_more_has_not_recovered_while_who_used_it_is_bad() {
    let mut play = Play::new(PLATFORM);
    for member in ["member-1", "member-2"] {
        play.break_it(member, testkit::blames("member-db"));
    }
    play.rounds(3);
    assert_eq!(play.roots(), ["member -> member-db"]);
    for member in ["member-1", "member-2"] {
        play.break_it(member, testkit::fault(FaultKind::Refused, "connection refused"));
    }
    play.rounds(2);
    assert_eq!(play.roots(), ["member"]);
}

#[test]
fn a_way_of_one_that_turns_out_to_be_the_way_of_all_has_not_recovered() {
    let model = testkit::read(
        "name: test\ndefaults: { interval: 3s }\ncomponents:\n\
         \x20 shop: { instances: ['127.0.0.[1-4]:80'], probe: { http: {} }, depends_on: [{ on: coupon, strength: optional }] }\n\
         \x20 coupon: { instances: ['127.0.1.[1-2]:80'], probe: { http: {} } }\n",
    );
    let mut play = Play::of(model);
    let without = |on: &str| {
        let mut warns = testkit::answer(&[]);
        if let Outcome::Answer(answer) = &mut warns.outcome {
            answer.reported = Some((Health::AtRisk, format!("says warn: {on} fail")));
        }
        warns.witnesses = testkit::blames(on).witnesses;
        warns
    };
    for shop in ["shop-1", "shop-3", "shop-4"] {
        play.break_it(shop, testkit::praises("coupon"));
    }
    play.break_it("shop-2", without("coupon"));
    play.rounds(4);
    assert_eq!(play.roots(), ["shop-2 -> coupon"]);
    for shop in ["shop-1", "shop-3", "shop-4"] {
        play.break_it(shop, without("coupon"));
    }
    play.rounds(3);
    assert_eq!(play.roots(), ["shop -> coupon"]);
}

#[test]
fn a_starved_server_is_not_believed_in_what_it_says_of_others() {
    let mut play = Play::new(PLATFORM);
    for _ in 0..4 {
        play.break_it("miniapp-1", testkit::fault(FaultKind::Hung, "connected, no answer in 1.5 s"));
        play.rounds(1);
        play.break_it("miniapp-1", testkit::blames("member"));
        play.rounds(1);
    }
    assert_eq!(play.roots(), ["miniapp-1"]);
    // Where all of them hang now and then it is what they need that makes them.
    let mut play = Play::new(PLATFORM);
    for _ in 0..4 {
        for member in ["member-1", "member-2"] {
            play.break_it(member, testkit::fault(FaultKind::Hung, "connected, no answer in 1.5 s"));
        }
        play.rounds(1);
        for member in ["member-1", "member-2"] {
            play.break_it(member, testkit::blames("member-db"));
        }
        play.rounds(1);
    }
    assert_eq!(play.roots(), ["member -> member-db"]);
}

#[test]
fn one_of_two_that_cannot_reach_its_database_is_an_incident() {
    let mut play = Play::new(PLATFORM);
    play.break_it("member-1", testkit::praises("member-db"));
    play.break_it("member-2", testkit::blames("member-db"));
    play.rounds(3);
    assert_eq!(play.roots(), ["member-2 -> member-db"]);
    assert_eq!((play.level("member"), play.level("miniapp")), (Level::Yellow, Level::Green));
}

#[test]
fn a_consumer_that_was_blamed_and_never_bad_does_not_recover() {
    let model = testkit::read(
        "name: test\ndefaults: { interval: 3s }\ncomponents:\n\
         \x20 orders: { instances: ['127.0.0.1:80'], probe: { http: {} }, depends_on: [{ on: mq, strength: async }] }\n\
         \x20 oms: { instances: ['127.0.1.[1-2]:80'], probe: { http: {} }, depends_on: [mq] }\n\
         \x20 mq: { instances: ['127.0.2.1:5672'], probe: { amqp: { queues: { orders: {} } } },\n\
         \x20       depends_on: [{ on: oms, strength: async }] }\n",
    );
    let mut play = Play::of(model);
    let backlog = testkit::answer(&[("amqp.queue_messages[orders]", 20_000.0)]);
    play.break_it("mq-1", backlog);
    play.rounds(3);
    assert_eq!(play.roots(), ["oms"]);
    for oms in ["oms-1", "oms-2"] {
        play.break_it(oms, testkit::blames("mq"));
    }
    play.rounds(3);
    assert_eq!(play.roots(), ["oms -> mq"]);
}

#[test]
fn a_first_good_answer_after_an_outage_splits_no_incident() {
    let mut play = Play::new(PLATFORM);
    play.kill_member_db();
    play.rounds(4);
    // All answer again, and say that all they need is fine; each needs a second look to be green.
    play.broken.clear();
    for i in 1..=2 {
        let mut well = testkit::answer(&[]);
        well.witnesses.push(Witness {
            on: "member-db".to_owned(),
            health: Health::Green,
            words: String::new(),
            latency: None,
        });
        play.break_it(&format!("member-{i}"), well);
    }
    play.rounds(1);
    assert_eq!(play.roots(), ["member-db-1"]);
    assert_eq!(play.board.sentence.en, "member-db is down: 3 others affected");
    play.rounds(2);
    assert!(play.board.open.is_empty());
    // Its end waits a little: it came right after the open.
    play.rounds(4);
    assert_eq!(play.messages(), ["open", "resolve"]);
    assert_eq!(play.told().iter().filter(|told| **told == "opened").count(), 1);
}

#[test]
fn whoever_stays_broken_after_the_cause_recovered_is_blamed_in_the_end() {
    let mut play = Play::new(PLATFORM);
    play.kill_member_db();
    play.rounds(3);
    play.broken.retain(|name, _| name.starts_with("member-") && name != "member-db-1");
    play.rounds(12);
    assert_eq!(play.roots(), ["member -> member-db"]);
    // Its dependant is affected by the way, and broken in nothing itself.
    let member = play.board.model.component_by_name("member").unwrap();
    assert!(!play.board.is_root(member));
    assert_eq!(play.board.number_of(member), Some(1));
}

#[test]
fn a_value_over_the_last_minute_remembers_an_outage_and_is_no_cause() {
    let mut play = Play::new(PLATFORM);
    play.kill_member_db();
    play.rounds(4);
    play.broken.clear();
    for gateway in ["gateway-1", "gateway-2"] {
        play.break_it(gateway, testkit::answer(&[("http.latency_seconds", 2.0)]));
    }
    play.rounds(15);
    assert_eq!(play.roots(), ["member-db-1"]);
    assert_eq!(play.board.sentence.en, "member-db answers again; 1 still recovering");
    // A minute later it is their own.
    play.rounds(15);
    assert_eq!(play.roots(), ["gateway"]);
}

#[test]
fn a_symptom_seen_before_its_cause_stays_one_incident() {
    let mut play = Play::new(PLATFORM);
    play.kill_member_db();
    let db = play.broken.remove("member-db-1").unwrap();
    play.rounds(2);
    play.broken.insert("member-db-1".to_owned(), db);
    play.rounds(2);
    assert_eq!(play.roots(), ["member-db-1"]);
    assert_eq!(play.told(), ["opened", "updated"]);
}

#[test]
fn a_slow_component_says_what_is_slow() {
    let mut play = Play::new("web -> db\ndb");
    play.break_it("db-1", testkit::answer(&[("http.latency_seconds", 0.6)]));
    play.rounds(2);
    assert_eq!(play.board.sentence.en, "db is slow (latency): 1 other affected");
}

#[test]
fn one_slow_instance_of_several_is_shown_and_opens_nothing() {
    let mut play = Play::new("web x2 -> db\ndb");
    play.break_it("web-2", testkit::answer(&[("http.latency_seconds", 0.6)]));
    play.rounds(8);
    assert_eq!(play.level("web"), Level::Yellow);
    assert!(play.history.is_empty());
    assert_eq!(play.board.sentence.en, "1 component is at risk: web");
}

#[test]
fn two_faults_far_apart_are_two_incidents_and_near_ones_are_one() {
    let mut play = Play::new("a -> a-db\na-db\nb -> b-db\nb-db");
    play.break_it("a-db-1", testkit::fault(FaultKind::Refused, ""));
    play.break_it("b-db-1", testkit::fault(FaultKind::Refused, ""));
    play.rounds(2);
    assert_eq!(play.board.open.len(), 2);
    assert_eq!(play.board.sentence.en, "Two independent faults: a-db and b-db");

    let mut play = Play::new("web -> a-db, b-db\na-db\nb-db");
    play.break_it("a-db-1", testkit::fault(FaultKind::Refused, ""));
    play.break_it("b-db-1", testkit::fault(FaultKind::Refused, ""));
    play.rounds(2);
    assert_eq!(play.board.open.len(), 1);
    assert_eq!(play.roots().len(), 2);
}

#[test]
fn lesson_09_a_blind_monitor_blames_nobody() {
    let mut play = Play::new(PLATFORM);
    let names: Vec<String> = play.engine.model.instances.iter().map(|i| i.name.clone()).collect();
    for name in &names {
        play.break_it(name, testkit::fault(FaultKind::Unreachable, "no route"));
    }
    play.rounds(4);
    assert!(play.board.monitor.blind);
    assert_eq!(play.board.level, Level::Unknown);
    // The one incident names the monitor, and is told once.
    assert_eq!((play.roots(), play.messages()), (vec!["monitor".to_owned()], vec!["open"]));
    assert!(play.board.sentence.en.contains("blind"));
    play.broken.clear();
    play.rounds(2);
    assert_eq!(play.board.level, Level::Green);
    assert!(play.board.open.is_empty());
    assert_eq!(play.messages(), ["open", "resolve"]);
}

#[test]
fn lesson_14_a_green_that_nobody_renews_becomes_unknown() {
    let mut play = Play::new(PLATFORM);
    play.now += jiff::SignedDuration::from_secs(30);
    play.publish();
    assert_eq!(play.board.level, Level::Unknown);
}

#[test]
fn the_neighbours_of_a_confirmed_red_are_looked_at_at_once() {
    let mut play = Play::new(PLATFORM);
    play.kill_member_db();
    let db = play.engine.jobs_of[play.engine.model.instances.len() - 2][0];
    let first = play.look(db, 10);
    assert_eq!(first.again, [(db, SECOND_LOOK)]);
    let second = play.look(db, 120);
    assert!(second.changed);
    // Its users, theirs, and the gateways: all but the order side.
    let names: BTreeSet<&str> = second
        .asked
        .iter()
        .map(|job| play.engine.model.instance(play.engine.jobs[*job].instance).name.as_str())
        .collect();
    assert!(names.contains("member-1") && names.contains("gateway-2") && !names.contains("order-db-1"));
}

#[test]
fn who_is_blamed_is_asked_as_a_new_user_would() {
    let mut play = Play::new(PLATFORM);
    let job = |play: &Play, name: &str| {
        let of = |job: &crate::engine::Job| play.engine.model.instance(job.instance).name == name;
        play.engine.jobs.iter().position(of).unwrap()
    };
    play.break_it("member-1", testkit::blames("member-db"));
    let member = job(&play, "member-1");
    assert!(play.look(member, 10).accused.is_empty(), "one look proves nothing");
    let second = play.look(member, 2_010);
    assert_eq!((second.changed, second.accused), (true, vec![job(&play, "member-db-1")]));
    assert!(play.look(member, 3_010).accused.is_empty(), "it is known");
}

/// A gateway with its own page and its log: the log praises every server, the page fails.
const LOGGED: &str = "
name: test
defaults: { interval: 3s, timeout: 1500ms }
components:
  gateway: { instances: [\"10.0.0.[1-2]:80\"], probe: { http: {}, access_log: {} }, depends_on: [web] }
  web: { instances: [\"10.0.1.[1-2]:80\"], probe: { http: {} }, depends_on: [db] }
  db: { instances: [\"10.0.2.1:5432\"], probe: { tcp: {} } }
";

#[test]
fn a_bad_answer_is_judged_by_its_own_words_and_not_by_those_of_another_probe() {
    let mut play = Play::of(testkit::read(LOGGED));
    play.break_it("db-1", testkit::fault(FaultKind::Refused, "connection refused"));
    play.break_it("web-1", testkit::blames("db"));
    play.break_it("web-2", testkit::blames("db"));
    for health in [Health::Green, Health::Impaired] {
        let witness = |on: &str| Witness { on: on.to_owned(), health, words: String::new(), latency: None };
        let log = Observation {
            witnesses: vec![witness("web-1"), witness("web-2")],
            ..testkit::answer(&[("access_log.error_ratio", 0.0)])
        };
        for _ in 0..3 {
            play.now += jiff::SignedDuration::from_secs(3);
            for job in 0..play.engine.jobs.len() {
                let name = play.engine.model.instance(play.engine.jobs[job].instance).name.clone();
                if name.starts_with("gateway") {
                    let is_log = play.engine.jobs[job].probe.kind.name == "access_log";
                    let mut page = testkit::blames("web");
                    page.witnesses.clear();
                    play.broken.insert(name, if is_log { log.clone() } else { page });
                }
                play.look(job, 0);
            }
            play.publish();
        }
        let open = &play.board.open;
        assert_eq!(open.len(), 1, "{health:?}");
        let roots: Vec<String> =
            open[0].verdict.roots.iter().map(|root| root.culprit.name(&play.engine.model)).collect();
        assert_eq!(roots, ["db-1"], "{health:?}");
        assert_eq!(play.level("gateway"), Level::Red);
    }
}
