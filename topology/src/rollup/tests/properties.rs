//! What always holds, on random platforms: cycles, parts, alternatives, every policy and strength.
//!
//! The state is held against a roll-up written as the definition reads (`definition.rs`).

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::*;
use super::definition::by_definition;
use crate::model::{Dependency, NodeId};
use crate::testkit::model;

const COMPONENTS: usize = 7;

fn health() -> impl Strategy<Value = Health> {
    prop_oneof![
        4 => Just(Health::Green),
        1 => Just(Health::AtRisk),
        1 => Just(Health::Impaired),
        3 => Just(Health::Red),
        1 => Just(Health::Unknown),
        1 => Just(Health::Paused),
    ]
}

/// A dependency to be: ends, parts as bit masks, strength, group.
type Wish = (usize, usize, u8, u8, usize, Option<u32>);

fn wish() -> impl Strategy<Value = Wish> {
    let part = || prop_oneof![2 => Just(0_u8), 1 => 1..16_u8];
    let group = prop_oneof![3 => Just(None), 1 => (0..2_u32).prop_map(Some)];
    (0..COMPONENTS, 0..COMPONENTS, part(), part(), 0..4_usize, group)
}

/// A random platform and a level for each instance.
fn platform() -> impl Strategy<Value = (Arc<Model>, Vec<Health>)> {
    let policy = prop_oneof![
        2 => Just("replicas"),
        1 => Just("shards"),
        1 => Just("any"),
        1 => Just("standby"),
        1 => Just("primary_replica")
    ];
    let component = (1..5_usize, policy, prop::collection::vec((0..3_u8, 0..3_u8), 4));
    let components = prop::collection::vec(component, COMPONENTS);
    (components, prop::collection::vec(wish(), 0..16)).prop_flat_map(|(components, wishes)| {
        let lines: Vec<String> = components
            .iter()
            .enumerate()
            .map(|(i, (count, policy, _))| format!("c{i} x{count} {policy}"))
            .collect();
        let mut m = model(&lines.join("\n"));
        for (i, (count, _, labels)) in components.iter().enumerate() {
            let first = m.components[i].instances.start as usize;
            for (instance, (shard, role)) in m.instances[first..first + count].iter_mut().zip(labels) {
                if *shard > 0 {
                    instance.labels.insert("shard".to_owned(), shard.to_string());
                }
                if let Some(role) = [None, Some("primary"), Some("replica")][usize::from(*role)] {
                    instance.labels.insert("role".to_owned(), role.to_owned());
                }
            }
        }
        for (from, to, from_mask, to_mask, strength, one_of) in wishes {
            let part = |component: usize, mask: u8| -> Vec<InstanceId> {
                let ids = m.components[component].instance_ids().enumerate();
                ids.filter(|(i, _)| mask >> i & 1 == 1).map(|(_, id)| id).collect()
            };
            let (from_part, to_part) = (part(from, from_mask), part(to, to_mask));
            // A component may need a part of itself, and a mask may name nobody.
            if (from == to && (from_part.is_empty() || to_part.is_empty()))
                || (from_mask != 0 && from_part.is_empty())
                || (to_mask != 0 && to_part.is_empty())
            {
                continue;
            }
            let strength =
                [Strength::Required, Strength::Required, Strength::Optional, Strength::Async][strength];
            m.dependencies.push(Dependency {
                from: ComponentId(from as u32),
                to: ComponentId(to as u32),
                strength,
                from_part,
                to_part,
                one_of,
            });
        }
        let n = m.instances.len();
        (Just(Arc::new(m)), prop::collection::vec(health(), n))
    })
}

/// One change.
#[derive(Clone, Debug)]
enum Edit {
    Level(Index, Health),
    Levels(Vec<(Index, Health)>),
    Role(Index, Option<&'static str>),
    Broken(Index, bool),
}

fn edit() -> impl Strategy<Value = Edit> {
    let role = prop_oneof![Just(None), Just(Some("primary")), Just(Some("replica"))];
    prop_oneof![
        6 => (any::<Index>(), health()).prop_map(|(i, h)| Edit::Level(i, h)),
        1 => prop::collection::vec((any::<Index>(), health()), 0..4).prop_map(Edit::Levels),
        1 => (any::<Index>(), role).prop_map(|(i, r)| Edit::Role(i, r)),
        1 => (any::<Index>(), any::<bool>()).prop_map(|(i, b)| Edit::Broken(i, b)),
    ]
}

/// The inputs, kept beside the state.
#[derive(Clone)]
pub(super) struct Inputs {
    pub(super) health: Vec<Health>,
    pub(super) roles: Vec<Option<&'static str>>,
    pub(super) broken: Vec<bool>,
}

impl Inputs {
    fn new(m: &Model, health: Vec<Health>) -> Self {
        Self { roles: vec![None; health.len()], health, broken: vec![false; m.dependencies.len()] }
    }

    fn state(&self, graph: &Graph) -> RollUp {
        let broken: Vec<DependencyId> =
            (0..self.broken.len()).filter(|i| self.broken[*i]).map(|i| DependencyId(i as u32)).collect();
        RollUp::new(graph, |i| self.health[i], |i| self.roles[i], &broken)
    }

    fn apply(&mut self, edit: &Edit, state: &mut RollUp) -> Vec<NodeId> {
        let n = self.health.len();
        let id = |i: usize| InstanceId(i as u32);
        match edit {
            Edit::Level(i, health) => {
                self.health[i.index(n)] = *health;
                state.set(id(i.index(n)), *health)
            }
            Edit::Levels(list) => {
                for (i, health) in list {
                    self.health[i.index(n)] = *health;
                }
                state.set_all(list.iter().map(|(i, health)| (id(i.index(n)), *health)))
            }
            Edit::Role(i, role) => {
                self.roles[i.index(n)] = *role;
                state.set_role(id(i.index(n)), *role)
            }
            Edit::Broken(..) if self.broken.is_empty() => Vec::new(),
            Edit::Broken(i, broken) => {
                let at = i.index(self.broken.len());
                self.broken[at] = *broken;
                state.set_broken(DependencyId(at as u32), *broken)
            }
        }
    }
}

/// Own, inherited and rolled-up level of every node.
fn levels(m: &Model, state: &RollUp) -> Vec<(NodeId, Health, Health, Health)> {
    let component = |id| (NodeId::Component(id), state.component(id));
    let instance = |id| (NodeId::Instance(id), state.instance(id));
    m.component_ids()
        .map(component)
        .chain(m.instance_ids().map(instance))
        .map(|(node, r)| (node, r.own, r.inherited, r.health))
        .collect()
}

/// Every name by which one walks from a level to whom it came from: (node, node), instances after components.
fn names(m: &Model, graph: &Graph, inputs: &Inputs, state: &RollUp) -> Vec<(usize, usize)> {
    let n = m.components.len();
    let of = |node: NodeId| match node {
        NodeId::Component(id) => id.index(),
        NodeId::Instance(id) => n + id.index(),
    };
    let mut out = Vec::new();
    for node in m.component_ids().map(NodeId::Component).chain(m.instance_ids().map(NodeId::Instance)) {
        let r = match node {
            NodeId::Component(id) => state.component(id),
            NodeId::Instance(id) => state.instance(id),
        };
        for edge in r.inherited_from {
            let d = &m.dependencies[edge.index()];
            if inputs.broken[edge.index()] {
                continue;
            }
            // Milder than what it takes, an instance is not what carries it.
            let it_takes = if d.strength == Strength::Required { state.arriving(edge) } else { Health::Red };
            if d.to_part.is_empty() {
                out.push((of(node), d.to.index()));
                continue;
            }
            // What made the part what it is: the whole, or those of its instances that were there first.
            let plan = graph.plan();
            let need = plan.dependencies[edge.index()];
            let worst = it_takes.severity();
            let by_part = state.time(plan.of_set(need.set), worst);
            if state.time(plan.of_component(need.to), worst) < by_part {
                out.push((of(node), d.to.index()));
                continue;
            }
            for id in &d.to_part {
                let by_itself = state.instance(*id).own.severity() >= worst;
                if by_itself || (state.level(id.0) >= worst && state.time(id.0, worst) < by_part) {
                    out.push((of(node), of(NodeId::Instance(*id))));
                }
            }
        }
    }
    out
}

/// A case in a few lines, for the message of a failure.
fn describe(m: &Model, inputs: &Inputs) -> String {
    let mut lines = Vec::new();
    for c in &m.components {
        let instances: Vec<String> = c
            .instance_ids()
            .map(|id| {
                let (health, role) = (inputs.health[id.index()], inputs.roles[id.index()]);
                format!("{} {health:?} {role:?} {:?}", id.0, m.instance(id).labels)
            })
            .collect();
        lines.push(format!("{} {:?}: {}", c.name, c.policy, instances.join("; ")));
    }
    for (i, d) in m.dependencies.iter().enumerate() {
        lines.push(format!("{i}: {d:?} broken {}", inputs.broken[i]));
    }
    lines.join("\n")
}

/// The cases are small, so that many fit into a run; `PROPTEST_CASES` asks for more.
fn cases() -> ProptestConfig {
    let usual = ProptestConfig::default();
    let more = std::env::var_os("PROPTEST_CASES").is_some();
    ProptestConfig { cases: if more { usual.cases } else { 512 }, ..usual }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_state_is_what_the_definition_says((m, h) in platform(), edits in prop::collection::vec(edit(), 0..12)) {
        let graph = Graph::new(&m);
        let mut inputs = Inputs::new(&m, h);
        let mut state = inputs.state(&graph);
        let mut before = levels(&m, &state);
        for at in 0..=edits.len() {
            let (components, instances) = by_definition(&m, &inputs);
            for id in m.component_ids() {
                let r = state.component(id);
                prop_assert_eq!(r.health, components[id.index()], "component {} after {} edits", id.0, at);
                let own = own_health(&m, m.component(id), |i| inputs.health[i], |i| inputs.roles[i]);
                prop_assert_eq!(r.own, own);
                prop_assert_eq!(r.health, r.own.worse(r.inherited));
            }
            for id in m.instance_ids() {
                prop_assert_eq!(state.instance(id).health, instances[id.index()], "instance {} after {} edits", id.0, at);
            }
            prop_assert_eq!(levels(&m, &state), levels(&m, &inputs.state(&graph)));
            if let Some(edit) = edits.get(at) {
                let changed = inputs.apply(edit, &mut state);
                let after = levels(&m, &state);
                let mut differ: Vec<NodeId> =
                    before.iter().zip(&after).filter(|(b, a)| b != a).map(|(b, _)| b.0).collect();
                differ.sort_unstable();
                prop_assert_eq!(changed, differ);
                before = after;
            }
        }
    }

    #[test]
    fn the_order_of_edits_does_not_matter(
        (m, h) in platform(),
        edits in prop::collection::vec((any::<Index>(), health()), 0..12).prop_shuffle(),
    ) {
        let graph = Graph::new(&m);
        let start = Inputs::new(&m, h);
        // The last word on each instance counts, so that any order means the same.
        let mut last: Vec<(InstanceId, Health)> = Vec::new();
        for (i, health) in &edits {
            let id = InstanceId(i.index(start.health.len()) as u32);
            last.retain(|(other, _)| *other != id);
            last.push((id, *health));
        }
        let mut forth = start.state(&graph);
        let mut back = start.state(&graph);
        let mut at_once = start.state(&graph);
        for (id, health) in &last {
            forth.set(*id, *health);
        }
        for (id, health) in last.iter().rev() {
            back.set(*id, *health);
        }
        at_once.set_all(last);
        prop_assert_eq!(levels(&m, &forth), levels(&m, &back));
        prop_assert_eq!(levels(&m, &forth), levels(&m, &at_once));
    }

    #[test]
    fn a_worse_input_never_gives_a_better_output((m, h) in platform(), at in any::<Index>()) {
        let graph = Graph::new(&m);
        let i = at.index(h.len());
        let mut inputs = Inputs::new(&m, h);
        // Out of sight and maintenance are no levels of the chain, and nothing is worse than red.
        if matches!(inputs.health[i], Health::Unknown | Health::Paused | Health::Red) {
            inputs.health[i] = Health::Green;
        }
        let mut worse = inputs.clone();
        worse.health[i] = [Health::AtRisk, Health::Impaired, Health::Red][inputs.health[i].severity() as usize];
        let (before, after) = (inputs.state(&graph), worse.state(&graph));
        for (b, a) in levels(&m, &before).iter().zip(&levels(&m, &after)) {
            prop_assert!(a.3.severity() >= b.3.severity(), "{:?} was {:?} and is {:?}", b.0, b.3, a.3);
        }
    }

    #[test]
    fn every_inherited_level_names_who_carries_it_and_nobody_in_a_circle(
        (m, h) in platform(),
        edits in prop::collection::vec(edit(), 0..12),
    ) {
        let graph = Graph::new(&m);
        let mut inputs = Inputs::new(&m, h);
        let mut state = inputs.state(&graph);
        for at in 0..=edits.len() {
            for node in m.component_ids().map(NodeId::Component).chain(m.instance_ids().map(NodeId::Instance)) {
                let r = match node {
                    NodeId::Component(id) => state.component(id),
                    NodeId::Instance(id) => state.instance(id),
                };
                if r.health.severity() > r.own.severity() {
                    prop_assert!(!r.inherited_from.is_empty(), "{node:?} names nobody after {at} edits: {:?}\n{}", r, describe(&m, &inputs));
                }
                let component = match node {
                    NodeId::Component(id) => id,
                    NodeId::Instance(id) => m.instance(id).component,
                };
                for edge in &r.inherited_from {
                    prop_assert_eq!(graph.dependency(*edge).from, component);
                    prop_assert!(state.arriving(*edge).severity() >= r.inherited.severity());
                }
            }
            let mut graph_of_names = petgraph::graph::DiGraph::<(), ()>::new();
            let nodes: Vec<_> =
                (0..m.components.len() + m.instances.len()).map(|_| graph_of_names.add_node(())).collect();
            for (from, to) in names(&m, &graph, &inputs, &state) {
                graph_of_names.add_edge(nodes[from], nodes[to], ());
            }
            prop_assert!(
                !petgraph::algo::is_cyclic_directed(&graph_of_names),
                "after {} edits: {:?}", at, names(&m, &graph, &inputs, &state)
            );
            if let Some(edit) = edits.get(at) {
                inputs.apply(edit, &mut state);
            }
        }
    }

    #[test]
    fn unknown_and_paused_never_spread((m, h) in platform()) {
        let quiet: Vec<Health> = h
            .iter()
            .map(|x| if matches!(x, Health::Unknown | Health::Paused) { *x } else { Health::Green })
            .collect();
        let graph = Graph::new(&m);
        let state = Inputs::new(&m, quiet).state(&graph);
        for id in m.component_ids() {
            let r = state.component(id);
            // A policy that knows no primary says so; that is a level, and not one of those two.
            if m.component(id).policy != Policy::PrimaryReplica && r.own.severity() == 0 {
                prop_assert!(r.health.severity() == 0 || !r.inherited_from.is_empty());
            }
        }
        let none_is_red = m.component_ids().all(|id| !state.component(id).own.is_unhealthy());
        if none_is_red && m.dependencies.iter().all(|d| d.to_part.is_empty()) {
            for id in m.component_ids() {
                prop_assert!(!state.component(id).health.is_unhealthy());
                prop_assert!(state.component(id).inherited_from.is_empty());
            }
        }
    }
}
