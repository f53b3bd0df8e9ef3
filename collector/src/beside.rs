//! Incidents that no node makes (a blind monitor, a curve out of its bounds): kept and told like all others. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use topology::level::Level;
use topology::model::Model;
use topology::text::Text;
use topology::verdict::Verdict;

use crate::alert::route;
use crate::announce::{Event, Message, Now, Told};
use crate::incident::{Acknowledgement, Incident, IncidentState, TimelineEntry};
use crate::incidents::{Change, Kept, What};
use crate::sentence;
use crate::silence::Silences;

/// One such incident, going on.
#[derive(Debug)]
pub(crate) struct Beside {
    pub(crate) incident: Incident,
    told: Told,
    /// Somebody asked for a change, told with the next step.
    asked: bool,
}

/// What makes it, where it is one of these: it stands where others keep their root causes.
pub(crate) fn mark(told: &Told) -> Option<&str> {
    let (roots, _) = told.settled.as_ref()?;
    roots.iter().next().map(String::as_str).filter(|root| root.starts_with("beside:"))
}

impl Beside {
    /// It opens `now`; `what` tells it from all others.
    pub(crate) fn open(what: &str, incident: Incident, now: Timestamp) -> Self {
        let mut told = Told::nothing(now);
        told.settled = Some((BTreeSet::from([format!("beside:{what}")]), now));
        Self { incident, told, asked: false }
    }

    /// As a database kept it.
    pub(crate) fn back(Kept { incident, told }: Kept) -> Self {
        Self { incident, told, asked: false }
    }

    /// Notes what has happened.
    pub(crate) fn note(&mut self, at: Timestamp, what: Text) {
        self.incident.timeline.push(TimelineEntry { at, what });
    }

    /// Somebody takes it on, or lets it go again.
    pub(crate) fn acknowledge(&mut self, by: Option<Acknowledgement>, now: Timestamp) -> Incident {
        let by = by.map(|ack| Acknowledgement { level: self.incident.level, ..ack });
        self.say(sentence::taken_on(by.as_ref().map(|ack| (&*ack.by, ack.note.as_deref()))), now);
        self.incident.acknowledged = by;
        self.incident.clone()
    }

    /// Somebody says something of it.
    pub(crate) fn say(&mut self, what: Text, now: Timestamp) -> Incident {
        self.note(now, what);
        self.asked = true;
        self.incident.clone()
    }

    /// True once after somebody asked for something.
    pub(crate) fn was_asked(&mut self) -> bool {
        std::mem::take(&mut self.asked)
    }

    /// Who is to be told by now, when the first message waits for `hold`.
    pub(crate) fn due(
        &mut self,
        model: &Model,
        silences: &Silences,
        hold: Duration,
        now: Timestamp,
    ) -> Vec<Message> {
        let roots = self.told.settled.as_ref().map(|(roots, _)| roots.clone()).unwrap_or_default();
        let acknowledged = self.incident.acknowledged.as_ref().map(|ack| ack.level);
        let wanted = route::wanted(&route::Facts {
            model,
            verdict: &self.incident.verdict,
            level: self.incident.level,
            components: &[],
            burning: None,
            unanswered_since: self.told.first_at.filter(|_| acknowledged.is_none()),
            now,
        });
        self.incident.silenced = silences.silence(model, &self.incident, now);
        self.told.due(&Now {
            roots: &roots,
            level: self.incident.level,
            component_red: true,
            hold,
            recurrence_hold: Duration::ZERO,
            wanted: &wanted,
            silenced: self.incident.silenced,
            acknowledged,
            at: now,
        })
    }

    /// What has happened to it, with what is told of that.
    pub(crate) fn change(&self, what: What, messages: Vec<Message>) -> Change {
        Change { what, incident: self.incident.clone(), told: self.told.clone(), messages }
    }

    /// It is over.
    pub(crate) fn end(mut self, model: &Model, why: Text, now: Timestamp) -> (Incident, Change) {
        self.incident.state = IncidentState::Resolved;
        self.incident.resolved_at = Some(now);
        self.note(now, why);
        let receivers = model.alerting.receivers.iter().map(|receiver| &receiver.name);
        let messages = self.told.end(Event::Resolve, receivers, now);
        let change = self.change(What::Resolved, messages);
        (self.incident, change)
    }
}

/// An incident of this level and title, with nobody to blame yet.
pub(crate) fn incident(
    id: String,
    level: Level,
    title: Text,
    advice: Text,
    now: Timestamp,
    first: Text,
) -> Incident {
    Incident {
        id,
        state: IncidentState::Open,
        level,
        opened_at: now,
        resolved_at: None,
        title,
        advice,
        verdict: Verdict::default(),
        timeline: vec![TimelineEntry { at: now, what: first }],
        acknowledged: None,
        silenced: false,
        subsumed_by: None,
    }
}
