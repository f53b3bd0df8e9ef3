//! The situation, sorted for the search: who is a symptom of what kind, who names whom.

use std::collections::{BTreeMap, BTreeSet};

use crate::fault::{FaultKind, Reason};
use crate::graph::DependencyId;
use crate::level::Health;
use crate::model::{ComponentId, InstanceId, Strength};

use super::situation::{Meaning, Sign, Situation};

/// How trouble of a symptom can have come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// Nobody inherits it: a closed port, a refused login, a server that says in its own protocol that it
    /// is full.
    Own,
    /// The answer called everything it needs fine, and was bad.
    Itself,
    /// A replica that no longer hears of its primary, or a primary that waits for its replica: from that one, before
    /// it is its own.
    Replica,
    /// From what it needs: bad answers, hanging, slowness.
    Inheritable,
    /// A backlog: from who drains it, or from who fills it.
    Drain,
}

/// One instance whose own level is bad.
#[derive(Clone, Debug)]
pub(super) struct Symptom {
    pub(super) id: InstanceId,
    pub(super) component: ComponentId,
    pub(super) nature: Nature,
    /// What leaving it unexplained costs.
    pub(super) weight: f64,
    /// Whom it names as bad, how often; most often first.
    pub(super) named: Vec<Blame>,
    /// It also was bad without a word, often enough for that to count by itself.
    pub(super) mute: bool,
}

/// A name that a symptom's bad answers gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blame {
    pub(super) on: ComponentId,
    pub(super) instance: Option<InstanceId>,
    pub(super) count: u32,
}

/// A neighbour over one dependency.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) edge: Option<DependencyId>,
    pub(super) other: ComponentId,
    pub(super) strength: Strength,
}

/// A component as the search sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// Its symptoms, indices into [`Scene::symptoms`].
    pub(super) symptoms: Vec<usize>,
    /// Nobody has a fresh look at any of its instances.
    pub(super) unseen: bool,
    /// Trouble below it would show, and it is green.
    pub(super) proven: bool,
    /// Some of it was bad long before.
    pub(super) chronic: bool,
    /// What it needs, declared or told by witnesses.
    pub(super) needs: Vec<Link>,
    /// Who needs it.
    pub(super) needed_by: Vec<Link>,
    /// The caller that sends it far more than ever.
    pub(super) overloaded_by: Option<ComponentId>,
    /// Who takes messages out of its queues, where it has a backlog.
    pub(super) drained_by: Vec<ComponentId>,
    /// Who puts messages in.
    pub(super) filled_by: Vec<ComponentId>,
    /// Brokers with a backlog whose queues it drains or fills.
    pub(super) backs_up: Vec<ComponentId>,
}

/// Words of one component on another, counted by instance.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    /// Instances that called it bad, with how often.
    pub(super) bad: BTreeMap<InstanceId, u32>,
    /// How often it was called bad, by the instance of the dependency that was named.
    pub(super) bad_on: BTreeMap<Option<InstanceId>, u32>,
    /// Instances that called it good, with how often.
    pub(super) good: BTreeMap<InstanceId, u32>,
    /// The instances of the dependency that were called good.
    pub(super) good_on: BTreeSet<InstanceId>,
}

impl Words {
    /// How many instances say mostly bad, and how many mostly good.
    pub(super) fn majority(&self) -> (usize, usize) {
        let count = |id: &InstanceId, map: &BTreeMap<InstanceId, u32>| map.get(id).copied().unwrap_or(0);
        let bad = self.bad.keys().filter(|id| count(id, &self.bad) >= count(id, &self.good)).count();
        let mut all: Vec<&InstanceId> = self.bad.keys().chain(self.good.keys()).collect();
        all.sort_unstable();
        all.dedup();
        (bad, all.len() - bad)
    }
}

/// Everything the search needs.
pub(super) struct Scene<'a> {
    pub(super) situation: &'a Situation<'a>,
    pub(super) symptoms: Vec<Symptom>,
    pub(super) views: Vec<View>,
    pub(super) words: BTreeMap<(ComponentId, ComponentId), Words>,
    /// Instance to index of its symptom.
    pub(super) symptom_of: BTreeMap<InstanceId, usize>,
    /// Some symptom is slowness, and nothing else.
    pub(super) any_slow: bool,
    /// When the first symptom began.
    pub(super) began: f64,
}

/// A symptom that was bad for fewer looks than this weighs less: it may be noise.
const FULL_WEIGHT_LOOKS: f64 = 4.0;
/// Requests that rose this many times are overload.
const RISEN: f64 = 1.8;
/// Connections that rose this many times are, when they rose by more than all others'.
const CONNECTIONS_RISEN: f64 = 4.0;
/// By this many times more.
const STANDS_OUT: f64 = 2.5;
/// What leaving a lasting symptom unexplained costs; a cause costs some 1.5.
const WEIGHT: f64 = 3.0;
/// And of one that nobody can inherit.
const OWN_WEIGHT: f64 = 6.0;

impl<'a> Scene<'a> {
    pub(super) fn of(situation: &'a Situation<'a>) -> Self {
        let model = situation.model;
        let mut words: BTreeMap<(ComponentId, ComponentId), Words> = BTreeMap::new();
        let mut blames: BTreeMap<InstanceId, Vec<Blame>> = BTreeMap::new();
        for w in situation.witnesses {
            let by = model.instance(w.by).component;
            let entry = words.entry((by, w.on)).or_default();
            let side = if w.ok { &mut entry.good } else { &mut entry.bad };
            *side.entry(w.by).or_default() += w.count;
            if w.ok {
                entry.good_on.extend(w.on_instance);
            } else {
                *entry.bad_on.entry(w.on_instance).or_default() += w.count;
                let list = blames.entry(w.by).or_default();
                match list.iter_mut().find(|b| b.on == w.on && b.instance == w.on_instance) {
                    Some(blame) => blame.count += w.count,
                    None => list.push(Blame { on: w.on, instance: w.on_instance, count: w.count }),
                }
            }
        }

        let mut symptoms = Vec::new();
        let mut symptom_of = BTreeMap::new();
        let mut views: Vec<View> = vec![View::default(); model.components.len()];
        for id in model.instance_ids() {
            let facts = situation.facts(id);
            if !facts.health.is_unhealthy() || facts.chronic {
                continue;
            }
            let component = model.instance(id).component;
            let mut named = blames.remove(&id).unwrap_or_default();
            named.sort_by_key(|b| std::cmp::Reverse(b.count));
            // What was bad long before is no news, unless nothing else is named.
            let old = |b: &Blame| {
                let mut ids = model.component(b.on).instance_ids();
                ids.any(|id| situation.facts(id).chronic)
            };
            if !named.iter().all(old) {
                named.retain(|b| !old(b));
            }
            // Who has stuck workers calls one after the other too late: then no name is worth much.
            let several = named.iter().filter(|b| b.count >= 2).count() > 1 && facts.looks.mute > 0;
            // A name that comes up far less often than the first one, or than the trouble, is an echo.
            let bad = facts.looks.bad.max(1);
            let most = named.first().map_or(0, |b| b.count);
            named.retain(|b| b.count * 4 >= most.max(bad));
            let doubtful = facts.looks.all > 1 && (most < 2 || several);
            let nature = nature(situation, id, !named.is_empty());
            // Trouble that comes and goes, or was there for a moment only, weighs less.
            let lasting = if facts.looks.all <= 1 {
                1.0
            } else {
                let share = f64::from(bad) / f64::from(facts.looks.all.max(bad));
                (f64::from(bad) / FULL_WEIGHT_LOOKS).min(1.0) * (2.0 * share).min(1.0)
            };
            views[component.index()].symptoms.push(symptoms.len());
            symptom_of.insert(id, symptoms.len());
            symptoms.push(Symptom {
                id,
                component,
                nature,
                weight: if matches!(nature, Nature::Own | Nature::Replica) { OWN_WEIGHT } else { WEIGHT }
                    * lasting,
                mute: doubtful || facts.looks.mute * 2 >= bad,
                named,
            });
        }
        let began = situation.first_bad(symptoms.iter().map(|s| s.id)).unwrap_or(f64::NEG_INFINITY);

        for component in model.component_ids() {
            let view = &mut views[component.index()];
            let ids = model.component(component).instance_ids();
            view.unseen = ids.len() > 0
                && ids.clone().all(|id| situation.facts(id).health == Health::Unknown)
                || ids.len() == 0;
            view.chronic = ids.clone().any(|id| situation.facts(id).chronic);
            view.proven = situation.proven_green(component, began);
        }
        for (i, dependency) in model.dependencies.iter().enumerate() {
            let edge = Some(DependencyId(i as u32));
            let link = |other| Link { edge, other, strength: dependency.strength };
            views[dependency.from.index()].needs.push(link(dependency.to));
            views[dependency.to.index()].needed_by.push(link(dependency.from));
        }
        // A witness that names what the file does not declare shows an edge that the file lacks.
        for (&(from, to), entry) in &words {
            let known = views[from.index()].needs.iter().any(|l| l.other == to);
            if !known && from != to && !entry.bad.is_empty() {
                let link = |other| Link { edge: None, other, strength: Strength::Required };
                views[from.index()].needs.push(link(to));
                views[to.index()].needed_by.push(link(from));
            }
        }
        single_out(situation, &views, &mut symptoms);
        let any_slow = symptoms.iter().any(|s| {
            let facts = situation.facts(s.id);
            facts.fault.is_none() && facts.slower_by.is_some()
        });
        let mut scene = Self { situation, symptoms, views, words, symptom_of, any_slow, began };
        scene.find_queue_sides();
        scene.find_overload();
        scene.find_backlogs();
        scene
    }

    /// Who drains and who fills a queue: by the per-peer rates where there are some, else everybody who
    /// needs the broker, and whom the broker needs (an `async` edge to its consumer).
    fn find_queue_sides(&mut self) {
        let model = self.situation.model;
        for component in model.component_ids() {
            let at = |meaning: Meaning| {
                let mut peers: Vec<ComponentId> = self
                    .situation
                    .signs
                    .iter()
                    .filter(|s| s.meaning == meaning && model.instance(s.at).component == component)
                    .filter_map(|s| s.peer)
                    .collect();
                peers.sort_unstable();
                peers.dedup();
                peers
            };
            let (mut drained, mut filled) = (at(Meaning::Delivered), at(Meaning::Published));
            let view = &self.views[component.index()];
            if drained.is_empty() {
                drained = view.needs.iter().map(|l| l.other).collect();
                drained.extend(
                    view.needed_by
                        .iter()
                        .filter(|l| l.strength != Strength::Async && !filled.contains(&l.other))
                        .map(|l| l.other),
                );
            }
            if filled.is_empty() {
                filled = view.needed_by.iter().map(|l| l.other).filter(|o| !drained.contains(o)).collect();
            }
            let view = &mut self.views[component.index()];
            view.drained_by = drained;
            view.filled_by = filled;
        }
    }

    /// For each component the brokers that back up when it stops.
    fn find_backlogs(&mut self) {
        for broker in self.situation.model.component_ids() {
            if !self.symptoms_of(broker).any(|s| s.nature == Nature::Drain) {
                continue;
            }
            let view = self.view(broker);
            let mut sides: Vec<ComponentId> =
                view.drained_by.iter().chain(&view.filled_by).copied().collect();
            sides.sort_unstable();
            sides.dedup();
            for side in sides {
                self.views[side.index()].backs_up.push(broker);
            }
        }
    }

    /// Who sends far more than ever to a component that is bad.
    fn find_overload(&mut self) {
        for component in self.situation.model.component_ids() {
            if !self.view(component).symptoms.is_empty() {
                self.views[component.index()].overloaded_by = self.overloader(component);
            }
        }
    }

    fn overloader(&self, component: ComponentId) -> Option<ComponentId> {
        let situation = self.situation;
        let at = |meaning: Meaning| {
            situation.signs.iter().filter(move |s| {
                s.meaning == meaning
                    && situation.model.instance(s.at).component == component
                    && s.peer.is_some()
            })
        };
        let full = self.symptoms_of(component).any(|s| {
            let fault = situation.facts(s.id).fault;
            fault.is_some_and(|f| f.reason == Some(Reason::ConnectionLimit))
        });
        let mut suspects: Vec<(f64, ComponentId)> = Vec::new();
        for sign in at(Meaning::Requests).filter(|sign| sign.ratio() >= RISEN) {
            suspects.extend(sign.peer.map(|peer| (sign.ratio(), peer)));
        }
        for sign in at(Meaning::Connections).filter(|sign| sign.ratio() >= CONNECTIONS_RISEN) {
            let others: Vec<f64> =
                at(Meaning::Connections).filter(|o| o.peer != sign.peer).map(Sign::ratio).collect();
            // A slow server holds more connections of everybody: only who stands far above the rest is it.
            let stands_out = others.iter().all(|o| sign.ratio() >= STANDS_OUT * o);
            if stands_out && (full || !others.is_empty()) {
                suspects.extend(sign.peer.map(|peer| (sign.ratio(), peer)));
            }
        }
        suspects.into_iter().max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1))).map(|(_, peer)| peer)
    }

    pub(super) fn view(&self, id: ComponentId) -> &View {
        &self.views[id.index()]
    }

    /// The symptoms of a component.
    pub(super) fn symptoms_of(&self, id: ComponentId) -> impl Iterator<Item = &Symptom> + Clone {
        self.views[id.index()].symptoms.iter().map(|i| &self.symptoms[*i])
    }

    /// The words of `by` on `on`.
    pub(super) fn words(&self, by: ComponentId, on: ComponentId) -> Option<&Words> {
        self.words.get(&(by, on))
    }

    /// The longest added wait of a component's instances, in seconds.
    pub(super) fn slower_by(&self, id: ComponentId) -> Option<f64> {
        let ids = self.situation.model.component(id).instance_ids();
        ids.filter_map(|id| self.situation.facts(id).slower_by).max_by(f64::total_cmp)
    }
}

/// Parts of the names of signals that a replica has about its primary.
const REPLICATION: [&str; 6] = ["wal_receiver", "replica", "replication", "master_link", "lag", "syncrep"];

/// One that hangs while the others of its kind answer, if badly: that is not what they have.
fn single_out(situation: &Situation<'_>, views: &[View], symptoms: &mut [Symptom]) {
    let hangs = |s: &Symptom| {
        let facts = situation.facts(s.id);
        facts.fault.is_some_and(|f| f.kind == FaultKind::Hung)
            && facts.looks.mute == facts.looks.bad
            && s.named.is_empty()
    };
    for view in views {
        let (hung, others): (Vec<usize>, Vec<usize>) =
            view.symptoms.iter().partition(|i| hangs(&symptoms[**i]));
        let answer = others.iter().filter(|i| !symptoms[**i].named.is_empty() && !symptoms[**i].mute).count();
        if answer == others.len() && answer >= OTHERS_THAT_ANSWER && hung.len() * 4 <= answer {
            for i in hung {
                symptoms[i].nature = Nature::Itself;
            }
        }
    }
}

/// So many of its kind must answer for one that hangs to stand out.
const OTHERS_THAT_ANSWER: usize = 3;

/// Signals of a queue that get worse when nobody takes out what others put in.
const DRAINED: [&str; 3] = [".queue_messages", ".queue_consumers", ".queue_unacked"];

fn nature(situation: &Situation<'_>, id: InstanceId, names: bool) -> Nature {
    let facts = situation.facts(id);
    if let Some(fault) = facts.fault {
        // What a server says of itself in its own protocol is its own trouble.
        let says_itself =
            fault.reason.is_some_and(|reason| !matches!(reason, Reason::Status5xx | Reason::Gateway));
        if fault.kind.is_own() || says_itself {
            return Nature::Own;
        }
        if !names && facts.looks.fine * 2 > facts.looks.bad && fault.kind == FaultKind::BadAnswer {
            return Nature::Itself;
        }
        return Nature::Inheritable;
    }
    match facts.signal {
        Some(name) if DRAINED.iter().any(|part| name.contains(part)) => Nature::Drain,
        Some(name) if REPLICATION.iter().any(|part| name.contains(part)) => Nature::Replica,
        // Memory, connections and the like are the node's own.
        Some(name) if !travels(name) => Nature::Own,
        _ => Nature::Inheritable,
    }
}

/// True for slowness, errors and reported trouble: what callers get of what lies behind.
fn travels(signal: &str) -> bool {
    let name = signal.split_once('[').map_or(signal, |(name, _)| name);
    name == "health.reported"
        || ["_seconds", "error_ratio", "via_ok", "via_status"].iter().any(|end| name.ends_with(end))
}
