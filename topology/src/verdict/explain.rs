//! The forward model: what a hypothesis predicts, and which unhealthy nodes that explains.
//!
//! The roll-up itself says what a broken dependency *must* do to its dependants; that counts misses. What
//! it *may* do is more (a slow optional dependency may make its callers fail); that explains.

use std::collections::BTreeSet;

use crate::graph::DependencyId;
use crate::level::Health;
use crate::model::{ComponentId, InstanceId, Strength};
use crate::rollup;

use super::situation::{Inheritance, Situation};

/// A set of broken things.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hypothesis {
    /// Broken instances, at the levels they were observed at.
    pub(super) instances: BTreeSet<InstanceId>,
    /// Broken ways.
    pub(super) edges: BTreeSet<DependencyId>,
}

impl Hypothesis {
    pub(super) fn join(&self, other: &Self) -> Self {
        Self {
            instances: self.instances.union(&other.instances).copied().collect(),
            edges: self.edges.union(&other.edges).copied().collect(),
        }
    }
}

/// What a hypothesis predicts.
pub(super) struct Prediction {
    /// What each component must be.
    pub(super) must: Vec<Health>,
    /// Which components may be in trouble.
    pub(super) may: Vec<bool>,
}

/// Runs the roll-up forward from `hypothesis`, everything else green.
pub(super) fn predict(situation: &Situation<'_>, hypothesis: &Hypothesis) -> Prediction {
    let model = situation.model;
    let level = |i: usize| {
        if hypothesis.instances.contains(&InstanceId(i as u32)) {
            situation.instances[i].health
        } else {
            Health::Green
        }
    };
    let mut own: Vec<Health> = model.component_ids().map(|id| situation.own_health(id, level)).collect();
    let mut may: Vec<bool> = vec![false; own.len()];
    for id in &hypothesis.instances {
        may[model.instance(*id).component.index()] = true;
    }
    for edge in &hypothesis.edges {
        let dependency = situation.graph.dependency(*edge);
        let from = dependency.from.index();
        own[from] = own[from].worse(rollup::transfer(dependency.strength, Health::Red));
        may[from] = true;
    }
    let felt: Vec<Health> = model
        .component_ids()
        .map(|id| rollup::felt(model, model.component(id), own[id.index()], level))
        .collect();
    let must =
        rollup::roll_up(situation.graph, &own, &felt).into_iter().map(|rolled| rolled.health).collect();
    spread_may(situation, &mut may);
    Prediction { must, may }
}

/// Trouble may travel over required and optional dependencies, and over `async` ones to a broker whose
/// queue is no longer drained, but not through a component that is seen green by a probe that exercises it.
fn spread_may(situation: &Situation<'_>, may: &mut [bool]) {
    let mut work: Vec<ComponentId> = situation.model.component_ids().filter(|id| may[id.index()]).collect();
    while let Some(id) = work.pop() {
        for edge in situation.graph.needed_by(id) {
            let dependency = situation.graph.dependency(edge);
            let from = dependency.from;
            if dependency.strength == Strength::Async || may[from.index()] {
                continue;
            }
            may[from.index()] = true;
            let passes_on = !situation.unhealthy_of(from).is_empty()
                || !situation.model.component(from).exercises_dependencies();
            if passes_on {
                work.push(from);
            }
        }
    }
}

/// True when the trouble of `id` follows from `hypothesis`: it is part of it, or can have been inherited.
pub(super) fn explains(
    situation: &Situation<'_>,
    hypothesis: &Hypothesis,
    prediction: &Prediction,
    id: InstanceId,
) -> bool {
    if hypothesis.instances.contains(&id) {
        return true;
    }
    let component = situation.model.instance(id).component;
    let in_trouble = |c: ComponentId| prediction.may[c.index()] || prediction.must[c.index()].is_unhealthy();
    let through = |async_too: bool| {
        situation.graph.needs(component).into_iter().any(|edge| {
            let dependency = situation.graph.dependency(edge);
            hypothesis.edges.contains(&edge)
                || (in_trouble(dependency.to) && (async_too || dependency.strength != Strength::Async))
        })
    };
    match situation.facts(id).inheritance() {
        Inheritance::Never => false,
        Inheritance::FromDrain => through(true),
        Inheritance::FromDependencies => {
            // A bad answer that names D needs D to be bad; one that finds all it needs fine is its own.
            let words: Vec<_> = situation.witnesses.iter().filter(|w| w.by == id).collect();
            let blamed: Vec<ComponentId> = words.iter().filter(|w| !w.ok).map(|w| w.on).collect();
            if words.is_empty() {
                return through(false);
            }
            if blamed.is_empty() {
                // A hang or slowness of the answer itself tells nothing about whom it waited for.
                return situation.facts(id).fault.is_none_or(|f| f.kind == crate::fault::FaultKind::Hung)
                    && through(false);
            }
            blamed.iter().any(|on| {
                // A name that is not declared as a dependency is an edge that the file lacks.
                in_trouble(*on)
                    || situation.graph.between(component, *on).is_some_and(|e| hypothesis.edges.contains(&e))
            })
        }
    }
}
