//! The roll-up as the definition reads, slow and plain: all levels from green upwards, everything computed
//! anew until nothing changes.

use super::super::*;
use super::properties::Inputs;

/// The level by policy of some instances of a component, written out: (shown, felt).
fn by_policy(
    m: &Model,
    component: ComponentId,
    part: &[InstanceId],
    inputs: &Inputs,
    inherited: &[Health],
) -> (Health, Health) {
    let spec = m.component(component);
    let whole = part.is_empty();
    let members: Vec<InstanceId> = if whole { spec.instance_ids().collect() } else { part.to_vec() };
    let members: Vec<InstanceId> =
        members.into_iter().filter(|id| inputs.health[id.index()] != Health::Paused).collect();
    let is_replica = |id: InstanceId| {
        inputs.roles[id.index()].or(m.instance(id).labels.get("role").map(String::as_str)) == Some("replica")
    };
    let unseen = |id: &InstanceId| inputs.health[id.index()] == Health::Unknown;
    let level = |id: InstanceId| Health::Green.worse(inputs.health[id.index()]).worse(inherited[id.index()]);
    let one_shard = |of: &[InstanceId]| -> Health {
        let primaries: Vec<InstanceId> = of.iter().copied().filter(|id| !is_replica(*id)).collect();
        let serving = if primaries.is_empty() { of } else { &primaries };
        let best = serving.iter().map(|id| level(*id)).min_by_key(|h| h.severity()).unwrap();
        if of.iter().all(|id| level(*id) == Health::Green) { best } else { Health::AtRisk.worse(best) }
    };
    let shard_of = |id: InstanceId| {
        let instance = m.instance(id);
        instance.labels.get("shard").map_or((1, instance.name.clone()), |shard| (0, shard.clone()))
    };
    let judge = |of: &[InstanceId]| -> Health {
        let count = |worst: Health| of.iter().filter(|id| level(**id).severity() <= worst.severity()).count();
        let (green, good, alive, n) =
            (count(Health::Green), count(Health::AtRisk), count(Health::Impaired), of.len());
        let mild = if green == n { Health::Green } else { Health::AtRisk };
        let any = if alive == 0 {
            Health::Red
        } else if good == 0 {
            Health::Impaired
        } else {
            mild
        };
        if !whole && part.len() == 1 {
            return level(of[0]);
        }
        match spec.policy {
            Policy::Replicas { min_healthy } => {
                let needed = (1..=n).find(|k| *k as f64 >= min_healthy * n as f64 - 1e-9).unwrap();
                if alive < needed {
                    Health::Red
                } else if good < needed {
                    Health::Impaired
                } else {
                    mild
                }
            }
            Policy::Shards => of
                .iter()
                .map(|id| {
                    let shard: Vec<InstanceId> =
                        of.iter().copied().filter(|other| shard_of(*other) == shard_of(*id)).collect();
                    one_shard(&shard)
                })
                .fold(Health::Green, Health::worse),
            Policy::PrimaryReplica => {
                let primaries = of.iter().copied().filter(|id| !is_replica(*id));
                match primaries.map(level).min_by_key(|h| h.severity()) {
                    None if members.iter().any(unseen) => Health::Unknown,
                    None if !whole && part.iter().all(|id| is_replica(*id)) => any,
                    None => Health::Red,
                    Some(best) if best.severity() >= 2 => best,
                    Some(_) => mild,
                }
            }
            Policy::Any => any,
            Policy::Standby => mild,
        }
    };
    if members.is_empty() {
        return (Health::Paused, Health::Paused);
    }
    let watched: Vec<InstanceId> = members.iter().copied().filter(|id| !unseen(id)).collect();
    let mut shown = if watched.is_empty() { Health::Unknown } else { judge(&watched) };
    if members.iter().any(|id| unseen(id) && inherited[id.index()].is_unhealthy()) {
        shown = shown.worse(judge(&members));
    }
    if shown == Health::Green && members.len() > 2 * watched.len() {
        shown = Health::Unknown;
    }
    let mut felt = shown;
    if spec.policy == Policy::Shards && shown == Health::Red && (whole || part.len() > 1) {
        let all: Vec<InstanceId> = if whole { spec.instance_ids().collect() } else { part.to_vec() };
        let lost = |id: &InstanceId| {
            let shard: Vec<InstanceId> =
                members.iter().copied().filter(|other| shard_of(*other) == shard_of(*id)).collect();
            let seen: Vec<InstanceId> = shard.iter().copied().filter(|id| !unseen(id)).collect();
            let inherits = shard.iter().any(|id| unseen(id) && inherited[id.index()].is_unhealthy());
            (!seen.is_empty() && one_shard(&seen) == Health::Red)
                || (inherits && one_shard(&shard) == Health::Red)
        };
        if !all.iter().all(lost) {
            felt = Health::Impaired;
        }
    }
    (shown, felt)
}

/// The definition, word by word: (rolled-up level of each component, of each instance).
pub(super) fn by_definition(m: &Model, inputs: &Inputs) -> (Vec<Health>, Vec<Health>) {
    let mut of_component = vec![Health::Green; m.components.len()];
    let mut of_instance = vec![Health::Green; m.instances.len()];
    loop {
        let arrival = |i: usize| {
            let d = &m.dependencies[i];
            let (_, felt) = by_policy(m, d.to, &d.to_part, inputs, &of_instance);
            let at = if inputs.broken[i] { Health::Red } else { felt.worse(of_component[d.to.index()]) };
            transfer(d.strength, at)
        };
        let serves = |i: usize, instance: InstanceId| {
            let part = &m.dependencies[i].from_part;
            part.is_empty() || part.contains(&instance)
        };
        let best = |list: &[usize]| list.iter().map(|i| arrival(*i)).min_by_key(|h| h.severity()).unwrap();
        let (mut next_component, mut next_instance) = (of_component.clone(), of_instance.clone());
        for c in m.component_ids() {
            let mine: Vec<usize> =
                (0..m.dependencies.len()).filter(|i| m.dependencies[*i].from == c).collect();
            let mut groups: Vec<Vec<usize>> = Vec::new();
            for i in &mine {
                match m.dependencies[*i].one_of {
                    None => groups.push(vec![*i]),
                    Some(group) => {
                        let all: Vec<usize> = mine
                            .iter()
                            .copied()
                            .filter(|j| m.dependencies[*j].one_of == Some(group))
                            .collect();
                        if all[0] == *i {
                            groups.push(all);
                        }
                    }
                }
            }
            for group in groups {
                if group.iter().all(|i| m.dependencies[*i].from_part.is_empty()) {
                    next_component[c.index()] = next_component[c.index()].worse(best(&group));
                    continue;
                }
                for id in m.component(c).instance_ids() {
                    let its: Vec<usize> = group.iter().copied().filter(|i| serves(*i, id)).collect();
                    if !its.is_empty() {
                        next_instance[id.index()] = next_instance[id.index()].worse(best(&its));
                    }
                }
            }
        }
        if (&next_component, &next_instance) == (&of_component, &of_instance) {
            break;
        }
        (of_component, of_instance) = (next_component, next_instance);
    }
    let none = vec![Health::Green; m.instances.len()];
    let component = |c: ComponentId| {
        let (own, _) = by_policy(m, c, &[], inputs, &none);
        let (with, _) = by_policy(m, c, &[], inputs, &of_instance);
        own.worse(with).worse(of_component[c.index()])
    };
    let instance = |i: usize| match inputs.health[i] {
        Health::Paused => Health::Paused,
        own => own.worse(of_instance[i]),
    };
    (m.component_ids().map(component).collect(), (0..m.instances.len()).map(instance).collect())
}
