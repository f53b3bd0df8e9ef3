//! The board: the state of everything at one moment, immutable, swapped whole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use topology::fault::Fault;
use topology::graph::{DependencyId, Graph};
use topology::level::{Health, Level};
use topology::model::{ComponentId, InstanceId, Model};
use topology::text::Text;
use topology::verdict::Culprit;

use crate::changes::ChangeNote;
use crate::curves::CurveState;
use crate::incident::Incident;
use crate::looked::Looked;
use crate::silence::Silence;

/// Everything a reader may want to know, as of one moment. Readers hold an `Arc` of it and never lock
/// writers.
#[derive(Clone, Debug)]
pub struct Board {
    /// Rises by at least one with every board.
    pub sequence: u64,
    /// When it was made.
    pub at: Timestamp,
    /// The file in force.
    pub model: Arc<Model>,
    /// Its graph.
    pub graph: Arc<Graph>,
    /// The monitor's own state.
    pub monitor: MonitorState,
    /// By [`InstanceId`].
    pub instances: Vec<InstanceState>,
    /// By [`ComponentId`].
    pub components: Vec<ComponentState>,
    /// By [`DependencyId`].
    pub edges: Vec<EdgeState>,
    /// Open incidents, the worst and then the oldest first.
    pub open: Vec<Arc<Incident>>,
    /// The latest resolved ones, newest first.
    pub resolved: Vec<Arc<Incident>>,
    /// The worst component's level: red, yellow, unknown, green.
    pub level: Level,
    /// The business curves, in file order.
    pub curves: Arc<Vec<CurveState>>,
    /// What was changed out there lately, oldest first.
    pub changes: Arc<Vec<ChangeNote>>,
    /// What people say is to be kept quiet, oldest first.
    pub silences: Arc<Vec<Silence>>,
    /// What a person would say of it all.
    pub sentence: Text,
    /// The second line: what to do, or what is not broken.
    pub advice: Text,
}

/// The monitor's own state.
#[derive(Clone, Debug, Default)]
pub struct MonitorState {
    /// It has lost its own network or its own CPU: no verdict.
    pub blind: bool,
    /// How late its latest probes started.
    pub late: Duration,
    /// Probes a second, over the last ten seconds.
    pub probes_per_second: f64,
    /// Instances observed at least once.
    pub seen: usize,
    /// What became of all looks since the start.
    pub looked: Looked,
    /// What is wrong with its storage, if something is.
    pub storage: Option<String>,
    /// When the file in force was read.
    pub file_read_at: Option<Timestamp>,
    /// The file has been changed since, and cannot be used as it is.
    pub file_trouble: Option<Arc<FileTrouble>>,
}

/// A topology file that cannot be used; the one read before stays in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileTrouble {
    /// When it was read.
    pub at: Timestamp,
    /// Its name, without directories.
    pub file: String,
    /// What is wrong, one finding a line, the first ones.
    pub lines: Vec<String>,
    /// Findings beyond those.
    pub more: usize,
}

impl FileTrouble {
    /// Findings that are kept.
    const MOST: usize = 10;

    /// `lines` are all findings.
    pub fn new(at: Timestamp, file: String, mut lines: Vec<String>) -> Self {
        let more = lines.len().saturating_sub(Self::MOST);
        lines.truncate(Self::MOST);
        Self { at, file, lines, more }
    }
}

/// One instance.
#[derive(Clone, Debug)]
pub struct InstanceState {
    /// Its own confirmed level.
    pub health: Health,
    /// The last look was worse than the confirmed level.
    pub suspected: bool,
    /// Held at its worst level.
    pub flapping: bool,
    /// The confirmed fault.
    pub fault: Option<Fault>,
    /// What is wrong, on one line; empty when nothing is.
    pub words: Text,
    /// A short word for the card: `hung`, `503`, `memory 97 %`; empty when nothing is wrong.
    pub short: Text,
    /// Its level is bad, and another's doing.
    pub explained_by: Option<Culprit>,
    /// Since when it has this level.
    pub since: Timestamp,
    /// The latest observation.
    pub observed_at: Option<Timestamp>,
    /// How long the latest answer took.
    pub latency: Option<Duration>,
    /// The latest signals, in base units; one map for all boards until the next look.
    pub signals: Arc<BTreeMap<String, f64>>,
    /// The role last seen, else the label.
    pub role: Option<&'static str>,
}

/// One component.
#[derive(Clone, Debug)]
pub struct ComponentState {
    /// Rolled up: the worst of own and inherited.
    pub health: Health,
    /// From its own instances.
    pub own: Health,
    /// Its own level is bad, and another's doing.
    pub explained_by: Option<Culprit>,
    /// The dependencies that carry what it inherits.
    pub inherited_from: Vec<ComponentId>,
    /// Its instances by level.
    pub counts: Counts,
    /// Since when it has this level.
    pub since: Timestamp,
    /// What is wrong, on one line; empty when nothing is.
    pub words: Text,
    /// For the card: the most frequent fault and how many have it, `hung 1/4`; empty when nothing is.
    pub short: Text,
}

/// Instances (or components) by level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Green ones.
    pub green: usize,
    /// Yellow ones.
    pub yellow: usize,
    /// Red ones.
    pub red: usize,
    /// Those without a fresh observation.
    pub unknown: usize,
    /// Those in maintenance.
    pub paused: usize,
}

impl Counts {
    /// Counts `levels`.
    pub fn of(levels: impl IntoIterator<Item = Level>) -> Self {
        let mut counts = Self::default();
        for level in levels {
            *match level {
                Level::Green => &mut counts.green,
                Level::Yellow => &mut counts.yellow,
                Level::Red => &mut counts.red,
                Level::Unknown => &mut counts.unknown,
                Level::Paused => &mut counts.paused,
            } += 1;
        }
        counts
    }

    /// All of them.
    pub const fn total(self) -> usize {
        self.green + self.yellow + self.red + self.unknown + self.paused
    }
}

/// One dependency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EdgeState {
    /// What arrives at the dependant over it.
    pub health: Option<Health>,
    /// What the dependants say of it, where they complain.
    pub words: Text,
    /// Part of the explanation: how many steps from the root, 0 for the root's own edges, and whose
    /// (index into the incident's roots).
    pub lit: Option<Lit>,
}

/// A lit edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lit {
    /// Steps from the root.
    pub hops: u32,
    /// The number the root wears on the page, from 1.
    pub number: u32,
}

impl Board {
    /// A component's state.
    pub fn component(&self, id: ComponentId) -> &ComponentState {
        &self.components[id.index()]
    }

    /// An instance's state.
    pub fn instance(&self, id: InstanceId) -> &InstanceState {
        &self.instances[id.index()]
    }

    /// A dependency's state.
    pub fn edge(&self, id: DependencyId) -> &EdgeState {
        &self.edges[id.index()]
    }

    /// Components by level.
    pub fn counts(&self) -> Counts {
        Counts::of(self.components.iter().map(|component| component.health.level()))
    }

    /// Every root of every open incident, in the order of the numbers ①②③ on the page.
    pub fn roots(&self) -> Vec<(&Incident, &topology::verdict::Suspect)> {
        self.open
            .iter()
            .flat_map(|incident| incident.verdict.roots.iter().map(|root| (&**incident, root)))
            .collect()
    }

    /// True when `component` is broken itself. The dependant at a broken edge is not: it is affected.
    pub fn is_root(&self, component: ComponentId) -> bool {
        self.roots().iter().any(|(_, root)| self.broken_component(root.culprit) == Some(component))
    }

    /// The number (from 1) of the root that `component` is, else of the one that explains it, else of the
    /// broken edge that it is the dependant of.
    pub fn number_of(&self, component: ComponentId) -> Option<u32> {
        let roots = self.roots();
        let position =
            |found: &dyn Fn(Culprit) -> bool| roots.iter().position(|(_, root)| found(root.culprit));
        let itself = position(&|culprit| self.broken_component(culprit) == Some(component));
        let explained = || {
            let mut base = 0;
            self.open.iter().find_map(|incident| {
                let affected = incident.verdict.affected.iter().find(|a| a.component == component);
                let place = affected.map(|affected| base + affected.root);
                base += incident.verdict.roots.len();
                place
            })
        };
        let at_the_edge = || position(&|culprit| culprit.component(&self.model) == Some(component));
        itself.or_else(explained).or_else(at_the_edge).map(|place| place as u32 + 1)
    }

    /// The component that a root says is broken; none for a way.
    fn broken_component(&self, culprit: Culprit) -> Option<ComponentId> {
        match culprit {
            Culprit::Edge(_) | Culprit::Way { .. } => None,
            other => other.component(&self.model),
        }
    }
}
