//! `/api/v1/health` and `/api/v1/board`.

use std::collections::BTreeMap;

use collector::board::{Board as Source, ComponentState, InstanceState};
use collector::report::IncidentReport;
use serde::{Serialize, Serializer};
use topology::model::{ComponentId, InstanceId};

use super::curves::Curve;
use super::time;

/// How many there are at each level.
#[derive(Debug, Serialize)]
pub(crate) struct Counts {
    green: usize,
    yellow: usize,
    red: usize,
    unknown: usize,
    paused: usize,
}

impl From<collector::board::Counts> for Counts {
    fn from(counts: collector::board::Counts) -> Self {
        let collector::board::Counts { green, yellow, red, unknown, paused } = counts;
        Self { green, yellow, red, unknown, paused }
    }
}

/// The short answer.
#[derive(Debug, Serialize)]
pub(crate) struct Health {
    name: String,
    at: String,
    level: &'static str,
    sentence: String,
    sentence_zh: String,
    counts: Counts,
    components: Vec<Named>,
    incidents: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Named {
    name: String,
    level: &'static str,
}

impl Health {
    pub(crate) fn of(board: &Source) -> Self {
        let named = board.model.components.iter().zip(&board.components);
        Self {
            name: board.model.name.clone(),
            at: time(board.at),
            level: board.level.as_str(),
            sentence: board.sentence.en.clone(),
            sentence_zh: board.sentence.zh.clone(),
            counts: board.counts().into(),
            components: named
                .map(|(component, state)| Named {
                    name: component.name.clone(),
                    level: state.health.level().as_str(),
                })
                .collect(),
            incidents: board.open.iter().map(|incident| incident.id.clone()).collect(),
        }
    }
}

/// Everything.
#[derive(Debug, Serialize)]
pub(crate) struct Board<'a> {
    sequence: u64,
    at: String,
    level: &'static str,
    sentence: String,
    sentence_zh: String,
    monitor: Monitor,
    components: Vec<Component>,
    instances: Instances<'a>,
    edges: Vec<Edge>,
    incidents: Vec<IncidentReport>,
    curves: Vec<Curve>,
}

#[derive(Debug, Serialize)]
struct Monitor {
    blind: bool,
    late_s: f64,
    probes_per_s: f64,
    seen: usize,
    storage: Option<String>,
}

/// A component and its state.
#[derive(Debug, Serialize)]
pub(crate) struct Component {
    pub(crate) name: String,
    title: String,
    title_zh: String,
    tier: Option<String>,
    level: &'static str,
    kind: Option<&'static str>,
    own: &'static str,
    explained_by: Option<String>,
    inherited_from: Vec<String>,
    policy: &'static str,
    counts: Counts,
    since: String,
    words: String,
    words_zh: String,
    short: String,
    short_zh: String,
    depends_on: Vec<DependsOn>,
}

#[derive(Debug, Serialize)]
struct DependsOn {
    on: String,
    strength: &'static str,
}

/// All instances, each written as its turn comes: there may be thousands.
#[derive(Debug)]
struct Instances<'a>(&'a Source);

impl Serialize for Instances<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.model.instance_ids().map(|id| Instance::of(self.0, id)))
    }
}

/// An instance and its state.
#[derive(Debug, Serialize)]
pub(crate) struct Instance<'a> {
    name: &'a str,
    component: &'a str,
    address: String,
    level: &'static str,
    kind: Option<&'static str>,
    suspected: bool,
    fault: Option<&'static str>,
    reason: Option<&'static str>,
    words: &'a str,
    words_zh: &'a str,
    explained_by: Option<String>,
    since: String,
    observed_at: Option<String>,
    latency_s: Option<f64>,
    #[serde(serialize_with = "finite")]
    signals: &'a BTreeMap<String, f64>,
    labels: &'a BTreeMap<String, String>,
    role: Option<&'static str>,
    flapping: bool,
}

/// What JSON has a number for.
fn finite<S: Serializer>(signals: &BTreeMap<String, f64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(signals.iter().filter(|(_, value)| value.is_finite()))
}

#[derive(Debug, Serialize)]
struct Edge {
    from: String,
    to: String,
    strength: &'static str,
    level: &'static str,
    words: String,
    words_zh: String,
}

impl Component {
    pub(crate) fn of(board: &Source, id: ComponentId) -> Self {
        let (component, state): (_, &ComponentState) = (board.model.component(id), board.component(id));
        let name = |id: ComponentId| board.model.component(id).name.clone();
        let depends_on = board.graph.needs(id).into_iter().map(|dependency| {
            let dependency = board.graph.dependency(dependency);
            DependsOn { on: name(dependency.to), strength: dependency.strength.as_str() }
        });
        Self {
            name: component.name.clone(),
            title: component.title.en.clone(),
            title_zh: component.title.zh.clone(),
            tier: component.tier.map(|tier| board.model.tiers[tier].name.clone()),
            level: state.health.level().as_str(),
            kind: state.health.kind().map(topology::level::Kind::as_str),
            own: state.own.level().as_str(),
            explained_by: state.explained_by.map(|culprit| culprit.name(&board.model)),
            inherited_from: state.inherited_from.iter().map(|id| name(*id)).collect(),
            policy: component.policy.as_str(),
            counts: state.counts.into(),
            since: time(state.since),
            words: state.words.en.clone(),
            words_zh: state.words.zh.clone(),
            short: state.short.en.clone(),
            short_zh: state.short.zh.clone(),
            depends_on: depends_on.collect(),
        }
    }
}

impl<'a> Instance<'a> {
    pub(crate) fn of(board: &'a Source, id: InstanceId) -> Self {
        let (instance, state): (_, &InstanceState) = (board.model.instance(id), board.instance(id));
        Self {
            name: &instance.name,
            component: &board.model.component(instance.component).name,
            address: instance.address.to_string(),
            level: state.health.level().as_str(),
            kind: state.health.kind().map(topology::level::Kind::as_str),
            suspected: state.suspected,
            fault: state.fault.as_ref().map(|fault| fault.kind.as_str()),
            reason: state.fault.as_ref().and_then(|fault| fault.reason).map(topology::fault::Reason::as_str),
            words: &state.words.en,
            words_zh: &state.words.zh,
            explained_by: state.explained_by.map(|culprit| culprit.name(&board.model)),
            since: time(state.since),
            observed_at: state.observed_at.map(time),
            latency_s: state.latency.map(|latency| latency.as_secs_f64()),
            signals: &state.signals,
            labels: &instance.labels,
            role: state.role,
            flapping: state.flapping,
        }
    }
}

impl<'a> Board<'a> {
    pub(crate) fn of(board: &'a Source) -> Self {
        let model = &board.model;
        let edges = model.dependencies.iter().zip(&board.edges).map(|(dependency, state)| Edge {
            from: model.component(dependency.from).name.clone(),
            to: model.component(dependency.to).name.clone(),
            strength: dependency.strength.as_str(),
            level: state.health.map_or("green", |health| health.level().as_str()),
            words: state.words.en.clone(),
            words_zh: state.words.zh.clone(),
        });
        Self {
            sequence: board.sequence,
            at: time(board.at),
            level: board.level.as_str(),
            sentence: board.sentence.en.clone(),
            sentence_zh: board.sentence.zh.clone(),
            monitor: Monitor {
                blind: board.monitor.blind,
                late_s: board.monitor.late.as_secs_f64(),
                probes_per_s: board.monitor.probes_per_second,
                seen: board.monitor.seen,
                storage: board.monitor.storage.clone(),
            },
            components: model.component_ids().map(|id| Component::of(board, id)).collect(),
            instances: Instances(board),
            edges: edges.collect(),
            incidents: board.open.iter().map(|incident| IncidentReport::of(model, incident)).collect(),
            curves: board.curves.iter().map(Curve::of).collect(),
        }
    }
}
