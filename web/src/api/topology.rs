//! `/api/v1/topology`: what the file says, without any state.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use topology::model::Model;

use crate::WebState;

/// The model as it is in force.
#[derive(Debug, Serialize)]
pub(crate) struct Topology {
    name: String,
    tiers: Vec<Tier>,
    components: Vec<Component>,
    instances: Vec<Instance>,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Serialize)]
struct Tier {
    name: String,
    title: String,
    title_zh: String,
}

#[derive(Debug, Serialize)]
struct Component {
    name: String,
    title: String,
    title_zh: String,
    tier: Option<String>,
    policy: &'static str,
    probes: Vec<Probe>,
    runbook: Option<String>,
}

#[derive(Debug, Serialize)]
struct Probe {
    kind: &'static str,
    interval_s: f64,
    timeout_s: f64,
}

#[derive(Debug, Serialize)]
struct Instance {
    name: String,
    component: String,
    address: String,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct Dependency {
    from: String,
    to: String,
    strength: &'static str,
}

/// `GET /api/v1/topology`.
pub(crate) async fn topology(State(state): State<WebState>) -> Json<Topology> {
    Json(Topology::of(&state.boards.current().model))
}

impl Topology {
    fn of(model: &Model) -> Self {
        let name = |id| model.component(id).name.clone();
        let tier = |tier: &topology::model::Tier| Tier {
            name: tier.name.clone(),
            title: tier.title.en.clone(),
            title_zh: tier.title.zh.clone(),
        };
        let component = |component: &topology::model::Component| Component {
            name: component.name.clone(),
            title: component.title.en.clone(),
            title_zh: component.title.zh.clone(),
            tier: component.tier.map(|tier| model.tiers[tier].name.clone()),
            policy: component.policy.as_str(),
            // Options stay out: they may name accounts and files.
            probes: component
                .probes
                .iter()
                .map(|probe| Probe {
                    kind: probe.kind.name,
                    interval_s: probe.interval.as_secs_f64(),
                    timeout_s: probe.timeout.as_secs_f64(),
                })
                .collect(),
            runbook: component.runbook.clone(),
        };
        let instance = |instance: &topology::model::Instance| Instance {
            name: instance.name.clone(),
            component: name(instance.component),
            address: instance.address.to_string(),
            labels: instance.labels.clone(),
        };
        let dependency = |dependency: &topology::model::Dependency| Dependency {
            from: name(dependency.from),
            to: name(dependency.to),
            strength: dependency.strength.as_str(),
        };
        Self {
            name: model.name.clone(),
            tiers: model.tiers.iter().map(tier).collect(),
            components: model.components.iter().map(component).collect(),
            instances: model.instances.iter().map(instance).collect(),
            dependencies: model.dependencies.iter().map(dependency).collect(),
        }
    }
}
