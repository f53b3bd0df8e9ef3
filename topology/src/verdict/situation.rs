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
    /// What measured values did, those that moved.
    pub signs: &'a [Sign],
    /// What was done to nodes lately.
    pub changes: &'a [ChangeFact],
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
    /// Bad since long before this incident: named as pre-existing, never as its cause.
    pub chronic: bool,
    /// A green answer of its probe proves that what lies behind it works.
    pub exercises: bool,
    /// The interval of its probes, in seconds.
    pub interval: f64,
    /// What its looks have been since it went bad.
    pub looks: Looks,
    /// How much longer than normal its answers take, in seconds, where that is what is bad.
    pub slower_by: Option<f64>,
}

impl InstanceFacts<'_> {
    /// An instance that nobody has looked at.
    pub const UNSEEN: InstanceFacts<'static> = InstanceFacts {
        health: Health::Unknown,
        suspected: false,
        fault: None,
        signal: None,
        onset: None,
        last_good: None,
        role: None,
        chronic: false,
        exercises: false,
        interval: 0.0,
        looks: Looks { all: 0, bad: 0, mute: 0, fine: 0 },
        slower_by: None,
    };
}

/// The looks at an instance since it went bad, counted by what they told. Live there is one, the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looks {
    /// All of them.
    pub all: u32,
    /// The bad ones.
    pub bad: u32,
    /// Bad ones that told nothing of the dependencies: no answer, or an answer without words.
    pub mute: u32,
    /// Bad ones whose answer called every dependency fine.
    pub fine: u32,
}

impl Looks {
    /// The one look that is known live: `told` is what its answer said of the dependencies, if anything,
    /// true when one of them is bad.
    pub const fn last(told: Option<bool>) -> Self {
        Self {
            all: 1,
            bad: 1,
            mute: if told.is_none() { 1 } else { 0 },
            fine: if matches!(told, Some(false)) { 1 } else { 0 },
        }
    }
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
    /// How often it said so since the trouble began; live once.
    pub count: u32,
}

/// What a measured value means for the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Requests a second that `peer` sends to the node.
    Requests,
    /// Connections that `peer` holds at the node.
    Connections,
    /// Messages waiting at the node.
    Backlog,
    /// Messages a second that `peer` puts in.
    Published,
    /// Messages a second that `peer` takes out.
    Delivered,
    /// How much of the node's pool towards `peer` is in use.
    Pool,
}

impl Meaning {
    /// What a signal of this name means, if it is one of them.
    pub fn of(signal: &str) -> Option<Self> {
        let has = |needle: &str| signal.contains(needle);
        if has("publish") {
            Some(Self::Published)
        } else if has("deliver") || has("ack_rate") || has("consume_rate") {
            Some(Self::Delivered)
        } else if has("queue_messages") || has("backlog") {
            Some(Self::Backlog)
        } else if has("pool") {
            Some(Self::Pool)
        } else if has("connections") {
            Some(Self::Connections)
        } else if has("requests") || has("queries") {
            Some(Self::Requests)
        } else {
            None
        }
    }
}

/// A measured value that moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Sign {
    /// Measured at which instance.
    pub at: InstanceId,
    /// The signal's name.
    pub signal: String,
    /// What it means.
    pub meaning: Meaning,
    /// Whose share of it this is.
    pub peer: Option<ComponentId>,
    /// What was normal.
    pub normal: f64,
    /// What it is now, the middle of the time since the trouble began.
    pub now: f64,
    /// The furthest from normal it was.
    pub extreme: f64,
}

impl Sign {
    /// How many times the normal it is now, against a floor that keeps small numbers from looking large.
    pub fn ratio(&self) -> f64 {
        let floor = match self.meaning {
            Meaning::Pool => 0.1,
            Meaning::Backlog => 100.0,
            _ => 5.0,
        };
        self.now.max(0.0) / self.normal.max(floor)
    }
}

/// Something that was done to a node.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeFact {
    /// To which component.
    pub component: ComponentId,
    /// To one instance of it only.
    pub instance: Option<InstanceId>,
    /// When, in seconds of the same clock.
    pub at: f64,
    /// What.
    pub what: String,
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

    /// True when every instance is seen green, by a probe that exercises what lies behind, at a time when
    /// trouble that began at `since` would have shown.
    pub(super) fn proven_green(&self, component: ComponentId, since: f64) -> bool {
        self.model.component(component).instance_ids().all(|id| {
            let facts = self.facts(id);
            // One interval for the probe to come by, and one second for a cached deep answer.
            facts.exercises
                && facts.health == Health::Green
                && !facts.suspected
                && facts.last_good.is_some_and(|t| t >= since + facts.interval + 1.0)
        })
    }

    /// When the earliest of these instances went bad.
    pub(super) fn first_bad(&self, ids: impl IntoIterator<Item = InstanceId>) -> Option<f64> {
        ids.into_iter()
            .filter_map(|id| self.facts(id).onset)
            .map(|onset| onset.first_bad)
            .min_by(f64::total_cmp)
    }

    /// The words of `component`'s instances on `on`: how many say it is bad, how many say it is good.
    pub(super) fn words_on(&self, by: ComponentId, on: ComponentId) -> (usize, usize) {
        let own = |w: &&WitnessFact| w.on == on && self.model.instance(w.by).component == by;
        let of = |ok: bool| {
            let mut ids: Vec<InstanceId> =
                self.witnesses.iter().filter(own).filter(|w| w.ok == ok).map(|w| w.by).collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        let (bad, mut good) = (of(false), of(true));
        good.retain(|id| !bad.contains(id));
        (bad.len(), good.len())
    }
}
