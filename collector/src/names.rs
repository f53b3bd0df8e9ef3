//! The nodes of one topology by their exact names: made once, asked at every board.

use std::collections::HashMap;

use topology::graph::DependencyId;
use topology::model::{ComponentId, InstanceId, Model, NodeId};

/// Names to ids.
#[derive(Debug)]
pub(crate) struct Names {
    components: HashMap<Box<str>, ComponentId>,
    instances: HashMap<Box<str>, InstanceId>,
    edges: HashMap<(ComponentId, ComponentId), DependencyId>,
}

impl Names {
    /// The names of `model`.
    pub(crate) fn of(model: &Model) -> Self {
        let edge = |(i, d): (usize, &topology::model::Dependency)| ((d.from, d.to), DependencyId(i as u32));
        Self {
            components: model
                .component_ids()
                .map(|id| (model.component(id).name.as_str().into(), id))
                .collect(),
            instances: model.instance_ids().map(|id| (model.instance(id).name.as_str().into(), id)).collect(),
            // Of several between the same two the first.
            edges: model.dependencies.iter().enumerate().rev().map(edge).collect(),
        }
    }

    /// The component called exactly so.
    pub(crate) fn component(&self, name: &str) -> Option<ComponentId> {
        self.components.get(name).copied()
    }

    /// The instance called exactly so.
    pub(crate) fn instance(&self, name: &str) -> Option<InstanceId> {
        self.instances.get(name).copied()
    }

    /// The node called exactly so; a component before an instance.
    pub(crate) fn node(&self, name: &str) -> Option<NodeId> {
        let component = self.component(name).map(NodeId::Component);
        component.or_else(|| self.instance(name).map(NodeId::Instance))
    }

    /// The dependency called `dependant -> dependency`.
    pub(crate) fn edge(&self, name: &str) -> Option<DependencyId> {
        let (from, to) = name.split_once(" -> ")?;
        self.edges.get(&(self.component(from)?, self.component(to)?)).copied()
    }
}
