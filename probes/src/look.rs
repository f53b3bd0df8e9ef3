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

/// A stage that did not end in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Late {
    stage: &'static str,
    after: Duration,
}

impl Late {
    /// Connected, and then nothing.
    pub(crate) fn hung(self) -> Stop {
        let words = format!("connected, no answer in {}", seconds(self.after));
        Fault::new(FaultKind::Hung, self.stage, &words).into()
    }
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
        let began = now();
        let done = tokio::time::timeout_at(until.min(self.deadline).into(), work).await;
        let took = now() - began;
        self.record(name, took);
        done.map_err(|_| Late { stage: name, after: took })
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
