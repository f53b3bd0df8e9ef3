//! The end of an outage: its cause is well, and those it affected have not heard yet. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use topology::level::Health;
use topology::model::{ComponentId, InstanceId};
use topology::verdict::{Culprit, Suspect, Verdict};

use crate::chronicle::note;
use crate::clock::between;
use crate::incident::Incident;
use crate::incidents::{Present, Tracked};
use crate::outages::{drop_roots, in_components, members, roots_of};
use crate::sentence;

/// A value over the last minute (the share of errors in an access log, a rate) remembers an outage for as long after its
/// end, and a look more: whoever is past a limit then is not broken himself.
const REMEMBERED: Duration = Duration::from_secs(75);

/// The end of an outage, from the first sign of it.
#[derive(Clone, Debug)]
pub(crate) struct Recovery {
    /// Since when no other root got well; until the first is seen to be, since somebody affected is.
    since: Timestamp,
    /// The roots that were seen to be well.
    well: BTreeSet<Culprit>,
    /// Whom it was about when it began.
    members: BTreeSet<ComponentId>,
}

/// While the affected of a cause that recovered catch up, they blame nobody: groups made only of them are taken out,
/// and the incident says that it is recovering. The answer is whom it was about, when a cause is just seen to be well.
pub(crate) fn hold(
    tracked: &mut Tracked,
    present: &Present<'_>,
    groups: &mut Vec<Verdict>,
) -> Option<BTreeSet<ComponentId>> {
    let roots: Vec<Culprit> = roots_of(&tracked.incident).iter().map(|root| root.culprit).collect();
    let bad: BTreeSet<Culprit> = roots.iter().copied().filter(|root| is_bad(present, *root)).collect();
    tracked.were_bad.extend(&bad);
    // Who was taken out of the file does not recover, nor does who was only blamed.
    if tracked.were_bad.is_empty() {
        return None;
    }
    let well: BTreeSet<Culprit> = tracked.were_bad.difference(&bad).copied().collect();
    // Who asks the cause may see it well before the cause's own second look.
    let begins = !well.is_empty() || one_is_well_again(present, &tracked.incident.verdict);
    // A root that is a little unwell after its start does not end what has begun.
    if !begins && tracked.recovering.is_none() {
        return None;
    }
    let recovery = tracked.recovering.get_or_insert_with(|| Recovery {
        since: present.now,
        well: BTreeSet::new(),
        members: members(present.model, &tracked.incident.verdict),
    });
    let members = recovery.members.clone();
    let left = members.iter().filter(|c| present.components[c.index()].is_unhealthy()).count();
    if left == 0 {
        tracked.recovering = None;
        return None;
    }
    let incident = &mut tracked.incident;
    let newly: Vec<Suspect> = roots_of(incident)
        .iter()
        .filter(|root| well.contains(&root.culprit) && !recovery.well.contains(&root.culprit))
        .cloned()
        .collect();
    if !newly.is_empty() {
        recovery.since = present.now;
        recovery.well.extend(newly.iter().map(|root| root.culprit));
        note(incident, present.now, sentence::answers_again(present.model, &newly));
    }
    let age = between(recovery.since, present.now);
    let is_own = |root: &Suspect| roots.contains(&root.culprit);
    let is_late = |root: &Suspect| age <= present.grace || age <= REMEMBERED && root.signal.is_some();
    let is_held =
        |root: &Suspect| !is_own(root) && is_late(root) && in_components(present.model, root, &members);
    if age > present.grace && !groups.iter().any(|group| group.roots.iter().any(is_held)) {
        (tracked.recovering, tracked.were_bad) = (None, bad);
        return None;
    }
    groups.retain(|group| !group.roots.iter().all(is_held));
    for group in groups.iter_mut().filter(|group| group.roots.iter().any(is_own)) {
        drop_roots(group, &is_held);
    }
    if bad.is_empty() {
        incident.title = sentence::recovering(present.model, roots_of(incident), left);
    }
    (!newly.is_empty()).then_some(members)
}

/// Whom an outage that goes on was about a moment ago: its causes come and go while it ends (a database that starts is
/// red in turn with its replicas), and who has suffered and is not well yet is nobody's new outage.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wake {
    until: BTreeMap<ComponentId, Timestamp>,
}

impl Wake {
    /// Keeps whom the outage is about now, and lets go whom it has not been about for [`Present::grace`].
    pub(crate) fn pass(&mut self, present: &Present<'_>, verdict: &Verdict) {
        self.until.extend(members(present.model, verdict).into_iter().map(|member| (member, present.now)));
        self.until.retain(|_, at| between(*at, present.now) <= present.grace);
    }

    /// True when all roots of `group` lie where the outage was, and no longer is.
    pub(crate) fn has(&self, present: &Present<'_>, incident: &Incident, group: &Verdict) -> bool {
        let still = members(present.model, &incident.verdict);
        group.roots.iter().all(|root| {
            let component = root.culprit.component(present.model);
            component.is_some_and(|id| self.until.contains_key(&id) && !still.contains(&id))
        })
    }
}

/// True when a component of which instances were unhealthy by the doing of a root has none any more.
fn one_is_well_again(present: &Present<'_>, verdict: &Verdict) -> bool {
    let mut well: BTreeMap<ComponentId, bool> = BTreeMap::new();
    for (id, root) in &verdict.explained {
        let component = present.model.instance(*id).component;
        if verdict.roots[*root].culprit.component(present.model) != Some(component) {
            *well.entry(component).or_insert(true) &= present.instances[id.index()] == Health::Green;
        }
    }
    well.values().any(|well| *well)
}

fn is_named(present: &Present<'_>, culprit: Culprit) -> bool {
    present.verdict.roots.iter().any(|root| root.culprit == culprit)
}

fn is_bad(present: &Present<'_>, culprit: Culprit) -> bool {
    // What is only at risk is no trouble of others any more. A pause is no recovery.
    let bad = |id: InstanceId| match present.instances[id.index()] {
        Health::Paused => present.beneath[id.index()].is_unhealthy(),
        health => matches!(health, Health::Red | Health::Impaired),
    };
    let unwell = |id: InstanceId| bad(id) || present.instances[id.index()] == Health::AtRisk;
    match culprit {
        Culprit::Instance(id) => bad(id),
        Culprit::Component(id) => present.model.component(id).instance_ids().any(bad),
        Culprit::Label(label) => label.instances(present.model).any(bad),
        // A way is bad as long as the verdict says so, or who could not use it is unwell (only at risk, where he can do
        // without), whoever is blamed for that now.
        Culprit::Edge(_) | Culprit::Way { .. } => {
            let from = culprit.component(present.model);
            is_named(present, culprit)
                || from.is_some_and(|id| present.model.component(id).instance_ids().any(unwell))
        }
        Culprit::Monitor | Culprit::MonitorSight(_) => is_named(present, culprit),
    }
}
