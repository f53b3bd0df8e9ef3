//! Which single points are found, and in which order.

use super::*;
use crate::testkit::{add, label, model};

fn found(model: &Model) -> Vec<String> {
    let line = |spof: Spof| format!("{} {} {}", spof.level, spof.kind.as_str(), spof.name);
    find(model, &Graph::new(model)).into_iter().map(line).collect()
}

#[test]
fn one_instance_that_is_required_is_red_and_an_optional_one_yellow() {
    let m = model("web x2 -> db, mail:optional\ndb\nmail");
    assert_eq!(found(&m), ["red single_instance db", "yellow single_instance mail"]);
    let all = find(&m, &Graph::new(&m));
    assert_eq!(all[0].why.en, "web cuts its users off");
    assert_eq!(all[1].why.en, "web serves on, yellow; users are still served");
}

#[test]
fn two_of_everything_is_no_single_point() {
    assert_eq!(found(&model("web x2 -> db\ndb x2 any")), [""; 0]);
    assert_eq!(found(&model("web x2\nspare standby")), [""; 0], "a spare carries nothing");
}

#[test]
fn alternatives_are_no_single_points_for_their_user() {
    let mut m = model("web x2\nline-a\nline-b");
    add(&mut m, "web -> line-a one_of:1");
    add(&mut m, "web -> line-b one_of:1");
    assert_eq!(found(&m), ["yellow single_instance line-a", "yellow single_instance line-b"]);
}

#[test]
fn replicas_on_one_host_are_one() {
    let mut m = model("web x2 -> db\ndb x3");
    for name in ["db-1", "db-2", "db-3"] {
        label(&mut m, name, "host", "h7");
    }
    assert_eq!(found(&m), ["red shared_label host=h7"]);
    let what = &find(&m, &Graph::new(&m))[0].what;
    assert_eq!(what.en, "host=h7 carries all instances of db");
    label(&mut m, "db-1", "host", "h8");
    assert_eq!(found(&m), ["red shared_label host=h7"], "two of three are still too many");
    label(&mut m, "db-2", "host", "h9");
    assert_eq!(found(&m), [""; 0]);
}

#[test]
fn a_minimum_that_allows_no_loss_is_found() {
    let mut m = model("user x2 -> web\nweb x4");
    let web = m.component_by_name("web").unwrap();
    m.components[web.index()].policy = Policy::Replicas { min_healthy: 0.8 };
    assert_eq!(found(&m), ["red one_loss web"]);
    let one = &find(&m, &Graph::new(&m))[0];
    assert_eq!(one.what.en, "web needs 4 of its 4 instances (min_healthy 80 %)");
    assert!(one.advice.en.contains("at most 75 %"), "{}", one.advice.en);
}

#[test]
fn the_only_primary_and_the_only_copy_of_a_shard_are_found() {
    let mut m = model("user x2 -> db\ndb x2 primary_replica\nshop x2 -> store\nstore x3 shards");
    label(&mut m, "db-2", "role", "replica");
    label(&mut m, "store-1", "shard", "a");
    label(&mut m, "store-2", "shard", "a");
    label(&mut m, "store-2", "role", "replica");
    assert_eq!(found(&m), ["red one_loss db-1", "yellow single_copy store"]);
    let store = &find(&m, &Graph::new(&m))[1];
    assert_eq!(store.why.en, "shop serves worse");
}

#[test]
fn an_instance_that_somebody_needs_by_itself_is_found() {
    let mut m = model("report x2\ndb x3");
    add(&mut m, "report -> db-3");
    assert_eq!(found(&m), ["red needed_alone db-3"]);
}

#[test]
fn what_every_way_passes_is_named_though_it_has_copies() {
    let m = model("site x2 -> gateway\napp x2 -> gateway\ngateway x2 -> a, b, c\na x2\nb x2\nc x2");
    assert_eq!(found(&m), ["yellow on_every_way gateway"]);
}

#[test]
fn the_worst_comes_first() {
    let m = model(
        "web x2 -> orders\npos x2 -> orders\nadmin x2 -> users\norders x2 -> db\nusers x2 -> ldap\nldap\ndb\nmail",
    );
    assert_eq!(
        found(&m),
        ["red single_instance db", "red single_instance ldap", "red single_instance mail"],
        "two entry points, then one of three, then one that nobody needs"
    );
}
