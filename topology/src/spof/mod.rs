//! Single points of failure: what the file says would break too much when one thing breaks.

mod words;

use std::collections::BTreeMap;

use petgraph::algo::dominators::simple_fast;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::graph::Graph;
use crate::impact::{self, Impact};
use crate::level::{Health, Level};
use crate::model::{ComponentId, InstanceId, Model, NodeId, Policy, Strength};
use crate::rollup::RollUp;
use crate::text::Text;

/// The labels that say what instances share.
const PLACES: [&str; 5] = ["host", "rack", "zone", "region", "line"];
/// A component that every way passes is worth a word when it stands before at least this many ends...
const MIN_ENDS: usize = 2;
/// ...and before at least one in this many of all.
const SHARE_OF_ENDS: usize = 4;

/// Why something is a single point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SpofKind {
    /// A component with one instance.
    SingleInstance,
    /// Too many instances of a component share a host, a zone, a line.
    SharedLabel,
    /// Of several instances one loss is too many: `min_healthy` too high, only one primary.
    OneLoss,
    /// A shard without a second copy.
    SingleCopy,
    /// One of several instances that somebody needs by itself.
    NeededAlone,
    /// A component with several instances that every way from the users passes.
    OnEveryWay,
}

impl SpofKind {
    /// The stable word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SingleInstance => "single_instance",
            Self::SharedLabel => "shared_label",
            Self::OneLoss => "one_loss",
            Self::SingleCopy => "single_copy",
            Self::NeededAlone => "needed_alone",
            Self::OnEveryWay => "on_every_way",
        }
    }
}

/// One single point of failure.
#[derive(Clone, Debug, PartialEq)]
pub struct Spof {
    /// Why it is one.
    pub kind: SpofKind,
    /// Red: when it breaks, an entry point goes red. Yellow: all others, and what takes a fault of several
    /// instances at once.
    pub level: Level,
    /// A node's name, or a label as `host=h7`.
    pub name: String,
    /// The components that it makes vulnerable.
    pub components: Vec<ComponentId>,
    /// What follows when it breaks.
    pub impact: Impact,
    /// What it is.
    pub what: Text,
    /// Why it matters.
    pub why: Text,
    /// What to do.
    pub advice: Text,
}

/// All single points of failure, worst first.
pub fn find(model: &Model, graph: &Graph) -> Vec<Spof> {
    let mut search = Search {
        model,
        graph,
        green: RollUp::new(graph, |_| Health::Green, |_| None, &[]),
        entries: graph.entry_points(),
        found: Vec::new(),
    };
    search.components();
    search.places();
    search.ways();
    let mut found = search.found;
    found.sort_by_key(|spof| {
        let red_entries = spof.impact.entries_at(Health::Red).count();
        let (red, hurt) = (spof.impact.at(Health::Red).count(), spof.impact.hurt.len());
        // What takes several instances at once is less likely than any single loss.
        let likely = spof.kind != SpofKind::OnEveryWay;
        let worst_first = std::cmp::Reverse((spof.level.rank(), likely, red_entries, red, hurt));
        (worst_first, spof.kind, spof.components.first().copied())
    });
    found
}

struct Search<'a> {
    model: &'a Model,
    graph: &'a Graph,
    green: RollUp,
    entries: Vec<ComponentId>,
    found: Vec<Spof>,
}

impl Search<'_> {
    fn impact(&mut self, broken: Vec<InstanceId>) -> Impact {
        impact::of_loss(self.model, self.graph, &mut self.green, &self.entries, broken)
    }

    fn add(&mut self, kind: SpofKind, name: String, components: Vec<ComponentId>, impact: Impact) {
        let cut_off = impact.entries_at(Health::Red).next().is_some();
        let level = if cut_off && kind != SpofKind::OnEveryWay { Level::Red } else { Level::Yellow };
        let (what, advice) = words::what_and_advice(self.model, kind, &name, &components, &impact);
        let why = words::why(self.model, self.graph, &components, &impact);
        self.found.push(Spof { kind, level, name, components, impact, what, why, advice });
    }

    /// Components with one instance, and those where one of several is too many.
    fn components(&mut self) {
        for id in self.model.component_ids() {
            let component = self.model.component(id);
            // It stands by for others.
            if component.policy == Policy::Standby {
                continue;
            }
            let instances: Vec<InstanceId> = component.instance_ids().collect();
            if let [one] = instances[..] {
                let impact = self.impact(vec![one]);
                self.add(SpofKind::SingleInstance, component.name.clone(), vec![id], impact);
                continue;
            }
            let (mut fatal, mut needed) = (Vec::new(), Vec::new());
            for instance in instances {
                match self.one_loss(id, instance) {
                    Some(SpofKind::NeededAlone) => needed.push(instance),
                    Some(_) => fatal.push(instance),
                    None => {}
                }
            }
            if let Some(worst) = self.worst(&fatal) {
                let kind =
                    if component.policy == Policy::Shards { SpofKind::SingleCopy } else { SpofKind::OneLoss };
                let name = match fatal[..] {
                    [one] => self.model.instance(one).name.clone(),
                    _ => component.name.clone(),
                };
                self.add(kind, name, vec![id], worst);
            }
            for instance in needed {
                let impact = self.impact(vec![instance]);
                let name = self.model.instance(instance).name.clone();
                self.add(SpofKind::NeededAlone, name, vec![id], impact);
            }
        }
    }

    /// Whether the loss of one of several instances makes its component red, or somebody else.
    fn one_loss(&mut self, component: ComponentId, instance: InstanceId) -> Option<SpofKind> {
        let changed = self.green.set(instance, Health::Red);
        let of = NodeId::Component(component);
        let red = |node: &&NodeId| {
            matches!(node, NodeId::Component(_)) && self.green.health(**node) == Health::Red && **node != of
        };
        let kind = if self.green.health(of) == Health::Red {
            Some(SpofKind::OneLoss)
        } else {
            changed.iter().find(red).map(|_| SpofKind::NeededAlone)
        };
        self.green.set(instance, Health::Green);
        kind
    }

    fn worst(&mut self, instances: &[InstanceId]) -> Option<Impact> {
        let impacts: Vec<Impact> = instances.iter().map(|id| self.impact(vec![*id])).collect();
        let weight = |impact: &Impact| {
            (impact.entries_at(Health::Red).count(), impact.at(Health::Red).count(), impact.hurt.len())
        };
        impacts.into_iter().rev().max_by_key(weight)
    }

    /// Hosts, zones and lines that carry too much of a component.
    fn places(&mut self) {
        let mut places: BTreeMap<(usize, &str), Vec<InstanceId>> = BTreeMap::new();
        for id in self.model.instance_ids() {
            for (rank, key) in PLACES.into_iter().enumerate() {
                if let Some(value) = self.model.instance(id).labels.get(key) {
                    places.entry((rank, value.as_str())).or_default().push(id);
                }
            }
        }
        for ((rank, value), instances) in places {
            let impact = self.impact(instances.clone());
            let too_much: Vec<ComponentId> = impact
                .hurt
                .iter()
                .filter(|hurt| hurt.broken > 1 && hurt.health == Health::Red)
                .map(|hurt| hurt.component)
                // By its own loss, not only by what it needs.
                .filter(|id| self.is_red_alone(*id, &instances))
                .collect();
            if !too_much.is_empty() {
                self.add(SpofKind::SharedLabel, format!("{}={value}", PLACES[rank]), too_much, impact);
            }
        }
    }

    fn is_red_alone(&self, id: ComponentId, broken: &[InstanceId]) -> bool {
        let component = self.model.component(id);
        let level = |i: usize| {
            if broken.binary_search(&InstanceId(i as u32)).is_ok() { Health::Red } else { Health::Green }
        };
        crate::rollup::own_health(self.model, component, level, |_| None) == Health::Red
    }

    /// Components of several instances that every way from the users to much of what they want passes.
    fn ways(&mut self) {
        let mut links = DiGraph::<(), ()>::new();
        let users = links.add_node(());
        let nodes: Vec<NodeIndex> = self.model.components.iter().map(|_| links.add_node(())).collect();
        for entry in &self.entries {
            links.add_edge(users, nodes[entry.index()], ());
        }
        let required = |d: &&crate::model::Dependency| {
            d.strength == Strength::Required && d.one_of.is_none() && d.from != d.to
        };
        let mut goes_on = vec![false; nodes.len()];
        for d in self.model.dependencies.iter().filter(required) {
            links.add_edge(nodes[d.from.index()], nodes[d.to.index()], ());
            goes_on[d.from.index()] |= !self.graph.on_one_cycle(d.from, d.to);
        }
        let dominators = simple_fast(&links, users);
        // Where all ways end: what is required and requires nothing more itself.
        let ends: Vec<ComponentId> = self
            .model
            .component_ids()
            .filter(|id| !goes_on[id.index()] && dominators.immediate_dominator(nodes[id.index()]).is_some())
            .collect();
        let mut before: BTreeMap<ComponentId, usize> = BTreeMap::new();
        for end in &ends {
            for node in dominators.strict_dominators(nodes[end.index()]).into_iter().flatten() {
                if node != users {
                    *before.entry(ComponentId(node.index() as u32 - 1)).or_default() += 1;
                }
            }
        }
        for (id, count) in before {
            let component = self.model.component(id);
            let known = |spof: &Spof| spof.components == [id] && spof.kind != SpofKind::NeededAlone;
            if count < MIN_ENDS.max(ends.len().div_ceil(SHARE_OF_ENDS)) || self.found.iter().any(known) {
                continue;
            }
            let impact = self.impact(component.instance_ids().collect());
            self.add(SpofKind::OnEveryWay, component.name.clone(), vec![id], impact);
        }
    }
}

#[cfg(test)]
mod tests;
