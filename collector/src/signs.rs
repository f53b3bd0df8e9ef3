//! What the recent past tells the verdict: who answers slower than usual, who has been bad for long, and what
//! the queues of a broker do.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use topology::model::{ComponentId, InstanceId, Probe};
use topology::normal::median_of;
use topology::verdict::{Culprit, Meaning, Sign};

use crate::clock::between;
use crate::engine::{Engine, JobId};

/// Whoever has been bad for so long before the newest trouble began is no news.
const LONG: Duration = Duration::from_mins(30);
/// Answers whose middle is "now".
const ANSWERS: usize = 10;
/// Of the well, answers within so many intervals.
const LATELY: u32 = 10;
/// What a broker's values are now: the middle of so many seconds.
const NOW: f64 = 60.0;
/// A value within this many spreads of its normal has not moved.
const MOVED: f64 = 3.0;

/// True when a normal is kept of a signal: what is judged by it, and what the queues of a broker do.
pub(crate) fn wanted(probe: &Probe, signal: &str) -> bool {
    if probe.thresholds.iter().any(|threshold| threshold.times.is_some() && threshold.signal == signal) {
        return true;
    }
    let queues = probe.kind.labelled.is_some_and(|group| group.key == "queues");
    let meaning = || Meaning::of(signal);
    queues && matches!(meaning(), Some(Meaning::Backlog | Meaning::Published | Meaning::Delivered))
}

/// The brokers' values that moved.
pub(crate) fn signs(engine: &Engine, now: Timestamp) -> Vec<Sign> {
    let mut signs = Vec::new();
    for (job, state) in engine.jobs.iter().zip(&engine.states) {
        let Some(latest) = state.latest.as_ref().filter(|_| job.probe.kind.labelled.is_some()) else {
            continue;
        };
        for (signal, value) in latest.signals.iter().filter(|(signal, _)| wanted(&job.probe, signal)) {
            let (Some(meaning), Some(name)) = (Meaning::of(signal), engine.interned.find(signal)) else {
                continue;
            };
            let Some(normal) = state.usual.signal(name) else { continue };
            let mut lately: Vec<f64> = state
                .recent
                .values(name, now)
                .into_iter()
                .filter_map(|(t, v)| (t >= -NOW).then_some(v))
                .chain([*value])
                .collect();
            let off = |v: &f64| (v - normal.median).abs();
            let extreme = lately.iter().copied().max_by(|a, b| off(a).total_cmp(&off(b))).unwrap_or(*value);
            let middle = median_of(&mut lately);
            if normal.deviation(middle).abs() >= MOVED {
                let (normal, now, peer) = (normal.median, middle, None);
                signs.push(Sign {
                    at: job.instance,
                    signal: signal.clone(),
                    meaning,
                    peer,
                    normal,
                    now,
                    extreme,
                });
            }
        }
    }
    signs
}

impl Engine {
    /// How much longer than usual the answers of an instance take, in seconds. Not of one that is bad for
    /// another reason: a full memory is no wait.
    pub(crate) fn slower_by(&self, id: InstanceId, now: Timestamp) -> Option<f64> {
        let (health, worst) = self.own(id);
        let jobs = &self.jobs_of[id.index()];
        let tells = |job: &&JobId| self.jobs[**job].probe.kind.exercises_dependencies;
        let job = worst.or_else(|| jobs.iter().find(tells).or(jobs.first()).copied())?;
        let (state, interval) = (&self.states[job], self.interval(job));
        let confirmed = &state.tracker.confirmed;
        let timed = |signal: &String| signal.split('[').next().is_some_and(|s| s.ends_with("_seconds"));
        let bad = health.is_unhealthy();
        if bad && confirmed.fault.is_none() && !confirmed.signal.as_ref().is_some_and(timed) {
            return None;
        }
        let lately = now.checked_sub(interval * LATELY).ok()?;
        let since = state.tracker.onset.filter(|_| bad).map_or(lately, |(_, first_bad)| first_bad);
        let mut took = state.recent.answered(since, ANSWERS);
        let usual = state.usual.took().filter(|_| !took.is_empty())?;
        Some(median_of(&mut took) - usual)
    }

    /// Those that have been as bad as they are for [`LONG`] when the newest trouble began, and that no open
    /// incident is about: a cause that lasts is not let go.
    pub(crate) fn long_bad(&self) -> BTreeSet<InstanceId> {
        let since = |id: InstanceId| {
            let (health, job) = self.own(id);
            let tracker = &self.states[job.filter(|_| health.is_unhealthy())?].tracker;
            // Who got worse is news again, however long it has been ailing.
            tracker.onset.map(|(_, first_bad)| first_bad.max(tracker.since))
        };
        let bad: Vec<(InstanceId, Timestamp)> =
            self.model.instance_ids().filter_map(|id| Some((id, since(id)?))).collect();
        let Some(newest) = bad.iter().map(|(_, since)| *since).max() else { return BTreeSet::new() };
        let known = self.in_incidents();
        bad.into_iter()
            .filter(|(_, since)| between(*since, newest) > LONG)
            .filter(|(id, _)| !known.contains(&self.model.instance(*id).component))
            .map(|(id, _)| id)
            .collect()
    }

    /// The components that open incidents are about.
    fn in_incidents(&self) -> BTreeSet<ComponentId> {
        let mut known = BTreeSet::new();
        for incident in self.incidents.open() {
            known.extend(incident.verdict.affected.iter().map(|affected| affected.component));
            for root in &incident.verdict.roots {
                known.extend(root.culprit.component(&self.model));
                if let Culprit::Label(label) = root.culprit {
                    known.extend(label.instances(&self.model).map(|id| self.model.instance(id).component));
                }
            }
        }
        known
    }
}

#[cfg(test)]
#[path = "signs_tests.rs"]
mod tests;
