//! The tables of the design.

use super::*;
use Health::{AtRisk, Green, Impaired, Red, Unknown};

use crate::model::NodeId;
use crate::testkit::{add, instance, label, model};

mod definition;
mod properties;

/// Rolls up with the named instances at the given levels, the rest green.
fn rolled(model: &Model, levels: &[(&str, Health)]) -> Vec<RolledUp> {
    let mut health = vec![Green; model.instances.len()];
    for (name, level) in levels {
        health[instance(model, name).index()] = *level;
    }
    roll(model, &health)
}

fn roll(model: &Model, health: &[Health]) -> Vec<RolledUp> {
    roll_up(&Graph::new(model), |i| health[i], |_| None, &[])
}

fn of(model: &Model, rolled: &[RolledUp], name: &str) -> Health {
    rolled[model.component_by_name(name).unwrap().index()].health
}

#[test]
fn replicas_are_at_risk_then_impaired_then_red() {
    let m = model("user -> web\nweb x4");
    let red =
        |n: usize| (1..=n).map(|i| (["web-1", "web-2", "web-3", "web-4"][i - 1], Red)).collect::<Vec<_>>();
    for (n, web, user) in [(0, Green, Green), (1, AtRisk, Green), (2, AtRisk, Green), (3, Red, Red)] {
        let r = rolled(&m, &red(n));
        assert_eq!((of(&m, &r, "web"), of(&m, &r, "user")), (web, user), "{n} red");
    }
    let slow: Vec<_> = ["web-1", "web-2", "web-3"].map(|name| (name, Impaired)).to_vec();
    let r = rolled(&m, &slow);
    assert_eq!((of(&m, &r, "web"), of(&m, &r, "user")), (Impaired, Impaired));
}

#[test]
fn one_lost_shard_is_red_and_impairs_its_dependants() {
    let m = model("user -> db\ndb x4 shards");
    let r = rolled(&m, &[("db-2", Red)]);
    assert_eq!((of(&m, &r, "db"), of(&m, &r, "user")), (Red, Impaired));
    let all: Vec<_> = ["db-1", "db-2", "db-3", "db-4"].map(|name| (name, Red)).to_vec();
    assert_eq!(of(&m, &rolled(&m, &all), "user"), Red);
}

#[test]
fn any_needs_one_and_standby_is_never_red() {
    let m = model("pos -> line\nline x2 any\nspare x2 standby");
    let r = rolled(&m, &[("line-1", Red), ("spare-1", Red), ("spare-2", Red)]);
    assert_eq!((of(&m, &r, "line"), of(&m, &r, "pos")), (AtRisk, Green));
    assert_eq!(of(&m, &r, "spare"), AtRisk);
    let r = rolled(&m, &[("line-1", Red), ("line-2", Red)]);
    assert_eq!((of(&m, &r, "line"), of(&m, &r, "pos")), (Red, Red));
}

#[test]
fn strength_decides_what_arrives() {
    let m = model("a -> d\nb -> d:optional\nc -> d:async\nd");
    let r = rolled(&m, &[("d-1", Red)]);
    assert_eq!([of(&m, &r, "a"), of(&m, &r, "b"), of(&m, &r, "c")], [Red, AtRisk, AtRisk]);
    let r = rolled(&m, &[("d-1", Impaired)]);
    assert_eq!([of(&m, &r, "a"), of(&m, &r, "b"), of(&m, &r, "c")], [Impaired, Green, Green]);
}

#[test]
fn a_cycle_of_green_stays_green_and_names_nobody_in_a_circle() {
    let m = model("a -> b\nb -> c\nc -> a, d\nd");
    assert!(rolled(&m, &[]).iter().all(|r| r.health == Green));
    let r = rolled(&m, &[("d-1", Red)]);
    assert!(r.iter().all(|r| r.health == Red));
    let needs_d = m.component_by_name("c").unwrap();
    let graph = Graph::new(&m);
    let named: Vec<_> = r[needs_d.index()].inherited_from.iter().map(|e| graph.dependency(*e).to).collect();
    assert_eq!(named, [m.component_by_name("d").unwrap()]);
}

#[test]
fn a_component_nobody_has_seen_is_unknown_and_no_wall() {
    let m = model("a -> b\nb -> c\nc");
    let r = rolled(&m, &[("b-1", Unknown)]);
    assert_eq!((of(&m, &r, "a"), of(&m, &r, "b")), (Green, Unknown));
    let r = rolled(&m, &[("b-1", Unknown), ("c-1", Red)]);
    assert_eq!((of(&m, &r, "a"), of(&m, &r, "b")), (Red, Red));
}

#[test]
fn a_dependency_on_a_part_feels_that_part_alone() {
    let mut m = model("user\nreader\nreplicas\ndb x3 primary_replica");
    for (name, role) in [("db-1", "primary"), ("db-2", "replica"), ("db-3", "replica")] {
        label(&mut m, name, "role", role);
    }
    add(&mut m, "user -> db-1");
    add(&mut m, "reader -> db-2");
    add(&mut m, "replicas -> db-2, db-3");
    let at = |levels: &[(&str, Health)]| {
        let r = rolled(&m, levels);
        ["user", "reader", "replicas", "db"].map(|name| of(&m, &r, name))
    };
    assert_eq!(at(&[("db-1", AtRisk)]), [Green, Green, Green, AtRisk], "at risk stays local");
    assert_eq!(at(&[("db-1", Impaired)]), [Impaired, Green, Green, Impaired]);
    assert_eq!(at(&[("db-1", Red)]), [Red, Green, Green, Red]);
    assert_eq!(at(&[("db-2", Red)]), [Green, Red, Green, AtRisk]);
    assert_eq!(at(&[("db-2", Red), ("db-3", Red)]), [Green, Red, Red, AtRisk]);
}

#[test]
fn what_the_whole_of_a_component_inherits_its_parts_have_too() {
    let mut m = model("user\ndb x2 -> disk\ndisk");
    add(&mut m, "user -> db-2");
    let r = rolled(&m, &[("disk-1", Red)]);
    assert_eq!((of(&m, &r, "db"), of(&m, &r, "user")), (Red, Red));
}

#[test]
fn a_dependency_of_a_part_enters_the_policy() {
    let mut m = model("user -> web\nweb x4\ncache x4");
    for i in 1..=4 {
        add(&mut m, &format!("web-{i} -> cache-{i}"));
    }
    let r = rolled(&m, &[("cache-2", Red)]);
    assert_eq!((of(&m, &r, "web"), of(&m, &r, "user")), (AtRisk, Green));
    let web = &r[m.component_by_name("web").unwrap().index()];
    assert_eq!((web.own, web.inherited), (Green, AtRisk));
    assert_eq!(web.inherited_from, [DependencyId(2)], "the second of the four after user -> web");

    let graph = Graph::new(&m);
    let red = [instance(&m, "cache-2"), instance(&m, "cache-3"), instance(&m, "web-1")];
    let level = |i: usize| if red.contains(&InstanceId(i as u32)) { Red } else { Green };
    let state = RollUp::new(&graph, level, |_| None, &[]);
    let second = state.instance(instance(&m, "web-2"));
    assert_eq!((second.own, second.health), (Green, Red));
    assert_eq!(second.inherited_from, [DependencyId(2)]);
    let web = state.component(m.component_by_name("web").unwrap());
    assert_eq!((web.own, web.health), (AtRisk, Red), "its own one and two inherited: three of four");
}

#[test]
fn a_replica_inherits_from_its_primary_and_names_nobody_in_a_circle() {
    let mut m = model("db x3");
    add(&mut m, "db-2, db-3 -> db-1");
    let graph = Graph::new(&m);
    let mut state = RollUp::new(&graph, |_| Green, |_| None, &[]);
    let changed = state.set(instance(&m, "db-1"), Red);
    assert_eq!(changed.len(), 4, "{changed:?}");
    let db = state.component(ComponentId(0));
    assert_eq!((db.own, db.health, db.inherited_from), (AtRisk, Red, vec![DependencyId(0)]));
    assert!(state.instance(instance(&m, "db-1")).inherited_from.is_empty());
    assert_eq!(state.instance(instance(&m, "db-3")).health, Red);
}

#[test]
fn one_good_alternative_is_enough() {
    let mut m = model("shop\na\nb\nc");
    add(&mut m, "shop -> a one_of:1");
    add(&mut m, "shop -> b one_of:1");
    add(&mut m, "shop -> c optional");
    let at = |a, b| of(&m, &rolled(&m, &[("a-1", a), ("b-1", b)]), "shop");
    assert_eq!(at(Red, Green), Green);
    assert_eq!(at(Red, AtRisk), Green);
    assert_eq!(at(Red, Unknown), Green, "nobody knows that the other is lost");
    assert_eq!(at(Red, Impaired), Impaired);
    assert_eq!(at(Red, Red), Red);
    let r = rolled(&m, &[("a-1", Red), ("b-1", Red)]);
    assert_eq!(r[0].inherited_from, [DependencyId(0), DependencyId(1)], "all of them carry it");
}

#[test]
fn an_alternative_of_a_part_is_a_choice_of_that_part() {
    let mut m = model("web x2\na\nb");
    add(&mut m, "web -> a one_of:1");
    add(&mut m, "web-2 -> b one_of:1");
    let graph = Graph::new(&m);
    let red = instance(&m, "a-1").index();
    let state = RollUp::new(&graph, |i| if i == red { Red } else { Green }, |_| None, &[]);
    let of = |name| state.instance(instance(&m, name)).health;
    assert_eq!((of("web-1"), of("web-2")), (Red, Green));
    assert_eq!(state.component(ComponentId(0)).health, AtRisk);
}

#[test]
fn a_role_that_moves_moves_what_counts() {
    let mut m = model("user -> db\ndb x2 primary_replica");
    label(&mut m, "db-2", "role", "replica");
    let graph = Graph::new(&m);
    let mut state = RollUp::new(&graph, |_| Green, |_| None, &[]);
    state.set(instance(&m, "db-1"), Red);
    let user = m.component_by_name("user").unwrap();
    assert_eq!(state.component(user).health, Red);
    state.set_role(instance(&m, "db-2"), Some("primary"));
    assert_eq!(state.component(user).health, Green, "the replica was promoted");
    state.set_role(instance(&m, "db-2"), None);
    assert_eq!(state.component(user).health, Red);
}

#[test]
fn a_broken_dependency_arrives_as_red_though_its_target_is_green() {
    let m = model("a -> b\nb -> c:optional\nc");
    let graph = Graph::new(&m);
    let mut state = RollUp::new(&graph, |_| Green, |_| None, &[DependencyId(1)]);
    assert_eq!(state.component(ComponentId(1)).health, AtRisk);
    state.set_broken(DependencyId(1), false);
    state.set_broken(DependencyId(0), true);
    let levels: Vec<Health> = (0..3).map(|i| state.component(ComponentId(i)).health).collect();
    assert_eq!(levels, [Red, Green, Green]);
}

#[test]
fn a_cycle_does_not_hold_itself_up() {
    let m = model("a -> b\nb -> c\nc -> a, d\nd");
    let graph = Graph::new(&m);
    let mut state = RollUp::new(&graph, |_| Green, |_| None, &[]);
    for (first, second) in [("d-1", "b-1"), ("b-1", "d-1"), ("a-1", "c-1")] {
        assert_eq!(
            state.set(instance(&m, first), Red).iter().filter(|n| is_component(**n)).count(),
            if first == "d-1" { 4 } else { 3 }
        );
        state.set(instance(&m, second), Red);
        state.set(instance(&m, first), Green);
        let a = state.component(ComponentId(0));
        assert_eq!(a.health, Red, "{second} still is");
        state.set(instance(&m, second), Green);
        for id in m.component_ids() {
            assert_eq!(state.component(id).health, Green, "{first}, {second}");
        }
    }
}

fn is_component(node: NodeId) -> bool {
    matches!(node, NodeId::Component(_))
}

#[test]
fn one_change_among_thousands_touches_nobody_else() {
    let m = model("user -> web\nweb x5000");
    let graph = Graph::new(&m);
    let mut state = RollUp::new(&graph, |_| Green, |_| None, &[]);
    let web = m.component_by_name("web").unwrap();
    let mut all = m.component(web).instance_ids();
    let first = all.next().unwrap();
    assert_eq!(state.set(first, Red), [NodeId::Component(web), NodeId::Instance(first)]);
    let second = all.next().unwrap();
    assert_eq!(state.set(second, Red), [NodeId::Instance(second)], "it was at risk before");
    state.set_all(all.take(2500).map(|id| (id, Red)));
    assert_eq!(state.component(m.component_by_name("user").unwrap()).health, Red);
}
