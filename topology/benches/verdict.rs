//! What a verdict costs while a fifth of the instances are unhealthy.
//!
//! `cargo bench -p topology --bench verdict`
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot start should say why")]

use std::collections::BTreeMap;

use divan::{Bencher, black_box};
use topology::fault::{Fault, FaultKind, Reason};
use topology::graph::Graph;
use topology::level::Health;
use topology::model::{
    Address, Component, ComponentId, Confirm, Dependency, Instance, InstanceId, Model, Policy, Strength,
};
use topology::text::Text;
use topology::verdict::{InstanceFacts, Looks, Onset, Situation, WitnessFact, solve};

fn main() {
    divan::main();
}

/// Instances of one component.
const WIDTH: usize = 10;

/// Layers of ten components; each component needs three of the layer below.
fn platform(instances: usize) -> Model {
    let count = instances / WIDTH;
    let mut model = Model { name: "bench".to_owned(), ..Model::default() };
    for c in 0..count {
        let first = model.instances.len() as u32;
        for i in 0..WIDTH {
            model.instances.push(Instance {
                name: format!("c{c}-{i}"),
                component: ComponentId(c as u32),
                address: Address { host: format!("10.{}.{}.{i}", c / 250, c % 250), port: 80 },
                labels: BTreeMap::from([
                    ("host".to_owned(), format!("h{}", (c * 7 + i * 13) % (instances / 8))),
                    ("zone".to_owned(), ["a", "b", "c"][i % 3].to_owned()),
                ]),
            });
        }
        model.components.push(Component {
            name: format!("c{c}"),
            title: Text::same(format!("c{c}")),
            policy: Policy::DEFAULT,
            instances: first..model.instances.len() as u32,
            confirm: Confirm::default(),
            ..Component::default()
        });
        for step in [10, 11, 13] {
            if c + step < count {
                model.dependencies.push(Dependency {
                    from: ComponentId(c as u32),
                    to: ComponentId((c + step) as u32),
                    strength: Strength::Required,
                    from_part: Vec::new(),
                    to_part: Vec::new(),
                    one_of: None,
                });
            }
        }
    }
    model
}

/// The last component is dead, and everybody above it who needs it names it, up to a fifth of all.
fn outage(model: &Model, graph: &Graph) -> (Vec<Health>, Vec<(InstanceId, ComponentId)>) {
    let mut health = vec![Health::Green; model.instances.len()];
    let mut words = Vec::new();
    let dead = ComponentId(model.components.len() as u32 - 1);
    let mut reached = vec![false; model.components.len()];
    let mut work = vec![dead];
    let mut unhealthy = 0;
    let mut at = 0;
    while at < work.len() && unhealthy < model.instances.len() / 5 {
        let id = work[at];
        at += 1;
        if std::mem::replace(&mut reached[id.index()], true) {
            continue;
        }
        for instance in model.component(id).instance_ids() {
            health[instance.index()] = Health::Red;
            unhealthy += 1;
            for edge in graph.needs(id) {
                let to = graph.dependency(edge).to;
                if reached[to.index()] {
                    words.push((instance, to));
                }
            }
        }
        work.extend(graph.needed_by(id).into_iter().map(|edge| graph.dependency(edge).from));
    }
    (health, words)
}

#[divan::bench(args = [300, 1_000, 5_000, 20_000])]
fn verdict_with_a_fifth_unhealthy(bencher: Bencher<'_, '_>, instances: usize) {
    let model = platform(instances);
    let graph = Graph::new(&model);
    let (health, words) = outage(&model, &graph);
    let refused = Fault::new(FaultKind::Refused, "tcp", "");
    let bad = Fault::new(FaultKind::BadAnswer, "ask", "503").because(Reason::Status5xx);
    let last = model.components.len() as u32 - 1;
    let facts: Vec<InstanceFacts<'_>> = model
        .instance_ids()
        .map(|id| {
            let sick = health[id.index()] == Health::Red;
            let root = model.instance(id).component == ComponentId(last);
            InstanceFacts {
                health: health[id.index()],
                fault: sick.then_some(if root { &refused } else { &bad }),
                onset: sick.then_some(Onset { last_good: 97.0, first_bad: if root { 100.0 } else { 101.0 } }),
                last_good: Some(if sick { 97.0 } else { 130.0 }),
                exercises: true,
                interval: 5.0,
                looks: if sick { Looks::last(Some(true)) } else { Looks::default() },
                ..InstanceFacts::UNSEEN
            }
        })
        .collect();
    let witnesses: Vec<WitnessFact> = words
        .into_iter()
        .map(|(by, on)| WitnessFact {
            by,
            on,
            on_instance: None,
            ok: false,
            words: "connection refused".to_owned(),
            count: 1,
        })
        .collect();
    let situation = Situation {
        model: &model,
        graph: &graph,
        instances: &facts,
        witnesses: &witnesses,
        signs: &[],
        changes: &[],
    };
    let verdict = solve(&situation);
    assert_eq!(verdict.roots[0].culprit.name(&model), format!("c{last}"), "a wrong answer is no benchmark");
    bencher.bench_local(|| black_box(solve(black_box(&situation))));
}
