//! The dependency graph of a model, on petgraph: an edge runs from the dependant to what it needs.

use petgraph::Direction;
use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::model::{ComponentId, Dependency, Model};

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
        // Tarjan's order is reverse topological: what is needed comes before what needs it.
        for (set, members) in tarjan_scc(&graph).into_iter().enumerate() {
            for member in members {
                set_of[member.index()] = set as u32;
            }
        }
        Self { links: graph, dependencies: model.dependencies.clone(), set_of }
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

    /// The dependency of `from` on `to`, if it is declared.
    pub fn between(&self, from: ComponentId, to: ComponentId) -> Option<DependencyId> {
        self.links.find_edge(node(from), node(to)).map(|edge| self.links[edge])
    }

    /// True when the two lie on one cycle.
    pub fn on_one_cycle(&self, a: ComponentId, b: ComponentId) -> bool {
        self.set_of[a.index()] == self.set_of[b.index()]
    }
}

fn node(id: ComponentId) -> NodeIndex {
    NodeIndex::new(id.index())
}
