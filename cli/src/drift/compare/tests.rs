//! What is drift, and what is none.

use super::*;
use crate::discover::seen::{Host, Network, Talk};
use crate::draft::finish::Nothing;

const FILE: &str = "components:
  web: { instances: [\"10.0.0.1:80\"], probe: { tcp: {} }, depends_on: [app, { one_of: [line-a, line-b] }] }
  app: { instances: [\"10.0.0.[2-3]:8080\"], probe: { tcp: {} }, depends_on: [db, { on: mq, strength: async }] }
  db: { instances: [\"10.0.0.4:5432\"], probe: { postgres: {} } }
  mq: { instances: [\"10.0.0.5:5672\"], probe: { amqp: {} }, depends_on: [{ on: worker, strength: async }] }
  worker: { instances: [\"10.0.0.1:9000\"], probe: { tcp: {} }, depends_on: [mq] }
  line-a: { instances: [\"10.0.0.1:1001\"], probe: { tcp: {} } }
  line-b: { instances: [\"10.0.0.1:1002\"], probe: { tcp: {} } }
  far: { instances: [\"10.9.0.1:80\"], probe: { tcp: {} }, depends_on: [db] }
";

fn service(name: &str, listens: &str, talks: &[&str]) -> Service {
    Service {
        name: name.to_owned(),
        program: name.to_owned(),
        kind: "tcp".to_owned(),
        network: 1,
        processes: 1,
        listens: vec![listens.parse().unwrap()],
        talks_to: talks.iter().map(|to| Talk { to: to.parse().unwrap(), connections: 1 }).collect(),
        greeting: None,
    }
}

fn seen(services: Vec<Service>) -> Seen {
    let addresses = (1..=6).map(|n| format!("10.0.0.{n}").parse().unwrap()).collect();
    let host = Host {
        name: "h1".to_owned(),
        watched_s: 10.0,
        complete: true,
        networks: vec![Network { id: 1, addresses }],
        services,
        ..Host::default()
    };
    Seen { version: 1, hosts: vec![host] }
}

fn as_declared() -> Vec<Service> {
    vec![
        service("web", "10.0.0.1:80", &["10.0.0.2:8080", "10.0.0.1:1002"]),
        service("app", "10.0.0.2:8080", &["10.0.0.4:5432", "10.0.0.5:5672"]),
        service("app", "10.0.0.3:8080", &[]),
        service("postgres", "10.0.0.4:5432", &[]),
        service("rabbitmq", "10.0.0.5:5672", &[]),
        service("worker", "0.0.0.0:9000", &["10.0.0.5:5672"]),
        service("line", "10.0.0.1:1001", &[]),
        service("line", "10.0.0.1:1002", &[]),
    ]
}

fn drift(services: Vec<Service>) -> Drift {
    let (model, _) = topology::read(FILE, &probes::specs(), &Nothing).unwrap();
    compare(&model, &seen(services), &|_| Vec::new())
}

#[test]
fn what_is_as_declared_is_no_drift() {
    let drift = drift(as_declared());
    assert!(!drift.found, "{drift:#?}");
    // One of two lines suffices; a queue is called by who takes from it; who was not looked at says nothing.
    assert_eq!(
        (drift.dependencies.seen, drift.dependencies.declared, drift.dependencies.not_watched),
        (7, 8, 1)
    );
    assert_eq!((drift.instances.seen, drift.instances.declared, drift.instances.not_watched), (8, 9, 1));
}

#[test]
fn what_is_new_and_what_is_gone_is_drift() {
    let mut services = as_declared();
    services.remove(7);
    services[0].talks_to.push(Talk { to: "10.0.0.4:5432".parse().unwrap(), connections: 3 });
    services[1].talks_to.remove(0);
    services.push(service("cache", "10.0.0.6:6379", &[]));
    services.push(service("game", "10.0.0.6:7777", &[]));
    services[1].talks_to.push(Talk { to: "10.0.0.6:6379".parse().unwrap(), connections: 1 });
    services[1].talks_to.push(Talk { to: "203.0.113.9:443".parse().unwrap(), connections: 1 });
    let drift = drift(services);
    assert!(drift.found);
    insta::assert_json_snapshot!(drift);
}

#[test]
fn a_line_carries_what_it_does_not_need() {
    let mut services = as_declared();
    // web no longer calls app itself: line-b, which it calls, does.
    services[0].talks_to.remove(0);
    services[7].talks_to.push(Talk { to: "10.0.0.2:8080".parse().unwrap(), connections: 1 });
    let drift = drift(services);
    assert!(!drift.found, "{drift:#?}");
    let carried: Vec<String> = drift
        .dependencies
        .carried
        .iter()
        .map(|edge| format!("{} -> {} {}", edge.from, edge.on, edge.words))
        .collect();
    assert_eq!(carried, ["web -> app carried by line-b"]);
}
