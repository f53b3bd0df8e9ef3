//! Incidents that are over, and whose end is not told yet: what goes right after it was told may be about to come back,
//! and one outage is one message. Pure.
//!
//! An end waits only where there is a reason to: the incident was told less than [`SOON`] intervals ago, or it has come
//! back before. So a long outage ends at once, a flapping one is open until it has been quiet for as long as releases a
//! flapping instance, and no end waits longer than that.

use std::collections::BTreeSet;
use std::time::Duration;

use topology::level::Health;
use topology::model::{ComponentId, Model};
use topology::verdict::Verdict;

use crate::announce::{Event, Told};
use crate::chronicle::Called;
use crate::clock::between;
use crate::confirm::FLAP_QUIET;
use crate::incident::{Incident, IncidentState};
use crate::incidents::{Change, Present, Tracked, What};
use crate::names::Names;
use crate::outages::root_components;
use crate::recurrence::parts;
use crate::sentence;
use crate::store::carry_over;

/// An end that comes within this many intervals of the first message waits until they are over: what is down three
/// intervals and up three comes back within them.
const SOON: u32 = 6;

/// The ends that wait.
#[derive(Debug, Default)]
pub(crate) struct Endings {
    list: Vec<Tracked>,
}

impl Endings {
    /// Takes over what a database kept.
    pub(crate) fn restore(list: Vec<Tracked>) -> Self {
        Self { list }
    }

    /// Keeps the end of `tracked`, which is resolved, if it has to wait; true when it does.
    pub(crate) fn keep(&mut self, tracked: &Tracked, present: &Present<'_>) -> bool {
        let waits = tracked.told.messages > 0 && !tracked.flapped && !is_due(tracked, present);
        if waits {
            self.list.push(tracked.clone());
        }
        waits
    }

    /// The ends that nothing holds back any more.
    pub(crate) fn due(&mut self, present: &Present<'_>) -> Vec<Change> {
        let mut changes = Vec::new();
        // Before anybody was looked at after a restart nothing is told: it may be back.
        if present.instances.iter().all(|health| *health == Health::Unknown) {
            return changes;
        }
        self.list.retain_mut(|tracked| {
            if !is_due(tracked, present) {
                return true;
            }
            let all = present.model.alerting.receivers.iter().map(|receiver| &receiver.name);
            let messages = tracked.told.end(Event::Resolve, all, present.now);
            changes.push(tracked.change(What::Updated, messages));
            false
        });
        changes
    }

    /// The incident that `group` is the return of, open again.
    pub(crate) fn back(&mut self, present: &Present<'_>, group: &Verdict) -> Option<Tracked> {
        let wanted = parts(present.model, group);
        let same = |tracked: &Tracked| !parts(present.model, &tracked.incident.verdict).is_disjoint(&wanted);
        let at = self.list.iter().position(same)?;
        let mut tracked = self.list.remove(at);
        tracked.incident.state = IncidentState::Open;
        tracked.incident.resolved_at = None;
        tracked.told.recurs = true;
        tracked.note(present.now, sentence::is_back());
        Some(tracked)
    }

    /// Goes on in another topology.
    pub(crate) fn reload(&mut self, old: &Model, names: &Names) {
        for tracked in &mut self.list {
            let kept = carry_over(old, names, &tracked.incident, &tracked.told);
            (tracked.incident, tracked.told, tracked.called) = (kept.incident, kept.told, Called::default());
        }
    }
}

/// True when the end is to be told now.
fn is_due(tracked: &Tracked, present: &Present<'_>) -> bool {
    let roots = root_components(present.model, &tracked.incident.verdict);
    let interval = longest_interval(present.model, &roots);
    let (from, least) = if tracked.told.recurs {
        (tracked.incident.resolved_at, interval * FLAP_QUIET)
    } else {
        (tracked.told.first_at, interval * SOON)
    };
    from.is_none_or(|from| between(from, present.now) >= least)
}

/// The longest interval of `components`.
pub(crate) fn longest_interval(model: &Model, components: &BTreeSet<ComponentId>) -> Duration {
    components.iter().map(|id| model.component(*id).interval()).max().unwrap_or_default()
}

/// True while an incident is over and its end still to be told.
pub(crate) fn is_ending(incident: &Incident, told: &Told) -> bool {
    incident.state == IncidentState::Resolved && !told.receivers.is_empty()
}
