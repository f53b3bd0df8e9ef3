//! The verdict: the roll-up run backwards.

mod affected;
mod cause;
mod confidence;
mod evidence;
mod explain;
mod scene;
mod situation;
mod solve;
mod trace;

use crate::fault::FaultKind;
use crate::graph::DependencyId;
use crate::level::Health;
use crate::model::{ComponentId, InstanceId, Model};
use crate::text::Text;

pub use situation::{ChangeFact, InstanceFacts, Looks, Meaning, Onset, Sign, Situation, WitnessFact};
pub use solve::solve;
pub use trace::{Family, Flow, Gap, Movement, Movements, trace};

/// What is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Culprit {
    /// One of several instances.
    Instance(InstanceId),
    /// A whole component.
    Component(ComponentId),
    /// The way from a dependant to what it needs.
    Edge(DependencyId),
    /// The way from one instance to what it needs, or one that the file does not declare.
    Way {
        /// Who cannot go it.
        from: InstanceId,
        /// Where to.
        to: ComponentId,
    },
    /// What all instances with one label share: a host, a zone, a line, a version.
    Label(LabelId),
    /// The monitor itself.
    Monitor,
    /// The monitor's own way to all instances with one label.
    MonitorSight(LabelId),
}

/// A label and its value, by an instance that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelId {
    /// An instance that carries the label.
    pub instance: InstanceId,
    /// The how-manieth of its labels, in the order of their names.
    pub label: u32,
}

impl LabelId {
    /// The label written `name=value`, if an instance carries it.
    pub fn find(model: &Model, text: &str) -> Option<Self> {
        let (key, value) = text.split_once('=')?;
        model.instance_ids().find_map(|instance| {
            let labels = &model.instance(instance).labels;
            let label = labels.iter().position(|(k, v)| k == key && v == value)?;
            Some(Self { instance, label: label as u32 })
        })
    }

    /// The label's name and value.
    pub fn get(self, model: &Model) -> (&str, &str) {
        let labels = &model.instance(self.instance).labels;
        labels.iter().nth(self.label as usize).map_or(("", ""), |(key, value)| (key.as_str(), value.as_str()))
    }

    /// The instances that carry it.
    pub fn instances(self, model: &Model) -> impl Iterator<Item = InstanceId> + '_ {
        let (key, value) = self.get(model);
        let (key, value) = (key.to_owned(), value.to_owned());
        model.instance_ids().filter(move |id| model.instance(*id).labels.get(&key) == Some(&value))
    }
}

impl Culprit {
    /// The stable word for its kind.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Instance(_) => "instance",
            Self::Component(_) => "component",
            Self::Edge(_) | Self::Way { .. } => "edge",
            Self::Label(_) => "label",
            Self::Monitor | Self::MonitorSight(_) => "monitor",
        }
    }

    /// Its name: a node's, `dependant -> dependency`, or `monitor`.
    pub fn name(self, model: &Model) -> String {
        match self {
            Self::Instance(id) => model.instance(id).name.clone(),
            Self::Component(id) => model.component(id).name.clone(),
            Self::Edge(id) => {
                let dependency = &model.dependencies[id.index()];
                let (from, to) = (model.component(dependency.from), model.component(dependency.to));
                format!("{} -> {}", from.name, to.name)
            }
            Self::Way { from, to } => {
                format!("{} -> {}", model.instance(from).name, model.component(to).name)
            }
            Self::Label(label) => {
                let (key, value) = label.get(model);
                format!("{key}={value}")
            }
            Self::Monitor => "monitor".to_owned(),
            Self::MonitorSight(label) => {
                let (key, value) = label.get(model);
                format!("monitor -> {key}={value}")
            }
        }
    }

    /// The component it lies in; an edge's dependant.
    pub fn component(self, model: &Model) -> Option<ComponentId> {
        match self {
            Self::Instance(id) => Some(model.instance(id).component),
            Self::Component(id) => Some(id),
            Self::Edge(id) => Some(model.dependencies[id.index()].from),
            Self::Way { from, .. } => Some(model.instance(from).component),
            Self::Label(_) | Self::Monitor | Self::MonitorSight(_) => None,
        }
    }
}

/// Why somebody is suspected, in a sentence a person can check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The stable word: `own_fault`, `witnesses`, `dependencies`, `onset`, `explains`, `redundancy`,
    /// `against`, `tie`.
    pub kind: &'static str,
    /// The sentence.
    pub text: Text,
}

/// One suspect.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspect {
    /// Who.
    pub culprit: Culprit,
    /// The fault that its broken instances have in common, if they have one.
    pub fault: Option<FaultKind>,
    /// Without a fault: the signal that made the level of the first of them.
    pub signal: Option<String>,
    /// It is well itself, and sends this one more than it can take.
    pub overloads: Option<ComponentId>,
    /// 0 to 1.
    pub confidence: f64,
    /// What speaks for it (and against it).
    pub evidence: Vec<Evidence>,
}

/// A node that is unhealthy because of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Affected {
    /// Which component.
    pub component: ComponentId,
    /// Its rolled-up level.
    pub health: Health,
    /// Index into [`Verdict::roots`]: because of whom.
    pub root: usize,
    /// Over which dependencies it came, the lit path.
    pub over: Vec<DependencyId>,
    /// The sentence.
    pub because: Text,
}

/// The answer: who is to blame, who else was considered, who suffers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// The root causes; more than one when the faults are independent.
    pub roots: Vec<Suspect>,
    /// All suspects, ranked; the roots first.
    pub suspects: Vec<Suspect>,
    /// The components that are unhealthy because of a root.
    pub affected: Vec<Affected>,
    /// For each instance whose own level is bad and not its own doing: the index of its root.
    pub explained: Vec<(InstanceId, usize)>,
}

#[cfg(test)]
mod tests;
