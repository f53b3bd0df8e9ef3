//! Silences and announced maintenance: what people say is to be kept quiet, for how long and why. A silence holds
//! messages back; maintenance pauses nodes. Neither keeps anything from being recorded or resolved.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use topology::calendar::Span;
use topology::model::{InstanceId, Model};
use topology::verdict::Culprit;

use crate::changes::ChangeOn;
use crate::incident::Incident;

/// Silences at hand, those that are over included; then no more are taken.
pub const MAX_SILENCES: usize = 1000;
/// Nothing is kept quiet for longer than this at a time.
pub const LONGEST: Duration = Duration::from_hours(30 * 24);
/// Nodes that one silence may name.
pub const MAX_NODES: usize = 100;
/// A silence that is over is shown for so long.
const SHOWN_AFTER: Duration = Duration::from_hours(24);
/// The occurrences of a window that are told.
const TOLD: usize = 3;

/// What is done with what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuietKind {
    /// No messages.
    Silence,
    /// The nodes are paused.
    Maintenance,
}

/// Something to be kept quiet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Sorts by time.
    pub id: String,
    /// What is done.
    pub kind: QuietKind,
    /// Components, instances, labels as `zone=a`, incidents by their id; `*` is everything.
    pub nodes: Vec<String>,
    /// From when on.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Who says so.
    pub by: Option<String>,
    /// What for.
    pub why: Option<String>,
    /// When it was said.
    pub created_at: Timestamp,
}

/// What a silence names, in the file in force.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Everything,
    Incident(String),
    Nodes(ChangeOn),
}

impl Target {
    fn find(model: &Model, name: &str) -> Option<Self> {
        if name == "*" {
            return Some(Self::Everything);
        }
        let exact = |on: &ChangeOn| on.name(model) == name;
        ChangeOn::find(model, name).ok().filter(exact).map(Self::Nodes)
    }

    fn has(&self, model: &Model, culprit: Culprit) -> bool {
        match self {
            Self::Everything => true,
            Self::Incident(_) => false,
            // A silence of one instance says nothing of the others.
            Self::Nodes(ChangeOn::Instance(id)) => match culprit {
                Culprit::Instance(other) => other == *id,
                Culprit::Component(component) => model.component(component).instance_ids().eq([*id]),
                other => ChangeOn::Instance(*id).concerns(model, other),
            },
            Self::Nodes(on @ ChangeOn::Label(..)) => match culprit {
                Culprit::Component(component) => model
                    .component(component)
                    .instance_ids()
                    .all(|id| on.concerns(model, Culprit::Instance(id))),
                other => on.concerns(model, other),
            },
            Self::Nodes(on) => on.concerns(model, culprit),
        }
    }

    fn has_instance(&self, model: &Model, id: InstanceId) -> bool {
        self.has(model, Culprit::Instance(id))
    }
}

impl Silence {
    /// When it holds.
    pub fn span(&self) -> Span {
        Span { from: self.from, until: self.until }
    }

    fn targets(&self, model: &Model) -> Vec<Target> {
        self.nodes
            .iter()
            .map(|name| Target::find(model, name).unwrap_or_else(|| Target::Incident(name.clone())))
            .collect()
    }

    /// The instances it names in `model`.
    pub fn instances(&self, model: &Model) -> Vec<InstanceId> {
        let targets = self.targets(model);
        model.instance_ids().filter(|id| targets.iter().any(|t| t.has_instance(model, *id))).collect()
    }

    /// True when it names `incident`, or one of its root causes.
    pub fn names(&self, model: &Model, incident: &Incident) -> bool {
        let targets = self.targets(model);
        let roots = &incident.verdict.roots;
        targets.iter().any(|target| match target {
            Target::Everything => true,
            Target::Incident(id) => *id == incident.id,
            Target::Nodes(_) => roots.iter().any(|root| target.has(model, root.culprit)),
        })
    }
}

/// All silences at hand, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Silences {
    list: Arc<Vec<Silence>>,
}

impl Silences {
    /// Goes on from what a database kept.
    pub fn restore(mut kept: Vec<Silence>) -> Self {
        kept.sort_by(|a, b| a.id.cmp(&b.id));
        kept.truncate(MAX_SILENCES);
        Self { list: Arc::new(kept) }
    }

    /// All of them.
    pub fn list(&self) -> Arc<Vec<Silence>> {
        Arc::clone(&self.list)
    }

    /// Adds one; false when there are too many.
    pub fn add(&mut self, silence: Silence) -> bool {
        if self.list.len() >= MAX_SILENCES {
            return false;
        }
        Arc::make_mut(&mut self.list).push(silence);
        true
    }

    /// Ends one at `now`, and gives it back as it is then.
    pub fn end(&mut self, id: &str, now: Timestamp) -> Option<Silence> {
        let at = self.list.iter().position(|silence| silence.id == id)?;
        let silence = &mut Arc::make_mut(&mut self.list)[at];
        silence.until = silence.until.min(now);
        silence.from = silence.from.min(silence.until);
        Some(silence.clone())
    }

    /// Lets go those that have been over for a day.
    pub fn prune(&mut self, now: Timestamp) {
        let old = |silence: &Silence| crate::clock::between(silence.until, now) > SHOWN_AFTER;
        if self.list.iter().any(old) {
            Arc::make_mut(&mut self.list).retain(|silence| !old(silence));
        }
    }

    /// True when every root cause of `incident` is silenced at `now`, or the incident itself. What has no root
    /// cause is silenced by its id, or with everything.
    pub fn silence(&self, model: &Model, incident: &Incident, now: Timestamp) -> bool {
        let active = self.list.iter().filter(|s| s.kind == QuietKind::Silence && s.span().covers(now));
        let targets: Vec<Target> = active.flat_map(|silence| silence.targets(model)).collect();
        let whole = |target: &Target| match target {
            Target::Everything => true,
            Target::Incident(id) => *id == incident.id,
            Target::Nodes(_) => false,
        };
        let roots = &incident.verdict.roots;
        targets.iter().any(whole)
            || !roots.is_empty()
                && roots.iter().all(|root| targets.iter().any(|target| target.has(model, root.culprit)))
    }
}

/// The nodes that are paused, worked out anew only when a window begins or ends.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    paused: Vec<bool>,
    /// Until when `paused` holds; `None` makes it anew.
    until: Option<Timestamp>,
}

impl Upkeep {
    /// Forgets what it knows: the file or the silences have changed.
    pub(crate) fn changed(&mut self) {
        self.until = None;
    }

    /// By instance: is it being worked at?
    pub(crate) fn at(&mut self, model: &Model, silences: &Silences, now: Timestamp) -> &[bool] {
        if self.until.is_none_or(|until| now >= until) {
            self.renew(model, silences, now);
        }
        &self.paused
    }

    fn renew(&mut self, model: &Model, silences: &Silences, now: Timestamp) {
        self.paused = vec![false; model.instances.len()];
        let mut until = Timestamp::MAX;
        for maintenance in &model.alerting.maintenance {
            if let Some(span) = maintenance.window.current(now) {
                until = until.min(span.until);
                for id in model.instance_ids() {
                    self.paused[id.index()] |= maintenance.nodes.has_instance(model, id);
                }
            }
            if let Some(next) = maintenance.window.next(now, 1).first() {
                until = until.min(next.from);
            }
        }
        for silence in silences.list.iter().filter(|silence| silence.kind == QuietKind::Maintenance) {
            if silence.span().covers(now) {
                until = until.min(silence.until);
                for id in silence.instances(model) {
                    self.paused[id.index()] = true;
                }
            } else if silence.from > now {
                until = until.min(silence.from);
            }
        }
        self.until = Some(until);
    }
}

/// A window of the file, as people are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrences {
    /// Its name in the file.
    pub name: String,
    /// The one that is going on.
    pub current: Option<Span>,
    /// The next three.
    pub next: Vec<Span>,
}

/// The windows of the file at `now`.
pub fn windows(model: &Model, now: Timestamp) -> Vec<Occurrences> {
    let windows = model.alerting.maintenance.iter();
    windows
        .map(|maintenance| Occurrences {
            name: maintenance.name.clone(),
            current: maintenance.window.current(now),
            next: maintenance.window.next(now, TOLD),
        })
        .collect()
}
