//! The nodes of one topology by their exact names: made once, asked at every board.

use std::collections::HashMap;

use topology::graph::DependencyId;
use topology::model::{ComponentId, InstanceId, Model, NodeId};
use topology::verdict::{Culprit, LabelId};

/// Names to ids.
#[derive(Debug)]
pub(crate) struct Names {
    components: HashMap<Box<str>, ComponentId>,
    instances: HashMap<Box<str>, InstanceId>,
    edges: HashMap<(ComponentId, ComponentId), DependencyId>,
    labels: HashMap<Box<str>, LabelId>,
    addresses: HashMap<Box<str>, InstanceId>,
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
            labels: labels(model),
            addresses: addresses(model),
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

    /// The one instance at this address and port, as servers write it.
    pub(crate) fn address(&self, address: &str) -> Option<InstanceId> {
        self.addresses.get(address).copied()
    }

    /// The node called exactly so; a component before an instance.
    pub(crate) fn node(&self, name: &str) -> Option<NodeId> {
        let component = self.component(name).map(NodeId::Component);
        component.or_else(|| self.instance(name).map(NodeId::Instance))
    }

    /// The label written `name=value`.
    pub(crate) fn label(&self, text: &str) -> Option<LabelId> {
        self.labels.get(text).copied()
    }

    /// What a verdict of this name blames.
    pub(crate) fn culprit(&self, name: &str) -> Option<Culprit> {
        if name == "monitor" {
            return Some(Culprit::Monitor);
        }
        if let Some(edge) = self.edge(name) {
            return Some(Culprit::Edge(edge));
        }
        if let Some((from, to)) = name.split_once(" -> ") {
            return match (from, self.label(to)) {
                ("monitor", Some(label)) => Some(Culprit::MonitorSight(label)),
                _ => Some(Culprit::Way { from: self.instance(from)?, to: self.component(to)? }),
            };
        }
        let label = || self.label(name).map(Culprit::Label);
        let node = self.node(name).map(|node| match node {
            NodeId::Component(id) => Culprit::Component(id),
            NodeId::Instance(id) => Culprit::Instance(id),
        });
        node.or_else(label)
    }

    /// The dependency called `dependant -> dependency`.
    pub(crate) fn edge(&self, name: &str) -> Option<DependencyId> {
        let (from, to) = name.split_once(" -> ")?;
        self.edges.get(&(self.component(from)?, self.component(to)?)).copied()
    }
}

/// Every address that one instance alone has.
fn addresses(model: &Model) -> HashMap<Box<str>, InstanceId> {
    let mut addresses = HashMap::new();
    let mut shared = Vec::new();
    for id in model.instance_ids() {
        let address = model.instance(id).address.to_string().into_boxed_str();
        if addresses.insert(address.clone(), id).is_some() {
            shared.push(address);
        }
    }
    for address in shared {
        addresses.remove(&address);
    }
    addresses
}

/// Every label, by the first instance that carries it.
fn labels(model: &Model) -> HashMap<Box<str>, LabelId> {
    let mut labels = HashMap::new();
    for instance in model.instance_ids() {
        for (label, (key, value)) in model.instance(instance).labels.iter().enumerate() {
            let name = format!("{key}={value}").into_boxed_str();
            labels.entry(name).or_insert(LabelId { instance, label: label as u32 });
        }
    }
    labels
}
