//! What the verdict knows: the facts of one moment.

use crate::fault::{Fault, Reason};
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

/// What is known of one instance. Times are seconds of any one clock.
#[derive(Clone, Copy, Debug)]
pub struct InstanceFacts<'a> {
    /// Its own confirmed level, from its own probes.
    pub health: Health,
    /// The last look was worse than the confirmed level, and not confirmed yet.
    pub suspected: bool,
    /// Its fault, if it has one.
    pub fault: Option<&'a Fault>,
    /// Without a fault: the signal that makes its level, by full name.
    pub signal: Option<&'a str>,
    /// When it went bad.
    pub onset: Option<Onset>,
    /// The last good observation.
    pub last_good: Option<f64>,
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

/// How trouble of this kind can have come from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inheritance {
    /// It cannot: the fault is the instance's own.
    Never,
    /// From what it needs: bad answers, hanging, slowness.
    FromDependencies,
    /// A backlog: from whoever should drain it, over an `async` dependency.
    FromDrain,
}

impl InstanceFacts<'_> {
    /// How this instance's trouble can have come from elsewhere.
    pub(super) fn inheritance(&self) -> Inheritance {
        if let Some(fault) = self.fault {
            // What a server says of itself in its own protocol is its own trouble.
            let says_itself =
                fault.reason.is_some_and(|reason| !matches!(reason, Reason::Status5xx | Reason::Gateway));
            return if fault.kind.is_own() || says_itself {
                Inheritance::Never
            } else {
                Inheritance::FromDependencies
            };
        }
        match self.signal {
            Some(name) if name.starts_with("amqp.queue_") => Inheritance::FromDrain,
            // Slowness and reported trouble travel; memory, connections and the like are the node's own.
            Some(name) if !name.ends_with("_seconds") => Inheritance::Never,
            _ => Inheritance::FromDependencies,
        }
    }
}

impl Situation<'_> {
    /// The facts of one instance.
    pub(super) fn facts(&self, id: InstanceId) -> &InstanceFacts<'_> {
        &self.instances[id.index()]
    }

    /// The unhealthy instances of a component.
    pub(super) fn unhealthy_of(&self, component: ComponentId) -> Vec<InstanceId> {
        let ids = self.model.component(component).instance_ids();
        ids.filter(|id| self.facts(*id).health.is_unhealthy()).collect()
    }

    /// All unhealthy instances.
    pub(super) fn unhealthy(&self) -> Vec<InstanceId> {
        self.model.instance_ids().filter(|id| self.facts(*id).health.is_unhealthy()).collect()
    }

    /// The own level of a component, given the levels of its instances.
    pub(super) fn own_health(&self, component: ComponentId, health_of: impl Fn(usize) -> Health) -> Health {
        let component = self.model.component(component);
        crate::rollup::own_health(self.model, component, health_of, |i| self.instances[i].role)
    }

    /// True when every instance is seen green, by a probe that exercises what lies behind, at a time when
    /// trouble that began at `since` would have shown.
    pub(super) fn proven_green(&self, component: ComponentId, since: f64) -> bool {
        let spec = self.model.component(component);
        // One interval for the probe to come by, and one second for a cached deep answer.
        let after = since + spec.interval().as_secs_f64() + 1.0;
        spec.exercises_dependencies()
            && spec.instance_ids().all(|id| {
                let facts = self.facts(id);
                facts.health == Health::Green
                    && !facts.suspected
                    && facts.last_good.is_some_and(|t| t >= after)
            })
    }

    /// When the earliest of these instances went bad.
    pub(super) fn first_bad(&self, ids: &[InstanceId]) -> Option<f64> {
        ids.iter().filter_map(|id| self.facts(*id).onset).map(|onset| onset.first_bad).min_by(f64::total_cmp)
    }

    /// The words of `component`'s instances on `on`: how many say it is bad, how many say it is good.
    pub(super) fn words_on(&self, by: ComponentId, on: ComponentId) -> (usize, usize) {
        let own = |w: &&WitnessFact| w.on == on && self.model.instance(w.by).component == by;
        let mut bad: Vec<InstanceId> =
            self.witnesses.iter().filter(own).filter(|w| !w.ok).map(|w| w.by).collect();
        let mut good: Vec<InstanceId> =
            self.witnesses.iter().filter(own).filter(|w| w.ok).map(|w| w.by).collect();
        bad.sort_unstable();
        bad.dedup();
        good.sort_unstable();
        good.dedup();
        good.retain(|id| !bad.contains(id));
        (bad.len(), good.len())
    }
}
