//! From the levels that are confirmed to a board: what is paused, the roll-up, the verdict, the incidents.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use topology::level::Health;
use topology::model::InstanceId;
use topology::rollup::{self, RolledUp};
use topology::verdict::{Culprit, InstanceFacts, Onset, Situation, Verdict, solve};

use super::{Engine, JobId, MIN_SIGHT, was_reached};
use crate::board::{Board, MonitorState};
use crate::clock::{between, seconds};
use crate::compose;
use crate::confirm::{STALE_AFTER, Tracker};
use crate::incidents::{Change, Present};
use crate::sentence;
use crate::signs;

impl Engine {
    /// True when every probe of the last round failed in a way that proves no sight.
    pub(crate) fn blind(&self, now: Timestamp) -> bool {
        // What comes by itself shows no way out.
        let asked = self.jobs.iter().zip(&self.states).filter(|(job, _)| !job.probe.kind.passive);
        let recent = asked.filter_map(|(job, state)| {
            let latest = state.latest.as_ref()?;
            let window = job.probe.interval + job.probe.timeout;
            (between(latest.started, now) <= window * 2).then_some(latest.sight)
        });
        let (mut n, mut sight) = (0, false);
        for seen in recent {
            n += 1;
            sight |= seen;
        }
        n >= MIN_SIGHT && !sight
    }

    /// A new board, and what happened to the incidents on the way.
    pub fn board(&mut self, now: Timestamp, monitor: MonitorState) -> (Board, Vec<Change>) {
        self.sequence += 1;
        let model = Arc::clone(&self.model);
        let graph = Arc::clone(&self.graph);
        let late = monitor.blind;
        let blind = late || self.blind(now);
        if blind {
            self.forget_what_was_not_seen(now);
        }
        let monitor = MonitorState { blind, seen: self.seen(), ..monitor };
        self.calm = !model.instance_ids().any(|id| self.own(id).0.is_unhealthy());
        let beneath: Vec<Health> = if blind {
            vec![Health::Unknown; model.instances.len()]
        } else {
            model.instance_ids().map(|id| self.own(id).0).collect()
        };
        // What is being worked at is looked at as ever, and counts for nothing.
        let paused = self.upkeep.at(&model, &self.silences, now);
        let health: Vec<Health> = beneath
            .iter()
            .zip(paused)
            .map(|(own, paused)| if *paused { Health::Paused } else { *own })
            .collect();
        let rolled = self.roll_up(&health);
        let verdict = if blind { Verdict::default() } else { self.verdict(&health, now) };
        let mut changes = if blind {
            self.withdraw(now)
        } else {
            self.step_incidents(&verdict, (&health, &beneath), &rolled, now)
        };
        changes.extend(self.step_beside(blind.then(|| sentence::why_blind(late)).as_ref(), &health, now));
        let board = compose::board(
            self,
            compose::Parts { sequence: self.sequence, now, monitor, model, graph, health, rolled, verdict },
        );
        (board, changes)
    }

    /// What ended in nothing while nobody could see anything was never seen: it is neither red nor to blame, also
    /// when sight comes back.
    fn forget_what_was_not_seen(&mut self, now: Timestamp) {
        for state in &mut self.states {
            if state.tracker.confirmed.fault.as_ref().is_some_and(|fault| !was_reached(fault)) {
                state.tracker.forget(now);
            }
        }
    }

    /// Incidents that were opened on the way into blindness, and that nobody was told of, blame nobody.
    fn withdraw(&mut self, now: Timestamp) -> Vec<Change> {
        let longest = self.model.longest_interval();
        self.incidents.withdraw_untold(now, longest * STALE_AFTER)
    }

    /// The incidents that no node makes: a blind monitor, and curves.
    fn step_beside(
        &mut self,
        why_blind: Option<&topology::text::Text>,
        health: &[Health],
        now: Timestamp,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        // Before everybody was looked at, nobody knows whether sight is back.
        if why_blind.is_some() || health.iter().any(|h| *h != Health::Unknown) {
            changes.extend(self.sight.step((&self.model, &self.silences), why_blind, now, &*self.new_id));
        }
        self.curves.expire(&self.model, now);
        let green = why_blind.is_none() && health.iter().all(|h| !h.is_unhealthy() && *h != Health::Unknown);
        let states = self.curves.states();
        changes.extend(self.outages.step((&self.model, &self.silences), &states, green, now, &*self.new_id));
        changes
    }

    fn seen(&self) -> usize {
        let observed =
            |jobs: &&Vec<JobId>| jobs.iter().all(|job| self.states[*job].tracker.observed_at.is_some());
        self.jobs_of.iter().filter(observed).count()
    }

    fn roll_up(&self, health: &[Health]) -> Vec<RolledUp> {
        rollup::roll_up(&self.graph, |i| health[i], |i| self.role(InstanceId(i as u32)), &[])
    }

    fn verdict(&self, health: &[Health], now: Timestamp) -> Verdict {
        if !health.iter().any(|h| h.is_unhealthy()) {
            return Verdict::default();
        }
        let old = self.long_bad();
        let facts: Vec<InstanceFacts<'_>> =
            self.model.instance_ids().map(|id| self.facts(id, health, &old, now)).collect();
        let witnesses = self.witnesses(now);
        let signs = signs::signs(self, now);
        solve(&Situation {
            model: &self.model,
            graph: &self.graph,
            instances: &facts,
            witnesses: &witnesses,
            signs: &signs,
            changes: &self.changes.facts(&self.model),
        })
    }

    fn facts(
        &self,
        id: InstanceId,
        health: &[Health],
        old: &BTreeSet<InstanceId>,
        now: Timestamp,
    ) -> InstanceFacts<'_> {
        let jobs = || self.jobs_of[id.index()].iter().map(|job| &self.states[*job].tracker);
        let component = self.model.component(self.model.instance(id).component);
        let worst = self.own(id).1.map(|job| &self.states[job].tracker);
        InstanceFacts {
            health: health[id.index()],
            suspected: jobs().any(Tracker::suspected),
            fault: worst.and_then(|tracker| tracker.confirmed.fault.as_ref()),
            signal: worst.and_then(|tracker| tracker.confirmed.signal.as_deref()),
            onset: jobs()
                .filter_map(|tracker| tracker.onset)
                .map(|(good, bad)| Onset { last_good: seconds(good), first_bad: seconds(bad) })
                .min_by(|a, b| a.first_bad.total_cmp(&b.first_bad)),
            // Good means that all its probes are.
            last_good: jobs()
                .map(|tracker| tracker.last_good.map(seconds))
                .reduce(|a, b| Some(a?.min(b?)))
                .flatten(),
            role: self.role(id),
            chronic: old.contains(&id),
            exercises: component.exercises_dependencies(),
            interval: component.interval().as_secs_f64(),
            looks: self.looks(id),
            slower_by: self.slower_by(id, now),
        }
    }

    fn step_incidents(
        &mut self,
        verdict: &Verdict,
        (health, beneath): (&[Health], &[Health]),
        rolled: &[RolledUp],
        now: Timestamp,
    ) -> Vec<Change> {
        let components: Vec<Health> = rolled.iter().map(|r| r.health).collect();
        let longest = self.model.longest_interval();
        // Taken out for the step, which only reads the rest of the engine.
        let mut incidents = std::mem::take(&mut self.incidents);
        let onset_of = |culprit| self.onset_of(culprit);
        let noted = self.changes.list();
        let looked_at = |id: InstanceId| {
            let latest = self.jobs_of[id.index()].iter().filter_map(|job| self.states[*job].latest.as_ref());
            latest.map(|latest| latest.started).max()
        };
        let flapping =
            |id: InstanceId| self.jobs_of[id.index()].iter().any(|job| self.states[*job].tracker.flapping);
        let present = Present {
            model: &self.model,
            verdict,
            instances: health,
            beneath,
            components: &components,
            onset_of: &onset_of,
            now,
            grace: longest * STALE_AFTER + Duration::from_secs(3),
            changes: &noted,
            looked_at: &looked_at,
            flapping: &flapping,
            burning: self.burning.as_ref(),
            silences: &self.silences,
        };
        let changes = incidents.step(&present, &*self.new_id);
        self.incidents = incidents;
        changes
    }

    /// When a culprit went bad.
    fn onset_of(&self, culprit: Culprit) -> Option<Timestamp> {
        let first = |id: InstanceId| {
            self.jobs_of[id.index()]
                .iter()
                .filter_map(|job| self.states[*job].tracker.onset)
                .map(|(_, bad)| bad)
                .min()
        };
        match culprit {
            Culprit::Instance(id) => first(id),
            Culprit::Component(id) => self.model.component(id).instance_ids().filter_map(first).min(),
            Culprit::Edge(edge) => {
                let from = self.graph.dependency(edge).from;
                self.model.component(from).instance_ids().filter_map(first).min()
            }
            Culprit::Way { from, .. } => first(from),
            Culprit::Label(label) => label.instances(&self.model).filter_map(first).min(),
            Culprit::Monitor | Culprit::MonitorSight(_) => None,
        }
    }
}
