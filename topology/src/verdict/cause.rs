//! Hypotheses: single things that may be broken, what each would explain, and what it costs to believe it.

use std::collections::{BTreeMap, BTreeSet};

use crate::fault::FaultKind;
use crate::level::Health;
use crate::model::{ComponentId, InstanceId};

use super::Culprit;
use super::explain;
use super::scene::{Nature, Scene, Symptom};
use super::situation::Meaning;

/// Why a hypothesis is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It is bad itself.
    Sick,
    /// Nobody sees it, and what needs it is bad.
    Unseen,
    /// It is seen well, and all its callers call it bad.
    AllCallers,
    /// It is seen well, and who uses it calls this one bad and its siblings good.
    Singled,
    /// The way between two that are well by themselves.
    Way,
    /// Its instances have one label in common.
    Label,
    /// It sends the other more than ever.
    Overload,
    /// It no longer drains a queue, or fills it faster than ever.
    Queue,
    /// The monitor lost sight.
    Monitor,
}

/// One thing that may be broken.
#[derive(Clone, Debug)]
pub(super) struct Cause {
    pub(super) why: Why,
    /// Who is named for it: one, or each instance of a few.
    pub(super) culprits: Vec<Culprit>,
    /// The broken instances.
    pub(super) instances: BTreeSet<InstanceId>,
    /// Broken components beyond their symptoms (nobody sees them, or they look well).
    pub(super) components: BTreeSet<ComponentId>,
    /// The broken way, with the one instance that cannot go it.
    pub(super) way: Option<Way>,
    /// Indices of the symptoms that follow from it.
    pub(super) explained: Vec<usize>,
    /// Components it says must be bad, that are proven to be well.
    pub(super) contradicted: Vec<ComponentId>,
    /// Dependants' instances that name it, and that use it without complaint.
    pub(super) named_by: (usize, usize),
    /// Something was done to it just before.
    pub(super) changed: bool,
    /// What it costs to believe it.
    pub(super) cost: f64,
}

/// A way from a dependant to what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) from: ComponentId,
    pub(super) from_instance: Option<InstanceId>,
    pub(super) to: ComponentId,
}

/// One thing broken, in the unit in which an unexplained lasting symptom costs 3.
const ONE: f64 = 1.5;
/// Labels and ways are believed a little less readily than the thing itself.
const LABEL: f64 = 1.8;
const WAY: f64 = 1.7;
/// One of several that its callers tell apart from the others: more telling than the way to all of them.
const SINGLED: f64 = 1.6;
const UNSEEN: f64 = 1.9;
const QUEUE: f64 = 1.9;
/// A caller whose numbers show that it overloads what it calls: hard evidence.
const OVERLOAD: f64 = 1.0;
/// What disappeared from sight together with the trouble is believed more readily.
const WENT_DARK: f64 = 0.7;
/// Somebody who names another.
const ACCUSES: f64 = 0.7;
/// A component that must be bad and is proven well.
const CONTRADICTION: f64 = 1.0;
/// At most so many of them count.
const MAX_CONTRADICTIONS: usize = 4;
/// And of something that is itself seen to be bad no more than this.
const MAX_AGAINST_SEEN: f64 = 1.2;
/// What each bad instance of a place costs whose trouble may be from elsewhere.
const UNLIKE: f64 = 0.5;
/// More symptoms than this are many.
const MANY: usize = 200;
/// A label needs this share of its instances to be bad.
const LABEL_SHARE: f64 = 0.6;

impl Cause {
    fn new(why: Why, culprits: Vec<Culprit>, cost: f64) -> Self {
        Self {
            why,
            culprits,
            instances: BTreeSet::new(),
            components: BTreeSet::new(),
            way: None,
            explained: Vec::new(),
            contradicted: Vec::new(),
            named_by: (0, 0),
            changed: false,
            cost,
        }
    }
}

/// Every hypothesis that the scene gives reason for, in a fixed order.
pub(super) fn all(scene: &Scene<'_>) -> Vec<Cause> {
    let mut list = Vec::new();
    let model = scene.situation.model;
    for component in model.component_ids() {
        sick(scene, component, &mut list);
        unseen(scene, component, &mut list);
        singled(scene, component, &mut list);
        ways(scene, component, &mut list);
        overload(scene, component, &mut list);
        queue(scene, component, &mut list);
    }
    labels(scene, &mut list);
    monitor(scene, &mut list);
    for cause in &mut list {
        weigh(scene, cause);
    }
    list.retain(|cause| !cause.explained.is_empty());
    list
}

/// Its own symptoms: each instance, the own faults together, all together.
fn sick(scene: &Scene<'_>, component: ComponentId, list: &mut Vec<Cause>) {
    let model = scene.situation.model;
    let members: Vec<InstanceId> = scene.symptoms_of(component).map(|s| s.id).collect();
    if members.is_empty() {
        return;
    }
    let total = model.component(component).instances.len();
    let own: Vec<InstanceId> = scene
        .symptoms_of(component)
        .filter(|s| matches!(s.nature, Nature::Own | Nature::Itself))
        .map(|s| s.id)
        .collect();
    let mut groups = vec![members.clone()];
    if !own.is_empty() && own.len() < members.len() {
        groups.push(own);
    }
    // One fault kind of several instances is one thing.
    let mut kinds: BTreeMap<Option<FaultKind>, Vec<InstanceId>> = BTreeMap::new();
    for id in &members {
        kinds.entry(scene.situation.facts(*id).fault.map(|f| f.kind)).or_default().push(*id);
    }
    if kinds.len() > 1 {
        groups.extend(kinds.into_values().filter(|ids| ids.len() > 1 && ids.len() < members.len()));
    }
    if members.len() > 1 {
        // Among very many, those who name another need not each be tried as the one.
        let few = scene.symptoms.len() <= MANY;
        groups.extend(members.iter().filter(|id| few || !accuses(scene, **id)).map(|id| vec![*id]));
    }
    let drain = scene.symptoms_of(component).all(|s| s.nature == Nature::Drain);
    let queue_sides =
        !scene.view(component).drained_by.is_empty() || !scene.view(component).filled_by.is_empty();
    for ids in groups {
        let whole = ids.len() > 1 && ids.len() == total;
        let culprits = if whole {
            vec![Culprit::Component(component)]
        } else {
            ids.iter().copied().map(Culprit::Instance).collect()
        };
        // All of them cost as much as one; some of them are that many things.
        let mut cost = if whole { ONE } else { ONE * ids.len() as f64 };
        if drain && queue_sides {
            cost += ONE;
        }
        // Who only turns callers away may have callers who cannot log in.
        let turns_away = |id: &InstanceId| {
            scene.symptom_of.get(id).is_some_and(|i| explain::turns_callers_away(scene, &scene.symptoms[*i]))
        };
        if ids.iter().all(turns_away) {
            cost += ACCUSES;
        }
        // Whoever names another is not the first to be believed to be it.
        let accusing = ids.iter().filter(|id| accuses(scene, **id)).count();
        cost += ACCUSES * accusing as f64 / ids.len() as f64;
        let mut cause = Cause::new(Why::Sick, culprits, cost);
        cause.instances = ids.into_iter().collect();
        list.push(cause);
    }
}

/// True when the bad answers of an instance name somebody.
fn accuses(scene: &Scene<'_>, id: InstanceId) -> bool {
    scene.symptom_of.get(&id).is_some_and(|i| {
        let symptom = &scene.symptoms[*i];
        symptom.nature == Nature::Inheritable && !symptom.named.is_empty()
    })
}

/// Nobody sees it, or only some of it, and somebody who needs it is bad.
fn unseen(scene: &Scene<'_>, component: ComponentId, list: &mut Vec<Cause>) {
    let view = scene.view(component);
    if !view.symptoms.is_empty() {
        return;
    }
    let callers =
        || view.needed_by.iter().filter(|l| !scene.view(l.other).symptoms.is_empty()).map(|l| l.other);
    if view.unseen {
        if callers().next().is_some() {
            let named = callers().any(|c| names(scene, c, component));
            let dark = scene
                .situation
                .model
                .component(component)
                .instance_ids()
                .any(|id| scene.situation.facts(id).last_good.is_some());
            let cost = match (named, dark) {
                (_, true) => UNSEEN - WENT_DARK,
                (true, false) => UNSEEN,
                (false, false) => UNSEEN + 0.6,
            };
            list.push(whole(scene, component, Why::Unseen, cost));
        }
        return;
    }
    // Seen well, and all who use it call it bad: it is the thing itself, or its side of the network.
    let naming: BTreeSet<ComponentId> = callers().filter(|c| names(scene, *c, component)).collect();
    let content = view
        .needed_by
        .iter()
        .any(|l| scene.words(l.other, component).is_some_and(|w| w.majority().1 > w.majority().0));
    if naming.len() > 1 && !content {
        list.push(whole(scene, component, Why::AllCallers, WAY + 0.2));
    }
}

fn whole(scene: &Scene<'_>, component: ComponentId, why: Why, cost: f64) -> Cause {
    let mut cause = Cause::new(why, vec![whole_of(scene, component)], cost);
    cause.components.insert(component);
    cause
}

/// A component by its name, or by that of its only instance.
fn whole_of(scene: &Scene<'_>, component: ComponentId) -> Culprit {
    let mut ids = scene.situation.model.component(component).instance_ids();
    match (ids.next(), ids.next()) {
        (Some(one), None) => Culprit::Instance(one),
        _ => Culprit::Component(component),
    }
}

/// True when a symptom of `by` names `on`.
fn names(scene: &Scene<'_>, by: ComponentId, on: ComponentId) -> bool {
    scene.symptoms_of(by).any(|s| s.named.iter().any(|b| b.on == on))
}

/// Seen well by a probe that does not see what its callers do: those that fail on it alone, and not on the others of
/// its kind, name it.
fn singled(scene: &Scene<'_>, component: ComponentId, list: &mut Vec<Cause>) {
    let mut bad: BTreeSet<InstanceId> = BTreeSet::new();
    let mut good: BTreeSet<InstanceId> = BTreeSet::new();
    for link in &scene.view(component).needed_by {
        let Some(words) = scene.words(link.other, component) else { continue };
        good.extend(&words.good_on);
        for symptom in scene.symptoms_of(link.other) {
            bad.extend(symptom.named.iter().filter(|b| b.on == component).filter_map(|b| b.instance));
        }
    }
    // Called good by one and bad by another, it is the way of the one.
    let alone: Vec<InstanceId> =
        bad.difference(&good).copied().filter(|id| !scene.symptom_of.contains_key(id)).collect();
    if good.is_empty() || alone.is_empty() {
        return;
    }
    let cost = SINGLED * alone.len() as f64;
    let culprits = alone.iter().copied().map(Culprit::Instance).collect();
    let mut cause = Cause::new(Why::Singled, culprits, cost);
    cause.instances = alone.into_iter().collect();
    list.push(cause);
}

/// What it needs is well by itself, and it cannot use it: the way between is broken.
fn ways(scene: &Scene<'_>, from: ComponentId, list: &mut Vec<Cause>) {
    let model = scene.situation.model;
    let mut targets: Vec<ComponentId> =
        scene.symptoms_of(from).flat_map(|s| s.named.iter().map(|b| b.on)).collect();
    targets.sort_unstable();
    targets.dedup();
    for to in targets {
        let view = scene.view(to);
        // A queue that backs up because it cannot be read is well by itself, and so is a server that turns callers away.
        let is_drained = view.drained_by.contains(&from);
        let is_theirs = |symptom: &Symptom| {
            is_drained && symptom.nature == Nature::Drain || explain::turns_callers_away(scene, symptom)
        };
        if !scene.symptoms_of(to).all(is_theirs) || view.unseen || view.chronic || to == from {
            continue;
        }
        let Some(words) = scene.words(from, to) else { continue };
        let (bad, good) = words.majority();
        let naming: Vec<InstanceId> =
            scene.symptoms_of(from).filter(|s| s.named.iter().any(|b| b.on == to)).map(|s| s.id).collect();
        if naming.is_empty() {
            continue;
        }
        let total = model.component(from).instances.len();
        let edge = scene.situation.graph.between(from, to);
        if naming.len() == 1 && total > 1 && good > 0 {
            let mut cause = Cause::new(Why::Way, vec![Culprit::Way { from: naming[0], to }], WAY);
            cause.way = Some(Way { from, from_instance: Some(naming[0]), to });
            list.push(cause);
        }
        let culprit = match edge {
            Some(edge) => Culprit::Edge(edge),
            None => Culprit::Way { from: naming[0], to },
        };
        // Few of many who complain speak against a broken way.
        let cost = WAY + if good > bad { 1.0 } else { 0.0 };
        let mut cause = Cause::new(Why::Way, vec![culprit], cost);
        cause.way = Some(Way { from, from_instance: None, to });
        list.push(cause);
    }
}

/// A caller whose requests or connections rose far above what it used to send.
fn overload(scene: &Scene<'_>, component: ComponentId, list: &mut Vec<Cause>) {
    let Some(peer) = scene.view(component).overloaded_by else { return };
    let mut cause = Cause::new(Why::Overload, vec![whole_of(scene, peer)], OVERLOAD);
    cause.instances = scene.symptoms_of(component).map(|s| s.id).collect();
    cause.way = Some(Way { from: peer, from_instance: None, to: component });
    list.push(cause);
}

/// A backlog that nobody in trouble explains: who should drain it, or who fills it.
fn queue(scene: &Scene<'_>, component: ComponentId, list: &mut Vec<Cause>) {
    let situation = scene.situation;
    if !scene.symptoms_of(component).any(|s| s.nature == Nature::Drain) {
        return;
    }
    let side = |meaning: Meaning| {
        situation
            .signs
            .iter()
            .filter(move |s| s.meaning == meaning && situation.model.instance(s.at).component == component)
    };
    let view = scene.view(component);
    let fell = side(Meaning::Delivered).any(|s| s.now < 0.7 * s.normal);
    let rose = side(Meaning::Published).any(|s| s.ratio() >= 1.5);
    for consumer in &view.drained_by {
        if scene.view(*consumer).symptoms.is_empty() {
            let cost = if rose && !fell { QUEUE + 0.8 } else { QUEUE };
            list.push(whole(scene, *consumer, Why::Queue, cost));
        }
    }
    for producer in &view.filled_by {
        if rose && scene.view(*producer).symptoms.is_empty() {
            let cost = if fell { QUEUE + 0.8 } else { QUEUE };
            list.push(whole(scene, *producer, Why::Queue, cost));
        }
    }
}

/// Instances that fail alike and share a label.
fn labels(scene: &Scene<'_>, list: &mut Vec<Cause>) {
    let model = scene.situation.model;
    let mut groups: BTreeMap<(&str, &str), Vec<InstanceId>> = BTreeMap::new();
    for (i, instance) in model.instances.iter().enumerate() {
        for (key, value) in &instance.labels {
            if !matches!(key.as_str(), "role" | "shard" | "kind" | "observed") {
                groups.entry((key, value)).or_default().push(InstanceId(i as u32));
            }
        }
    }
    for ((key, value), members) in groups {
        let watched: Vec<InstanceId> = members
            .iter()
            .copied()
            .filter(|id| scene.situation.facts(*id).health != Health::Unknown)
            .collect();
        let sick: Vec<InstanceId> =
            members.iter().copied().filter(|id| scene.symptom_of.contains_key(id)).collect();
        if sick.len() < 2 || (sick.len() as f64) < LABEL_SHARE * watched.len() as f64 {
            continue;
        }
        // The whole of one component and nothing else is the component.
        let first = model.instance(sick[0]).component;
        let one = members.iter().all(|id| model.instance(*id).component == first);
        if one && members.len() == model.component(first).instances.len() {
            continue;
        }
        let Some(label) = super::LabelId::find(model, &format!("{key}={value}")) else { continue };
        let green = watched.len() - sick.len();
        // A host or a zone takes all it carries down at once, with faults that nobody inherits. Others may
        // have theirs from elsewhere, the more so the more of their kind are bad that do not share the label.
        let place = key != "version";
        let elsewhere = |id: &InstanceId| {
            let others = || {
                let all = model.component(model.instance(*id).component).instance_ids();
                all.filter(|other| !members.contains(other))
            };
            let bad = others().filter(|other| scene.symptom_of.contains_key(other)).count();
            bad as f64 / others().count().max(1) as f64
        };
        let unlike: f64 = sick
            .iter()
            .filter(|id| place && scene.symptoms[scene.symptom_of[id]].nature != Nature::Own)
            .map(|id| UNLIKE * elsewhere(id))
            .sum();
        let cost = LABEL + green as f64 * 0.7 + unlike.min(3.0);
        let mut cause = Cause::new(Why::Label, vec![Culprit::Label(label)], cost);
        cause.instances = sick.iter().copied().collect();
        list.push(cause);
        // The monitor may have lost its own way there.
        let blind = |id: &InstanceId| {
            scene.situation.facts(*id).fault.is_some_and(|fault| !fault.kind.proves_sight())
        };
        if place && green == 0 && sick.iter().all(blind) {
            let culprit = Culprit::MonitorSight(label);
            let cost = match content_with(scene, &sick) {
                Some(true) => LABEL - 0.4,
                Some(false) => LABEL + 2.0,
                None => LABEL + 0.8,
            };
            let mut cause = Cause::new(Why::Monitor, vec![culprit], cost);
            cause.instances = sick.into_iter().collect();
            list.push(cause);
        }
    }
}

/// What those who need these instances say of them, from outside: all is well, or not; `None` when too few
/// say anything.
fn content_with(scene: &Scene<'_>, members: &[InstanceId]) -> Option<bool> {
    let model = scene.situation.model;
    let (mut good, mut bad) = (0, 0);
    for (&(_, on), words) in &scene.words {
        if !members.iter().any(|id| model.instance(*id).component == on) {
            continue;
        }
        let outside = |id: &&InstanceId| !members.contains(id);
        bad += words.bad.keys().filter(outside).count();
        good += words.good.keys().filter(outside).count();
    }
    match (good, bad) {
        (0..3, 0) => None,
        (good, bad) => Some(bad * 20 <= good),
    }
}

/// Nothing answers any more, everywhere, in ways that a lost network of its own would look like.
fn monitor(scene: &Scene<'_>, list: &mut Vec<Cause>) {
    let situation = scene.situation;
    let watched = situation
        .model
        .instance_ids()
        .filter(|id| situation.facts(*id).health != Health::Unknown && !situation.facts(*id).chronic)
        .count();
    let lost: Vec<InstanceId> = scene
        .symptoms
        .iter()
        .map(|s| s.id)
        .filter(|id| situation.facts(*id).fault.is_some_and(|fault| !fault.kind.proves_sight()))
        .collect();
    if lost.len() < 3 || (lost.len() as f64) < 0.95 * watched as f64 {
        return;
    }
    let mut cause = Cause::new(Why::Monitor, vec![Culprit::Monitor], 1.0);
    cause.instances = lost.into_iter().collect();
    list.push(cause);
}

/// Fills in what follows from a cause, and adds what speaks against it to its cost.
fn weigh(scene: &Scene<'_>, cause: &mut Cause) {
    cause.changed = changed(scene, cause);
    if cause.changed {
        cause.cost -= CHANGED;
    }
    let reach = explain::reach(scene, cause);
    cause.explained = (0..scene.symptoms.len())
        .filter(|i| explain::explains(scene, cause, &reach, &scene.symptoms[*i]))
        .collect();
    if matches!(cause.why, Why::Monitor) {
        return;
    }
    cause.contradicted = explain::contradicted(scene, cause);
    let against = CONTRADICTION * cause.contradicted.len().min(MAX_CONTRADICTIONS) as f64;
    // What is seen to be bad is bad, however well its dependants are.
    let seen = matches!(cause.why, Why::Sick | Why::Way | Why::Overload);
    let against = if seen { against.min(MAX_AGAINST_SEEN) } else { against };
    cause.cost += against;
    let situation = scene.situation;

    // Dependants who use it without complaint speak against a whole component.
    let component = match cause.culprits[..] {
        [Culprit::Component(id)] => Some(id),
        [Culprit::Instance(id)] => Some(situation.model.instance(id).component),
        _ => None,
    };
    if let Some(component) = component {
        for link in &scene.view(component).needed_by {
            if let Some(words) = scene.words(link.other, component) {
                let (bad, good) = words.majority();
                cause.named_by.0 += bad;
                cause.named_by.1 += good;
            }
        }
        let only = situation.model.component(component).instances.len() <= 1
            || matches!(cause.culprits[..], [Culprit::Component(_)]);
        let (bad, good) = cause.named_by;
        if only && good > 0 && matches!(cause.why, Why::Sick | Why::Unseen) {
            let own = cause
                .instances
                .iter()
                .any(|id| scene.symptom_of.get(id).is_some_and(|i| scene.symptoms[*i].nature == Nature::Own));
            if !own {
                let content = good as f64 / (bad + good) as f64;
                // A value past its limit was measured there: users who manage with it for now do not outweigh that.
                let measured = cause.instances.iter().any(|id| situation.facts(*id).signal.is_some());
                cause.cost += if measured { content.min(MAX_AGAINST_SEEN - against) } else { content };
            }
        }
    }
    if let Some(way) = cause.way
        && let Some(words) = scene.words(way.from, way.to)
    {
        cause.named_by = words.majority();
    }

    // An effect is not earlier than its cause.
    let began = situation.first_bad(cause.instances.iter().copied());
    if let Some(began) = began {
        let mut early: Vec<ComponentId> = cause
            .explained
            .iter()
            .map(|i| &scene.symptoms[*i])
            .filter(|s| !cause.instances.contains(&s.id))
            .filter(|s| {
                let facts = situation.facts(s.id);
                facts.onset.is_some_and(|o| o.first_bad + facts.interval < began)
            })
            .map(|s| s.component)
            .collect();
        early.dedup();
        cause.cost += 0.4 * early.len().min(3) as f64;
    }
}

/// A change this long before the onset, in seconds, is evidence.
const CHANGE_WINDOW: f64 = 120.0;

/// What a change just before the onset takes off the cost.
const CHANGED: f64 = 0.4;

/// True when something was done to the cause just before it began.
fn changed(scene: &Scene<'_>, cause: &Cause) -> bool {
    let situation = scene.situation;
    let began = situation.first_bad(cause.instances.iter().copied()).unwrap_or(scene.began);
    situation.changes.iter().any(|change| {
        (began - CHANGE_WINDOW..=began).contains(&change.at)
            && (cause.components.contains(&change.component)
                || cause.instances.iter().any(|id| {
                    situation.model.instance(*id).component == change.component
                        && change.instance.is_none_or(|i| i == *id)
                }))
    })
}
