//! What is told of an incident, and when: one message when it opens, one when its cause becomes clearer or it
//! gets worse, one when it is over. Pure.

use std::collections::BTreeSet;
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
    /// It is over.
    Resolve,
}

impl Event {
    /// The stable word in the message.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Update => "update",
            Self::Resolve => "resolve",
        }
    }
}

/// What has been told of one incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// When the incident was confirmed: the message waits from here.
    pub confirmed_at: Timestamp,
    /// Messages so far; zero means that nobody knows of it.
    pub messages: u32,
    /// The root causes named last.
    pub roots: BTreeSet<String>,
    /// The level named last.
    pub level: Level,
}

/// The incident as it is now.
pub struct Now<'a> {
    /// Its root causes.
    pub roots: &'a BTreeSet<String>,
    /// Its level.
    pub level: Level,
    /// A component is red, not only one of several instances.
    pub component_red: bool,
    /// How long the first message waits when a component is red.
    pub hold: Duration,
    /// The time.
    pub at: Timestamp,
}

/// What the first message waits longer when it is only at risk: a rolling restart looks so.
pub const AT_RISK_HOLD: Duration = Duration::from_secs(10);

impl Told {
    /// Nothing yet.
    pub fn nothing(confirmed_at: Timestamp) -> Self {
        Self { confirmed_at, messages: 0, roots: BTreeSet::new(), level: Level::Green }
    }

    /// The message that is due now, if one is; it then counts as told.
    pub fn due(&mut self, now: &Now<'_>) -> Option<Event> {
        let event = if self.messages == 0 {
            let hold = if now.component_red { now.hold } else { now.hold + AT_RISK_HOLD };
            (between(self.confirmed_at, now.at) >= hold).then_some(Event::Open)?
        } else if *now.roots != self.roots || now.level.rank() > self.level.rank() {
            Event::Update
        } else {
            return None;
        };
        self.messages += 1;
        self.roots.clone_from(now.roots);
        self.level = now.level;
        Some(event)
    }

    /// The message at its end: none when nobody was told that it began.
    pub fn end(&mut self) -> Option<Event> {
        if self.messages == 0 {
            return None;
        }
        self.messages += 1;
        Some(Event::Resolve)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOLD: Duration = Duration::from_secs(6);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn due(told: &mut Told, seconds: i64, root: &str, level: Level, component_red: bool) -> Option<Event> {
        let roots = BTreeSet::from([root.to_owned()]);
        told.due(&Now { roots: &roots, level, component_red, hold: HOLD, at: at(seconds) })
    }

    #[test]
    fn an_outage_is_told_once_after_its_hold_and_once_at_its_end() {
        let mut told = Told::nothing(at(0));
        assert_eq!(due(&mut told, 5, "db", Level::Red, true), None);
        assert_eq!(due(&mut told, 6, "db", Level::Red, true), Some(Event::Open));
        assert_eq!(due(&mut told, 7, "db", Level::Red, true), None);
        assert_eq!(told.end(), Some(Event::Resolve));
    }

    #[test]
    fn what_is_over_before_its_hold_is_told_to_nobody() {
        let mut told = Told::nothing(at(0));
        assert_eq!(due(&mut told, 5, "web-1", Level::Yellow, false), None);
        assert_eq!(told.end(), None);
    }

    #[test]
    fn one_of_several_waits_longer() {
        let mut told = Told::nothing(at(0));
        assert_eq!(due(&mut told, 15, "web-1", Level::Yellow, false), None);
        assert_eq!(due(&mut told, 16, "web-1", Level::Yellow, false), Some(Event::Open));
    }

    #[test]
    fn another_cause_or_a_worse_level_is_an_update() {
        let mut told = Told::nothing(at(0));
        due(&mut told, 20, "web-1", Level::Yellow, false);
        assert_eq!(due(&mut told, 21, "web-1", Level::Red, true), Some(Event::Update));
        assert_eq!(due(&mut told, 22, "db", Level::Red, true), Some(Event::Update));
        assert_eq!(due(&mut told, 23, "db", Level::Yellow, false), None);
        assert_eq!(told.messages, 3);
    }

    proptest! {
        /// Suppress opening, never resolving: every told "open" gets its "resolve", and nothing else does.
        #[test]
        fn lesson_04_every_open_gets_its_resolve(steps in prop::collection::vec((0..8_i64, 0..3_usize, any::<bool>()), 0..40)) {
            let mut told = Told::nothing(at(0));
            let (mut now, mut events) = (0, Vec::new());
            for (pause, root, red) in steps {
                now += pause;
                let level = if red { Level::Red } else { Level::Yellow };
                events.extend(due(&mut told, now, ["a", "b", "c"][root], level, red));
            }
            events.extend(told.end());
            let opens = events.iter().filter(|e| **e == Event::Open).count();
            let resolves = events.iter().filter(|e| **e == Event::Resolve).count();
            prop_assert!(opens <= 1);
            prop_assert_eq!(opens, resolves);
            if opens == 1 {
                prop_assert_eq!(events[0], Event::Open);
                prop_assert_eq!(*events.last().unwrap(), Event::Resolve);
            }
        }
    }
}
