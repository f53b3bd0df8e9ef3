//! A recorded case: the last minutes of a running monitor as one JSON object that `topowatch replay` reads.
//!
//! The engine only copies its memory ([`Recording`]); the object is made from that by whoever asked, so that
//! no probe waits for it. Addresses are left out of it, and out of the words of targets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use topology::fault::FaultKind;
use topology::kind::{Bad, KindSpec, SignalSpec, Unit};
use topology::level::Health;
use topology::model::{InstanceId, Model, NodeId, Policy};

use crate::addresses::Cleaner;
use crate::changes::{BEFORE_ONSET, ChangeNote, ChangeOn};
use crate::clock::between;
use crate::engine::{Engine, Job};
use crate::incident::Incident;
use crate::names::Names;
use crate::recent::{Recent, WINDOW};
use crate::report::time;

/// Observations of a case, roughly, and as many points and words of witnesses: where there are more, those of
/// nodes that were well all the time are thinned.
pub const MAX_ENTRIES: usize = 200_000;

/// The engine's memory at one moment.
#[derive(Debug)]
pub struct Recording {
    at: Timestamp,
    model: Arc<Model>,
    jobs: Vec<(Job, Recent)>,
    names: Vec<Arc<str>>,
    changes: Arc<Vec<ChangeNote>>,
    /// Open ones first, then the latest resolved; with the time of confirmation where it is known.
    incidents: Vec<(Incident, Option<Timestamp>)>,
}

/// What cannot be recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCase {
    /// No incident is called so.
    #[error("there is no incident `{0}`")]
    Unknown(String),
    /// It was over before the memory begins.
    #[error("incident `{id}` was over at {over}; the memory of this monitor begins at {begins}")]
    Forgotten {
        /// The incident.
        id: String,
        /// When it was over.
        over: String,
        /// The oldest moment there is.
        begins: String,
    },
}

/// The object.
#[derive(Debug, Serialize)]
pub struct Case {
    name: String,
    /// Zero on the time scale of all `t`.
    epoch: String,
    graph: CaseGraph,
    normal: Span,
    incident: Span,
    #[serde(skip_serializing_if = "Option::is_none")]
    noticed: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incident_id: Option<String>,
    observations: Vec<CaseObservation>,
    series: Vec<CaseSeries>,
    witnesses: Vec<CaseWitness>,
    changes: Vec<CaseChange>,
}

#[derive(Debug, Serialize)]
struct Span {
    from: f64,
    to: f64,
}

#[derive(Debug, Serialize)]
struct CaseGraph {
    components: Vec<CaseComponent>,
    nodes: Vec<CaseNode>,
    edges: Vec<CaseEdge>,
}

#[derive(Debug, Serialize)]
struct CaseComponent {
    id: String,
    policy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_healthy: Option<f64>,
}

#[derive(Debug, Serialize)]
struct CaseNode {
    id: String,
    component: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct CaseEdge {
    from: String,
    to: String,
    strength: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    one_of: Option<u32>,
}

#[derive(Debug, Serialize)]
struct CaseObservation {
    node: String,
    t: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    latency_s: f64,
    #[serde(skip_serializing_if = "String::is_empty")]
    words: String,
}

#[derive(Debug, Serialize)]
struct CaseSeries {
    node: String,
    signal: String,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bad: Option<&'static str>,
    points: Vec<(f64, f64)>,
}

#[derive(Debug, Serialize)]
struct CaseWitness {
    by: String,
    on: String,
    t: f64,
    ok: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    words: String,
}

#[derive(Debug, Serialize)]
struct CaseChange {
    node: String,
    t: f64,
    what: String,
}

impl Engine {
    /// A copy of the recent past.
    pub fn recording(&self, at: Timestamp) -> Recording {
        let open = self.incidents.open().into_iter().map(|i| (i.clone(), self.incidents.confirmed_at(&i.id)));
        let resolved = self.incidents.resolved().iter().map(|i| (i.clone(), None));
        let jobs = self.jobs.iter().zip(&self.states);
        Recording {
            at,
            model: Arc::clone(&self.model),
            jobs: jobs.map(|(job, state)| (job.clone(), state.recent.clone())).collect(),
            names: self.interned.names(),
            changes: self.changes.list(),
            incidents: open.chain(resolved).collect(),
        }
    }
}

impl Recording {
    /// The last `length` (the whole memory when that is longer), or so much more as `incident` needs. Without
    /// one it is about the worst open incident, else about the latest that the time reaches back to.
    ///
    /// # Errors
    /// When there is no such incident, or nothing of it is remembered.
    pub fn case(&self, length: Duration, incident: Option<&str>) -> Result<Case, NoCase> {
        let oldest =
            self.jobs.iter().filter_map(|(_, recent)| recent.looks(self.at).next()).map(|l| l.at).min();
        let begins = oldest.unwrap_or(self.at);
        let back = |length: Duration| self.at.checked_sub(length).unwrap_or(begins).max(begins);
        let about = self.about(incident, back(length), begins)?;
        let from = match about {
            // All that is remembered of it: its normal is as telling as its trouble.
            Some(_) if incident.is_some() => begins,
            _ => back(length.min(WINDOW)),
        };
        let scale = Scale { from, to: self.at };
        let onset = about.map_or(self.at, |(incident, _)| incident.opened_at).clamp(from, self.at);
        let over =
            about.and_then(|(incident, _)| incident.resolved_at).unwrap_or(self.at).clamp(onset, self.at);
        let names = Names::of(&self.model);
        let cleaner = Cleaner::of(&self.model);
        let about_id = about.map(|(incident, _)| incident.id.clone());
        Ok(Case {
            name: format!("{} {}", self.model.name, about_id.clone().unwrap_or_else(|| time(self.at))),
            epoch: time(from),
            graph: graph(&self.model),
            normal: Span { from: 0.0, to: scale.seconds(onset) },
            incident: Span { from: scale.seconds(onset), to: scale.seconds(over) },
            noticed: about
                .map(|(i, confirmed)| scale.seconds(confirmed.unwrap_or(i.opened_at).clamp(from, over))),
            incident_id: about_id,
            observations: self.observations(&scale, &cleaner),
            series: self.series(&scale),
            witnesses: self.witnesses(&scale, &names, &cleaner),
            changes: self.changes(&scale),
        })
    }

    fn about(
        &self,
        wanted: Option<&str>,
        since: Timestamp,
        begins: Timestamp,
    ) -> Result<Option<&(Incident, Option<Timestamp>)>, NoCase> {
        let Some(id) = wanted else {
            // The open ones are listed first, the worst before the others.
            let inside = |i: &&(Incident, _)| i.0.resolved_at.is_none_or(|over| over >= since);
            return Ok(self.incidents.iter().find(inside));
        };
        let named: Vec<_> = self.incidents.iter().filter(|(i, _)| i.id.starts_with(id)).collect();
        let [found] = named.as_slice() else { return Err(NoCase::Unknown(id.to_owned())) };
        match found.0.resolved_at {
            Some(over) if over < begins => {
                let (over, begins) = (time(over), time(begins));
                Err(NoCase::Forgotten { id: found.0.id.clone(), over, begins })
            }
            _ => Ok(Some(found)),
        }
    }

    fn name_of(&self, id: InstanceId) -> &str {
        &self.model.instance(id).name
    }

    fn observations(&self, scale: &Scale, cleaner: &Cleaner) -> Vec<CaseObservation> {
        let inside = |recent: &Recent| recent.looks(self.at).filter(|look| scale.has(look.at)).count();
        let steps = self.steps(inside);
        let mut all = Vec::new();
        for ((job, recent), step) in self.jobs.iter().zip(steps) {
            let node = self.name_of(job.instance);
            for look in recent.looks(self.at).filter(|look| scale.has(look.at)).step_by(step) {
                let bad = look.health != Health::Green;
                all.push(CaseObservation {
                    node: node.to_owned(),
                    t: scale.seconds(look.at),
                    fault: look.fault.map(FaultKind::as_str),
                    level: bad.then(|| look.health.level().as_str()),
                    kind: look.health.kind().map(topology::level::Kind::as_str),
                    latency_s: rounded(look.took.as_secs_f64(), 1e6),
                    words: cleaner.clean(look.words),
                });
            }
        }
        all.sort_by(|a, b| a.t.total_cmp(&b.t));
        all
    }

    /// Every how many of the `count` entries of each job one is taken: of jobs that saw trouble every one (while
    /// there is room even for that), of the others as many as there is room for.
    fn steps(&self, count: impl Fn(&Recent) -> usize) -> Vec<usize> {
        let well = |recent: &Recent| recent.looks(self.at).all(|look| look.health == Health::Green);
        let counts: Vec<(bool, usize)> =
            self.jobs.iter().map(|(_, recent)| (well(recent), count(recent))).collect();
        let sum = |wanted| counts.iter().filter(|(w, _)| *w == wanted).map(|(_, n)| n).sum::<usize>();
        let troubled = sum(false).div_ceil(MAX_ENTRIES).max(1);
        let room = MAX_ENTRIES.saturating_sub(sum(false)).max(self.jobs.len()).max(1);
        let calm = sum(true).div_ceil(room).max(1);
        counts.into_iter().map(|(well, _)| if well { calm } else { troubled }).collect()
    }

    fn series(&self, scale: &Scale) -> Vec<CaseSeries> {
        let inside = |recent: &Recent| {
            recent.series(self.at).map(|(_, points)| points.filter(|(at, _)| scale.has(*at)).count()).sum()
        };
        let mut all = Vec::new();
        for ((job, recent), step) in self.jobs.iter().zip(self.steps(inside)) {
            for (place, points) in recent.series(self.at) {
                let Some(signal) = self.names.get(usize::from(place)) else { continue };
                let points: Vec<(f64, f64)> = points
                    .filter(|(at, _)| scale.has(*at))
                    .step_by(step)
                    .map(|(at, value)| (scale.seconds(at), shortest(value)))
                    .collect();
                if points.is_empty() {
                    continue;
                }
                let spec = spec_of(job.probe.kind, signal);
                all.push(CaseSeries {
                    node: self.name_of(job.instance).to_owned(),
                    signal: signal.to_string(),
                    unit: unit(spec, signal),
                    bad: spec.map(|spec| match spec.bad {
                        Bad::Above => "up",
                        Bad::Below => "down",
                    }),
                    points,
                });
            }
        }
        all
    }

    fn witnesses(&self, scale: &Scale, names: &Names, cleaner: &Cleaner) -> Vec<CaseWitness> {
        let inside = |recent: &Recent| recent.said(self.at).filter(|said| scale.has(said.at)).count();
        let mut all = Vec::new();
        for ((job, recent), step) in self.jobs.iter().zip(self.steps(inside)) {
            for said in recent.said(self.at).filter(|said| scale.has(said.at)).step_by(step) {
                // A reload may have taken the node away.
                let on = self.names.get(usize::from(said.on)).filter(|on| names.node(on).is_some());
                let Some(on) = on else { continue };
                all.push(CaseWitness {
                    by: self.name_of(job.instance).to_owned(),
                    on: on.to_string(),
                    t: scale.seconds(said.at),
                    ok: said.ok,
                    words: cleaner.clean(said.words),
                });
            }
        }
        all.sort_by(|a, b| a.t.total_cmp(&b.t));
        all
    }

    /// Changes count before the looks begin as well: up to half an hour before.
    fn changes(&self, scale: &Scale) -> Vec<CaseChange> {
        let inside = |note: &&ChangeNote| {
            // What the file no longer has is in no graph.
            note.at <= scale.to
                && between(note.at, scale.from) <= BEFORE_ONSET
                && ChangeOn::find(&self.model, &note.node).is_ok()
        };
        self.changes
            .iter()
            .filter(inside)
            .map(|note| CaseChange {
                node: note.node.clone(),
                t: scale.seconds(note.at),
                what: note.what.clone(),
            })
            .collect()
    }
}

/// The time scale of a case.
struct Scale {
    from: Timestamp,
    to: Timestamp,
}

impl Scale {
    fn has(&self, at: Timestamp) -> bool {
        self.from <= at && at <= self.to
    }

    fn seconds(&self, at: Timestamp) -> f64 {
        rounded(at.duration_since(self.from).as_secs_f64(), 1e3)
    }
}

fn rounded(value: f64, to: f64) -> f64 {
    (value * to).round() / to
}

/// The shortest decimal that is this number in 32 bits: `0.1`, not `0.10000000149`.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| f64::from(value))
}

fn spec_of(kind: &KindSpec, signal: &str) -> Option<&'static SignalSpec> {
    let bare = signal.split_once('[').map_or(signal, |(bare, _)| bare);
    let labelled = kind.labelled.map(|group| group.signals).unwrap_or_default();
    kind.signals.iter().chain(labelled).find(|spec| spec.name == bare)
}

fn unit(spec: Option<&SignalSpec>, signal: &str) -> &'static str {
    let bare = signal.split_once('[').map_or(signal, |(bare, _)| bare);
    match spec.map(|spec| spec.unit) {
        Some(Unit::Seconds) => "s",
        Some(Unit::Bytes) => "B",
        Some(Unit::Count) => "count",
        None if bare.ends_with("_seconds") => "s",
        None if bare.ends_with("_bytes") => "B",
        None if bare.ends_with("_total") => "count",
        Some(Unit::Ratio | Unit::Truth) | None => "1",
    }
}

fn graph(model: &Model) -> CaseGraph {
    let component = |component: &topology::model::Component| CaseComponent {
        id: component.name.clone(),
        policy: component.policy.as_str(),
        min_healthy: match component.policy {
            Policy::Replicas { min_healthy } => Some(min_healthy),
            _ => None,
        },
    };
    let node = |instance: &topology::model::Instance| CaseNode {
        id: instance.name.clone(),
        component: model.component(instance.component).name.clone(),
        labels: instance.labels.clone(),
    };
    // A dependency of a part, or on one, is an edge for each of its instances.
    let ends = |component, part: &[InstanceId]| -> Vec<NodeId> {
        if part.is_empty() {
            return vec![NodeId::Component(component)];
        }
        part.iter().copied().map(NodeId::Instance).collect()
    };
    let mut edges = Vec::new();
    for dependency in &model.dependencies {
        for from in ends(dependency.from, &dependency.from_part) {
            for to in ends(dependency.to, &dependency.to_part) {
                edges.push(CaseEdge {
                    from: model.node_name(from).to_owned(),
                    to: model.node_name(to).to_owned(),
                    strength: dependency.strength.as_str(),
                    one_of: dependency.one_of,
                });
            }
        }
    }
    CaseGraph {
        components: model.components.iter().map(component).collect(),
        nodes: model.instances.iter().map(node).collect(),
        edges,
    }
}

#[cfg(test)]
#[path = "case_tests.rs"]
mod tests;
