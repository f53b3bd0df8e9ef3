//! The roll-up as a state: one change recomputes only what it can affect.
//!
//! How that is done stands in `settle.rs`.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use crate::graph::{DependencyId, Graph};
use crate::level::Health;
use crate::model::{ComponentId, InstanceId, NodeId};

use super::plan::{NodeNo, Plan, SetNo};
use super::tally::{CHAIN, Class, SetTally};
use super::{RolledUp, transfer};

/// A time that never comes.
pub(super) const NEVER: u64 = u64::MAX;

/// Since when a node has been at least at risk, impaired, red; each not before the one before it.
type Since = [u64; 3];

/// The current levels of everything.
///
/// Levels do not depend on the order of changes. Whom a level on a cycle is inherited from may: it is
/// whoever brought it first.
#[derive(Clone, Debug)]
pub struct RollUp {
    pub(super) plan: Arc<Plan>,
    /// Own levels and roles of the instances.
    own: Vec<Health>,
    replica: Vec<bool>,
    /// Dependencies that are broken themselves.
    broken: Vec<bool>,
    /// For a feeler of what it inherits, for a set of what its dependants feel.
    pub(super) since: Vec<Since>,
    /// The counts of each set, inherited levels included, and of each component without them.
    sets: Vec<SetTally>,
    own_sets: Vec<SetTally>,
    pub(super) clock: u64,
    /// What is to be computed again.
    pub(super) queue: BinaryHeap<Reverse<(u32, NodeNo)>>,
    pub(super) queued: Vec<bool>,
    /// The rank at work, which keeps its own lists.
    pub(super) settling: Option<u32>,
    /// How the nodes were that this change has touched.
    before: Option<HashMap<NodeId, (Health, Health, Health)>>,
}

impl RollUp {
    /// Everything from scratch.
    ///
    /// `health_of` and `role_of` are asked by index of instance; a role is the one last seen, else the
    /// label. A `broken` dependency arrives as red whatever its target does.
    pub fn new(
        graph: &Graph,
        health_of: impl Fn(usize) -> Health,
        role_of: impl Fn(usize) -> Option<&'static str>,
        broken: &[DependencyId],
    ) -> Self {
        let plan = Arc::clone(graph.plan());
        let n = plan.instances as usize;
        let empty: Vec<SetTally> = plan.empty_sets.clone();
        let mut state = Self {
            own: (0..n).map(health_of).collect(),
            replica: (0..n).map(|i| role_of(i).map_or(plan.replica[i], is_replica)).collect(),
            broken: vec![false; plan.dependencies.len()],
            since: vec![[NEVER; 3]; plan.nodes()],
            own_sets: empty[..plan.components as usize].to_vec(),
            sets: empty,
            clock: 0,
            queue: BinaryHeap::new(),
            queued: vec![false; plan.nodes()],
            settling: None,
            before: None,
            plan,
        };
        for i in 0..n as u32 {
            state.count(i, Class::of(state.own[i as usize], 0), true);
            state.count_own(i, true);
        }
        for set in 0..state.sets.len() as SetNo {
            if state.sets[set as usize].felt().is_unhealthy() {
                state.mark(state.plan.of_set(set));
            }
        }
        for dependency in broken {
            state.break_now(*dependency, true);
        }
        state.run();
        state
    }

    /// An instance is now at this own level. Gives the nodes of which anything changed: own, inherited or
    /// rolled-up level; components first.
    pub fn set(&mut self, instance: InstanceId, health: Health) -> Vec<NodeId> {
        self.set_all([(instance, health)])
    }

    /// The same for several at once: cheaper than one by one, and the same in the end.
    pub fn set_all(&mut self, levels: impl IntoIterator<Item = (InstanceId, Health)>) -> Vec<NodeId> {
        self.before = Some(HashMap::new());
        for (instance, health) in levels {
            let i = instance.0;
            if self.own[instance.index()] != health {
                self.reclass(i, |state| {
                    state.count_own(i, false);
                    state.own[instance.index()] = health;
                    state.count_own(i, true);
                });
            }
        }
        self.finish()
    }

    /// An instance has now this role (`None`: none was seen, the label counts).
    pub fn set_role(&mut self, instance: InstanceId, role: Option<&'static str>) -> Vec<NodeId> {
        self.before = Some(HashMap::new());
        let i = instance.0;
        let replica = role.map_or(self.plan.replica[instance.index()], is_replica);
        if self.replica[instance.index()] != replica {
            self.reclass(i, |state| {
                state.count_own(i, false);
                state.replica[instance.index()] = replica;
                state.count_own(i, true);
            });
        }
        self.finish()
    }

    /// A dependency is itself broken, or no longer: it arrives as red whatever its target does.
    pub fn set_broken(&mut self, dependency: DependencyId, broken: bool) -> Vec<NodeId> {
        self.before = Some(HashMap::new());
        self.break_now(dependency, broken);
        self.finish()
    }

    /// The rolled-up level of a node.
    pub fn health(&self, node: NodeId) -> Health {
        self.levels(node).2
    }

    /// All that is known of a component.
    pub fn component(&self, id: ComponentId) -> RolledUp {
        let (own, inherited, health) = self.levels(NodeId::Component(id));
        let mut from = Vec::new();
        if inherited.is_unhealthy() {
            let level = inherited.severity();
            let (feeler, set) = (self.plan.of_component(id.0), self.plan.of_set(id.0));
            // When the whole got there, by either way.
            let reached =
                if own.severity() >= level { 0 } else { self.time(feeler, level).min(self.time(set, level)) };
            self.carriers(feeler, level, reached, &mut from);
            if self.by_its_instances(id, own) == inherited {
                for i in self.plan.instances_of[id.index()].clone() {
                    let its = self.level_at(i, reached);
                    // At risk is made by any trouble; impaired and red by what is no milder.
                    if its > self.own[i as usize].severity() && self.counts(i) && its >= level {
                        self.carriers(i, its, self.time(i, its), &mut from);
                    }
                }
            }
            from.sort_unstable();
            from.dedup();
        }
        RolledUp { own, health, inherited, inherited_from: from }
    }

    /// All that is known of an instance: it inherits what only it (or a part with it) needs.
    pub fn instance(&self, id: InstanceId) -> RolledUp {
        let (own, inherited, health) = self.levels(NodeId::Instance(id));
        let mut from = Vec::new();
        if inherited.is_unhealthy() {
            let level = inherited.severity();
            let reached = if own.severity() >= level { 0 } else { self.time(id.0, level) };
            self.carriers(id.0, level, reached, &mut from);
            from.sort_unstable();
            from.dedup();
        }
        RolledUp { own, health, inherited, inherited_from: from }
    }

    /// What of a dependency's target arrives at its dependant now.
    pub fn arriving(&self, dependency: DependencyId) -> Health {
        CHAIN[usize::from(self.arrival(dependency.0, NEVER))]
    }

    /// Own, inherited and rolled-up level.
    fn levels(&self, node: NodeId) -> (Health, Health, Health) {
        let (own, inherited) = match node {
            NodeId::Instance(id) => {
                let inherited = if self.counts(id.0) { self.level(id.0) } else { 0 };
                (self.own[id.index()], CHAIN[usize::from(inherited)])
            }
            NodeId::Component(id) => {
                let own = self.own_sets[id.index()].level();
                let by_all = CHAIN[usize::from(self.level(self.plan.of_component(id.0)))];
                (own, by_all.worse(self.by_its_instances(id, own)))
            }
        };
        (own, inherited, own.worse(inherited))
    }

    /// What a component's instances inherit, as far as that makes its level worse.
    fn by_its_instances(&self, id: ComponentId, own: Health) -> Health {
        let with = self.sets[id.index()].level();
        if with.severity() > own.severity() { with } else { Health::Green }
    }

    /// Maintenance inherits nothing.
    fn counts(&self, instance: u32) -> bool {
        self.own[instance as usize] != Health::Paused
    }

    // === Levels now and then ===

    pub(super) fn level(&self, node: NodeNo) -> u8 {
        self.level_at(node, NEVER)
    }

    /// The level that a node had before `time`, of what it has now.
    fn level_at(&self, node: NodeNo, time: u64) -> u8 {
        self.since[node as usize].iter().filter(|since| **since < time).count() as u8
    }

    /// Since when a node has been at least this bad (1 to 3).
    pub(super) fn time(&self, node: NodeNo, level: u8) -> u64 {
        self.since[node as usize][usize::from(level) - 1]
    }

    /// What its inputs make of a node, as they were before `time`.
    pub(super) fn evaluate(&self, node: NodeNo, time: u64) -> u8 {
        match self.plan.set_of(node) {
            Some(set) => self.felt(set, time),
            None => self.plan.alternatives[node as usize]
                .iter()
                .map(|one_of| self.best(one_of, time))
                .max()
                .unwrap_or(0),
        }
    }

    fn best(&self, one_of: &[u32], time: u64) -> u8 {
        one_of.iter().map(|dependency| self.arrival(*dependency, time)).min().unwrap_or(0)
    }

    fn arrival(&self, dependency: u32, time: u64) -> u8 {
        let need = self.plan.dependencies[dependency as usize];
        let health = if self.broken[dependency as usize] {
            Health::Red
        } else {
            let of_set = self.level_at(self.plan.of_set(need.set), time);
            CHAIN[usize::from(of_set.max(self.level_at(self.plan.of_component(need.to), time)))]
        };
        transfer(need.strength, health).severity()
    }

    /// Own levels and roles are given, now as then; only what instances inherit has a time.
    fn felt(&self, set: SetNo, time: u64) -> u8 {
        let tally = &self.sets[set as usize];
        let mut changed: Option<SetTally> = None;
        for i in &self.plan.inheriting[set as usize] {
            let (then, now) = (self.level_at(*i, time), self.level(*i));
            if then != now {
                let (own, replica) = (self.own[*i as usize], self.replica[*i as usize]);
                let (shard, tally) = (self.shard(*i, set), changed.get_or_insert_with(|| tally.clone()));
                tally.take(shard, Class::of(own, now), replica);
                tally.add(shard, Class::of(own, then), replica);
            }
        }
        changed.as_ref().unwrap_or(tally).felt().severity()
    }

    fn shard(&self, instance: u32, set: SetNo) -> u32 {
        let sets = &self.plan.member_of[instance as usize];
        sets.iter().find(|(member, _)| *member == set).map_or(0, |(_, shard)| *shard)
    }

    /// The dependencies that carry at least `level` to a feeler. On a cycle only those that did before
    /// `reached`: what came later may be its own doing.
    fn carriers(&self, node: NodeNo, level: u8, reached: u64, from: &mut Vec<DependencyId>) {
        for one_of in &self.plan.alternatives[node as usize] {
            let in_a_cycle = |i: &u32| self.plan.dependencies[*i as usize].on_cycle;
            let time = if one_of.iter().any(in_a_cycle) { reached } else { NEVER };
            if self.best(one_of, time) >= level {
                from.extend(one_of.iter().copied().map(DependencyId));
            }
        }
    }

    // === Changes ===

    fn count(&mut self, instance: u32, class: Class, add: bool) {
        let replica = self.replica[instance as usize];
        for (set, shard) in &self.plan.member_of[instance as usize] {
            let tally = &mut self.sets[*set as usize];
            if add { tally.add(*shard, class, replica) } else { tally.take(*shard, class, replica) }
        }
    }

    fn count_own(&mut self, instance: u32, add: bool) {
        let i = instance as usize;
        let (set, shard) = self.plan.member_of[i][0];
        let (tally, class) = (&mut self.own_sets[set as usize], Class::of(self.own[i], 0));
        if add { tally.add(shard, class, self.replica[i]) } else { tally.take(shard, class, self.replica[i]) }
    }

    /// Changes what an instance counts as.
    fn reclass(&mut self, instance: u32, change: impl FnOnce(&mut Self)) {
        let i = instance as usize;
        self.note(NodeId::Instance(InstanceId(instance)));
        self.note(NodeId::Component(ComponentId(self.plan.component_of[i])));
        let class = |state: &Self| Class::of(state.own[i], state.level(instance));
        self.count(instance, class(self), false);
        change(self);
        self.count(instance, class(self), true);
        for at in 0..self.plan.member_of[i].len() {
            let set = self.plan.member_of[i][at].0;
            self.mark(self.plan.of_set(set));
        }
    }

    fn break_now(&mut self, dependency: DependencyId, broken: bool) {
        if self.broken[dependency.index()] != broken {
            self.broken[dependency.index()] = broken;
            let plan = Arc::clone(&self.plan);
            let set = plan.dependencies[dependency.index()].set;
            for feeler in &plan.dependants_of_set[set as usize] {
                self.mark(*feeler);
            }
        }
    }

    pub(super) fn set_since(&mut self, node: NodeNo, since: Since) {
        if self.since[node as usize] == since {
            return;
        }
        if node < self.plan.instances {
            self.reclass(node, |state| state.since[node as usize] = since);
        } else {
            if let Some(component) = self.plan.component_feeler(node) {
                self.note(NodeId::Component(ComponentId(component)));
            }
            self.since[node as usize] = since;
            self.each_dependant(node, Self::mark);
        }
    }

    /// The nodes that this one is an input of.
    pub(super) fn each_dependant(&mut self, node: NodeNo, mut then: impl FnMut(&mut Self, NodeNo)) {
        let plan = Arc::clone(&self.plan);
        if let Some(set) = plan.set_of(node) {
            plan.dependants_of_set[set as usize].iter().for_each(|feeler| then(self, *feeler));
        } else if let Some(component) = plan.component_feeler(node) {
            plan.dependants_of_component[component as usize].iter().for_each(|feeler| then(self, *feeler));
        } else {
            plan.member_of[node as usize].iter().for_each(|(set, _)| then(self, plan.of_set(*set)));
        }
    }

    fn mark(&mut self, node: NodeNo) {
        let rank = self.plan.rank[node as usize];
        if self.settling != Some(rank) && !self.queued[node as usize] {
            self.queued[node as usize] = true;
            self.queue.push(Reverse((rank, node)));
        }
    }

    fn note(&mut self, node: NodeId) {
        if self.before.as_ref().is_some_and(|before| !before.contains_key(&node)) {
            let levels = self.levels(node);
            if let Some(before) = &mut self.before {
                before.insert(node, levels);
            }
        }
    }

    fn finish(&mut self) -> Vec<NodeId> {
        self.run();
        let before = self.before.take().unwrap_or_default();
        let changed = before.into_iter().filter(|(node, was)| self.levels(*node) != *was);
        let mut changed: Vec<NodeId> = changed.map(|(node, _)| node).collect();
        changed.sort_unstable();
        changed
    }
}

fn is_replica(role: &str) -> bool {
    role == "replica"
}
