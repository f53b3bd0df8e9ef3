//! Suspected, confirmed, cleared: from single looks to a level one can trust. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use topology::fault::FaultKind;
use topology::level::Health;
use topology::model::Confirm;
use topology::text::Text;

use crate::clock::between;
use crate::judge::Judged;

/// More confirmed changes into or out of red than this, within [`FLAP_WINDOW`] intervals, is flapping.
pub const FLAP_CHANGES: usize = 8;
/// The window for counting changes, in intervals.
pub const FLAP_WINDOW: u32 = 60;
/// Intervals without a change that release a flapping instance.
pub const FLAP_QUIET: u32 = 20;
/// A level without an observation for this many intervals is not known any more.
pub const STALE_AFTER: u32 = 3;
/// A hung process is not looked at faster than this: every look takes a place in its accept queue.
pub const HUNG_INTERVAL: Duration = Duration::from_secs(5);

/// The most that [`patience`] asks for.
const MOST_PATIENCE: Duration = Duration::from_secs(2);

/// How far apart two looks must begin before [what may be of a moment](Judged::may_be_of_a_moment) is confirmed: half an
/// interval, and two seconds at most. A refusal a tenth of a second later is a second witness; a slow or bad answer
/// then may be the same short stall, seen twice.
pub fn patience(interval: Duration) -> Duration {
    (interval / 2).min(MOST_PATIENCE)
}

/// A level that a value made is cleared by good values over so many intervals. Whoever is slow now and then is slow:
/// a server that got a tenth of its time was green for half of it, by two quick answers in a row.
const LINGERS: u32 = 2;

/// And who was so in [`OFTEN`] of the last [`LATELY`] looks is slow, too, if no two of them came in a row. A lost packet
/// now and then (3 % of looks, where 1 % of packets are lost) does it once in 2,000 looks.
const OFTEN: usize = 3;
/// See [`OFTEN`].
const LATELY: usize = 6;

/// One look, as it is folded.
#[derive(Clone, Debug)]
pub struct Look {
    /// When it began.
    pub started: Timestamp,
    /// When its answer (or its deadline) came.
    pub at: Timestamp,
    /// What it says.
    pub judged: Judged,
}

/// What a look changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The confirmed level stands, and the look agrees.
    Same,
    /// The look disagrees with the confirmed level; the next one is due at once.
    Suspected,
    /// The confirmed level has changed.
    Changed,
}

/// The confirmed level of one probe of one instance, and what may change it.
#[derive(Clone, Debug)]
pub struct Tracker {
    /// The confirmed state.
    pub confirmed: Judged,
    /// Since when the level is confirmed (the first look that made it).
    pub since: Timestamp,
    /// The last look's answer.
    pub observed_at: Option<Timestamp>,
    /// The last look that was green.
    pub last_good: Option<Timestamp>,
    /// When it went bad: (last good look, first bad look); kept while it is bad.
    pub onset: Option<(Timestamp, Timestamp)>,
    /// Held at its worst level because it keeps changing.
    pub flapping: bool,
    /// Looks in a row that disagree with the confirmed level, all in one direction. Without any it takes no room: this is
    /// there for each target.
    streak: Vec<Look>,
    /// The last looks, from one that was bad for a moment on, each such with what it said.
    lately: VecDeque<Option<Look>>,
    last_good_started: Option<Timestamp>,
    changes: VecDeque<Timestamp>,
    /// What was confirmed before a restart, until the first look.
    kept: Option<Box<Kept>>,
}

/// A confirmed state to go on from: level, since, onset.
pub type Kept = (Judged, Timestamp, Option<(Timestamp, Timestamp)>);

impl Tracker {
    /// Nothing known yet.
    pub fn new(now: Timestamp) -> Self {
        Self {
            confirmed: Judged::unknown(),
            since: now,
            observed_at: None,
            last_good: None,
            onset: None,
            flapping: false,
            streak: Vec::new(),
            lately: VecDeque::new(),
            last_good_started: None,
            changes: VecDeque::new(),
            kept: None,
        }
    }

    /// Goes on from what was confirmed before a restart, with the first look: until then nobody knows.
    pub fn go_on_from(&mut self, kept: Kept) {
        if kept.0.health != Health::Unknown {
            self.kept = Some(Box::new(kept));
        }
    }

    /// True when the last look was worse than the confirmed level.
    pub fn suspected(&self) -> bool {
        self.streak.last().is_some_and(|look| worse(look.judged.health, self.confirmed.health))
    }

    /// Folds one look in.
    pub fn fold(&mut self, mut look: Look, confirm: Confirm, interval: Duration) -> Step {
        // Two looks may overlap; a bad one that began before a good one did is older news.
        let green = look.judged.health == Health::Green;
        if !green && self.last_good_started.is_some_and(|good| look.started < good) {
            return Step::Same;
        }
        self.observed_at = Some(self.observed_at.map_or(look.at, |seen| seen.max(look.at)));
        if green {
            self.last_good = Some(look.at);
            self.last_good_started = Some(look.started);
        }
        self.keep_hung(&mut look.judged);
        let went_on = self.kept.take().is_some_and(|kept| {
            (self.confirmed, self.since, self.onset) = *kept;
            true
        });
        let step = self.weigh(look, green, confirm, interval);
        // What is known again after a restart is news to the board.
        if went_on && step == Step::Same { Step::Changed } else { step }
    }

    fn weigh(&mut self, look: Look, green: bool, confirm: Confirm, interval: Duration) -> Step {
        let (now, at) = (look.judged.health, look.at);
        if self.confirmed.health == Health::Unknown && green {
            // The first good answer after none at all needs no second opinion.
            self.confirmed = look.judged;
            self.since = look.started;
            self.streak = Vec::new();
            return Step::Changed;
        }
        if now == self.confirmed.health {
            self.streak = Vec::new();
            self.see(None);
            self.confirmed = look.judged;
            self.release(at, interval);
            return Step::Same;
        }
        let rising = worse(now, self.confirmed.health);
        if self.streak.last().is_some_and(|last| worse(last.judged.health, self.confirmed.health) != rising) {
            self.streak = Vec::new();
        }
        let brief = |look: &Look| look.judged.may_be_of_a_moment();
        if rising && brief(&look) {
            let too_soon = |last: &Look| between(last.started, look.started) < patience(interval);
            if self.streak.last().is_some_and(|last| brief(last) && too_soon(last)) {
                // The one that counts is on its way already.
                return Step::Same;
            }
            self.see(Some(look.clone()));
        }
        self.streak.push(look);
        let needed = if rising { confirm.red_after } else { confirm.green_after } as usize;
        let often = || self.lately.iter().flatten();
        if rising && self.streak.len() < needed && often().count() >= needed.max(OFTEN) {
            self.streak = often().cloned().collect();
        }
        if self.streak.len() < needed || (!rising && self.lingers(interval)) {
            return Step::Suspected;
        }
        self.settle(rising, at, interval);
        Step::Changed
    }

    /// Keeps in mind whether a look was bad for a moment. It begins with a bad one: who is well keeps nothing.
    fn see(&mut self, bad: Option<Look>) {
        if bad.is_some() || !self.lately.is_empty() {
            self.lately.push_back(bad);
        }
        while self.lately.len() > LATELY || self.lately.front().is_some_and(Option::is_none) {
            self.lately.pop_front();
        }
        if self.lately.is_empty() {
            self.lately = VecDeque::new();
        }
    }

    /// True while the good looks in a row are of too short a time to clear what a value made.
    fn lingers(&self, interval: Duration) -> bool {
        let span = self.streak.first().zip(self.streak.last());
        self.waits_for_more()
            && span.is_some_and(|(first, last)| between(first.started, last.started) < interval * LINGERS)
    }

    /// True when good looks clear the level by their number over time: a second look at once tells nothing.
    pub fn waits_for_more(&self) -> bool {
        self.confirmed.signal.is_some() && !self.suspected()
    }

    /// Confirms what the streak agrees on: the mildest of its looks when it got worse, the worst when better.
    fn settle(&mut self, rising: bool, at: Timestamp, interval: Duration) {
        let was = self.confirmed.health;
        let streak = std::mem::take(&mut self.streak);
        self.lately = VecDeque::new();
        let began = streak.first().map_or(at, |look| look.at);
        let by_severity = |look: &Look| look.judged.health.severity();
        // Among equals the latest look: its words are the freshest.
        let agreed = if rising {
            streak.into_iter().rev().min_by_key(by_severity)
        } else {
            streak.into_iter().max_by_key(by_severity)
        };
        let Some(agreed) = agreed else { return };
        self.confirmed = agreed.judged;
        self.since = began;
        if self.confirmed.health.is_unhealthy() {
            if self.onset.is_none() {
                self.onset = Some((self.last_good.unwrap_or(began), began));
            }
        } else {
            self.onset = None;
        }
        if (was == Health::Red) != (self.confirmed.health == Health::Red) && was != Health::Unknown {
            self.changes.push_back(at);
            let window = interval * FLAP_WINDOW;
            while self.changes.front().is_some_and(|first| between(*first, at) > window) {
                self.changes.pop_front();
            }
            self.flapping |= self.changes.len() > FLAP_CHANGES;
        }
    }

    fn release(&mut self, at: Timestamp, interval: Duration) {
        let quiet = interval * FLAP_QUIET;
        if self.flapping && self.changes.back().is_none_or(|last| between(*last, at) > quiet) {
            self.flapping = false;
            self.changes.clear();
        }
    }

    /// A hang ages into a connect timeout when the accept queue is full, by the monitor's own hand: it
    /// stays a hang until an answer comes or the host itself is gone.
    fn keep_hung(&self, judged: &mut Judged) {
        let is = |judged: &Judged, kind| judged.fault.as_ref().is_some_and(|fault| fault.kind == kind);
        if is(&self.confirmed, FaultKind::Hung) && is(judged, FaultKind::ConnectTimeout) {
            *judged = self.confirmed.clone();
        }
    }

    /// Forgets the level when nothing was seen for too long; true when that changed it.
    pub fn expire(&mut self, now: Timestamp, interval: Duration) -> bool {
        let last = self.observed_at.unwrap_or(self.since);
        if self.confirmed.health == Health::Unknown || between(last, now) <= interval * STALE_AFTER {
            return false;
        }
        self.confirmed = Judged::unknown();
        self.since = now;
        self.streak = Vec::new();
        self.onset = None;
        true
    }

    /// Forgets what was confirmed: it was not seen.
    pub(crate) fn forget(&mut self, now: Timestamp) {
        if self.confirmed.health == Health::Red {
            // It was no change of the target's.
            self.changes.pop_back();
        }
        self.confirmed = Judged::unknown();
        self.since = now;
        self.streak = Vec::new();
        self.onset = None;
        self.flapping = false;
    }

    /// How long to the next regular look.
    pub fn interval(&self, interval: Duration) -> Duration {
        if self.confirmed.fault.as_ref().is_some_and(|fault| fault.kind == FaultKind::Hung) {
            interval.max(HUNG_INTERVAL)
        } else {
            interval
        }
    }

    /// What is confirmed, in words: of a flapping one that it flaps, and what it is now.
    pub(crate) fn told(&self) -> Judged {
        let (Some(first), Some(last), true) = (self.changes.front(), self.changes.back(), self.flapping)
        else {
            return self.confirmed.clone();
        };
        let (n, span) = (self.changes.len(), between(*first, *last).as_secs());
        let (now, now_zh) = (&self.confirmed.words.en, &self.confirmed.words.zh);
        let then = |words: &str, before: &str| {
            if words.is_empty() { String::new() } else { format!("{before}{words}") }
        };
        let mut told = self.confirmed.clone();
        told.words = Text::new(
            format!("flapping: {n} changes in {}{}", span_en(span), then(now, "; now: ")),
            format!("抖动：{} 内变化 {n} 次{}", span_zh(span), then(now_zh, "；当前：")),
        );
        if told.short.en.is_empty() {
            told.short = Text::new("flapping", "抖动");
        }
        told
    }

    /// The level to show: a flapping one is held at red.
    pub fn health(&self) -> Health {
        if self.flapping { Health::Red } else { self.confirmed.health }
    }
}

/// `1 min 30 s`.
fn span_en(seconds: u64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, s) => format!("{s} s"),
        (m, 0) => format!("{m} min"),
        (m, s) => format!("{m} min {s} s"),
    }
}

/// `1 分 30 秒`.
fn span_zh(seconds: u64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, s) => format!("{s} 秒"),
        (m, 0) => format!("{m} 分"),
        (m, s) => format!("{m} 分 {s} 秒"),
    }
}

/// Worse in the sense of confirmation: anything bad is worse than not knowing.
fn worse(a: Health, b: Health) -> bool {
    a.severity() > b.severity()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use topology::fault::Fault;

    const INTERVAL: Duration = Duration::from_secs(3);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    fn bad(kind: FaultKind) -> Judged {
        Judged { health: Health::Red, fault: Some(Fault::new(kind, "ask", "")), ..Judged::green() }
    }

    fn look(seconds: i64, judged: Judged) -> Look {
        Look { started: at(seconds), at: at(seconds), judged }
    }

    fn fold(tracker: &mut Tracker, seconds: i64, judged: Judged) -> Step {
        tracker.fold(look(seconds, judged), Confirm::default(), INTERVAL)
    }

    #[test]
    fn a_stall_of_a_moment_is_not_confirmed_as_slowness_and_a_longer_one_is() {
        let slow = || Judged {
            health: Health::Red,
            signal: Some("redis.ping_seconds".to_owned()),
            ..Judged::green()
        };
        let mut t = Tracker::new(at(0));
        fold(&mut t, 1, Judged::green());
        assert_eq!(fold(&mut t, 4, slow()), Step::Suspected);
        // One second is less than half of the interval: asked for another's sake, perhaps.
        assert_eq!(fold(&mut t, 5, slow()), Step::Same);
        assert!(t.suspected() && t.health() == Health::Green);
        assert_eq!(fold(&mut t, 6, slow()), Step::Changed);
        assert_eq!((t.health(), t.since), (Health::Red, at(4)));
        // A refusal is a witness of its own, however soon it comes; a bad answer may be the same one again.
        let mut t = Tracker::new(at(0));
        fold(&mut t, 1, Judged::green());
        fold(&mut t, 4, slow());
        assert_eq!(fold(&mut t, 4, bad(FaultKind::BadAnswer)), Step::Same);
        assert_eq!(fold(&mut t, 4, bad(FaultKind::Refused)), Step::Changed);
        assert_eq!(patience(Duration::from_mins(1)), Duration::from_secs(2));
    }

    #[test]
    fn who_is_slow_now_and_then_is_slow_until_it_is_well_for_two_intervals() {
        let slow = || Judged {
            health: Health::Impaired,
            signal: Some("mysql.select_seconds".to_owned()),
            ..Judged::green()
        };
        let mut t = Tracker::new(at(0));
        fold(&mut t, 1, Judged::green());
        fold(&mut t, 4, slow());
        fold(&mut t, 7, slow());
        assert_eq!(t.health(), Health::Impaired);
        for second in [10, 13] {
            assert_eq!(fold(&mut t, second, Judged::green()), Step::Suspected);
            assert!(t.waits_for_more());
        }
        fold(&mut t, 16, slow());
        for second in [19, 22] {
            fold(&mut t, second, Judged::green());
        }
        assert_eq!(t.health(), Health::Impaired, "three seconds are no two intervals");
        assert_eq!(fold(&mut t, 25, Judged::green()), Step::Changed);
        assert_eq!((t.health(), t.since), (Health::Green, at(19)));
    }

    #[test]
    fn who_is_slow_in_half_of_its_looks_is_slow() {
        let slow = |health| Judged { health, signal: Some("http.total".to_owned()), ..Judged::green() };
        let mut t = Tracker::new(at(0));
        fold(&mut t, 1, Judged::green());
        fold(&mut t, 4, slow(Health::Red));
        fold(&mut t, 7, Judged::green());
        fold(&mut t, 10, slow(Health::Impaired));
        fold(&mut t, 13, Judged::green());
        assert_eq!(fold(&mut t, 16, slow(Health::Red)), Step::Changed);
        assert_eq!((t.health(), t.since), (Health::Impaired, at(4)), "the mildest of them is sure");
        // Twice in six looks it is not yet.
        let mut t = Tracker::new(at(0));
        fold(&mut t, 1, Judged::green());
        for second in (4..100).step_by(9) {
            fold(&mut t, second, slow(Health::Red));
            fold(&mut t, second + 3, Judged::green());
            fold(&mut t, second + 6, Judged::green());
        }
        assert_eq!(t.health(), Health::Green);
    }

    #[test]
    fn one_bad_look_is_a_suspicion_and_two_are_a_fact() {
        let mut t = Tracker::new(at(0));
        assert_eq!(fold(&mut t, 1, Judged::green()), Step::Changed);
        assert_eq!(fold(&mut t, 4, bad(FaultKind::Refused)), Step::Suspected);
        assert!(t.suspected() && t.health() == Health::Green);
        assert_eq!(fold(&mut t, 5, bad(FaultKind::Refused)), Step::Changed);
        assert_eq!((t.health(), t.since, t.onset), (Health::Red, at(4), Some((at(1), at(4)))));
        assert_eq!(fold(&mut t, 8, Judged::green()), Step::Suspected);
        assert!(!t.suspected());
        assert_eq!(fold(&mut t, 9, Judged::green()), Step::Changed);
        assert_eq!((t.health(), t.onset), (Health::Green, None));
    }

    #[test]
    fn a_single_bad_look_between_good_ones_changes_nothing() {
        let mut t = Tracker::new(at(0));
        fold(&mut t, 1, Judged::green());
        for i in 0..50 {
            fold(&mut t, 2 + 2 * i, bad(FaultKind::Dropped));
            assert_eq!(fold(&mut t, 3 + 2 * i, Judged::green()), Step::Same);
            assert_eq!(t.health(), Health::Green);
        }
    }

    #[test]
    fn a_bad_look_that_began_before_a_good_one_is_older_news() {
        let mut t = Tracker::new(at(0));
        fold(&mut t, 1, Judged::green());
        fold(&mut t, 5, Judged::green());
        let late = Look { started: at(4), at: at(6), judged: bad(FaultKind::Hung) };
        assert_eq!(t.fold(late, Confirm::default(), INTERVAL), Step::Same);
        assert!(!t.suspected());
    }

    #[test]
    fn the_first_answer_needs_no_second_and_the_first_fault_does() {
        let mut t = Tracker::new(at(0));
        assert_eq!(fold(&mut t, 1, bad(FaultKind::Refused)), Step::Suspected);
        assert_eq!(t.health(), Health::Unknown);
        assert_eq!(fold(&mut t, 2, bad(FaultKind::Refused)), Step::Changed);
        assert_eq!(t.health(), Health::Red);
    }

    #[test]
    fn a_hang_does_not_age_into_a_connect_timeout() {
        let mut t = Tracker::new(at(0));
        fold(&mut t, 1, Judged::green());
        fold(&mut t, 2, bad(FaultKind::Hung));
        fold(&mut t, 3, bad(FaultKind::Hung));
        fold(&mut t, 9, bad(FaultKind::ConnectTimeout));
        assert_eq!(t.confirmed.fault.as_ref().unwrap().kind, FaultKind::Hung);
        assert_eq!(t.interval(INTERVAL), HUNG_INTERVAL);
        fold(&mut t, 12, bad(FaultKind::Refused));
        assert_eq!(t.confirmed.fault.as_ref().unwrap().kind, FaultKind::Refused);
    }

    #[test]
    fn a_green_that_nobody_renews_becomes_unknown() {
        let mut t = Tracker::new(at(0));
        fold(&mut t, 1, Judged::green());
        assert!(!t.expire(at(10), INTERVAL));
        assert!(t.expire(at(11), INTERVAL));
        assert_eq!(t.health(), Health::Unknown);
        assert!(!t.expire(at(99), INTERVAL));
    }

    #[test]
    fn what_keeps_changing_is_held_at_its_worst_until_it_is_quiet() {
        let mut t = Tracker::new(at(0));
        let mut now = 0;
        let mut twice = |t: &mut Tracker, judged: Judged| {
            now += 2;
            fold(t, now, judged.clone());
            fold(t, now + 1, judged);
            now
        };
        for _ in 0..5 {
            twice(&mut t, Judged::green());
            twice(&mut t, bad(FaultKind::Refused));
        }
        let last = twice(&mut t, Judged::green());
        assert!(t.flapping);
        assert_eq!(t.health(), Health::Red);
        fold(&mut t, last + 59, Judged::green());
        assert!(t.flapping);
        fold(&mut t, last + 65, Judged::green());
        assert_eq!((t.flapping, t.health()), (false, Health::Green));
    }

    #[test]
    fn lesson_22_a_restart_goes_on_where_it_was() {
        let mut before = Tracker::new(at(0));
        fold(&mut before, 1, Judged::green());
        fold(&mut before, 4, bad(FaultKind::Refused));
        fold(&mut before, 5, bad(FaultKind::Refused));
        let kept = (before.confirmed.clone(), before.since, before.onset);
        let mut t = Tracker::new(at(100));
        t.go_on_from(kept.clone());
        assert_eq!(t.health(), Health::Unknown);
        assert_eq!(fold(&mut t, 101, bad(FaultKind::Refused)), Step::Changed);
        assert_eq!((t.health(), t.since, t.onset), (Health::Red, at(4), Some((at(1), at(4)))));
        // Mended meanwhile: green is confirmed as ever.
        let mut t = Tracker::new(at(100));
        t.go_on_from(kept);
        assert_eq!(fold(&mut t, 101, Judged::green()), Step::Suspected);
        assert_eq!(t.health(), Health::Red);
        assert_eq!(fold(&mut t, 102, Judged::green()), Step::Changed);
        assert_eq!(t.health(), Health::Green);
    }

    proptest! {
        /// Whatever comes, in whatever order: red needs two bad looks, and no level outlives its freshness.
        #[test]
        fn no_sequence_breaks_the_rules(steps in prop::collection::vec((0..4_i64, 0..3_u8), 1..200)) {
            let mut t = Tracker::new(at(0));
            let (mut now, mut bad_in_a_row) = (0, 0);
            for (pause, what) in steps {
                now += pause;
                match what {
                    0 => { bad_in_a_row = 0; fold(&mut t, now, Judged::green()); }
                    1 => { bad_in_a_row += 1; fold(&mut t, now, bad(FaultKind::Dropped)); }
                    _ => { t.expire(at(now), INTERVAL); }
                }
                if t.confirmed.health == Health::Green && bad_in_a_row >= 2 {
                    prop_assert!(false, "two bad looks and still green");
                }
                if t.confirmed.health == Health::Red {
                    prop_assert!(t.onset.is_some());
                }
            }
            t.expire(at(now + 10), INTERVAL);
            prop_assert_eq!(t.confirmed.health, Health::Unknown);
        }
    }
}
