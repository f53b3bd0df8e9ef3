//! The checked model: what topology.yaml means. Only this reaches the engine.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::alerting::Alerting;
use crate::kind::{Bad, KindSpec, Unit};
use crate::level::Kind;
use crate::links::LinkTemplate;
use crate::normal::Times;
use crate::text::Text;

/// Index of a component in [`Model::components`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ComponentId(pub u32);

/// Index of an instance in [`Model::instances`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(pub u32);

impl ComponentId {
    /// As an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl InstanceId {
    /// As an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a whole topology.yaml says.
#[derive(Debug, Default)]
pub struct Model {
    /// The platform's name.
    pub name: String,
    /// The lanes, in drawing order.
    pub tiers: Vec<Tier>,
    /// The components, in file order.
    pub components: Vec<Component>,
    /// All instances; those of one component lie together.
    pub instances: Vec<Instance>,
    /// All dependencies, by dependant in file order.
    pub dependencies: Vec<Dependency>,
    /// Who is told of incidents, and when not.
    pub alerting: Alerting,
    /// The business curves, in file order.
    pub curves: Vec<Curve>,
    /// What is promised, in file order.
    pub objectives: Vec<Objective>,
}

/// A business curve: orders a minute, payments, pickups.
#[derive(Debug)]
pub struct Curve {
    /// Its name in the file.
    pub name: String,
    /// Its name for people.
    pub title: Text,
    /// What is counted: `orders/min`.
    pub unit: Option<Text>,
    /// Where its values come from.
    pub source: CurveSource,
    /// How often it is asked; for a pushed one, how often a value is due.
    pub interval: Duration,
    /// What it is drawn and judged against.
    pub compare: Vec<Compare>,
    /// Bad when it falls to this share of what it is compared with.
    pub below: Option<Bounds>,
    /// Bad when it rises to this share of what it is compared with.
    pub above: Option<Bounds>,
}

/// The interval of a curve when the file names none.
pub const DEFAULT_CURVE_INTERVAL: Duration = Duration::from_mins(1);

/// Where a curve's values come from.
#[derive(Debug)]
pub enum CurveSource {
    /// One SELECT that yields one number, with the account of the component's probe of that kind.
    Sql {
        /// Whose database.
        component: ComponentId,
        /// The probe of that component whose kind and account are used.
        probe: Arc<Probe>,
        /// Another database than the probe's.
        database: Option<String>,
        /// The SELECT.
        query: String,
    },
    /// A query to the Prometheus HTTP API.
    Prometheus {
        /// The server's address; may carry an account.
        url: SecretString,
        /// `PromQL` that yields one number.
        query: String,
    },
    /// A number in a JSON page.
    Http {
        /// The page; may carry a token.
        url: SecretString,
        /// Where in the page.
        value: JsonPath,
    },
    /// Pushed to the API.
    Push,
}

/// Where a number stands in a JSON text: `$.orders.per_minute`, `$.shops[0].count`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath {
    /// From the outermost value inwards; empty for the whole text.
    pub steps: Vec<JsonStep>,
}

/// One step of a [`JsonPath`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonStep {
    /// Into an object.
    Member(String),
    /// Into an array, counted from 0.
    Index(usize),
}

/// What a curve is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// The same time yesterday.
    Yesterday,
    /// The same time a week ago.
    LastWeek,
}

impl Compare {
    /// The word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yesterday => "yesterday",
            Self::LastWeek => "last_week",
        }
    }
}

/// When a curve is bad, as a share of what it is compared with: 0.5 is half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Yellow from here.
    pub yellow: Option<f64>,
    /// Red from here.
    pub red: Option<f64>,
}

/// What is promised of a component.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// Of which.
    pub component: ComponentId,
    /// Share of the time in which it is not red, above 0 and below 1.
    pub availability: f64,
    /// Over how long.
    pub window: Duration,
}

/// The window of an objective when the file names none.
pub const DEFAULT_OBJECTIVE_WINDOW: Duration = Duration::from_hours(30 * 24);

/// A lane on the page.
#[derive(Debug)]
pub struct Tier {
    /// The word in the file.
    pub name: String,
    /// What is shown.
    pub title: Text,
}

/// Something that can be healthy.
#[derive(Debug, Default)]
pub struct Component {
    /// Its name in the file.
    pub name: String,
    /// Its name for people.
    pub title: Text,
    /// Index into [`Model::tiers`].
    pub tier: Option<usize>,
    /// How its instances make its level.
    pub policy: Policy,
    /// Its instances, a range of [`Model::instances`].
    pub instances: Range<u32>,
    /// What is asked of each instance; the worst answer decides.
    pub probes: Vec<Arc<Probe>>,
    /// How many looks confirm a change.
    pub confirm: Confirm,
    /// Where to read what to do.
    pub runbook: Option<String>,
    /// Where else to look, in the order of the file.
    pub links: Vec<LinkTemplate>,
    /// Components of one group stand together in their lane.
    pub group: Option<String>,
    /// A shorter title for where there is little room.
    pub short: Option<Text>,
}

impl Component {
    /// The ids of its instances.
    pub fn instance_ids(&self) -> impl ExactSizeIterator<Item = InstanceId> + Clone + use<> {
        self.instances.clone().map(InstanceId)
    }

    /// The longest interval of its probes.
    pub fn interval(&self) -> Duration {
        self.probes.iter().map(|probe| probe.interval).max().unwrap_or(DEFAULT_INTERVAL)
    }

    /// True when a green answer of this component proves that its dependencies work.
    pub fn exercises_dependencies(&self) -> bool {
        self.probes.iter().any(|probe| probe.kind.exercises_dependencies)
    }
}

/// The interval when the file names none.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
/// The timeout when the file names none.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);

/// One running copy of a component.
#[derive(Debug)]
pub struct Instance {
    /// Its name, unique among all nodes.
    pub name: String,
    /// What it is a copy of.
    pub component: ComponentId,
    /// Where it is probed.
    pub address: Address,
    /// Labels: `zone`, `host`, `shard`, `role`, `version`, ...
    pub labels: BTreeMap<String, String>,
}

impl Instance {
    /// The shard it belongs to where its component holds its data in shards: the label `shard`, else itself.
    pub fn shard(&self) -> &str {
        self.labels.get("shard").unwrap_or(&self.name)
    }
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// A name or a literal address, an IPv6 one without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How the instances of a component make its level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Policy {
    /// Equal copies: impaired below `min_healthy` good ones, red below `min_healthy` living ones.
    Replicas {
        /// Share of the instances, 0 to 1.
        min_healthy: f64,
    },
    /// Each shard holds a part of the data (label `shard`, else each instance is one).
    Shards,
    /// One primary and its replicas (label `role`).
    PrimaryReplica,
    /// Ways to the same end: some may be down.
    Any,
    /// Kept for a switch-over; carries no traffic.
    Standby,
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Policy {
    /// The default: replicas, half of them needed.
    pub const DEFAULT: Self = Self::Replicas { min_healthy: 0.5 };

    /// The word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replicas { .. } => "replicas",
            Self::Shards => "shards",
            Self::PrimaryReplica => "primary_replica",
            Self::Any => "any",
            Self::Standby => "standby",
        }
    }
}

/// How much a dependant needs a dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Strength {
    /// Cannot serve without it.
    Required,
    /// Serves worse without it.
    Optional,
    /// Buffered: feels nothing at once.
    Async,
}

impl Strength {
    /// The word in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Optional => "optional",
            Self::Async => "async",
        }
    }
}

/// `from` needs `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The dependant.
    pub from: ComponentId,
    /// What it needs.
    pub to: ComponentId,
    /// How much.
    pub strength: Strength,
    /// Which instances of the dependant need it; empty: all of them.
    pub from_part: Vec<InstanceId>,
    /// Which instances of the dependency are needed; empty: the component as a whole.
    pub to_part: Vec<InstanceId>,
    /// Dependencies of one dependant with the same number are alternatives: one good one is enough.
    pub one_of: Option<u32>,
}

/// How many looks confirm a change of level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirm {
    /// Bad looks in a row that confirm a worse level.
    pub red_after: u32,
    /// Good looks in a row that clear it.
    pub green_after: u32,
}

impl Default for Confirm {
    fn default() -> Self {
        Self { red_after: 2, green_after: 2 }
    }
}

/// A probe as configured for one component.
#[derive(Debug)]
pub struct Probe {
    /// Which kind.
    pub kind: &'static KindSpec,
    /// How often.
    pub interval: Duration,
    /// How long one look may take in all.
    pub timeout: Duration,
    /// Its options, defaults filled in.
    pub options: Options,
    /// When a signal is bad; only signals that can be bad.
    pub thresholds: Vec<Threshold>,
    /// The labels of the kind's labelled group (queues), in file order.
    pub labels: Vec<String>,
    /// The options of the group's entries, in the order of `labels`; empty maps where the group has none.
    pub entries: Vec<Options>,
}

/// Options by their keys.
pub type Options = BTreeMap<&'static str, OptionValue>;

/// An option's value.
#[derive(Clone, Debug)]
pub enum OptionValue {
    /// Text, path or word.
    Text(String),
    /// Never shown.
    Secret(SecretString),
    /// Yes or no.
    Truth(bool),
    /// A whole number; of bytes, where the form says so.
    Count(u64),
    /// Any number.
    Number(f64),
    /// A time.
    Duration(Duration),
    /// Several, in file order.
    List(Vec<OptionValue>),
    /// By names of the user's own, in file order.
    Map(Vec<(String, OptionValue)>),
    /// By the form's own keys.
    Record(Options),
}

impl OptionValue {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The keyed values, if it is a record.
    pub fn record(&self) -> Option<&Options> {
        match self {
            Self::Record(record) => Some(record),
            _ => None,
        }
    }

    /// The elements of a list; none, if it is none.
    pub fn list(&self) -> &[OptionValue] {
        match self {
            Self::List(list) => list,
            _ => &[],
        }
    }

    /// The entries of a map; none, if it is none.
    pub fn map(&self) -> &[(String, OptionValue)] {
        match self {
            Self::Map(map) => map,
            _ => &[],
        }
    }
}

impl Probe {
    /// The text of an option, if it is set.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.options.get(name).and_then(OptionValue::text)
    }

    /// A secret option, if it is set.
    pub fn secret(&self, name: &str) -> Option<&SecretString> {
        match self.options.get(name) {
            Some(OptionValue::Secret(secret)) => Some(secret),
            _ => None,
        }
    }

    /// A yes-or-no option; `false` when it is not set.
    pub fn truth(&self, name: &str) -> bool {
        matches!(self.options.get(name), Some(OptionValue::Truth(true)))
    }

    /// A number, if it is set.
    pub fn count(&self, name: &str) -> Option<u64> {
        match self.options.get(name) {
            Some(OptionValue::Count(count)) => Some(*count),
            _ => None,
        }
    }

    /// A time, if it is set.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        match self.options.get(name) {
            Some(OptionValue::Duration(duration)) => Some(*duration),
            _ => None,
        }
    }
}

/// When a signal makes its instance yellow or red.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// The signal's full name, label included: `amqp.queue_messages[orders]`.
    pub signal: String,
    /// Its unit.
    pub unit: Unit,
    /// Which direction is bad.
    pub bad: Bad,
    /// Yellow from here.
    pub yellow: Option<f64>,
    /// Red from here.
    pub red: Option<f64>,
    /// How many times its own normal is bad; beside the two fixed limits or without them.
    pub times: Option<Times>,
    /// Which yellow.
    pub effect: Kind,
}

/// Either of the two, where it does not matter which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NodeId {
    /// A component.
    Component(ComponentId),
    /// An instance.
    Instance(InstanceId),
}

impl Model {
    /// The longest interval at which anything is looked at; zero of an empty topology.
    pub fn longest_interval(&self) -> Duration {
        self.components.iter().map(Component::interval).max().unwrap_or_default()
    }

    /// The component with this id.
    pub fn component(&self, id: ComponentId) -> &Component {
        &self.components[id.index()]
    }

    /// The instance with this id.
    pub fn instance(&self, id: InstanceId) -> &Instance {
        &self.instances[id.index()]
    }

    /// Every component id, in file order.
    pub fn component_ids(&self) -> impl Iterator<Item = ComponentId> + use<> {
        (0..self.components.len() as u32).map(ComponentId)
    }

    /// Every instance id, in file order.
    pub fn instance_ids(&self) -> impl Iterator<Item = InstanceId> + use<> {
        (0..self.instances.len() as u32).map(InstanceId)
    }

    /// A node's name.
    pub fn node_name(&self, node: NodeId) -> &str {
        match node {
            NodeId::Component(id) => &self.component(id).name,
            NodeId::Instance(id) => &self.instance(id).name,
        }
    }

    /// The component called exactly `name`.
    pub fn component_by_name(&self, name: &str) -> Option<ComponentId> {
        self.components.iter().position(|component| component.name == name).map(|i| ComponentId(i as u32))
    }

    /// The node called `name`, or the only one whose name begins with it.
    ///
    /// # Errors
    /// The candidates, when there are none or several.
    pub fn find(&self, name: &str) -> Result<NodeId, Vec<String>> {
        if let Some(id) = self.component_by_name(name) {
            return Ok(NodeId::Component(id));
        }
        if let Some(i) = self.instances.iter().position(|instance| instance.name == name) {
            return Ok(NodeId::Instance(InstanceId(i as u32)));
        }
        let starting: Vec<NodeId> = self
            .component_ids()
            .map(NodeId::Component)
            .chain(self.instance_ids().map(NodeId::Instance))
            .filter(|node| self.node_name(*node).starts_with(name))
            .collect();
        let components: Vec<NodeId> =
            starting.iter().copied().filter(|node| matches!(node, NodeId::Component(_))).collect();
        match (components.as_slice(), starting.as_slice()) {
            ([one], _) | ([], [one]) => Ok(*one),
            _ => Err(starting.iter().map(|node| self.node_name(*node).to_owned()).collect()),
        }
    }
}
