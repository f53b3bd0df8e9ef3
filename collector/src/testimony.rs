//! What instances say of one another, as facts for the verdict.

use jiff::Timestamp;
use topology::fault::FaultKind;
use topology::level::Health;
use topology::model::InstanceId;
use topology::verdict::{Looks, WitnessFact};

use crate::clock::between;
use crate::confirm::STALE_AFTER;
use crate::engine::{Engine, Job, JobState};
use crate::recent::said_well;

/// So many of its [`LATEST_LOOKS`] without an answer say of one whose others were answered that it is starved.
const HUNG_LOOKS: usize = 2;
/// See [`HUNG_LOOKS`].
const LATEST_LOOKS: usize = 6;

impl Engine {
    /// What the last bad answer of an instance told of what it needs. The words of its other probes are not those
    /// of the answer that was bad: a gateway's log may praise all servers while a page of it fails.
    pub(crate) fn looks(&self, id: InstanceId) -> Looks {
        let words = self.own(id).1.map_or(&[][..], |job| self.states[job].witnesses());
        let any_bad = words.iter().any(|word| word.health == Health::Red);
        let all_fine = !words.is_empty() && words.iter().all(|word| word.health == Health::Green);
        Looks::last((any_bad || all_fine).then_some(any_bad))
    }

    /// True of one that now and then does not answer at all while another of its kind is well: it gets too little time
    /// itself, and runs into its own limits on others. What it says against them is no evidence.
    fn is_starved(&self, job: &Job, state: &JobState, now: Timestamp) -> bool {
        if !state.tracker.health().is_unhealthy() {
            return false;
        }
        let old = state.recent.len().saturating_sub(LATEST_LOOKS);
        let latest = state.recent.looks(now).skip(old);
        if latest.filter(|look| look.fault == Some(FaultKind::Hung)).count() < HUNG_LOOKS {
            return false;
        }
        let component = self.model.instance(job.instance).component;
        let mut others = self.model.component(component).instance_ids().filter(|id| *id != job.instance);
        others.any(|id| self.own(id).0 == Health::Green)
    }

    /// The fresh words of dependants, by the names the file has.
    pub(crate) fn witnesses(&self, now: Timestamp) -> Vec<WitnessFact> {
        let mut facts = Vec::new();
        for (job, state) in self.jobs.iter().zip(&self.states) {
            let Some(latest) = &state.latest else { continue };
            if between(latest.at, now) > state.tracker.interval(job.probe.interval) * STALE_AFTER {
                continue;
            }
            let credible = !self.is_starved(job, state, now);
            let said = state.witnesses().iter().filter_map(|w| Some((w, said_well(w)?)));
            for (witness, ok) in said.filter(|(_, ok)| *ok || credible) {
                let on_instance = self.names.instance(&witness.on);
                let on = self
                    .names
                    .component(&witness.on)
                    .or_else(|| on_instance.map(|id| self.model.instance(id).component));
                if let Some(on) = on {
                    facts.push(WitnessFact {
                        by: job.instance,
                        on,
                        on_instance,
                        ok,
                        words: witness.words.clone(),
                        count: 1,
                    });
                }
            }
        }
        facts
    }
}
