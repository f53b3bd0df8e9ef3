//! `/api/v1/nodes/{name}`.

use collector::board::Board;
use serde::Serialize;
use topology::links::LinkTemplate;
use topology::model::{ComponentId, NodeId};

use super::board::{Component, Instance};

/// A component with its instances and dependants, or an instance.
#[derive(Debug, Serialize)]
#[serde(tag = "node", rename_all = "lowercase")]
pub(crate) enum Node<'a> {
    /// A component.
    Component {
        #[serde(flatten)]
        component: Box<Component>,
        instances: Vec<Instance<'a>>,
        needed_by: Vec<NeededBy>,
        incidents: Vec<String>,
        runbook: Option<String>,
        links: Vec<Link>,
    },
    /// An instance.
    Instance {
        #[serde(flatten)]
        instance: Box<Instance<'a>>,
        links: Vec<Link>,
    },
}

/// A way to another tool.
#[derive(Debug, Serialize)]
pub(crate) struct Link {
    name: String,
    url: String,
}

/// Who needs it, and how much.
#[derive(Debug, Serialize)]
pub(crate) struct NeededBy {
    by: String,
    strength: &'static str,
}

impl<'a> Node<'a> {
    pub(crate) fn of(board: &'a Board, id: NodeId) -> Self {
        match id {
            NodeId::Component(id) => Self::component(board, id),
            NodeId::Instance(id) => {
                let instance = board.model.instance(id);
                let component = board.model.component(instance.component);
                let url = |link: &LinkTemplate| Some(link.of_instance(&component.name, instance));
                Self::Instance {
                    instance: Box::new(Instance::of(board, id)),
                    links: links(&component.links, url),
                }
            }
        }
    }

    fn component(board: &'a Board, id: ComponentId) -> Self {
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
            links: links(&component.links, |link| link.of_component(&component.name)),
        }
    }
}

fn links(templates: &[LinkTemplate], url: impl Fn(&LinkTemplate) -> Option<String>) -> Vec<Link> {
    templates.iter().filter_map(|link| Some(Link { name: link.name.clone(), url: url(link)? })).collect()
}
