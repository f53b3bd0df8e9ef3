//! The life of incidents: opened, made clearer, recovering, resolved. A pure step from one verdict to the
//! next; time and ids are arguments.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use topology::level::Health;
use topology::model::{ComponentId, InstanceId, Model};
use topology::text::Text;
use topology::verdict::{Culprit, Suspect, Verdict};

use crate::alert::route;
use crate::announce::{Event, Message, Now, Told};
use crate::changes::ChangeNote;
use crate::chronicle::{Called, culprits, note, open, resolve, update};
use crate::clock::between;
use crate::endings::{Endings, is_ending};
use crate::incident::{Acknowledgement, Incident, IncidentState};
use crate::names::Names;
use crate::outages::{groups, has_root_of, members, roots_of, same, worth_opening};
use crate::recovery::{self, Recovery, Wake};
use crate::recurrence::{self, Lately};
use crate::sentence;
use crate::silence::Silences;
use crate::store::carry_over;

/// Resolved incidents that are kept at hand.
const KEEP_RESOLVED: usize = 50;
/// All incidents at hand.
#[derive(Debug, Default)]
pub struct Incidents {
    open: Vec<Tracked>,
    resolved: Vec<Incident>,
    /// Those that are over, and whose end waits to be told.
    endings: Endings,
    /// When causes recovered, and whom they had affected: what was seen of those before that blames nobody.
    recovered: Vec<(Timestamp, BTreeSet<ComponentId>)>,
    /// Those that are over, and whose end was told a moment ago: what breaks again soon waits.
    lately: Lately,
    /// Changes that somebody asked for, told with the next step.
    asked: Vec<String>,
}

/// An incident, and what has been told of it.
#[derive(Clone, Debug)]
pub(crate) struct Tracked {
    pub(crate) incident: Incident,
    pub(crate) told: Told,
    /// A cause of it is getting well, while others still are not.
    pub(crate) recovering: Option<Recovery>,
    /// A root of it was held at red because it flapped: its end has waited already.
    pub(crate) flapped: bool,
    /// The roots that were themselves seen to be bad. A consumer blamed for its queue's backlog may never be, and what
    /// was not bad does not recover.
    pub(crate) were_bad: BTreeSet<Culprit>,
    /// Whom it was about, and until when.
    pub(crate) wake: Wake,
    /// What it is called when it is over.
    pub(crate) called: Called,
}

/// What the incidents need to know of the present.
pub struct Present<'a> {
    /// The file.
    pub model: &'a Model,
    /// The verdict over everything.
    pub verdict: &'a Verdict,
    /// Own levels of the instances; what is being worked at is paused.
    pub instances: &'a [Health],
    /// The same without the pauses.
    pub beneath: &'a [Health],
    /// Rolled-up levels of the components.
    pub components: &'a [Health],
    /// When each root went bad.
    pub onset_of: &'a dyn Fn(Culprit) -> Option<Timestamp>,
    /// Now.
    pub now: Timestamp,
    /// How long the affected may take to turn green after their cause did, before somebody else is blamed.
    pub grace: Duration,
    /// What was changed out there lately, oldest first.
    pub changes: &'a [ChangeNote],
    /// When the latest look at an instance began that its level stands on.
    pub looked_at: &'a dyn Fn(InstanceId) -> Option<Timestamp>,
    /// Who is held at its worst level because it keeps changing.
    pub flapping: &'a dyn Fn(InstanceId) -> bool,
    /// The components whose error budget burns; none when nobody knows.
    pub burning: Option<&'a BTreeSet<String>>,
    /// What is to be kept quiet.
    pub silences: &'a Silences,
}

/// What happened to an incident in one step.
#[derive(Clone, Debug)]
pub struct Change {
    /// What.
    pub what: What,
    /// The incident as it is now.
    pub incident: Incident,
    /// What has been told of it, this step's message included.
    pub told: Told,
    /// The messages of this step.
    pub messages: Vec<Message>,
}

/// The kinds of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It is new.
    Opened,
    /// Its cause became clearer, it got worse, or it is being told.
    Updated,
    /// It has become part of another.
    Subsumed,
    /// It is over.
    Resolved,
}

/// An incident as a database kept it.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The incident.
    pub incident: Incident,
    /// What has been told of it.
    pub told: Told,
}

impl Incidents {
    /// Those going on, the worst and then the oldest first.
    pub fn open(&self) -> Vec<&Incident> {
        let mut open: Vec<&Incident> = self.open.iter().map(|tracked| &tracked.incident).collect();
        open.sort_by(|a, b| {
            b.level.rank().cmp(&a.level.rank()).then(a.opened_at.cmp(&b.opened_at)).then(a.id.cmp(&b.id))
        });
        open
    }

    /// The latest resolved ones, newest first.
    pub fn resolved(&self) -> &[Incident] {
        &self.resolved
    }

    /// Takes over what a database kept.
    pub fn restore(kept: Vec<Kept>, resolved: Vec<Incident>) -> Self {
        let all = kept.into_iter().map(|Kept { incident, told }| Tracked {
            were_bad: culprits(&incident.verdict),
            ..Tracked::new(incident, told)
        });
        let (ending, open): (Vec<Tracked>, Vec<Tracked>) =
            all.partition(|tracked| is_ending(&tracked.incident, &tracked.told));
        let over = ending.iter().map(|tracked| tracked.incident.clone());
        let resolved = over.chain(resolved).collect();
        Self { open, resolved, endings: Endings::restore(ending), ..Self::default() }
    }

    /// Somebody takes an open incident on, or lets it go again; the incident as it is then.
    pub(crate) fn acknowledge(
        &mut self,
        id: &str,
        by: Option<Acknowledgement>,
        now: Timestamp,
    ) -> Option<Incident> {
        let tracked = self.open.iter_mut().find(|tracked| tracked.incident.id == id)?;
        let incident = &mut tracked.incident;
        let by = by.map(|ack| Acknowledgement { level: incident.level, ..ack });
        note(incident, now, sentence::taken_on(by.as_ref().map(|ack| (&*ack.by, ack.note.as_deref()))));
        incident.acknowledged = by;
        self.asked.push(id.to_owned());
        Some(incident.clone())
    }

    /// Writes a line into the timeline of an open incident; the incident as it is then.
    pub(crate) fn note(&mut self, id: &str, what: Text, now: Timestamp) -> Option<Incident> {
        let tracked = self.open.iter_mut().find(|tracked| tracked.incident.id == id)?;
        note(&mut tracked.incident, now, what);
        self.asked.push(id.to_owned());
        Some(tracked.incident.clone())
    }

    /// Goes on in another topology: `old` is the one that the incidents are of, `names` those of the new one. A
    /// root that it no longer has is named in the timeline; an incident without any root is over with the
    /// next step, unless somebody it affected is still unhealthy.
    pub(crate) fn reload(&mut self, old: &Model, names: &Names, now: Timestamp) {
        self.recovered.clear();
        self.lately.clear();
        for tracked in &mut self.open {
            let gone: Vec<String> = roots_of(&tracked.incident)
                .iter()
                .map(|root| root.culprit.name(old))
                .filter(|name| names.culprit(name).is_none())
                .collect();
            let Kept { mut incident, told } = carry_over(old, names, &tracked.incident, &tracked.told);
            if !gone.is_empty() {
                note(&mut incident, now, sentence::taken_out(&gone));
            }
            if !tracked.were_bad.is_empty() {
                tracked.were_bad = culprits(&incident.verdict);
            }
            (tracked.wake, tracked.called) = (Wake::default(), Called::default());
            (tracked.incident, tracked.told, tracked.recovering) = (incident, told, None);
        }
        self.endings.reload(old, names);
        for incident in &mut self.resolved {
            *incident = carry_over(old, names, incident, &Told::nothing(now)).incident;
        }
    }

    /// Takes back what was confirmed within the last `within` before `now` and told to nobody.
    pub(crate) fn withdraw_untold(&mut self, now: Timestamp, within: Duration) -> Vec<Change> {
        let mut changes = Vec::new();
        self.open.retain_mut(|tracked| {
            let told = &tracked.told;
            if told.messages > 0 || between(told.confirmed_at, now) > within {
                return true;
            }
            tracked.incident.state = IncidentState::Resolved;
            tracked.incident.resolved_at = Some(now);
            note(&mut tracked.incident, now, sentence::not_seen());
            changes.push(tracked.change(What::Resolved, Vec::new()));
            false
        });
        changes
    }

    /// Since when an open incident is confirmed.
    pub(crate) fn confirmed_at(&self, id: &str) -> Option<Timestamp> {
        self.open.iter().find(|tracked| tracked.incident.id == id).map(|tracked| tracked.told.confirmed_at)
    }

    /// One step: `new_id` makes the id of an incident that opened at the given time.
    pub fn step(&mut self, present: &Present<'_>, new_id: &dyn Fn(Timestamp) -> String) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut groups = groups(present);
        for tracked in &mut self.open {
            tracked.wake.pass(present, &tracked.incident.verdict);
            if let Some(recovered) = recovery::hold(tracked, present, &mut groups) {
                self.recovered.push((present.now, recovered));
            }
        }
        self.recovered.retain(|(at, _)| between(*at, present.now) <= present.grace * 2);
        let asked = std::mem::take(&mut self.asked);
        for change in self.endings.due(present) {
            self.lately.keep(&change.incident.verdict, present.now);
            changes.push(change);
        }
        let mut claimed = vec![false; self.open.len()];
        // Who still has its cause goes first: it is no other's.
        groups.sort_by_key(|group| !self.open.iter().any(|tracked| has_root_of(&tracked.incident, group)));
        for group in groups {
            let mut matched: Vec<usize> = (0..self.open.len())
                .filter(|i| !claimed[*i] && same(present, &self.open[*i].incident, &group))
                .collect();
            // Who is known to somebody, and then the oldest, goes on; the others are part of it now.
            matched.sort_by_key(|i| (self.open[*i].told.messages == 0, *i));
            match matched.split_first() {
                Some((&i, others)) => {
                    claimed[i] = true;
                    let into = self.open[i].incident.id.clone();
                    for &other in others {
                        claimed[other] = true;
                        let tracked = &mut self.open[other];
                        // After a restart not everything has been looked at yet: half a picture merges nothing.
                        if !unseen(present, &tracked.incident) {
                            tracked.incident.subsumed_by = Some(into.clone());
                        }
                    }
                    let tracked = &mut self.open[i];
                    // And it is no news.
                    if unseen(present, &tracked.incident) {
                        continue;
                    }
                    let mut changed = asked.contains(&tracked.incident.id);
                    let causes = culprits(&tracked.incident.verdict);
                    changed |= update(&mut tracked.incident, present, group);
                    let now = culprits(&tracked.incident.verdict);
                    tracked.were_bad.retain(|root| now.contains(root));
                    if !now.is_subset(&causes) {
                        // What was getting well is not what it is now.
                        tracked.recovering = None;
                    }
                    let messages = tracked.renewed(present);
                    if changed || !messages.is_empty() {
                        changes.push(tracked.change(What::Updated, messages));
                    }
                }
                None if worth_opening(present, &group)
                    && !self.is_old_news(present, &group)
                    && !self
                        .open
                        .iter()
                        .any(|tracked| tracked.wake.has(present, &tracked.incident, &group)) =>
                {
                    if let Some(mut tracked) = self.endings.back(present, &group) {
                        self.resolved.retain(|incident| incident.id != tracked.incident.id);
                        update(&mut tracked.incident, present, group);
                        let messages = tracked.renewed(present);
                        changes.push(tracked.change(What::Updated, messages));
                        self.open.push(tracked);
                        claimed.push(true);
                        continue;
                    }
                    let incident = open(present, group, new_id);
                    let mut told = Told::nothing(present.now);
                    told.recurs = self.lately.had(present.model, &incident.verdict, present.now);
                    let mut tracked = Tracked::new(incident, told);
                    let messages = tracked.renewed(present);
                    changes.push(tracked.change(What::Opened, messages));
                    self.open.push(tracked);
                    claimed.push(true);
                }
                None => {}
            }
        }
        // What nobody claimed, is not being held and is seen to be well is over.
        let mut i = 0;
        while i < self.open.len() {
            let tracked = &self.open[i];
            let subsumed = tracked.incident.subsumed_by.is_some();
            let goes_on = claimed[i] || tracked.recovering.is_some() || unseen(present, &tracked.incident);
            if goes_on && !subsumed {
                if !claimed[i] && asked.contains(&tracked.incident.id) {
                    changes.push(tracked.change(What::Updated, Vec::new()));
                }
                i += 1;
                continue;
            }
            claimed.remove(i);
            let mut tracked = self.open.remove(i);
            let (what, event) =
                if subsumed { (What::Subsumed, Event::Subsume) } else { (What::Resolved, Event::Resolve) };
            if !subsumed {
                let affected = members(present.model, &tracked.incident.verdict);
                self.recovered.push((present.now, affected));
            }
            tracked.incident = resolve(tracked.incident, &tracked.called, present);
            let waits = !subsumed && self.endings.keep(&tracked, present);
            let messages = if waits {
                Vec::new()
            } else {
                let all = present.model.alerting.receivers.iter().map(|receiver| &receiver.name);
                tracked.told.end(event, all, present.now)
            };
            if !waits && (tracked.told.messages > 0 || tracked.told.recurs) {
                self.lately.keep(&tracked.incident.verdict, present.now);
            }
            changes.push(tracked.change(what, messages));
            self.resolved.insert(0, tracked.incident);
            self.resolved.truncate(KEEP_RESOLVED);
        }
        changes
    }

    /// True when all that speaks for a new incident was seen before the cause of another recovered, which had
    /// affected it.
    fn is_old_news(&self, present: &Present<'_>, group: &Verdict) -> bool {
        self.recovered.iter().any(|(at, affected)| {
            group.roots.iter().all(|root| {
                let Some(component) = root.culprit.component(present.model) else { return false };
                let bad = |id: &InstanceId| present.instances[id.index()].is_unhealthy();
                let instances: Vec<InstanceId> = match root.culprit {
                    Culprit::Instance(id) => vec![id],
                    _ => present.model.component(component).instance_ids().filter(bad).collect(),
                };
                affected.contains(&component)
                    && instances.iter().all(|id| (present.looked_at)(*id).is_none_or(|looked| looked < *at))
            })
        })
    }
}

impl Tracked {
    fn new(incident: Incident, told: Told) -> Self {
        Self {
            incident,
            told,
            recovering: None,
            flapped: false,
            were_bad: BTreeSet::new(),
            wake: Wake::default(),
            called: Called::default(),
        }
    }

    pub(crate) fn note(&mut self, at: Timestamp, what: Text) {
        note(&mut self.incident, at, what);
    }

    /// Its verdict is another: the messages that are due.
    fn renewed(&mut self, present: &Present<'_>) -> Vec<Message> {
        self.called.goes_on(present, &self.incident);
        self.flapped = flaps(present, &self.incident);
        announce(self, present)
    }

    pub(crate) fn change(&self, what: What, messages: Vec<Message>) -> Change {
        Change { what, incident: self.incident.clone(), told: self.told.clone(), messages }
    }
}

/// The messages that are due for an open incident.
fn announce(tracked: &mut Tracked, present: &Present<'_>) -> Vec<Message> {
    let Tracked { incident, told, .. } = tracked;
    let verdict = &incident.verdict;
    let roots: BTreeSet<String> = verdict.roots.iter().map(|root| root.culprit.name(present.model)).collect();
    let component_red =
        members(present.model, verdict).iter().any(|c| present.components[c.index()] == Health::Red);
    let of_root = |root: &Suspect| root.culprit.component(present.model).map(|c| present.model.component(c));
    let hold = verdict.roots.iter().filter_map(of_root).map(|c| c.interval() * c.confirm.red_after).max();
    let acknowledged = incident.acknowledged.as_ref().map(|ack| ack.level);
    let wanted = route::wanted(&route::Facts {
        model: present.model,
        verdict,
        level: incident.level,
        components: present.components,
        burning: present.burning,
        unanswered_since: told.first_at.filter(|_| acknowledged.is_none()),
        now: present.now,
    });
    incident.silenced = present.silences.silence(present.model, incident, present.now);
    told.due(&Now {
        roots: &roots,
        level: incident.level,
        component_red,
        hold: hold.unwrap_or_default(),
        recurrence_hold: recurrence::hold(present.model, verdict),
        wanted: &wanted,
        silenced: incident.silenced,
        acknowledged,
        at: present.now,
    })
}

/// True when a root cause has not been seen for so long (or not yet, after a restart) that nobody can say
/// that it is well; or when it is being worked at and is not well.
fn unseen(present: &Present<'_>, incident: &Incident) -> bool {
    let unknown = |id: InstanceId| match present.instances[id.index()] {
        Health::Unknown => true,
        Health::Paused => present.beneath[id.index()].is_unhealthy(),
        _ => false,
    };
    incident.verdict.roots.iter().any(|root| match root.culprit {
        Culprit::Instance(id) => unknown(id),
        culprit => culprit
            .component(present.model)
            .is_some_and(|c| present.model.component(c).instance_ids().any(unknown)),
    })
}

/// True when a root of it is held at red because it flaps.
fn flaps(present: &Present<'_>, incident: &Incident) -> bool {
    let model = present.model;
    incident.verdict.roots.iter().any(|root| match root.culprit {
        Culprit::Instance(id) => (present.flapping)(id),
        culprit => culprit
            .component(model)
            .is_some_and(|c| model.component(c).instance_ids().any(|id| (present.flapping)(id))),
    })
}
