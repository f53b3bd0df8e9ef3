//! What the roll-up costs: everything from scratch, and one change.
//!
//! `cargo bench -p topology --bench rollup`
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot start should say why")]

use std::fmt::Write as _;

use divan::{Bencher, black_box};
use topology::Environment;
use topology::graph::Graph;
use topology::kind::KindSpec;
use topology::level::Health;
use topology::model::{InstanceId, Model};
use topology::rollup::{RollUp, roll_up};

fn main() {
    divan::main();
}

const SIZES: [usize; 4] = [300, 1_000, 5_000, 20_000];

static TCP: KindSpec =
    KindSpec { name: "tcp", summary: "", exercises_dependencies: false, ..KindSpec::EMPTY };

struct Nothing;

impl Environment for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Err("no files here".to_owned())
    }
}

/// `instances` in components of `width`, each needing two further down; every tenth closes a cycle.
fn platform(instances: usize, width: usize) -> Model {
    let count = instances / width;
    let mut text = String::from("components:\n");
    for c in 0..count {
        let mut needs: Vec<String> =
            [c * 2 + 1, c * 2 + 2].into_iter().filter(|to| *to < count).map(|to| format!("c{to}")).collect();
        if c % 10 == 9 {
            needs.push(format!("{{ on: c{}, strength: async }}", c / 2));
        }
        writeln!(
            text,
            "  c{c}: {{ instances: [\"10.{}.{}.[1-{width}]:80\"], probe: {{ tcp: {{}} }}, depends_on: [{}] }}",
            c / 250,
            c % 250,
            needs.join(", ")
        )
        .unwrap();
    }
    topology::read(&text, &[&TCP], &Nothing).expect("a good file").0
}

/// The whole graph: what a file costs once.
#[divan::bench(args = SIZES)]
fn build_the_graph(bencher: Bencher<'_, '_>, instances: usize) {
    let model = platform(instances, 10);
    bencher.bench_local(|| Graph::new(black_box(&model)));
}

/// Everything from scratch, one component in ten red and more by inheritance.
#[divan::bench(args = SIZES)]
fn from_scratch(bencher: Bencher<'_, '_>, instances: usize) {
    let graph = Graph::new(&platform(instances, 10));
    let level = |i: usize| if i % 100 < 6 { Health::Red } else { Health::Green };
    bencher.bench_local(|| roll_up(&graph, level, |_| None, &[]));
}

/// One instance of ten goes red, and green again: nobody else feels it. Two changes.
#[divan::bench(args = SIZES)]
fn one_replica_down_and_up(bencher: Bencher<'_, '_>, instances: usize) {
    let model = platform(instances, 10);
    let graph = Graph::new(&model);
    let mut state = RollUp::new(&graph, |_| Health::Green, |_| None, &[]);
    let at = InstanceId(model.instances.len() as u32 - 1);
    bencher.bench_local(|| {
        black_box(state.set(at, Health::Red));
        black_box(state.set(at, Health::Green));
    });
}

/// The sixth of ten goes red, and with it everything up to the top; and green again. Two changes.
#[divan::bench(args = SIZES)]
fn a_leaf_down_and_up(bencher: Bencher<'_, '_>, instances: usize) {
    let model = platform(instances, 10);
    let graph = Graph::new(&model);
    let mut state = RollUp::new(&graph, |_| Health::Green, |_| None, &[]);
    let last = model.instances.len() as u32;
    state.set_all((last - 5..last).map(|i| (InstanceId(i), Health::Red)));
    let at = InstanceId(last - 6);
    bencher.bench_local(|| {
        black_box(state.set(at, Health::Red));
        black_box(state.set(at, Health::Green));
    });
}

/// One of 5,000 instances of one component, among 20,000. Two changes.
#[divan::bench]
fn one_of_five_thousand_down_and_up(bencher: Bencher<'_, '_>) {
    let model = platform(20_000, 5_000);
    let graph = Graph::new(&model);
    let mut state = RollUp::new(&graph, |_| Health::Green, |_| None, &[]);
    bencher.bench_local(|| {
        black_box(state.set(InstanceId(7), Health::Red));
        black_box(state.set(InstanceId(7), Health::Green));
    });
}

/// Half of 5,000 are red and one more tips the scale, at the bottom of 20,000. Two changes.
#[divan::bench]
fn the_one_of_five_thousand_that_tips_the_scale(bencher: Bencher<'_, '_>) {
    let model = platform(20_000, 5_000);
    let graph = Graph::new(&model);
    let mut state = RollUp::new(&graph, |_| Health::Green, |_| None, &[]);
    state.set_all((15_000..17_500).map(|i| (InstanceId(i), Health::Red)));
    bencher.bench_local(|| {
        black_box(state.set(InstanceId(17_500), Health::Red));
        black_box(state.set(InstanceId(17_500), Health::Green));
    });
}
