//! `/api/v1/nodes/{name}`.

use collector::board::Board;
use serde::Serialize;
use topology::model::{ComponentId, NodeId};

use super::board::{Component, Instance};

/// A component with its instances and dependants, or an instance.
#[derive(Debug, Serialize)]
#[serde(tag = "node", rename_all = "lowercase")]
pub(crate) enum Node {
    /// A component.
    Component {
        #[serde(flatten)]
        component: Box<Component>,
        instances: Vec<Instance>,
        needed_by: Vec<NeededBy>,
        incidents: Vec<String>,
        runbook: Option<String>,
    },
    /// An instance.
    Instance {
        #[serde(flatten)]
        instance: Box<Instance>,
    },
}

/// Who needs it, and how much.
#[derive(Debug, Serialize)]
pub(crate) struct NeededBy {
    by: String,
    strength: &'static str,
}

impl Node {
    pub(crate) fn of(board: &Board, id: NodeId) -> Self {
        match id {
            NodeId::Component(id) => Self::component(board, id),
            NodeId::Instance(id) => Self::Instance { instance: Box::new(Instance::of(board, id)) },
        }
    }

    fn component(board: &Board, id: ComponentId) -> Self {
        let component = board.model.component(id);
        let needed_by = board.graph.needed_by(id).into_iter().map(|dependency| {
            let dependency = board.graph.dependency(dependency);
            let by = board.model.component(dependency.from).name.clone();
            NeededBy { by, strength: dependency.strength.as_str() }
        });
        let concerned = board.open.iter().filter(|incident| {
            let verdict = &incident.verdict;
            verdict.affected.iter().any(|affected| affected.component == id)
                || verdict.roots.iter().any(|root| root.culprit.component(&board.model) == Some(id))
        });
        Self::Component {
            component: Box::new(Component::of(board, id)),
            instances: component.instance_ids().map(|id| Instance::of(board, id)).collect(),
            needed_by: needed_by.collect(),
            incidents: concerned.map(|incident| incident.id.clone()).collect(),
            runbook: component.runbook.clone(),
        }
    }
}
