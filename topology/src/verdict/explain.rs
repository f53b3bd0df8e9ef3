//! The forward model: what a cause predicts, and which symptoms that explains.
//!
//! The roll-up itself says what a broken dependency *must* do to its dependants; that counts misses. What
//! it *may* do is more (a slow optional dependency may make its callers fail); that explains.

use crate::graph::DependencyId;
use crate::level::Health;
use crate::model::{ComponentId, Strength};
use crate::rollup;

use super::cause::{Cause, Why};
use super::scene::{Nature, Scene, Symptom};
use super::situation::InstanceFacts;

/// Which components may be in trouble because of a cause.
pub(super) struct Reach {
    may: Vec<bool>,
    /// Where it also may have made answers slower, through components that are still green.
    slow: Vec<bool>,
    /// Where it also may fail a part of the requests: who is asked whether it can work says yes, while some of what
    /// passes through it fails (one of four shards is gone). Only who sees the requests themselves tells.
    traffic: Vec<bool>,
}

/// A dependency whose answers became slower by less than this share of what its dependant's did does not
/// explain it (rule 2 of the situations: .961 without, .988 with it over 330 simulated cases).
const SHARE: f64 = 0.3;

/// An added wait below this, in seconds, is noise.
const FELT_WAIT: f64 = 0.03;
/// A dependency that was slowed by its changed dependant did so by less than this share of it.
const BURDEN: f64 = 0.5;

/// Trouble may travel over required and optional dependencies, but not through a component that is seen
/// green by a probe that exercises it.
pub(super) fn reach(scene: &Scene<'_>, cause: &Cause) -> Reach {
    let may = spread(scene, cause, Through::Trouble);
    let slow = if scene.any_slow { spread(scene, cause, Through::Waits) } else { may.clone() };
    let any_traffic = scene.symptoms.iter().any(|symptom| sees_requests(scene, symptom));
    let traffic = if any_traffic { spread(scene, cause, Through::Anybody) } else { may.clone() };
    Reach { may, slow, traffic }
}

/// True when the symptom is a share of failed requests, counted where they pass.
fn sees_requests(scene: &Scene<'_>, symptom: &Symptom) -> bool {
    let facts = scene.situation.facts(symptom.id);
    let counted = |signal: &str| {
        let name = signal.split_once('[').map_or(signal, |(name, _)| name);
        name.starts_with("access_log.") && name.ends_with("error_ratio")
    };
    facts.fault.is_none() && facts.signal.is_some_and(counted)
}

/// Through whom trouble goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Through {
    /// Who is in trouble, or not seen well.
    Trouble,
    /// And who waits a little longer than usual.
    Waits,
    /// And who is seen well.
    Anybody,
}

fn spread(scene: &Scene<'_>, cause: &Cause, through: Through) -> Vec<bool> {
    let mut may = vec![false; scene.views.len()];
    let mut work: Vec<ComponentId> = Vec::new();
    if !matches!(cause.why, Why::Monitor) {
        work.extend(cause.instances.iter().map(|id| scene.situation.model.instance(*id).component));
    }
    work.extend(&cause.components);
    work.extend(cause.way.map(|way| way.from));
    work.extend(
        scene
            .symptoms
            .iter()
            .filter(|symptom| burdens(scene, cause, symptom) || diverts(scene, cause, symptom))
            .map(|s| s.component),
    );
    for id in &work {
        may[id.index()] = true;
    }
    while let Some(id) = work.pop() {
        for link in &scene.view(id).needed_by {
            // What is buffered is not felt, unless it is named all the same.
            let named = || scene.symptoms_of(link.other).any(|s| s.named.iter().any(|b| b.on == id));
            if link.strength == Strength::Async && !named() {
                continue;
            }
            let view = scene.view(link.other);
            // Green and exercised: nothing arrived here, so nothing goes on from here. Only a wait that is
            // not long enough to be bad here can add up further on.
            let goes_on = match through {
                Through::Trouble => false,
                Through::Waits => scene.slower_by(link.other).is_some_and(|by| by > FELT_WAIT),
                Through::Anybody => true,
            };
            let open = !view.symptoms.is_empty() || !view.proven || goes_on;
            if open && !may[link.other.index()] {
                may[link.other.index()] = true;
                work.push(link.other);
            }
        }
        // A broker whose queue is no longer drained backs up, and that stays where it is: it does not reach
        // those who fill it.
        for broker in &scene.view(id).backs_up {
            may[broker.index()] = true;
        }
    }
    may
}

/// True when `symptom` follows from `cause`: it is part of it, or can have been inherited.
pub(super) fn explains(scene: &Scene<'_>, cause: &Cause, reach: &Reach, symptom: &Symptom) -> bool {
    if cause.instances.contains(&symptom.id) || cause.components.contains(&symptom.component) {
        return true;
    }
    if matches!(cause.why, Why::Monitor) {
        return false;
    }
    if let Some(way) = cause.way
        && way.from == symptom.component
        && way.from_instance.is_none_or(|id| id == symptom.id)
        && symptom.nature == Nature::Inheritable
        && (matches!(cause.why, Why::Overload)
            || symptom.named.iter().any(|b| b.on == way.to)
            || symptom.named.is_empty())
    {
        return true;
    }
    if cause.way.is_some_and(|way| way.to == symptom.component) && turns_callers_away(scene, symptom) {
        return true;
    }
    if burdens(scene, cause, symptom) || diverts(scene, cause, symptom) {
        return true;
    }
    let view = scene.view(symptom.component);
    let facts = scene.situation.facts(symptom.id);
    let waits = facts.fault.is_none() && facts.slower_by.is_some();
    let counts = sees_requests(scene, symptom);
    let in_trouble = |c: ComponentId| {
        let reached =
            reach.may[c.index()] || waits && reach.slow[c.index()] || counts && reach.traffic[c.index()];
        reached && c != symptom.component
    };
    match symptom.nature {
        Nature::Own => waits_for_the_other_side(scene, cause, symptom),
        Nature::Itself => false,
        Nature::Replica => is_other_side(scene, cause, symptom),
        Nature::Drain => view.drained_by.iter().chain(&view.filled_by).any(|c| in_trouble(*c)),
        Nature::Inheritable => {
            let carries = |c: ComponentId| in_trouble(c) && passes(scene, cause, c, symptom);
            // A bad answer that names D needs D to be bad.
            if !symptom.named.is_empty() {
                return symptom.named.iter().any(|b| carries(b.on))
                    || symptom.mute
                        && view.needs.iter().any(|l| l.strength != Strength::Async && carries(l.other));
            }
            view.needs.iter().any(|l| l.strength != Strength::Async && carries(l.other))
        }
    }
}

/// True when all that is unusual here is that logins fail: whose they are is the question, not where.
pub(super) fn turns_callers_away(scene: &Scene<'_>, symptom: &Symptom) -> bool {
    let facts = scene.situation.facts(symptom.id);
    facts.fault.is_none() && facts.signal.is_some_and(|signal| signal.contains("aborted_connects"))
}

/// True when a change to the cause made it a burden for what it needs: a dependency that became a little
/// slower beside a dependant that was just changed and became much slower is the one that suffers.
fn burdens(scene: &Scene<'_>, cause: &Cause, symptom: &Symptom) -> bool {
    let facts = scene.situation.facts(symptom.id);
    if !cause.changed || facts.fault.is_some() {
        return false;
    }
    let Some(there) = facts.slower_by else { return false };
    scene.view(symptom.component).needed_by.iter().any(|link| {
        cause.instances.iter().any(|id| scene.situation.model.instance(*id).component == link.other)
            && scene.slower_by(link.other).is_some_and(|here| there < BURDEN * here)
    })
}

/// True when the load on the symptom rose because a caller of both turned to it from the cause: a cache
/// that died sends everybody to the database.
fn diverts(scene: &Scene<'_>, cause: &Cause, symptom: &Symptom) -> bool {
    let Some(caller) = scene.view(symptom.component).overloaded_by else { return false };
    if !matches!(cause.why, Why::Sick | Why::Unseen | Why::Label) {
        return false;
    }
    scene.view(caller).needs.iter().any(|link| {
        link.other != symptom.component
            && (cause.components.contains(&link.other)
                || cause.instances.iter().any(|id| {
                    scene.situation.model.instance(*id).component == link.other
                        && scene.symptoms[scene.symptom_of[id]].nature == Nature::Own
                }))
    })
}

/// True when the cause is the other side of the symptom's replication: the primary that a replica follows, or a replica
/// whose word a primary waits for; one of its component and, where there are shards, of its shard.
fn is_other_side(scene: &Scene<'_>, cause: &Cause, symptom: &Symptom) -> bool {
    let model = scene.situation.model;
    let shard = |id| model.instance(id).labels.get("shard");
    let is_replica = |id| scene.situation.facts(id).role == Some("replica");
    cause.instances.iter().any(|id| {
        *id != symptom.id
            && model.instance(*id).component == symptom.component
            && shard(*id) == shard(symptom.id)
            && is_replica(*id) == (scene.situation.facts(symptom.id).role == Some("primary"))
    })
}

/// True when what waits for locks here does so for the other side of the replication: sessions of a primary stand behind
/// commits that a dead or hung replica does not confirm, and a replica replays its primary's exclusive locks.
fn waits_for_the_other_side(scene: &Scene<'_>, cause: &Cause, symptom: &Symptom) -> bool {
    let waits = |facts: &InstanceFacts<'_>| facts.signal.is_some_and(|signal| signal.contains("lock_wait"));
    let facts = scene.situation.facts(symptom.id);
    let others = || cause.instances.iter().map(|id| scene.situation.facts(*id));
    let possible = match facts.role {
        Some("primary") => others().any(|other| other.fault.is_some()),
        Some("replica") => others().any(waits),
        _ => false,
    };
    waits(facts) && possible && is_other_side(scene, cause, symptom)
}

/// True when what happens at `dependency` is enough to do this to the symptom, and is not a mere backlog.
fn passes(scene: &Scene<'_>, cause: &Cause, dependency: ComponentId, symptom: &Symptom) -> bool {
    let view = scene.view(dependency);
    // A backlog does not reach the callers.
    if !view.symptoms.is_empty()
        && view.symptoms.iter().all(|i| scene.symptoms[*i].nature == Nature::Drain)
        && !cause.components.contains(&dependency)
    {
        return false;
    }
    // What is only at risk serves its users well: nobody is worse off than that by it, but who counts failed requests.
    let at_risk = |symptom: &Symptom| scene.situation.facts(symptom.id).health == Health::AtRisk;
    let is_of_cause = |symptom: &Symptom| {
        cause.instances.contains(&symptom.id) || cause.components.contains(&symptom.component)
    };
    if !view.symptoms.is_empty()
        && scene.symptoms_of(dependency).all(|other| at_risk(other) && !is_of_cause(other))
        && !at_risk(symptom)
        && !sees_requests(scene, symptom)
    {
        return false;
    }
    let slow_here = scene.situation.facts(symptom.id).slower_by;
    match (slow_here, scene.slower_by(dependency)) {
        (Some(here), Some(there)) if scene.situation.facts(symptom.id).fault.is_none() => {
            let all_slow = scene.symptoms_of(dependency).all(|s| scene.situation.facts(s.id).fault.is_none());
            !all_slow || there >= SHARE * here
        }
        _ => true,
    }
}

/// Components that must be at least impaired when the cause is true, and are proven green.
pub(super) fn contradicted(scene: &Scene<'_>, cause: &Cause) -> Vec<ComponentId> {
    let situation = scene.situation;
    let model = situation.model;
    if !anybody_above_is_proven(scene, cause) {
        return Vec::new();
    }
    let level = |i: usize| {
        let id = crate::model::InstanceId(i as u32);
        if cause.instances.contains(&id) {
            situation.instances[i].health
        } else if cause.components.contains(&model.instance(id).component) && cause.why != Why::Queue {
            Health::Red
        } else {
            Health::Green
        }
    };
    // Nobody looks at it: what it does to its dependants is all there is.
    let unseen = cause.components.iter().filter(|_| cause.why == Why::Unseen);
    let mut broken: Vec<DependencyId> = unseen.flat_map(|id| situation.graph.needed_by(*id)).collect();
    if let Some(way) = cause.way
        && way.from_instance.is_none()
        && !matches!(cause.why, Why::Overload)
    {
        broken.extend(situation.graph.between(way.from, way.to));
    }
    let rolled = rollup::roll_up(situation.graph, level, |i| situation.instances[i].role, &broken);
    model
        .component_ids()
        .filter(|id| rolled[id.index()].health.severity() >= Health::Impaired.severity())
        .filter(|id| scene.view(*id).proven)
        // Who overloads another may be well itself.
        .filter(|id| cause.why != Why::Overload || cause.way.is_none_or(|way| way.from != *id))
        .collect()
}

/// Whether anybody who needs what is broken, near or far, is proven well: only they can contradict, and the
/// roll-up need not be asked where there is nobody.
fn anybody_above_is_proven(scene: &Scene<'_>, cause: &Cause) -> bool {
    let model = scene.situation.model;
    let mut seen = vec![false; scene.views.len()];
    let mut work: Vec<ComponentId> = cause
        .instances
        .iter()
        .map(|id| model.instance(*id).component)
        .chain(cause.components.iter().copied())
        .collect();
    work.extend(cause.way.map(|way| way.from));
    while let Some(id) = work.pop() {
        if std::mem::replace(&mut seen[id.index()], true) {
            continue;
        }
        if scene.view(id).proven {
            return true;
        }
        let above = scene.view(id).needed_by.iter().filter(|link| link.strength != Strength::Async);
        work.extend(above.map(|link| link.other));
    }
    false
}
