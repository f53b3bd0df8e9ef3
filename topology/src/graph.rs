//! The dependency graph of a model, on petgraph: an edge runs from the dependant to what it needs.
//!
//! Two components may be joined by several dependencies (each of some of their instances), and a
//! component may need a part of itself (a replica its primary).

use std::sync::Arc;

use petgraph::Direction;
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::model::{ComponentId, Dependency, Model, Strength};
use crate::rollup::Plan;

/// Index of a dependency in [`Model::dependencies`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DependencyId(pub u32);

impl DependencyId {
    /// As an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The graph, with its cycles condensed.
#[derive(Debug)]
pub struct Graph {
    links: DiGraph<ComponentId, DependencyId>,
    dependencies: Vec<Dependency>,
    /// For each component the index of its strongly connected set; a set has a higher index than
    /// those it needs.
    set_of: Vec<u32>,
    /// What the roll-up computes over.
    plan: Arc<Plan>,
}

impl Graph {
    /// The graph of `model`.
    pub fn new(model: &Model) -> Self {
        let mut graph = DiGraph::with_capacity(model.components.len(), model.dependencies.len());
        for id in model.component_ids() {
            graph.add_node(id);
        }
        for (i, dependency) in model.dependencies.iter().enumerate() {
            graph.add_edge(node(dependency.from), node(dependency.to), DependencyId(i as u32));
        }
        let mut set_of = vec![0; model.components.len()];
        // Kosaraju's order is reverse topological (what is needed comes before what needs it), and unlike
        // petgraph's Tarjan it does not recurse: a file may hold a chain of any length.
        for (set, members) in kosaraju_scc(&graph).into_iter().enumerate() {
            for member in members {
                set_of[member.index()] = set as u32;
            }
        }
        let one_set = |d: &Dependency| set_of[d.from.index()] == set_of[d.to.index()];
        let plan = Arc::new(Plan::new(model, one_set));
        Self { links: graph, dependencies: model.dependencies.clone(), set_of, plan }
    }

    /// How many components there are.
    pub fn component_count(&self) -> usize {
        self.links.node_count()
    }

    /// Every component, those that are needed before those that need them (inside a cycle in file order).
    pub fn bottom_up(&self) -> Vec<ComponentId> {
        let mut all: Vec<ComponentId> = self.links.node_weights().copied().collect();
        all.sort_by_key(|id| (self.set_of[id.index()], *id));
        all
    }

    /// The dependency with this id.
    pub fn dependency(&self, id: DependencyId) -> &Dependency {
        &self.dependencies[id.index()]
    }

    /// What `component` needs, in file order.
    pub fn needs(&self, component: ComponentId) -> Vec<DependencyId> {
        self.edges(component, Direction::Outgoing)
    }

    /// Who needs `component`, in file order.
    pub fn needed_by(&self, component: ComponentId) -> Vec<DependencyId> {
        self.edges(component, Direction::Incoming)
    }

    fn edges(&self, component: ComponentId, direction: Direction) -> Vec<DependencyId> {
        let mut ids: Vec<DependencyId> =
            self.links.edges_directed(node(component), direction).map(|edge| *edge.weight()).collect();
        ids.sort_unstable();
        ids
    }

    /// The dependency of `from` on `to`, if one is declared; of several the strongest, of equals the first
    /// in the file.
    pub fn between(&self, from: ComponentId, to: ComponentId) -> Option<DependencyId> {
        self.all_between(from, to).into_iter().min_by_key(|id| match self.dependency(*id).strength {
            Strength::Required => 0,
            Strength::Optional => 1,
            Strength::Async => 2,
        })
    }

    /// Every dependency of `from` on `to`, in file order.
    pub fn all_between(&self, from: ComponentId, to: ComponentId) -> Vec<DependencyId> {
        let mut ids: Vec<DependencyId> =
            self.links.edges_connecting(node(from), node(to)).map(|edge| *edge.weight()).collect();
        ids.sort_unstable();
        ids
    }

    /// True when the two lie on one cycle.
    pub fn on_one_cycle(&self, a: ComponentId, b: ComponentId) -> bool {
        self.set_of[a.index()] == self.set_of[b.index()]
    }

    /// Where users come in: the components that nobody else depends on, in file order. Where only members
    /// of one cycle depend on each other, all of them.
    pub fn entry_points(&self) -> Vec<ComponentId> {
        let mut needed_from_outside = vec![false; self.set_of.len()];
        for dependency in &self.dependencies {
            if !self.on_one_cycle(dependency.from, dependency.to) {
                needed_from_outside[self.set_of[dependency.to.index()] as usize] = true;
            }
        }
        let is_entry = |id: &ComponentId| !needed_from_outside[self.set_of[id.index()] as usize];
        self.links.node_weights().copied().filter(is_entry).collect()
    }

    /// What the roll-up computes over.
    pub(crate) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }
}

fn node(id: ComponentId) -> NodeIndex {
    NodeIndex::new(id.index())
}
