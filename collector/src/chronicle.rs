//! What stands in the record of an incident from its first line to its last. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use topology::level::Health;
use topology::model::{ComponentId, InstanceId};
use topology::text::Text;
use topology::verdict::{Culprit, Verdict};

use crate::incident::{Incident, IncidentState, TimelineEntry};
use crate::incidents::Present;
use crate::outages::{root_components, shown_level};
use crate::sentence;

/// Lines of a timeline at most; the first and the latest are kept.
const MAX_TIMELINE: usize = 200;

/// A new one, with what is known of its beginning.
pub(crate) fn open(present: &Present<'_>, group: Verdict, new_id: &dyn Fn(Timestamp) -> String) -> Incident {
    let onset = group.roots.iter().filter_map(|root| (present.onset_of)(root.culprit)).min();
    let opened_at = onset.unwrap_or(present.now);
    let (title, advice) = sentence::of_verdict(present.model, &group, present.instances);
    let mut incident = Incident {
        id: new_id(present.now),
        state: IncidentState::Open,
        level: shown_level(present, &group),
        opened_at,
        resolved_at: None,
        title: title.clone(),
        advice,
        verdict: group,
        timeline: Vec::new(),
        acknowledged: None,
        silenced: false,
        subsumed_by: None,
    };
    for (at, what) in first_lines(present, &incident) {
        note(&mut incident, at, what);
    }
    note(&mut incident, present.now, title);
    tell_changes(&mut incident, present);
    incident
}

/// Puts the changes to its suspects shortly before its onset into the timeline; true when one is new there.
fn tell_changes(incident: &mut Incident, present: &Present<'_>) -> bool {
    let mut any = false;
    for change in present.changes.iter().filter(|change| change.shortly_before(incident.opened_at)) {
        let verdict = &incident.verdict;
        let suspects = || verdict.roots.iter().chain(&verdict.suspects).map(|suspect| suspect.culprit);
        let entry = TimelineEntry { at: change.at, what: sentence::was_changed(change) };
        // A full timeline gives up lines of its own: what it gave up is not told again and again.
        if incident.timeline.len() >= MAX_TIMELINE
            || incident.timeline.contains(&entry)
            || !change.concerns_any(present.model, suspects())
        {
            continue;
        }
        let place = incident.timeline.partition_point(|other| other.at <= entry.at);
        incident.timeline.insert(place, entry);
        any = true;
    }
    any
}

/// When each of the roots went bad.
fn first_lines(present: &Present<'_>, incident: &Incident) -> Vec<(Timestamp, Text)> {
    let mut lines: Vec<(Timestamp, Text)> = incident
        .verdict
        .roots
        .iter()
        .filter_map(|root| {
            Some(((present.onset_of)(root.culprit)?, sentence::went_bad(present.model, root.culprit)))
        })
        .collect();
    lines.sort_by_key(|(at, _)| *at);
    lines
}

/// What its roots are.
pub(crate) fn culprits(verdict: &Verdict) -> BTreeSet<Culprit> {
    verdict.roots.iter().map(|root| root.culprit).collect()
}

/// Takes the new verdict over; true when it says something new.
pub(crate) fn update(incident: &mut Incident, present: &Present<'_>, group: Verdict) -> bool {
    let (before, after) = (culprits(&incident.verdict), culprits(&group));
    let level = shown_level(present, &group);
    let (title, advice) = sentence::of_verdict(present.model, &group, present.instances);
    let affected = |verdict: &Verdict| -> BTreeSet<ComponentId> {
        verdict.affected.iter().map(|a| a.component).collect()
    };
    let newly: Vec<ComponentId> =
        affected(&group).difference(&affected(&incident.verdict)).copied().collect();
    if !newly.is_empty() {
        note(incident, present.now, sentence::now_affected(present.model, &newly));
    }
    if before != after {
        note(incident, present.now, title.clone());
    }
    let worse = level.rank() > incident.level.rank();
    incident.level = if worse { level } else { incident.level };
    incident.title = title;
    incident.advice = advice;
    incident.verdict = group;
    let told = tell_changes(incident, present);
    before != after || worse || !newly.is_empty() || told
}

/// What an incident is called when it is over: what its cause was at its worst, not the little that was left of it (the
/// limit that a database is past for a minute after it hung). Of one that comes from a database or another topology
/// nothing is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Called {
    title: Option<Text>,
    severity: u8,
    components: BTreeSet<ComponentId>,
}

impl Called {
    /// Its verdict was renewed: the name is another when it is as bad as ever, or somebody else is the cause.
    pub(crate) fn goes_on(&mut self, present: &Present<'_>, incident: &Incident) {
        let components = root_components(present.model, &incident.verdict);
        let severity = incident.verdict.roots.iter().map(|root| severity(present, root.culprit)).max();
        let severity = severity.unwrap_or_default();
        if severity >= self.severity || !components.is_subset(&self.components) {
            *self = Self { title: Some(incident.title.clone()), severity, components };
        }
    }
}

/// How bad a cause itself is; a way is as bad as can be.
fn severity(present: &Present<'_>, culprit: Culprit) -> u8 {
    let of = |id: InstanceId| present.instances[id.index()].severity();
    match culprit {
        Culprit::Instance(id) => of(id),
        Culprit::Component(id) => {
            present.model.component(id).instance_ids().map(of).max().unwrap_or_default()
        }
        Culprit::Label(label) => label.instances(present.model).map(of).max().unwrap_or_default(),
        Culprit::Edge(_) | Culprit::Way { .. } | Culprit::Monitor | Culprit::MonitorSight(_) => {
            Health::Red.severity()
        }
    }
}

/// Its end.
pub(crate) fn resolve(mut incident: Incident, called: &Called, present: &Present<'_>) -> Incident {
    incident.state = IncidentState::Resolved;
    incident.resolved_at = Some(present.now);
    if let Some(into) = &incident.subsumed_by {
        let what = sentence::part_of(into);
        note(&mut incident, present.now, what);
        return incident;
    }
    if incident.verdict.roots.is_empty() {
        // Its roots were taken out of the file, and that is what ended it.
        return incident;
    }
    let now = || sentence::of_verdict(present.model, &incident.verdict, present.instances).0;
    incident.title = called.title.clone().unwrap_or_else(now);
    note(&mut incident, present.now, sentence::all_green_again());
    incident
}

/// One more line; a full timeline gives up one from its middle.
pub(crate) fn note(incident: &mut Incident, at: Timestamp, what: Text) {
    if incident.timeline.len() >= MAX_TIMELINE {
        incident.timeline.remove(MAX_TIMELINE / 2);
    }
    incident.timeline.push(TimelineEntry { at, what });
}
