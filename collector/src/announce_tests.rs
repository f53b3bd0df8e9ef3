//! Who is told of what, and when.

use proptest::prelude::*;

use super::*;

const HOLD: Duration = Duration::from_secs(6);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

/// How it stands: the root, the level, whether a component is red, who is wanted, silenced, acknowledged.
#[derive(Clone, Copy)]
struct Is<'a> {
    root: &'a str,
    level: Level,
    wanted: &'a [&'a str],
    silenced: bool,
    acknowledged: Option<Level>,
}

const RED: Is<'_> =
    Is { root: "db", level: Level::Red, wanted: &["ops"], silenced: false, acknowledged: None };

fn due(told: &mut Told, seconds: i64, is: Is<'_>) -> Vec<(String, Event)> {
    let messages = told.due(&Now {
        roots: &names(&[is.root]),
        level: is.level,
        component_red: is.level == Level::Red,
        hold: HOLD,
        recurrence_hold: HOLD * 10,
        wanted: &names(is.wanted),
        silenced: is.silenced,
        acknowledged: is.acknowledged,
        at: at(seconds),
    });
    messages.into_iter().map(|message| (message.receiver, message.event)).collect()
}

fn one(told: &mut Told, seconds: i64, is: Is<'_>) -> Option<Event> {
    let messages = due(told, seconds, is);
    assert!(messages.len() <= 1);
    messages.first().map(|(_, event)| *event)
}

fn end(told: &mut Told, seconds: i64) -> Vec<(String, Event)> {
    let messages = told.end(Event::Resolve, std::iter::empty(), at(seconds));
    messages.into_iter().map(|message| (message.receiver, message.event)).collect()
}

#[test]
fn lesson_27_an_outage_is_told_once_after_its_hold_and_once_at_its_end() {
    let mut told = Told::nothing(at(0));
    assert_eq!(one(&mut told, 5, RED), None);
    assert_eq!(one(&mut told, 6, RED), Some(Event::Open));
    for later in 7..100_000 {
        assert_eq!(one(&mut told, later, RED), None);
    }
    assert_eq!(end(&mut told, 100_000), [("ops".to_owned(), Event::Resolve)]);
}

#[test]
fn what_is_over_before_its_hold_is_told_to_nobody() {
    let mut told = Told::nothing(at(0));
    assert_eq!(one(&mut told, 5, Is { level: Level::Yellow, ..RED }), None);
    assert!(end(&mut told, 6).is_empty());
}

#[test]
fn one_of_several_waits_longer() {
    let yellow = Is { level: Level::Yellow, ..RED };
    let mut told = Told::nothing(at(0));
    assert_eq!(one(&mut told, 15, yellow), None);
    assert_eq!(one(&mut told, 16, yellow), Some(Event::Open));
}

#[test]
fn lesson_08_what_breaks_again_at_once_is_told_when_it_stays_so() {
    let mut told = Told { recurs: true, ..Told::nothing(at(0)) };
    assert_eq!(one(&mut told, 59, RED), None);
    assert_eq!(one(&mut told, 60, RED), Some(Event::Open));
}

#[test]
fn a_worse_level_is_an_update_at_once_and_another_cause_once_it_stands() {
    let mut told = Told::nothing(at(0));
    let web = Is { root: "web-1", level: Level::Yellow, ..RED };
    assert_eq!(one(&mut told, 20, web), Some(Event::Open));
    assert_eq!(one(&mut told, 21, Is { root: "web-1", ..RED }), Some(Event::Update));
    assert_eq!(one(&mut told, 100, RED), None, "the cause is new");
    assert_eq!(one(&mut told, 105, RED), None);
    assert_eq!(one(&mut told, 106, RED), Some(Event::Update));
    assert_eq!(one(&mut told, 107, Is { level: Level::Yellow, ..RED }), None, "better is no news");
    assert_eq!(told.messages, 3);
}

#[test]
fn a_verdict_that_wavers_for_an_hour_is_few_updates() {
    let mut told = Told::nothing(at(0));
    let mut updates = 0;
    for second in 6..3606 {
        let root = if second / 30 % 2 == 0 { "a" } else { "b" };
        updates += i32::from(one(&mut told, second, Is { root, ..RED }) == Some(Event::Update));
    }
    assert!((1..=6).contains(&updates), "{updates}");
}

#[test]
fn whoever_a_route_wants_later_is_told_that_it_is_open() {
    let mut told = Told::nothing(at(0));
    let ops = ("ops".to_owned(), Event::Open);
    let boss = ("boss".to_owned(), Event::Open);
    assert_eq!(due(&mut told, 6, RED), [ops]);
    assert_eq!(due(&mut told, 900, Is { wanted: &["boss", "ops"], ..RED }), [boss]);
    // Who is wanted no longer is told of the end all the same.
    assert!(due(&mut told, 901, RED).is_empty());
    assert_eq!(end(&mut told, 902).len(), 2);
}

#[test]
fn a_silence_holds_back_the_open_and_never_the_resolve() {
    let silent = Is { silenced: true, ..RED };
    let mut told = Told::nothing(at(0));
    assert_eq!(one(&mut told, 60, silent), None);
    assert_eq!(one(&mut told, 61, RED), Some(Event::Open), "it is still going on when the silence ends");
    assert_eq!(one(&mut told, 62, Is { root: "x", ..silent }), None);
    assert_eq!(end(&mut told, 63).len(), 1);
}

#[test]
fn who_took_it_on_is_told_only_when_it_is_worse() {
    let yellow = Is { level: Level::Yellow, ..RED };
    let mut told = Told::nothing(at(0));
    assert_eq!(one(&mut told, 16, yellow), Some(Event::Open));
    let taken = Some(Level::Yellow);
    let boss = Is { wanted: &["boss", "ops"], acknowledged: taken, ..yellow };
    assert!(due(&mut told, 1000, boss).is_empty(), "no escalation");
    assert_eq!(one(&mut told, 2000, Is { root: "x", acknowledged: taken, ..yellow }), None);
    assert_eq!(one(&mut told, 2001, Is { acknowledged: taken, ..RED }), Some(Event::Update));
    assert_eq!(end(&mut told, 3000).len(), 1);
}

#[test]
fn what_an_earlier_version_told_everybody_is_known_by_each() {
    let known = Known { at: at(6), updates: 0, roots: names(&["db"]), level: Level::Red };
    let mut told = Told { messages: 1, ..Told::nothing(at(0)) };
    told.receivers.insert(EVERYBODY.to_owned(), known);
    assert!(due(&mut told, 10, Is { wanted: &["mail", "ops"], ..RED }).is_empty());
    assert_eq!(end(&mut told, 11).len(), 2);
}

proptest! {
    /// Suppress opening, never resolving: every told "open" gets its "resolve", and nothing else does.
    #[test]
    fn lesson_04_every_open_gets_its_resolve(
        steps in prop::collection::vec((0..80_i64, 0..3_usize, any::<bool>(), any::<bool>(), any::<bool>(), 0..4_usize), 0..40)
    ) {
        let mut told = Told::nothing(at(0));
        let mut now = 0;
        let mut events: BTreeMap<String, Vec<Event>> = BTreeMap::new();
        for (pause, root, red, silenced, taken, wanted) in steps {
            now += pause;
            let wanted: &[&str] = [&["a"][..], &["a", "b"], &["b", "c"], &[]][wanted];
            let is = Is {
                root: ["x", "y", "z"][root],
                level: if red { Level::Red } else { Level::Yellow },
                wanted,
                silenced,
                acknowledged: taken.then_some(Level::Yellow),
            };
            for (receiver, event) in due(&mut told, now, is) {
                events.entry(receiver).or_default().push(event);
            }
        }
        for (receiver, event) in end(&mut told, now) {
            events.entry(receiver).or_default().push(event);
        }
        for (receiver, events) in events {
            prop_assert_eq!(events.first(), Some(&Event::Open), "{}", receiver);
            prop_assert_eq!(events.last(), Some(&Event::Resolve), "{}", receiver);
            let inner = &events[1..events.len() - 1];
            prop_assert!(inner.iter().all(|event| *event == Event::Update), "{}: {:?}", receiver, events);
        }
    }
}
