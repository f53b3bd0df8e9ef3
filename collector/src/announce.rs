//! What is told of an incident, to whom and when: one message when it opens, one when its cause becomes clearer
//! or it gets worse, one when it is over. Pure.
//!
//! Everything is decided anew from how it stands now: a receiver that a route wants and that has not been told is
//! told as soon as nothing holds that back. So a silence that ends, working hours that begin and an escalation
//! need no rules of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use topology::level::Level;

use crate::clock::between;

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It has opened.
    Open,
    /// Its cause is clearer, or it is worse.
    Update,
    /// It has become part of another incident, which goes on.
    Subsume,
    /// It is over.
    Resolve,
}

impl Event {
    /// The stable word in the message.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Update => "update",
            Self::Subsume => "subsume",
            Self::Resolve => "resolve",
        }
    }

    /// True when nothing more is told of this incident.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Subsume | Self::Resolve)
    }
}

/// One message to one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// To whom.
    pub receiver: String,
    /// What about.
    pub event: Event,
}

/// What has been told of one incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// When the incident was confirmed: the first message waits from here.
    pub confirmed_at: Timestamp,
    /// Moments at which somebody was told something; zero means that nobody knows of it.
    pub messages: u32,
    /// When somebody was told first: escalations count from here.
    pub first_at: Option<Timestamp>,
    /// It broke again soon after everybody was told that it was over.
    pub recurs: bool,
    /// The root causes as they are, and since when.
    pub settled: Option<(BTreeSet<String>, Timestamp)>,
    /// What each receiver knows.
    pub receivers: BTreeMap<String, Known>,
}

/// What one receiver knows of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// When it was told last.
    pub at: Timestamp,
    /// Updates so far.
    pub updates: u32,
    /// The root causes named last.
    pub roots: BTreeSet<String>,
    /// The level named last.
    pub level: Level,
}

/// The name under which a database of an earlier version keeps what all receivers know.
pub(crate) const EVERYBODY: &str = "";

/// The incident as it is now.
pub struct Now<'a> {
    /// Its root causes.
    pub roots: &'a BTreeSet<String>,
    /// Its level.
    pub level: Level,
    /// A component is red, not only one of several instances.
    pub component_red: bool,
    /// How long the first message waits when a component is red, and how long a new cause must stand.
    pub hold: Duration,
    /// What the first message waits when it recurs.
    pub recurrence_hold: Duration,
    /// Who is to know of it, by the routes.
    pub wanted: &'a BTreeSet<String>,
    /// All its root causes are silenced.
    pub silenced: bool,
    /// Somebody has taken it on, and knew this level.
    pub acknowledged: Option<Level>,
    /// The time.
    pub at: Timestamp,
}

/// What the first message waits longer when it is only at risk: a rolling restart looks so.
pub const AT_RISK_HOLD: Duration = Duration::from_secs(10);

/// From a receiver's last message of an incident to the next that names another cause: a verdict that wavers
/// is one update, not twenty. A worse level waits for nothing.
const UPDATE_PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_mins(1), Duration::from_mins(5), Duration::from_mins(15)];

impl Told {
    /// Nothing yet.
    pub fn nothing(confirmed_at: Timestamp) -> Self {
        Self {
            confirmed_at,
            messages: 0,
            first_at: None,
            recurs: false,
            settled: None,
            receivers: BTreeMap::new(),
        }
    }

    /// The messages that are due now; they then count as told.
    pub fn due(&mut self, now: &Now<'_>) -> Vec<Message> {
        if self.settled.as_ref().is_none_or(|(roots, _)| roots != now.roots) {
            self.settled = Some((now.roots.clone(), now.at));
        }
        self.adopt(now.wanted.iter());
        let hold = if now.component_red { now.hold } else { now.hold + AT_RISK_HOLD };
        let hold = if self.recurs { hold.max(now.recurrence_hold) } else { hold };
        if now.silenced || self.messages == 0 && between(self.confirmed_at, now.at) < hold {
            return Vec::new();
        }
        let stands = self.settled.as_ref().is_some_and(|(_, since)| between(*since, now.at) >= now.hold);
        // Whoever took it on knows of it: only what is worse is news then.
        let worse_than_taken_on = now.acknowledged.is_none_or(|known| now.level.rank() > known.rank());
        let mut messages = Vec::new();
        for (receiver, known) in &mut self.receivers {
            let worse = now.level.rank() > known.level.rank();
            let pause = UPDATE_PAUSES[(known.updates as usize).min(UPDATE_PAUSES.len() - 1)];
            let clearer = *now.roots != known.roots && stands && between(known.at, now.at) >= pause;
            if worse_than_taken_on && (worse || clearer) {
                let updates = known.updates + 1;
                *known = Known { at: now.at, updates, roots: now.roots.clone(), level: now.level };
                messages.push(Message { receiver: receiver.clone(), event: Event::Update });
            }
        }
        for receiver in now.wanted.iter().filter(|_| worse_than_taken_on) {
            if !self.receivers.contains_key(receiver) {
                let known = Known { at: now.at, updates: 0, roots: now.roots.clone(), level: now.level };
                self.receivers.insert(receiver.clone(), known);
                messages.push(Message { receiver: receiver.clone(), event: Event::Open });
            }
        }
        self.count(&messages, now.at);
        messages
    }

    /// The messages at its end: one to each who was told that it began. Nothing holds these back.
    pub fn end<'r>(
        &mut self,
        event: Event,
        all: impl Iterator<Item = &'r String>,
        at: Timestamp,
    ) -> Vec<Message> {
        self.adopt(all);
        let told = std::mem::take(&mut self.receivers);
        let messages: Vec<Message> = told.into_keys().map(|receiver| Message { receiver, event }).collect();
        self.count(&messages, at);
        messages
    }

    fn count(&mut self, messages: &[Message], at: Timestamp) {
        if !messages.is_empty() {
            self.messages += 1;
            self.first_at.get_or_insert(at);
        }
    }

    /// What everybody knows is known by each.
    fn adopt<'r>(&mut self, all: impl Iterator<Item = &'r String>) {
        if let Some(known) = self.receivers.remove(EVERYBODY) {
            for receiver in all {
                self.receivers.entry(receiver.clone()).or_insert_with(|| known.clone());
            }
        }
    }
}

#[cfg(test)]
#[path = "announce_tests.rs"]
mod tests;
