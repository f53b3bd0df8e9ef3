//! What the verdict knows: the facts of one moment.

use crate::fault::Fault;
use crate::graph::Graph;
use crate::level::Health;
use crate::model::{ComponentId, InstanceId, Model};

/// The facts of one moment, as the board has them.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The file.
    pub model: &'a Model,
    /// Its graph.
    pub graph: &'a Graph,
    /// One for each instance, by [`InstanceId`].
    pub instances: &'a [InstanceFacts<'a>],
    /// The fresh words of dependants on their dependencies.
    pub witnesses: &'a [WitnessFact],
}

/// What is known of one instance.
#[derive(Clone, Copy, Debug)]
pub struct InstanceFacts<'a> {
    /// Its own confirmed level, from its own probes.
    pub health: Health,
    /// Its fault, if it has one.
    pub fault: Option<&'a Fault>,
    /// When it went bad.
    pub onset: Option<Onset>,
    /// The role last seen, else the label's.
    pub role: Option<&'static str>,
}

/// The interval in which a node went bad, in seconds of any one clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Onset {
    /// The last good observation.
    pub last_good: f64,
    /// The first bad one.
    pub first_bad: f64,
}

impl Onset {
    /// True when `self` surely began before `other` did: the intervals do not overlap.
    pub fn surely_before(self, other: Self) -> bool {
        self.first_bad < other.last_good
    }
}

/// A dependant's own word on a dependency.
#[derive(Clone, Debug, PartialEq)]
pub struct WitnessFact {
    /// Who says it.
    pub by: InstanceId,
    /// Of which component.
    pub on: ComponentId,
    /// Of which instance of it, where the witness was that precise.
    pub on_instance: Option<InstanceId>,
    /// Whether it could be used.
    pub ok: bool,
    /// The words.
    pub words: String,
}
