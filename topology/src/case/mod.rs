//! Recorded cases: what was seen of one incident, in one JSON object, to be judged again offline.
//!
//! The format is the one of `topowatch record`; see docs/verdict.md. Unknown members are ignored, so that
//! newer recorders can say more.

mod judge;
mod replay;
mod series;

use serde::Deserialize;
use std::collections::BTreeMap;

pub use replay::{Answer, Named, replay};

/// One recorded case.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedCase {
    /// Its name.
    pub name: String,
    /// What is known of the platform.
    pub graph: CaseGraph,
    /// A time in which all was as usual.
    pub normal: Window,
    /// The time of the incident.
    pub incident: Window,
    /// When somebody noticed, in seconds.
    #[serde(default)]
    pub noticed: Option<f64>,
    /// The node whose trouble was noticed.
    #[serde(default)]
    pub target: Option<String>,
    /// The signal of the target that was noticed.
    #[serde(default)]
    pub target_signal: Option<String>,
    /// What probes saw.
    #[serde(default)]
    pub observations: Vec<CaseObservation>,
    /// Measured values over time.
    #[serde(default)]
    pub series: Vec<CaseSeries>,
    /// What dependants said of their dependencies.
    #[serde(default)]
    pub witnesses: Vec<CaseWitness>,
    /// Deployments and the like.
    #[serde(default)]
    pub changes: Vec<CaseChange>,
}

/// A stretch of time, in seconds.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Window {
    /// Its begin.
    pub from: f64,
    /// Its end.
    pub to: f64,
}

/// Nodes and their dependencies.
#[derive(Clone, Debug, Deserialize)]
pub struct CaseGraph {
    /// Components with a policy; one that only instances name may be missing here.
    #[serde(default)]
    pub components: Vec<CaseComponent>,
    /// What is probed.
    pub nodes: Vec<CaseNode>,
    /// Dependant to dependency.
    pub edges: Vec<CaseEdge>,
}

/// A component.
#[derive(Clone, Debug, Deserialize)]
pub struct CaseComponent {
    /// Its name.
    pub id: String,
    /// Its policy: a word, or as in topology.yaml.
    #[serde(default)]
    pub policy: Option<serde_json::Value>,
}

/// A node: an instance of a component, or a component of its own.
#[derive(Clone, Debug, Deserialize)]
pub struct CaseNode {
    /// Its name.
    pub id: String,
    /// The component it is an instance of.
    #[serde(default)]
    pub component: Option<String>,
    /// `role`, `host`, `zone`, `version`, `observed`, ...
    #[serde(default)]
    pub labels: Option<BTreeMap<String, String>>,
}

/// A dependency.
#[derive(Clone, Debug, Deserialize)]
pub struct CaseEdge {
    /// The dependant, a component or a node.
    pub from: String,
    /// What it needs, a component or a node.
    pub to: String,
    /// `required`, `optional` or `async`.
    #[serde(default)]
    pub strength: Option<String>,
    /// Edges of one dependant with the same word are alternatives.
    #[serde(default)]
    pub one_of: Option<serde_json::Value>,
}

/// One look at one node. Without `fault` and `level` it was good, unless it took unusually long.
#[derive(Clone, Debug, Deserialize)]
pub struct CaseObservation {
    /// Who was looked at.
    pub node: String,
    /// When, in seconds.
    pub t: f64,
    /// The fault, by its word.
    #[serde(default)]
    pub fault: Option<String>,
    /// The level, by its word; a fault without a level is red.
    #[serde(default)]
    pub level: Option<String>,
    /// How long the answer took.
    #[serde(default)]
    pub latency_s: Option<f64>,
    /// What was said.
    #[serde(default)]
    pub words: Option<String>,
}

/// One measured value over time.
#[derive(Clone, Debug, Deserialize)]
pub struct CaseSeries {
    /// Of which node.
    pub node: String,
    /// Its name.
    pub signal: String,
    /// Its unit.
    #[serde(default)]
    pub unit: Option<String>,
    /// `latency`, `errors`, `saturation` or `traffic`; judged by the name when it is missing.
    #[serde(default)]
    pub family: Option<String>,
    /// Which way is bad, `up` or `down`.
    #[serde(default)]
    pub bad: Option<String>,
    /// The caller a number belongs to, or the dependency a pool belongs to.
    #[serde(default)]
    pub peer: Option<String>,
    /// Who measured it, when that is not the node itself.
    #[serde(default)]
    pub witness: Option<String>,
    /// Times in seconds, and values.
    pub points: Vec<(f64, Option<f64>)>,
}

/// A dependant's word on a dependency.
#[derive(Clone, Debug, Deserialize)]
pub struct CaseWitness {
    /// Who says it.
    pub by: String,
    /// Of which component or node.
    pub on: String,
    /// When, in seconds.
    pub t: f64,
    /// Whether it could be used.
    pub ok: bool,
    /// The words.
    #[serde(default)]
    pub words: Option<String>,
}

/// Something that was done to a node.
#[derive(Clone, Debug, Deserialize)]
pub struct CaseChange {
    /// To which node, component or label.
    pub node: String,
    /// When, in seconds.
    pub t: f64,
    /// What.
    pub what: String,
}

impl RecordedCase {
    /// Reads a case from JSON.
    ///
    /// # Errors
    /// What is wrong, with line and column.
    pub fn from_json(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }
}
