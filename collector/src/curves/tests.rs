//! Days of orders, by the minute.

use super::*;
use crate::announce::Event;
use crate::silence::Silences;
use crate::testkit;

const DAY: i64 = 1440;

fn model() -> Model {
    testkit::read(
        "components:\n  db: { instances: [\"127.0.0.1:1\"], probe: { tcp: {} } }\n\
         curves:\n  orders:\n    title: { en: Orders a minute, zh: 每分钟订单 }\n    push: {}\n\
         \x20   compare: [yesterday, last_week]\n    below: { yellow: 70%, red: 40% }\n    above: { red: 300% }\n",
    )
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_040 + minute * 60).unwrap()
}

/// What people order in a minute of the day: a noon as every day.
fn usual(minute: i64) -> f64 {
    let hour = minute.rem_euclid(DAY) as f64 / 60.0;
    100.0 + 80.0 * (std::f64::consts::PI * hour / 12.0).sin().abs() + (minute.rem_euclid(DAY) % 7) as f64
}

/// Eight days of it.
fn week(model: &Model) -> Curves {
    let mut curves = Curves::new(model, at(0));
    let points: Vec<_> = (0..8 * DAY).map(|m| ("orders".to_owned(), at(m), usual(m))).collect();
    curves.restore(model, &points, at(8 * DAY));
    curves
}

fn take(curves: &mut Curves, model: &Model, minute: i64, value: f64) -> (Level, String) {
    assert!(curves.take(model, "orders", at(minute), Ok(value)));
    let state = &curves.states()[0];
    (state.level, state.words.en.clone())
}

#[test]
fn a_day_like_the_others_is_green_and_is_drawn_beside_them() {
    let model = model();
    let mut curves = week(&model);
    for minute in 8 * DAY..8 * DAY + 60 {
        assert_eq!(take(&mut curves, &model, minute, usual(minute)).0, Level::Green, "{minute}");
    }
    let state = &curves.states()[0];
    assert!(state.points.len() >= 175 && state.yesterday.len() >= 205, "{}", state.yesterday.len());
    assert_eq!(state.last_week.len(), state.yesterday.len());
    // At the times of today.
    assert_eq!(state.points[0], state.yesterday[0]);
    assert!(state.low.unwrap() < usual(8 * DAY + 60));
}

#[test]
fn a_fall_is_seen_within_minutes_and_so_is_its_end() {
    let model = model();
    let mut curves = week(&model);
    let start = 8 * DAY;
    take(&mut curves, &model, start, usual(start));
    let fell =
        (start + 1..start + 20).find(|m| take(&mut curves, &model, *m, usual(*m) * 0.1).0 == Level::Red);
    assert!(fell.is_some_and(|minute| minute <= start + 6), "{fell:?}");
    let words = curves.states()[0].words.clone();
    assert!(words.en.starts_with("Orders a minute fell to ") && words.en.contains(" %"), "{words:?}");
    assert!(words.zh.starts_with("每分钟订单下降至"), "{words:?}");
    let back = (start + 20..start + 60).find(|m| take(&mut curves, &model, *m, usual(*m)).0 == Level::Green);
    assert!(back.is_some_and(|minute| minute <= start + 28), "{back:?}");
}

#[test]
fn an_outage_stays_told_when_business_is_back_and_over_a_restart() {
    let model = model();
    let mut curves = week(&model);
    let start = 8 * DAY;
    let share = |m: i64| if (start + 10..start + 30).contains(&m) { 0.1 } else { 1.0 };
    let mut kept: Vec<_> = (0..start).map(|m| ("orders".to_owned(), at(m), usual(m))).collect();
    for minute in start..start + 60 {
        let value = usual(minute) * share(minute);
        take(&mut curves, &model, minute, value);
        kept.push(("orders".to_owned(), at(minute), value));
        if minute == start + 25 {
            let since = curves.states()[0].since().unwrap();
            assert!(since > at(start + 9) && since < at(start + 17), "{since}");
        }
    }
    let state = curves.states()[0].clone();
    let [outage] = state.outages[..] else { panic!("{:?}", state.outages) };
    assert_eq!((state.since(), state.level), (None, Level::Green));
    assert!(outage.to.is_some_and(|to| to >= at(start + 30) && to < at(start + 37)), "{outage:?}");
    let mut again = Curves::new(&model, at(start + 60));
    again.restore(&model, &kept, at(start + 60));
    assert_eq!(again.states()[0].outages, [outage]);
    assert_eq!(again.states()[0].level, Level::Unknown, "what it is now the next value tells");
}

#[test]
fn one_odd_day_proves_nothing() {
    let model = model();
    let mut curves = Curves::new(&model, at(0));
    // Yesterday was a promotion; a week ago was as today.
    let points: Vec<_> = (0..8 * DAY)
        .map(|m| ("orders".to_owned(), at(m), usual(m) * if m >= 7 * DAY { 10.0 } else { 1.0 }))
        .collect();
    curves.restore(&model, &points, at(8 * DAY));
    for minute in 8 * DAY..8 * DAY + 30 {
        assert_eq!(take(&mut curves, &model, minute, usual(minute)).0, Level::Green);
    }
}

#[test]
fn lesson_33_a_share_of_next_to_nothing_proves_nothing() {
    let model = model();
    let mut curves = Curves::new(&model, at(0));
    // At night an order comes now and then: nought to two a minute.
    let few = |minute: i64| ((minute * 7919) % 3) as f64;
    let points: Vec<_> = (0..8 * DAY).map(|m| ("orders".to_owned(), at(m), few(m))).collect();
    curves.restore(&model, &points, at(8 * DAY));
    for minute in 8 * DAY..8 * DAY + 60 {
        let value = if minute % 20 < 8 { 0.0 } else { few(minute) };
        assert_eq!(take(&mut curves, &model, minute, value).0, Level::Green, "{minute}");
    }
}

#[test]
fn without_another_day_or_without_values_nothing_is_known() {
    let model = model();
    let mut curves = Curves::new(&model, at(0));
    for minute in 0..10 {
        assert_eq!(take(&mut curves, &model, minute, 5.0).0, Level::Unknown);
    }
    let mut curves = week(&model);
    take(&mut curves, &model, 8 * DAY, usual(0));
    curves.take(&model, "orders", at(8 * DAY + 1), Err("connection refused".to_owned()));
    curves.expire(&model, at(8 * DAY + 2));
    assert_eq!(curves.states()[0].level, Level::Green);
    curves.expire(&model, at(8 * DAY + 5));
    let state = &curves.states()[0];
    assert_eq!((state.level, &*state.words.en), (Level::Unknown, "not known: connection refused"));
    assert!(!curves.take(&model, "nothing", at(0), Ok(1.0)));
}

/// The state of a curve that is judged so.
fn state(level: Level) -> CurveState {
    let mut state = Curves::new(&model(), at(0)).states()[0].clone();
    state.level = level;
    state.words = Text::new("orders fell to 3", "订单降至 3");
    state
}

#[test]
fn orders_fell_and_no_node_is_unhealthy_is_an_incident_of_its_own() {
    let (model, new_id) = (testkit::with_receiver(model()), |_: Timestamp| "c-1".to_owned());
    let mut outages = Outages::new(at(0));
    let mut step = |minute: i64, level: Level, green: bool| -> Vec<Option<Event>> {
        let changes =
            outages.step((&model, &Silences::default()), &[state(level)], green, at(minute), &new_id);
        changes.into_iter().map(|change| change.messages.first().map(|message| message.event)).collect()
    };
    assert_eq!(step(20, Level::Green, true), []);
    assert_eq!(step(30, Level::Yellow, true), [Some(Event::Open)]);
    assert_eq!(step(31, Level::Red, true), [Some(Event::Update)]);
    assert_eq!(step(32, Level::Red, true), []);
    // Not known is not over.
    assert_eq!(step(33, Level::Unknown, true), []);
    assert_eq!(step(34, Level::Green, true), [Some(Event::Resolve)]);
    assert_eq!(step(35, Level::Green, true), []);
}

#[test]
fn what_a_node_explains_is_no_riddle_neither_then_nor_shortly_after() {
    let (model, new_id) = (model(), |_: Timestamp| "c-1".to_owned());
    let mut outages = Outages::new(at(0));
    for minute in 10..20 {
        assert!(
            outages
                .step((&model, &Silences::default()), &[state(Level::Red)], minute >= 12, at(minute), &new_id)
                .is_empty()
        );
        if minute == 17 {
            break;
        }
    }
    // It goes on long after the node is well: then it is one.
    let changes = outages.step((&model, &Silences::default()), &[state(Level::Red)], true, at(19), &new_id);
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].incident.title.en, "orders fell to 3, no node is unhealthy");
    assert_eq!(is_of_curve(&changes[0].told), Some("orders"));
}

#[test]
fn the_board_tells_of_it_and_one_message_goes_out() {
    let mut play = crate::play::Play::of(testkit::with_receiver(model()));
    let start = play.now;
    let minute = |m: i64| start + SignedDuration::from_mins(m);
    let curves = (-8 * DAY..0).map(|m| ("orders".to_owned(), minute(m), usual(m))).collect();
    play.engine.restore(crate::store::Restored { curves, ..Default::default() }, start);
    let run = |play: &mut crate::play::Play, minutes: std::ops::Range<i64>, share: f64| {
        for m in minutes {
            play.now = minute(m) - SignedDuration::from_secs(3);
            assert!(play.engine.take_curve("orders", minute(m), Ok(usual(m) * share)));
            play.rounds(1);
        }
    };
    run(&mut play, 1..20, 1.0);
    assert!(play.board.open.is_empty() && play.board.curves[0].level == Level::Green);
    run(&mut play, 20..40, 0.1);
    assert_eq!(play.board.open.len(), 1);
    let title = &play.board.open[0].title;
    assert!(
        title.en.starts_with("Orders a minute fell to") && title.en.ends_with("no node is unhealthy"),
        "{title:?}"
    );
    assert_eq!(play.board.sentence, *title);
    run(&mut play, 40..60, 1.0);
    assert!(play.board.open.is_empty());
    // It fell out of the milder bound first.
    assert_eq!(play.messages(), ["open", "update", "resolve"]);
}
