//! What people and pipelines say that they changed: deployments, switches, migrations. An outage that begins
//! soon after one is first of all asked about it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use topology::model::{ComponentId, InstanceId, Model, NodeId};
use topology::verdict::{ChangeFact, Culprit};

use crate::clock::{between, seconds};

/// How long changes are kept at hand; the database keeps them longer.
pub const KEPT_FOR: Duration = Duration::from_hours(24);
/// Changes at hand, at most; then the oldest go.
pub const MAX_KEPT: usize = 1000;
/// A change up to this long before an outage is told with it.
pub const BEFORE_ONSET: Duration = Duration::from_mins(30);

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeNote {
    /// When it was made.
    pub at: Timestamp,
    /// A component, an instance, or a label as `version=1.2`.
    pub node: String,
    /// What was changed, in somebody's words.
    pub what: String,
    /// Who says so.
    pub by: Option<String>,
    /// Where to read more.
    pub link: Option<String>,
}

/// What a change was made to, in the file in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeOn {
    /// A component.
    Component(ComponentId),
    /// An instance.
    Instance(InstanceId),
    /// Everything with this label.
    Label(String, String),
}

impl ChangeOn {
    /// What `name` names: a node, also by an unambiguous beginning, or a label that some instance has.
    ///
    /// # Errors
    /// The candidates, when there are none or several.
    pub fn find(model: &Model, name: &str) -> Result<Self, Vec<String>> {
        if let Some((key, value)) = name.split_once('=') {
            let (key, value) = (key.trim(), value.trim());
            let known = model.instances.iter().any(|i| i.labels.get(key).is_some_and(|v| v == value));
            return if known { Ok(Self::Label(key.to_owned(), value.to_owned())) } else { Err(Vec::new()) };
        }
        Ok(match model.find(name)? {
            NodeId::Component(id) => Self::Component(id),
            NodeId::Instance(id) => Self::Instance(id),
        })
    }

    /// As it is written down.
    pub fn name(&self, model: &Model) -> String {
        match self {
            Self::Component(id) => model.component(*id).name.clone(),
            Self::Instance(id) => model.instance(*id).name.clone(),
            Self::Label(key, value) => format!("{key}={value}"),
        }
    }

    /// What a note was made of; none when the file no longer has it.
    fn exact(model: &Model, name: &str) -> Option<Self> {
        Self::find(model, name).ok().filter(|found| found.name(model) == name)
    }

    fn concerns_component(&self, model: &Model, id: ComponentId) -> bool {
        match self {
            Self::Component(on) => *on == id,
            Self::Instance(on) => model.instance(*on).component == id,
            Self::Label(..) => model.component(id).instance_ids().any(|i| self.concerns_instance(model, i)),
        }
    }

    fn concerns_instance(&self, model: &Model, id: InstanceId) -> bool {
        match self {
            Self::Component(on) => *on == model.instance(id).component,
            Self::Instance(on) => *on == id,
            Self::Label(key, value) => model.instance(id).labels.get(key) == Some(value),
        }
    }

    /// True when the change was made to the suspect, its component or what it is labelled with; for a way,
    /// to either end.
    pub fn concerns(&self, model: &Model, suspect: Culprit) -> bool {
        match suspect {
            Culprit::Instance(id) => self.concerns_instance(model, id),
            Culprit::Edge(edge) => {
                let way = &model.dependencies[edge.index()];
                self.concerns_component(model, way.from) || self.concerns_component(model, way.to)
            }
            Culprit::Way { from, to } => {
                self.concerns_instance(model, from) || self.concerns_component(model, to)
            }
            Culprit::Label(label) | Culprit::MonitorSight(label) => match self {
                Self::Label(key, value) => label.get(model) == (key.as_str(), value.as_str()),
                _ => label.instances(model).all(|id| self.concerns_instance(model, id)),
            },
            other => other.component(model).is_some_and(|id| self.concerns_component(model, id)),
        }
    }
}

impl ChangeNote {
    /// True when it was made in the half hour before `onset`.
    pub fn shortly_before(&self, onset: Timestamp) -> bool {
        self.at <= onset && between(self.at, onset) <= BEFORE_ONSET
    }

    /// True when it was made to one of `suspects`.
    pub fn concerns_any(&self, model: &Model, mut suspects: impl Iterator<Item = Culprit>) -> bool {
        ChangeOn::exact(model, &self.node).is_some_and(|on| suspects.any(|s| on.concerns(model, s)))
    }
}

/// The changes at hand, by their time.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    list: Arc<Vec<ChangeNote>>,
}

impl Changes {
    /// Goes on from what a database kept.
    pub fn restore(mut kept: Vec<ChangeNote>, now: Timestamp) -> Self {
        kept.sort_by_key(|note| note.at);
        let mut changes = Self { list: Arc::new(kept) };
        changes.prune(now);
        changes
    }

    /// What the verdict may use of them: those to a node; one to a label is one to each that carries it.
    pub(crate) fn facts(&self, model: &Model) -> Vec<ChangeFact> {
        let fact = |note: &ChangeNote, component, instance| ChangeFact {
            component,
            instance,
            at: seconds(note.at),
            what: note.what.clone(),
        };
        self.list
            .iter()
            .flat_map(|note| match ChangeOn::exact(model, &note.node) {
                Some(ChangeOn::Component(id)) => vec![fact(note, id, None)],
                Some(ChangeOn::Instance(id)) => vec![fact(note, model.instance(id).component, Some(id))],
                Some(ChangeOn::Label(key, value)) => model
                    .instance_ids()
                    .filter(|id| model.instance(*id).labels.get(&key) == Some(&value))
                    .map(|id| fact(note, model.instance(id).component, Some(id)))
                    .collect(),
                None => Vec::new(),
            })
            .collect()
    }

    /// Adds one; false when it is known already.
    pub fn add(&mut self, note: ChangeNote, now: Timestamp) -> bool {
        let same = |n: &ChangeNote| (n.at, &n.node, &n.what) == (note.at, &note.node, &note.what);
        if self.list.iter().any(same) {
            return false;
        }
        let list = Arc::make_mut(&mut self.list);
        let place = list.partition_point(|n| n.at <= note.at);
        list.insert(place, note);
        self.prune(now);
        true
    }

    /// Lets old ones go.
    pub fn prune(&mut self, now: Timestamp) {
        let old = self.list.iter().take_while(|note| between(note.at, now) > KEPT_FOR).count();
        let surplus = old.max(self.list.len().saturating_sub(MAX_KEPT));
        if surplus > 0 {
            Arc::make_mut(&mut self.list).drain(..surplus);
        }
    }

    /// All of them, oldest first.
    pub fn list(&self) -> Arc<Vec<ChangeNote>> {
        Arc::clone(&self.list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + minutes * 60).unwrap()
    }

    fn note(minutes: i64, node: &str) -> ChangeNote {
        ChangeNote {
            at: at(minutes),
            node: node.to_owned(),
            what: "release".to_owned(),
            by: None,
            link: None,
        }
    }

    #[test]
    fn a_change_concerns_its_node_its_component_and_the_ends_of_a_way() {
        let model = testkit::model("web x2 -> db\ndb");
        let edge = Culprit::Edge(topology::graph::DependencyId(0));
        let web_2 = Culprit::Instance(InstanceId(1));
        let on = |name: &str, suspect| ChangeOn::find(&model, name).unwrap().concerns(&model, suspect);
        assert!(on("web", web_2) && on("web-2", web_2) && !on("web-1", web_2) && !on("db", web_2));
        assert!(on("web-1", Culprit::Component(ComponentId(0))));
        assert!(on("db", edge) && on("web", edge));
        assert_eq!(ChangeOn::find(&model, "version=1"), Err(vec![]));
        assert_eq!(ChangeOn::find(&model, "w").map(|on| on.name(&model)), Ok("web".to_owned()));
    }

    #[test]
    fn only_the_half_hour_before_counts() {
        assert!(note(0, "web").shortly_before(at(30)) && note(0, "web").shortly_before(at(0)));
        assert!(!note(0, "web").shortly_before(at(31)) && !note(1, "web").shortly_before(at(0)));
    }

    #[test]
    fn they_are_bounded_in_order_and_said_once() {
        let mut changes = Changes::default();
        assert!(changes.add(note(5, "web"), at(5)) && changes.add(note(1, "db"), at(5)));
        assert!(!changes.add(note(5, "web"), at(5)));
        assert_eq!(changes.list().iter().map(|n| n.node.as_str()).collect::<Vec<_>>(), ["db", "web"]);
        for minute in 0..2000 {
            changes.add(note(minute, "x"), at(minute));
        }
        assert_eq!(changes.list().len(), MAX_KEPT);
        changes.prune(at(2000 + 24 * 60));
        assert!(changes.list().is_empty());
    }
}
