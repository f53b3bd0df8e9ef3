//! What the roll-up computes over: the model as nodes with numbers, made once for each file.
//!
//! Two sorts of nodes. A **feeler** inherits through dependencies: each instance (what is needed by it and
//! not by all of its component) and each component (what is needed by all of it). A **set** has a level by
//! policy: the instances of each component, and each part that a dependency names. Feelers come first
//! (instances, then components), then sets (of the components, then the parts).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::model::{Dependency, InstanceId, Model, Policy, Strength};

use super::tally::{Form, SetTally};

/// Number of a node.
pub(super) type NodeNo = u32;
/// Number of a set, counted from the first set.
pub(super) type SetNo = u32;

/// The tables.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(super) instances: u32,
    pub(super) components: u32,
    /// The component of each instance.
    pub(super) component_of: Vec<u32>,
    /// The instances of each component.
    pub(super) instances_of: Vec<std::ops::Range<u32>>,
    /// Whether the label says that an instance is a replica.
    pub(super) replica: Vec<bool>,
    pub(super) dependencies: Vec<Need>,
    /// The sets, nothing counted yet.
    pub(super) empty_sets: Vec<SetTally>,
    /// For each instance the sets it is in, with the number of its shard there.
    pub(super) member_of: Vec<Vec<(SetNo, u32)>>,
    /// For each feeler what it needs: one of each list is enough. Mostly lists of one.
    pub(super) alternatives: Vec<Vec<Vec<u32>>>,
    /// For each set the feelers that depend on it, and for each component those that depend on any of it.
    pub(super) dependants_of_set: Vec<Vec<NodeNo>>,
    pub(super) dependants_of_component: Vec<Vec<NodeNo>>,
    /// Each node's place in the order of work: what is needed has a lower rank, nodes of one cycle the same.
    pub(super) rank: Vec<u32>,
    /// For each set its members that may inherit something by themselves.
    pub(super) inheriting: Vec<Vec<u32>>,
}

/// A dependency as the roll-up needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    pub(super) strength: Strength,
    /// The set that is needed.
    pub(super) set: SetNo,
    /// The component it is of.
    pub(super) to: u32,
    /// Its ends lie on one cycle of components.
    pub(super) on_cycle: bool,
}

impl Plan {
    /// The tables of `model`; `on_cycle` says of a dependency whether its ends lie on one cycle.
    pub(crate) fn new(model: &Model, on_cycle: impl Fn(&Dependency) -> bool) -> Self {
        let (instances, components) = (model.instances.len() as u32, model.components.len() as u32);
        let mut sets = Vec::new();
        let mut member_of = vec![Vec::new(); instances as usize];
        for (c, component) in model.components.iter().enumerate() {
            let members: Vec<InstanceId> = component.instance_ids().collect();
            add_set(model, c, &members, Form::Whole, &mut sets, &mut member_of);
        }
        let mut parts: HashMap<(u32, Vec<InstanceId>), SetNo> = HashMap::new();
        let mut dependencies = Vec::with_capacity(model.dependencies.len());
        for dependency in &model.dependencies {
            let part: BTreeSet<InstanceId> = dependency.to_part.iter().copied().collect();
            let part: Vec<InstanceId> = part.into_iter().collect();
            let set = if part.is_empty() {
                dependency.to.0
            } else {
                *parts.entry((dependency.to.0, part.clone())).or_insert_with(|| {
                    let form = if part.len() == 1 { Form::One } else { Form::Part };
                    add_set(model, dependency.to.index(), &part, form, &mut sets, &mut member_of)
                })
            };
            dependencies.push(Need {
                strength: dependency.strength,
                set,
                to: dependency.to.0,
                on_cycle: on_cycle(dependency),
            });
        }
        let alternatives = alternatives(model);
        let mut plan = Self {
            instances,
            components,
            component_of: model.instances.iter().map(|instance| instance.component.0).collect(),
            instances_of: model.components.iter().map(|component| component.instances.clone()).collect(),
            replica: model.instances.iter().map(|instance| is_replica_by_label(&instance.labels)).collect(),
            dependencies,
            dependants_of_set: vec![Vec::new(); sets.len()],
            dependants_of_component: vec![Vec::new(); components as usize],
            rank: Vec::new(),
            inheriting: vec![Vec::new(); sets.len()],
            empty_sets: sets,
            member_of,
            alternatives,
        };
        plan.turn_round();
        plan.order();
        plan
    }

    /// How many nodes there are.
    pub(super) fn nodes(&self) -> usize {
        (self.instances + self.components) as usize + self.empty_sets.len()
    }

    /// The feeler of a component.
    pub(super) fn of_component(&self, component: u32) -> NodeNo {
        self.instances + component
    }

    /// The node of a set.
    pub(super) fn of_set(&self, set: SetNo) -> NodeNo {
        self.instances + self.components + set
    }

    /// The set that a node is, if it is one.
    pub(super) fn set_of(&self, node: NodeNo) -> Option<SetNo> {
        node.checked_sub(self.instances + self.components)
    }

    /// The component whose feeler a node is, if it is one.
    pub(super) fn component_feeler(&self, node: NodeNo) -> Option<u32> {
        node.checked_sub(self.instances).filter(|component| *component < self.components)
    }

    /// From needs to dependants.
    fn turn_round(&mut self) {
        for (feeler, needs) in self.alternatives.iter().enumerate() {
            for dependency in needs.iter().flatten() {
                let need = self.dependencies[*dependency as usize];
                for list in [
                    &mut self.dependants_of_set[need.set as usize],
                    &mut self.dependants_of_component[need.to as usize],
                ] {
                    if list.last() != Some(&(feeler as NodeNo)) {
                        list.push(feeler as NodeNo);
                    }
                }
            }
        }
    }

    /// Ranks the nodes.
    fn order(&mut self) {
        let mut links = DiGraph::<(), ()>::with_capacity(self.nodes(), self.dependencies.len() * 2);
        for _ in 0..self.nodes() {
            links.add_node(());
        }
        let at = |node: NodeNo| NodeIndex::new(node as usize);
        for (feeler, needs) in self.alternatives.iter().enumerate() {
            for dependency in needs.iter().flatten() {
                let need = self.dependencies[*dependency as usize];
                links.add_edge(NodeIndex::new(feeler), at(self.of_set(need.set)), ());
                links.add_edge(NodeIndex::new(feeler), at(self.of_component(need.to)), ());
            }
        }
        // An instance that inherits nothing of its own is only an input.
        for (instance, sets) in self.member_of.iter().enumerate() {
            if !self.alternatives[instance].is_empty() {
                for (set, _) in sets {
                    links.add_edge(at(self.of_set(*set)), NodeIndex::new(instance), ());
                    self.inheriting[*set as usize].push(instance as u32);
                }
            }
        }
        self.rank = vec![0; self.nodes()];
        for (rank, members) in kosaraju_scc(&links).into_iter().enumerate() {
            for member in members {
                self.rank[member.index()] = rank as u32;
            }
        }
    }
}

/// True for the label `role: replica`.
pub(super) fn is_replica_by_label(labels: &BTreeMap<String, String>) -> bool {
    labels.get("role").is_some_and(|role| role == "replica")
}

fn add_set(
    model: &Model,
    component: usize,
    members: &[InstanceId],
    form: Form,
    sets: &mut Vec<SetTally>,
    member_of: &mut [Vec<(SetNo, u32)>],
) -> SetNo {
    let number = sets.len() as SetNo;
    let policy = model.components[component].policy;
    let shards = shards(model, policy, members);
    let count = shards.iter().max().map_or(0, |last| *last as usize + 1);
    for (instance, shard) in members.iter().zip(shards) {
        member_of[instance.index()].push((number, shard));
    }
    let count = if policy == Policy::Shards { count } else { 0 };
    sets.push(SetTally::new(policy, form, count));
    number
}

/// The number of each member's shard: the members with one label `shard`; without it each is one.
pub(super) fn shards(model: &Model, policy: Policy, members: &[InstanceId]) -> Vec<u32> {
    if policy != Policy::Shards {
        return vec![0; members.len()];
    }
    let mut numbers: HashMap<(bool, &str), u32> = HashMap::new();
    let mut number = |id: &InstanceId| {
        let instance = model.instance(*id);
        let label = instance.labels.get("shard");
        let name = label.map_or((false, instance.name.as_str()), |shard| (true, shard.as_str()));
        let next = numbers.len() as u32;
        *numbers.entry(name).or_insert(next)
    };
    members.iter().map(&mut number).collect()
}

/// What each feeler needs, alternatives together.
///
/// A group of alternatives is felt by the component as a whole while all its members are; when one of them
/// is an alternative for some instances only, each instance has its own choice, and the group is felt
/// instance by instance.
fn alternatives(model: &Model) -> Vec<Vec<Vec<u32>>> {
    let n = model.instances.len();
    let mut felt: Vec<Vec<Vec<u32>>> = vec![Vec::new(); n + model.components.len()];
    let mut groups: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
    for (i, dependency) in model.dependencies.iter().enumerate() {
        let i = i as u32;
        match dependency.one_of {
            Some(group) => groups.entry((dependency.from.0, group)).or_default().push(i),
            None if dependency.from_part.is_empty() => felt[n + dependency.from.index()].push(vec![i]),
            None => {
                let part: BTreeSet<InstanceId> = dependency.from_part.iter().copied().collect();
                for instance in part {
                    felt[instance.index()].push(vec![i]);
                }
            }
        }
    }
    for ((from, _), members) in groups {
        let part_of = |i: u32| &model.dependencies[i as usize].from_part;
        if members.iter().all(|i| part_of(*i).is_empty()) {
            felt[n + from as usize].push(members);
            continue;
        }
        for instance in model.components[from as usize].instance_ids() {
            let its: Vec<u32> = members
                .iter()
                .copied()
                .filter(|i| part_of(*i).is_empty() || part_of(*i).contains(&instance))
                .collect();
            if !its.is_empty() {
                felt[instance.index()].push(its);
            }
        }
    }
    felt
}
