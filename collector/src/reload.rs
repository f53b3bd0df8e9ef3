//! Another topology under a running engine: what stays keeps all that is known of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use topology::graph::Graph;
use topology::level::Health;
use topology::model::{InstanceId, Model, NodeId, OptionValue, Probe};

use crate::engine::{Engine, JobId, JobState, jobs_of};
use crate::names::Names;

/// Where a job of the new topology comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It asks what that one asked: its looks and timers go on.
    Same(JobId),
    /// It asks the same node something else, or elsewhere: what is known stays, a look under way is void.
    Changed(JobId),
    /// Nobody has asked this before.
    New,
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Nodes that are new, in file order.
    pub added: Vec<String>,
    /// Nodes that are gone.
    pub removed: Vec<String>,
    /// Instances that stay.
    pub kept: usize,
    /// Those among them that are asked something else or elsewhere.
    pub changed: Vec<String>,
}

/// What moves where.
pub(crate) struct Moves {
    /// By the new job.
    pub(crate) jobs: Vec<Origin>,
    /// By the old node.
    pub(crate) nodes: HashMap<NodeId, NodeId>,
    pub(crate) report: Reloaded,
}

impl Engine {
    /// Puts `model` in force at `now`.
    pub(crate) fn reload(&mut self, model: Arc<Model>, now: Timestamp) -> Moves {
        let names = Names::of(&model);
        let nodes = nodes(&self.model, &model, &names);
        let (jobs, jobs_of) = jobs_of(&model);
        let mut report = report(&self.model, &model, &nodes);

        let old_instances: HashMap<InstanceId, InstanceId> = nodes
            .iter()
            .filter_map(|(old, new)| match (old, new) {
                (NodeId::Instance(old), NodeId::Instance(new)) => Some((*new, *old)),
                _ => None,
            })
            .collect();
        let mut states: Vec<Option<JobState>> = self.states.drain(..).map(Some).collect();
        let mut alike = Alike::default();
        let mut origins = Vec::with_capacity(jobs.len());
        let mut moved: BTreeMap<JobId, JobId> = BTreeMap::new();
        for (id, job) in jobs.iter().enumerate() {
            let before = old_instances.get(&job.instance).and_then(|old| {
                let kind = job.probe.kind.name;
                self.jobs_of[old.index()].iter().copied().find(|j| self.jobs[*j].probe.kind.name == kind)
            });
            let Some(before) = before else {
                origins.push(Origin::New);
                self.states.push(JobState::new(now));
                continue;
            };
            let address = |model: &Model, id: InstanceId| model.instance(id).address.clone();
            let same = alike.ask(&self.jobs[before].probe, &job.probe)
                && address(&self.model, self.jobs[before].instance) == address(&model, job.instance);
            origins.push(if same { Origin::Same(before) } else { Origin::Changed(before) });
            moved.insert(before, id);
            self.states.push(states[before].take().unwrap_or_else(|| JobState::new(now)));
        }
        let not_same = |id: &InstanceId| {
            let of: &Vec<JobId> = &jobs_of[id.index()];
            let before = &self.jobs_of[old_instances[id].index()];
            of.len() != before.len() || of.iter().any(|j| !matches!(origins[*j], Origin::Same(_)))
        };
        let mut changed: Vec<InstanceId> = old_instances.keys().copied().filter(not_same).collect();
        changed.sort_unstable();
        report.changed = changed.into_iter().map(|id| model.instance(id).name.clone()).collect();

        self.newly_confirmed = self.newly_confirmed.iter().filter_map(|j| moved.get(j).copied()).collect();
        let mut instance_since = vec![(Health::Unknown, now); model.instances.len()];
        let mut component_since = vec![(Health::Unknown, now); model.components.len()];
        for (old, new) in &nodes {
            match (old, new) {
                (NodeId::Instance(old), NodeId::Instance(new)) => {
                    instance_since[new.index()] = self.instance_since[old.index()];
                }
                (NodeId::Component(old), NodeId::Component(new)) => {
                    component_since[new.index()] = self.component_since[old.index()];
                }
                _ => {}
            }
        }
        (self.instance_since, self.component_since) = (instance_since, component_since);
        (self.jobs, self.jobs_of) = (jobs, jobs_of);
        self.upkeep.changed();
        self.incidents.reload(&self.model, &names, now);
        self.curves.follow(&model, now);
        self.graph = Arc::new(Graph::new(&model));
        self.names = names;
        self.model = model;
        Moves { jobs: origins, nodes, report }
    }
}

/// The nodes that stay: a component by its name, an instance by its name and its component's.
fn nodes(old: &Model, new: &Model, names: &Names) -> HashMap<NodeId, NodeId> {
    let components = old.component_ids().filter_map(|id| {
        let found = names.component(&old.component(id).name)?;
        Some((NodeId::Component(id), NodeId::Component(found)))
    });
    let instances = old.instance_ids().filter_map(|id| {
        let instance = old.instance(id);
        let found = names.instance(&instance.name)?;
        let of = |model: &Model, id| model.component(id).name.clone();
        (of(old, instance.component) == of(new, new.instance(found).component))
            .then_some((NodeId::Instance(id), NodeId::Instance(found)))
    });
    components.chain(instances).collect()
}

fn report(old: &Model, new: &Model, nodes: &HashMap<NodeId, NodeId>) -> Reloaded {
    let all = |model: &Model| -> Vec<NodeId> {
        let components = model.component_ids().map(NodeId::Component);
        components.chain(model.instance_ids().map(NodeId::Instance)).collect()
    };
    let stayed: std::collections::HashSet<NodeId> = nodes.values().copied().collect();
    let named = |model: &Model, ids: Vec<NodeId>| -> Vec<String> {
        ids.into_iter().map(|id| model.node_name(id).to_owned()).collect()
    };
    Reloaded {
        added: named(new, all(new).into_iter().filter(|id| !stayed.contains(id)).collect()),
        removed: named(old, all(old).into_iter().filter(|id| !nodes.contains_key(id)).collect()),
        kept: nodes.keys().filter(|id| matches!(id, NodeId::Instance(_))).count(),
        changed: Vec::new(),
    }
}

/// Whether two probes ask the same and judge the answers alike; worked out once for a component.
#[derive(Default)]
struct Alike(HashMap<(*const Probe, *const Probe), bool>);

impl Alike {
    fn ask(&mut self, a: &Arc<Probe>, b: &Arc<Probe>) -> bool {
        *self.0.entry((Arc::as_ptr(a), Arc::as_ptr(b))).or_insert_with(|| alike(a, b))
    }
}

/// By everything that can be shown of them, so that nothing is forgotten here when a probe gets another
/// setting; secrets cannot be shown.
fn alike(a: &Probe, b: &Probe) -> bool {
    let secrets = |probe: &Probe| -> Vec<SecretString> {
        let secret = |value: &OptionValue| match value {
            OptionValue::Secret(secret) => Some(secret.clone()),
            _ => None,
        };
        probe.options.values().filter_map(secret).collect()
    };
    let (own, other) = (secrets(a), secrets(b));
    format!("{a:?}") == format!("{b:?}")
        && own.len() == other.len()
        && own.iter().zip(&other).all(|(a, b)| a.expose_secret() == b.expose_secret())
}

#[cfg(test)]
#[path = "reload_tests.rs"]
mod tests;
