//! One look in progress: its deadline, its stages, and what it has found so far.

use std::future::Future;
use std::time::{Duration, Instant};

use topology::fault::{Fault, FaultKind, clean_words};
use topology::model::{Address, Probe};

use crate::clock::now;
use crate::memory::{Key, Rise};
use crate::observation::{Answer, Stage, Witness};
use crate::prober::Shared;

/// How long a polite close may take; it is never part of the result.
pub(crate) const CLOSE: Duration = Duration::from_millis(50);

/// Events from which a share of them says something: with fewer a single one is 5 % or more. Our choice.
const LEAST_EVENTS: f64 = 20.0;

/// Why a look ended without an answer.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The target's fault.
    Fault(Fault),
    /// The monitor's own host failed.
    Local(String),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Woken so much after its deadline, the monitor itself had no time: an answer may have lain there unread. Our choice;
/// an idle machine wakes within 2 ms, one at ten times its load within some 100.
const OVERSLEPT: Duration = Duration::from_millis(100);
/// Who got less time than this to answer was not asked seriously: what took the rest of the time is the fault.
const FAIR: Duration = Duration::from_millis(100);

/// A stage that did not end in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Late {
    stage: &'static str,
    after: Duration,
    /// How long it would have had.
    given: Duration,
    /// How long after that the monitor looked at its clock.
    overslept: Duration,
    /// The stage before it that took longest.
    longest: Option<Stage>,
}

impl Late {
    /// Connected, and then nothing.
    pub(crate) fn hung(self) -> Stop {
        self.hung_without("no answer")
    }

    /// The same, in words for what did not come.
    pub(crate) fn hung_without(self, what: &str) -> Stop {
        if let Some(stop) = slept(self.overslept) {
            return stop;
        }
        if let Some(longest) = self.longest.filter(|stage| self.given < FAIR && stage.took > 2 * self.given) {
            let kind = match longest.name {
                "resolve" => FaultKind::Unresolvable,
                "tcp" => FaultKind::ConnectTimeout,
                _ => FaultKind::Hung,
            };
            let words = format!("it took {}, and left no time for more", seconds(longest.took));
            return Fault::new(kind, longest.name, &words).into();
        }
        let words = format!("connected, {what} in {}", seconds(self.after));
        Fault::new(FaultKind::Hung, self.stage, &words).into()
    }

    /// Another fault than a hang; none, where the monitor itself had no time.
    pub(crate) fn or(self, fault: Stop) -> Stop {
        slept(self.overslept).unwrap_or(fault)
    }
}

/// Nothing said of the target, when the monitor looked at its clock so long after a deadline that it was itself kept
/// from looking.
pub(crate) fn slept(late: Duration) -> Option<Stop> {
    (late > OVERSLEPT).then(|| {
        Stop::Local(format!(
            "this monitor woke {} after its deadline: it gets too little time",
            seconds(late)
        ))
    })
}

/// A duration as people write it.
pub(crate) fn seconds(time: Duration) -> String {
    topology::kind::show_value(time.as_secs_f64(), topology::kind::Unit::Seconds)
}

/// One look in progress.
pub(crate) struct Look<'a> {
    pub(crate) probe: &'a Probe,
    pub(crate) address: &'a Address,
    pub(crate) instance: &'a str,
    pub(crate) shared: &'a Shared,
    /// What was measured; it counts only if the look ends well.
    pub(crate) answer: Answer,
    /// What the instance says of its dependencies; it counts in any case.
    pub(crate) witnesses: Vec<Witness>,
    pub(crate) stages: Vec<Stage>,
    /// A kept connection is not to be used.
    pub(crate) fresh: bool,
    /// The connection was left within an exchange, and must not be used again.
    pub(crate) spoiled: bool,
    began: Instant,
    deadline: Instant,
}

impl<'a> Look<'a> {
    pub(crate) fn new(probe: &'a Probe, address: &'a Address, instance: &'a str, shared: &'a Shared) -> Self {
        let began = now();
        Self {
            probe,
            address,
            instance,
            shared,
            answer: Answer::default(),
            witnesses: Vec::new(),
            stages: Vec::new(),
            fresh: false,
            spoiled: false,
            began,
            deadline: began + probe.timeout,
        }
    }

    /// When all must be over.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The deadline with some time kept back for a second question.
    pub(crate) fn deadline_less(&self, reserve: Duration) -> Instant {
        self.began + self.probe.timeout.saturating_sub(reserve.min(self.probe.timeout / 4))
    }

    /// When a stage must be over that may take `share` of what is left, but not less than `least` if the
    /// deadline allows it.
    pub(crate) fn within(&self, share: f64, least: Duration) -> Instant {
        let cap = self.probe.timeout.mul_f64(share).max(least);
        (now() + cap).min(self.deadline)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        now() - self.began
    }

    /// How long it has taken so far, as [`Look::since`] counts.
    pub(crate) fn took(&self) -> Duration {
        self.since(self.began)
    }

    /// How long it has been since `began`, less the time in which the monitor itself could not work: what is measured is
    /// the target's time.
    pub(crate) fn since(&self, began: Instant) -> Duration {
        self.between(began, now())
    }

    fn between(&self, began: Instant, ended: Instant) -> Duration {
        (ended - began).saturating_sub(self.shared.lag.within(began, ended))
    }

    /// A second question within the same deadline, kept apart from the first.
    pub(crate) fn again(&self) -> Look<'a> {
        Look { deadline: self.deadline, ..Look::new(self.probe, self.address, self.instance, self.shared) }
    }

    /// Does `work` as the stage `name`, until `until` at the latest. Its time is kept either way.
    pub(crate) async fn stage<F: Future>(
        &mut self,
        name: &'static str,
        until: Instant,
        work: F,
    ) -> Result<F::Output, Late> {
        let (began, until) = (now(), until.min(self.deadline));
        let done = tokio::time::timeout_at(until.into(), work).await;
        let ended = now();
        let took = ended - began;
        let longest = self.stages.iter().max_by_key(|stage| stage.took).copied();
        self.record(name, self.between(began, ended));
        done.map_err(|_| Late {
            stage: name,
            after: took,
            given: until.saturating_duration_since(began),
            overslept: ended.saturating_duration_since(until),
            longest,
        })
    }

    /// Says goodbye, for as long as [`CLOSE`] allows; how it ends is of no interest.
    pub(crate) async fn close<F: Future>(&self, goodbye: F) {
        // A little less than what is allowed past the deadline in all.
        let until = (now() + CLOSE).min(self.deadline + CLOSE.mul_f64(0.8));
        let _ended = tokio::time::timeout_at(until.into(), goodbye).await;
    }

    /// Keeps a stage's time; a stage that returns adds to its own.
    pub(crate) fn record(&mut self, name: &'static str, took: Duration) {
        match self.stages.iter_mut().find(|stage| stage.name == name) {
            Some(stage) => stage.took += took,
            None => self.stages.push(Stage { name, took }),
        }
    }

    /// How long a stage took.
    pub(crate) fn stage_seconds(&self, name: &str) -> Option<f64> {
        self.stages.iter().find(|stage| stage.name == name).map(|stage| stage.took.as_secs_f64())
    }

    /// Keeps a signal; what is not a number is no measurement.
    pub(crate) fn put(&mut self, name: impl Into<String>, value: f64) {
        if value.is_finite() {
            self.answer.signals.insert(name.into(), value);
        }
    }

    /// Which instance this is, looked at how, in the prober's memory.
    pub(crate) fn key(&self) -> Key {
        self.shared.memory.key(self.probe, self.address, self.instance)
    }

    /// True when a question need not be asked, because it was within `every`: what was found then is found
    /// again. A question of a fresh look is always asked.
    pub(crate) fn replay(&mut self, question: &'static str, every: Duration) -> bool {
        if self.fresh {
            return false;
        }
        let Some(found) = self.shared.memory.recall(self.key(), now(), question, every) else { return false };
        self.answer.signals.extend(found);
        true
    }

    /// Keeps the signals whose names begin so, until the question is asked again.
    pub(crate) fn remember(&mut self, question: &'static str, beginnings: &[&str]) {
        let kept = |name: &str| beginnings.iter().any(|beginning| name.starts_with(beginning));
        let found = self.answer.signals.iter().filter(|(name, _)| kept(name));
        let found = found.map(|(name, value)| (name.clone(), *value)).collect();
        self.shared.memory.remember(self.key(), now(), question, found);
    }

    /// Keeps a counter's rise a second, from the third look on. `identity` names the life of the process
    /// that counts: a counter that begins anew has no rate.
    pub(crate) fn rate(&mut self, signal: &str, total: Option<f64>, identity: &str) {
        let Some(total) = total else { return };
        let rate = self.shared.memory.rate(self.key(), now(), signal, total, identity);
        self.put_some(signal, rate.map(Rise::rate));
    }

    /// Keeps the share of one counter's rise in the rise of both, where both together rose by [`LEAST_EVENTS`] over the
    /// window and by more than `least` a second: of fewer a share says nothing.
    pub(crate) fn share_of(
        &mut self,
        signal: &str,
        part: Option<f64>,
        rest: Option<f64>,
        identity: &str,
        least: f64,
    ) {
        let (Some(part), Some(rest)) = (part, rest) else { return };
        let (key, memory) = (self.key(), &self.shared.memory);
        let part_rise = memory.rate(key, now(), signal, part, identity);
        let both_rise = memory.both(key, now(), signal, part + rest, identity);
        let enough = |both: &Rise| both.by >= LEAST_EVENTS && both.rate() > least;
        if let (Some(part), Some(both)) = (part_rise, both_rise.filter(enough)) {
            self.put(signal, part.by / both.by);
        }
    }

    /// Keeps a signal that may be missing.
    pub(crate) fn put_some(&mut self, name: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// Keeps a remark for people.
    pub(crate) fn note(&mut self, text: &str) {
        self.answer.notes.push(clean_words(text));
    }

    /// Keeps the role, and whether it is the one expected.
    pub(crate) fn set_role(&mut self, signal: &str, role: &'static str) {
        self.answer.role = Some(role);
        match self.probe.text("expect_role") {
            None | Some("any") => {}
            Some(expected) => self.put(signal, crate::spec::truth(expected == role)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late(given_ms: u64, overslept_ms: u64, longest: Option<(&'static str, u64)>) -> Late {
        let time = Duration::from_millis;
        Late {
            stage: "ask",
            after: time(given_ms),
            given: time(given_ms),
            overslept: time(overslept_ms),
            longest: longest.map(|(name, took)| Stage { name, took: time(took) }),
        }
    }

    fn fault(stop: Stop) -> (FaultKind, &'static str, String) {
        match stop {
            Stop::Fault(fault) => (fault.kind, fault.stage, fault.words),
            Stop::Local(why) => panic!("{why}"),
        }
    }

    #[test]
    fn who_had_its_time_and_did_not_answer_hangs() {
        let (kind, stage, words) = fault(late(1400, 3, Some(("tcp", 90))).hung());
        assert_eq!((kind, stage, words.as_str()), (FaultKind::Hung, "ask", "connected, no answer in 1.4 s"));
    }

    #[test]
    fn a_monitor_that_woke_late_says_nothing_of_the_target() {
        for stop in [late(1400, 101, None).hung(), late(1400, 101, None).or(late(9, 0, None).hung())] {
            assert!(matches!(stop, Stop::Local(why) if why.contains("gets too little time")));
        }
    }

    #[test]
    fn who_was_left_no_time_is_not_the_one_to_blame() {
        let of = |name| fault(late(10, 0, Some((name, 1490))).hung());
        assert_eq!(
            of("tcp"),
            (FaultKind::ConnectTimeout, "tcp", "it took 1.5 s, and left no time for more".to_owned())
        );
        assert_eq!((of("resolve").0, of("handshake").0), (FaultKind::Unresolvable, FaultKind::Hung));
        // A short timeout is fair all the same.
        assert_eq!(fault(late(80, 0, Some(("tcp", 20))).hung()).1, "ask");
    }
}
