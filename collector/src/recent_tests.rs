//! What goes into the recent past comes out, and it stays small.

use std::collections::BTreeMap;

use proptest::prelude::*;
use topology::fault::Fault;
use topology::text::Text;

use super::*;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_000 + ms).unwrap()
}

fn red(words: &str) -> Judged {
    let fault = Some(Fault::new(FaultKind::Hung, "ask", words));
    Judged { health: Health::Red, fault, words: Text::same(words), ..Judged::green() }
}

fn says(on: &str, health: Health) -> Witness {
    Witness { on: on.to_owned(), health, words: "refused".to_owned(), latency: None }
}

struct Past {
    recent: Recent,
    names: Interned,
}

impl Past {
    fn new() -> Self {
        Self { recent: Recent::default(), names: Interned::default() }
    }

    fn look(&mut self, ms: i64, judged: &Judged, signals: &[(&str, f64)], witnesses: &[Witness]) {
        let signals: BTreeMap<String, f64> = signals.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect();
        let now = Now { at: at(ms), took: Duration::from_millis(12), judged, witnesses };
        self.recent.push(now, &signals, |name| name != "nobody", &mut self.names);
    }

    fn signal(&self, name: &str, now: i64) -> Vec<(i64, f32)> {
        let place = self.names.places[name];
        let since = |t: Timestamp| t.as_millisecond() - at(0).as_millisecond();
        let found = self.recent.series(at(now)).find(|(n, _)| *n == place);
        found.map(|(_, points)| points.map(|(t, v)| (since(t), v)).collect()).unwrap_or_default()
    }
}

#[test]
fn a_look_comes_back_as_it_was() {
    let mut past = Past::new();
    past.look(0, &Judged::green(), &[], &[]);
    past.look(3000, &red("no answer in 1.5 s"), &[], &[]);
    let looks: Vec<PastLook<'_>> = past.recent.looks(at(4000)).collect();
    assert_eq!(
        (looks[0].at, looks[0].health, looks[0].fault, looks[0].words),
        (at(0), Health::Green, None, "")
    );
    assert_eq!((looks[1].at, looks[1].health), (at(3000), Health::Red));
    assert_eq!((looks[1].fault, looks[1].words), (Some(FaultKind::Hung), "no answer in 1.5 s"));
    assert!((looks[1].took.as_secs_f64() - 0.012).abs() < 0.012 * 0.0003);
}

#[test]
fn a_signal_is_kept_when_it_moves_and_once_in_a_while() {
    let mut past = Past::new();
    for second in 0..60 {
        let queue = if second < 50 { 100.0 } else { 200.0 + f64::from(second) };
        past.look(i64::from(second) * 1000, &Judged::green(), &[("amqp.queue_messages[orders]", queue)], &[]);
    }
    let points = past.signal("amqp.queue_messages[orders]", 60_000);
    assert_eq!(points[..2], [(0, 100.0), (30_000, 100.0)]);
    assert_eq!(points[2], (50_000, 250.0));
    assert!(points.len() < 6, "{points:?}");
}

#[test]
fn a_witness_is_kept_when_it_changes_its_mind_and_only_on_nodes() {
    let mut past = Past::new();
    for second in 0..20 {
        let health = if second < 10 { Health::Green } else { Health::Red };
        past.look(second * 1000, &Judged::green(), &[], &[says("db", health), says("nobody", Health::Red)]);
    }
    let said: Vec<(Timestamp, bool, &str)> =
        past.recent.said(at(20_000)).map(|said| (said.at, said.ok, said.words)).collect();
    assert_eq!(said, [(at(0), true, ""), (at(10_000), false, "refused")]);
}

#[test]
fn what_is_older_than_the_window_is_gone_also_after_a_long_silence() {
    let mut past = Past::new();
    past.look(0, &Judged::green(), &[("x_ratio", 0.5)], &[says("db", Health::Green)]);
    past.recent.prune(at(15 * 60_000));
    assert_eq!(past.recent.len(), 1);
    past.recent.prune(at(15 * 60_000 + 1));
    assert!(past.recent.is_empty() && past.signal("x_ratio", 0).is_empty());
    assert_eq!(past.recent.said(at(0)).count(), 0);
    past.look(0, &Judged::green(), &[], &[]);
    // Thirty days later the lower bits alone would call it tomorrow.
    past.recent.prune(at(30 * 86_400_000));
    assert!(past.recent.is_empty());
}

#[test]
fn a_deep_health_page_with_six_dependencies_takes_less_than_four_kibibytes() {
    let mut past = Past::new();
    for look in 0..400_u32 {
        let witnesses: Vec<Witness> = (0..6).map(|n| says(&format!("db-{n}"), Health::Green)).collect();
        let latency = 0.01 + f64::from(look.wrapping_mul(2_654_435_761) >> 16) / 1e7;
        past.look(i64::from(look) * 3000, &Judged::green(), &[("http.latency_seconds", latency)], &witnesses);
    }
    assert_eq!(past.recent.len(), MAX_LOOKS);
    assert!(past.recent.bytes() < 4096, "{} bytes", past.recent.bytes());
}

#[test]
fn ever_new_words_take_no_more_room() {
    let mut past = Past::new();
    for look in 0..1000 {
        past.look(look * 3000, &red(&format!("503: request {look} failed")), &[], &[]);
    }
    assert!(past.recent.words.len() <= MAX_WORDS);
    assert!(past.recent.bytes() < 4096, "{} bytes", past.recent.bytes());
}

proptest! {
    /// However a signal moves: bounded, in order, and the newest point is never far from the truth.
    #[test]
    fn a_series_is_bounded_ordered_and_current(values in prop::collection::vec(0.0..1e6_f64, 1..500)) {
        let mut past = Past::new();
        for (i, value) in (0..).zip(&values) {
            past.look(i * 500, &Judged::green(), &[("x_total", *value)], &[]);
        }
        let points = past.signal("x_total", i64::try_from(values.len()).unwrap() * 500);
        prop_assert!(points.len() <= MAX_POINTS);
        prop_assert!(points.windows(2).all(|two| two[0].0 < two[1].0));
        let (newest, last) = (f64::from(points.last().unwrap().1), *values.last().unwrap());
        prop_assert!((newest - last).abs() <= newest * 0.021, "{newest} for {last}");
    }
}
