//! Roll-up: instances to component by policy, dependency to dependant by strength.
//!
//! A least fixpoint over the chain green < at risk < impaired < red. Every rule is monotone (a worse
//! input never gives a better output), so a worklist that only ever raises levels ends, also on
//! cycles, and the order of work does not matter.

use std::collections::{BTreeMap, VecDeque};

use crate::graph::{DependencyId, Graph};
use crate::level::Health;
use crate::model::{Component, ComponentId, Model, Policy, Strength};

/// What roll-up says of one component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolledUp {
    /// From its own instances, by its policy.
    pub own: Health,
    /// The worst of own and inherited.
    pub health: Health,
    /// The worst that its dependencies do to it.
    pub inherited: Health,
    /// The dependencies that carry the inherited level; never in a circle.
    pub inherited_from: Vec<DependencyId>,
}

/// What of a dependency's level arrives at its dependant.
///
/// At risk stays where it is. Yellow through `optional` and `async` is at risk and ends there.
pub const fn transfer(strength: Strength, health: Health) -> Health {
    match (strength, health) {
        (Strength::Required, Health::Red) => Health::Red,
        (Strength::Required, Health::Impaired) => Health::Impaired,
        (Strength::Optional | Strength::Async, Health::Red) => Health::AtRisk,
        _ => Health::Green,
    }
}

/// The own level of a component from the levels of its instances.
///
/// `health_of` and `role_of` are asked by index of instance; a role is the one last seen, else the label.
pub fn own_health(
    model: &Model,
    component: &Component,
    health_of: impl Fn(usize) -> Health,
    role_of: impl Fn(usize) -> Option<&'static str>,
) -> Health {
    let range = component.instances.start as usize..component.instances.end as usize;
    let watched: Vec<usize> =
        range.clone().filter(|i| !matches!(health_of(*i), Health::Unknown | Health::Paused)).collect();
    if watched.is_empty() {
        let paused = !range.is_empty() && range.clone().all(|i| health_of(i) == Health::Paused);
        return if paused { Health::Paused } else { Health::Unknown };
    }
    let unseen = range.clone().filter(|i| health_of(*i) == Health::Unknown).count();
    let alive = watched.iter().filter(|i| health_of(**i) != Health::Red).count();
    let good = watched.iter().filter(|i| matches!(health_of(**i), Health::Green | Health::AtRisk)).count();
    let all_green = watched.iter().all(|i| health_of(*i) == Health::Green);
    let any = |wanted: Health| watched.iter().any(|i| health_of(*i) == wanted);
    let label = |i: usize, name: &str| model.instances[i].labels.get(name).map(String::as_str);
    let is_replica = |i: usize| role_of(i).or(label(i, "role")) == Some("replica");
    let health = match component.policy {
        Policy::Replicas { min_healthy } => {
            // Rounded up: 60 % of 3 are 2, and one copy of one is always needed.
            let needed = ((min_healthy * watched.len() as f64) - 1e-9).ceil().max(1.0) as usize;
            if alive < needed {
                Health::Red
            } else if good < needed {
                Health::Impaired
            } else if all_green {
                Health::Green
            } else {
                Health::AtRisk
            }
        }
        Policy::Shards => {
            let mut shards: BTreeMap<String, Vec<usize>> = BTreeMap::new();
            for &i in &watched {
                let shard = label(i, "shard").map_or_else(|| model.instances[i].name.clone(), str::to_owned);
                shards.entry(shard).or_default().push(i);
            }
            // A shard is served by its primary; replicas only keep it safe.
            let of_shard = |members: &Vec<usize>| {
                let primaries: Vec<usize> = members.iter().copied().filter(|i| !is_replica(*i)).collect();
                let serving = if primaries.is_empty() { members } else { &primaries };
                let best = serving.iter().map(|i| health_of(*i)).min_by_key(|h| h.severity());
                let best = best.unwrap_or(Health::Unknown);
                let whole = members.iter().all(|i| health_of(*i) == Health::Green);
                if best == Health::Green && !whole { Health::AtRisk } else { best }
            };
            let levels: Vec<Health> = shards.values().map(of_shard).collect();
            // Red while any is lost; what the dependants feel of it is `felt`'s matter.
            levels.iter().fold(Health::Green, |worst, health| worst.worse(*health))
        }
        Policy::PrimaryReplica => {
            let primaries: Vec<usize> = watched.iter().copied().filter(|i| !is_replica(*i)).collect();
            let best = primaries.iter().map(|i| health_of(*i)).min_by_key(|health| health.severity());
            match best {
                None if unseen > 0 => Health::Unknown,
                None | Some(Health::Red) => Health::Red,
                Some(Health::Impaired) => Health::Impaired,
                Some(_) if all_green => Health::Green,
                Some(_) => Health::AtRisk,
            }
        }
        Policy::Any => {
            if alive == 0 {
                Health::Red
            } else if good == 0 {
                Health::Impaired
            } else if all_green {
                Health::Green
            } else {
                Health::AtRisk
            }
        }
        Policy::Standby => {
            if any(Health::Red) || any(Health::Impaired) || any(Health::AtRisk) {
                Health::AtRisk
            } else {
                Health::Green
            }
        }
    };
    // Mostly unseen and nothing wrong with the rest: that is not a green.
    if health == Health::Green && unseen > watched.len() { Health::Unknown } else { health }
}

/// How a component's own level is felt by its dependants, where that differs from the level shown:
/// with some shards lost the component is red and its dependants are impaired; only when all are lost
/// do they go red.
pub fn felt(
    model: &Model,
    component: &Component,
    shown: Health,
    health_of: impl Fn(usize) -> Health,
) -> Health {
    if component.policy != Policy::Shards || shown != Health::Red {
        return shown;
    }
    let range = component.instances.start as usize..component.instances.end as usize;
    let mut alive_shard = false;
    let mut seen: BTreeMap<&str, bool> = BTreeMap::new();
    for i in range {
        let instance = &model.instances[i];
        let shard = instance.labels.get("shard").map_or(instance.name.as_str(), String::as_str);
        let alive = !matches!(health_of(i), Health::Red);
        *seen.entry(shard).or_insert(false) |=
            alive && instance.labels.get("role").is_none_or(|r| r != "replica");
    }
    for alive in seen.values() {
        alive_shard |= alive;
    }
    if alive_shard { Health::Impaired } else { Health::Red }
}

/// The levels of all components, from their own ones.
///
/// `own` is what is shown of each, `felt` what its dependants feel of that (see [`felt`]).
pub fn roll_up(graph: &Graph, own: &[Health], felt: &[Health]) -> Vec<RolledUp> {
    let n = graph.component_count();
    let mut inherited = vec![Health::Green; n];
    // What each passes on, and when it got there: a name is given only along rising stamps, so that
    // the naming cannot run in a circle.
    let mut passes: Vec<Health> = felt.iter().map(|h| Health::Green.worse(*h)).collect();
    let mut stamp = vec![0_u32; n];
    let mut clock = 0;
    let mut queue: VecDeque<ComponentId> =
        graph.bottom_up().into_iter().filter(|id| passes[id.index()].is_unhealthy()).collect();
    while let Some(id) = queue.pop_front() {
        for edge in graph.needed_by(id) {
            let dependency = graph.dependency(edge);
            let arriving = transfer(dependency.strength, passes[id.index()]);
            let from = dependency.from.index();
            if arriving.severity() > inherited[from].severity() {
                inherited[from] = arriving;
                let now = passes[from].worse(arriving);
                if now.severity() > passes[from].severity() {
                    passes[from] = now;
                    clock += 1;
                    stamp[from] = clock;
                    queue.push_back(dependency.from);
                }
            }
        }
    }
    (0..n)
        .map(|i| {
            let id = ComponentId(i as u32);
            let carries = |edge: &DependencyId| {
                let dependency = graph.dependency(*edge);
                let to = dependency.to.index();
                transfer(dependency.strength, passes[to]) == inherited[i]
                    && (stamp[to] < stamp[i] || !graph.on_one_cycle(id, dependency.to))
            };
            let inherited_from = if inherited[i].is_unhealthy() {
                graph.needs(id).into_iter().filter(carries).collect()
            } else {
                Vec::new()
            };
            RolledUp {
                own: own[i],
                health: own[i].worse(inherited[i]),
                inherited: inherited[i],
                inherited_from,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{instance, model};
    use proptest::prelude::*;
    use std::sync::Arc;

    /// Rolls up with the named instances at the given levels, the rest green.
    fn rolled(model: &Model, levels: &[(&str, Health)]) -> Vec<RolledUp> {
        let mut health = vec![Health::Green; model.instances.len()];
        for (name, level) in levels {
            health[instance(model, name).index()] = *level;
        }
        roll(model, &health)
    }

    fn roll(model: &Model, health: &[Health]) -> Vec<RolledUp> {
        let graph = Graph::new(model);
        let own: Vec<Health> =
            model.components.iter().map(|c| own_health(model, c, |i| health[i], |_| None)).collect();
        let felt: Vec<Health> =
            model.components.iter().zip(&own).map(|(c, own)| felt(model, c, *own, |i| health[i])).collect();
        roll_up(&graph, &own, &felt)
    }

    fn of(model: &Model, rolled: &[RolledUp], name: &str) -> Health {
        rolled[model.component_by_name(name).unwrap().index()].health
    }

    #[test]
    fn replicas_are_at_risk_then_impaired_then_red() {
        let m = model("user -> web\nweb x4");
        let red = |n: usize| {
            (1..=n).map(|i| (["web-1", "web-2", "web-3", "web-4"][i - 1], Health::Red)).collect::<Vec<_>>()
        };
        for (n, web, user) in [
            (0, Health::Green, Health::Green),
            (1, Health::AtRisk, Health::Green),
            (2, Health::AtRisk, Health::Green),
            (3, Health::Red, Health::Red),
        ] {
            let r = rolled(&m, &red(n));
            assert_eq!((of(&m, &r, "web"), of(&m, &r, "user")), (web, user), "{n} red");
        }
        let slow: Vec<_> = ["web-1", "web-2", "web-3"].map(|name| (name, Health::Impaired)).to_vec();
        let r = rolled(&m, &slow);
        assert_eq!((of(&m, &r, "web"), of(&m, &r, "user")), (Health::Impaired, Health::Impaired));
    }

    #[test]
    fn one_lost_shard_is_red_and_impairs_its_dependants() {
        let m = model("user -> db\ndb x4 shards");
        let r = rolled(&m, &[("db-2", Health::Red)]);
        assert_eq!((of(&m, &r, "db"), of(&m, &r, "user")), (Health::Red, Health::Impaired));
        let all: Vec<_> = ["db-1", "db-2", "db-3", "db-4"].map(|name| (name, Health::Red)).to_vec();
        assert_eq!(of(&m, &rolled(&m, &all), "user"), Health::Red);
    }

    #[test]
    fn any_needs_one_and_standby_is_never_red() {
        let m = model("pos -> line\nline x2 any\nspare x2 standby");
        let r = rolled(&m, &[("line-1", Health::Red), ("spare-1", Health::Red), ("spare-2", Health::Red)]);
        assert_eq!((of(&m, &r, "line"), of(&m, &r, "pos")), (Health::AtRisk, Health::Green));
        assert_eq!(of(&m, &r, "spare"), Health::AtRisk);
        let r = rolled(&m, &[("line-1", Health::Red), ("line-2", Health::Red)]);
        assert_eq!((of(&m, &r, "line"), of(&m, &r, "pos")), (Health::Red, Health::Red));
    }

    #[test]
    fn strength_decides_what_arrives() {
        let m = model("a -> d\nb -> d:optional\nc -> d:async\nd");
        let r = rolled(&m, &[("d-1", Health::Red)]);
        assert_eq!(
            [of(&m, &r, "a"), of(&m, &r, "b"), of(&m, &r, "c")],
            [Health::Red, Health::AtRisk, Health::AtRisk]
        );
        let r = rolled(&m, &[("d-1", Health::Impaired)]);
        assert_eq!(
            [of(&m, &r, "a"), of(&m, &r, "b"), of(&m, &r, "c")],
            [Health::Impaired, Health::Green, Health::Green]
        );
    }

    #[test]
    fn a_cycle_of_green_stays_green_and_names_nobody_in_a_circle() {
        let m = model("a -> b\nb -> c\nc -> a, d\nd");
        assert!(rolled(&m, &[]).iter().all(|r| r.health == Health::Green));
        let r = rolled(&m, &[("d-1", Health::Red)]);
        assert!(r.iter().all(|r| r.health == Health::Red));
        let needs_d = m.component_by_name("c").unwrap();
        let graph = Graph::new(&m);
        let named: Vec<_> =
            r[needs_d.index()].inherited_from.iter().map(|e| graph.dependency(*e).to).collect();
        assert_eq!(named, [m.component_by_name("d").unwrap()]);
    }

    #[test]
    fn a_component_nobody_has_seen_is_unknown_and_no_wall() {
        let m = model("a -> b\nb -> c\nc");
        let r = rolled(&m, &[("b-1", Health::Unknown)]);
        assert_eq!((of(&m, &r, "a"), of(&m, &r, "b")), (Health::Green, Health::Unknown));
        let r = rolled(&m, &[("b-1", Health::Unknown), ("c-1", Health::Red)]);
        assert_eq!((of(&m, &r, "a"), of(&m, &r, "b")), (Health::Red, Health::Red));
    }

    fn health() -> impl Strategy<Value = Health> {
        prop_oneof![
            4 => Just(Health::Green),
            1 => Just(Health::AtRisk),
            1 => Just(Health::Impaired),
            2 => Just(Health::Red),
            1 => Just(Health::Unknown),
            1 => Just(Health::Paused),
        ]
    }

    /// A random platform of `n` components, cycles allowed, and a level for each instance.
    fn platform() -> impl Strategy<Value = (Arc<Model>, Vec<Health>)> {
        let policy = prop_oneof![
            Just("replicas"),
            Just("shards"),
            Just("any"),
            Just("standby"),
            Just("primary_replica")
        ];
        let component = (1..4_usize, policy, prop::collection::btree_map(0..8_usize, 0..3_usize, 0..3));
        prop::collection::vec(component, 8).prop_flat_map(|components| {
            let lines: Vec<String> = components
                .iter()
                .enumerate()
                .map(|(i, (count, policy, needs))| {
                    let needs: Vec<String> = needs
                        .iter()
                        .filter(|(to, _)| **to != i)
                        .map(|(to, s)| format!("c{to}:{}", ["required", "optional", "async"][*s]))
                        .collect();
                    format!("c{i} x{count} {policy} -> {}", needs.join(", "))
                })
                .collect();
            let m = model(&lines.join("\n"));
            let n = m.instances.len();
            (Just(Arc::new(m)), prop::collection::vec(health(), n))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

        #[test]
        fn a_worse_input_never_gives_a_better_output((m, h) in platform(), at in any::<prop::sample::Index>()) {
            let before = roll(&m, &h);
            let mut worse = h.clone();
            let i = at.index(h.len());
            // Out of sight and maintenance are no levels of the chain.
            prop_assume!(!matches!(h[i], Health::Unknown | Health::Paused | Health::Red));
            worse[i] = [Health::AtRisk, Health::Impaired, Health::Red][h[i].severity() as usize];
            let after = roll(&m, &worse);
            for (b, a) in before.iter().zip(&after) {
                prop_assert!(a.health.severity() >= b.health.severity());
            }
        }

        #[test]
        fn every_inherited_level_names_who_carries_it_and_nobody_in_a_circle((m, h) in platform()) {
            let rolled = roll(&m, &h);
            let graph = Graph::new(&m);
            let mut names = petgraph::graph::DiGraph::<(), ()>::new();
            let nodes: Vec<_> = rolled.iter().map(|_| names.add_node(())).collect();
            for (i, r) in rolled.iter().enumerate() {
                for edge in &r.inherited_from {
                    let d = graph.dependency(*edge);
                    prop_assert!(rolled[d.to.index()].health.is_unhealthy());
                    names.add_edge(nodes[i], nodes[d.to.index()], ());
                }
                if r.health.severity() > r.own.severity() {
                    prop_assert!(!r.inherited_from.is_empty(), "component {i} names nobody");
                }
            }
            prop_assert!(!petgraph::algo::is_cyclic_directed(&names));
        }

        #[test]
        fn unknown_and_paused_never_spread((m, h) in platform()) {
            let quiet: Vec<Health> =
                h.iter().map(|x| if matches!(x, Health::Unknown | Health::Paused) { *x } else { Health::Green }).collect();
            for r in roll(&m, &quiet) {
                prop_assert!(!r.health.is_unhealthy());
                prop_assert!(r.inherited_from.is_empty());
            }
        }
    }
}
