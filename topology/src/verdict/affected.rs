//! Who suffers from which root, over which dependencies: the lit path.

use std::collections::VecDeque;

use crate::graph::DependencyId;
use crate::level::Health;
use crate::model::{ComponentId, InstanceId, Strength};
use crate::rollup;
use crate::text::Text;

use super::cause::Cause;
use super::scene::{Nature, Scene};
use super::situation::Situation;
use super::{Affected, Culprit, Suspect};

/// The affected components and the explained instances, for roots with their causes.
pub(super) fn find(
    scene: &Scene<'_>,
    roots: &[Suspect],
    causes: &[&Cause],
) -> (Vec<Affected>, Vec<(InstanceId, usize)>) {
    let situation = scene.situation;
    let rolled = rolled_up(situation);
    let explained: Vec<InstanceId> = scene
        .symptoms
        .iter()
        .enumerate()
        .filter(|(i, s)| {
            !causes.iter().any(|c| c.instances.contains(&s.id))
                && causes.iter().any(|c| c.explained.contains(i))
        })
        .map(|(_, s)| s.id)
        .collect();
    // A dependant suffers over this edge when the roll-up carries the level, or when its own bad answers
    // are explained.
    let suffers = |edge: DependencyId| {
        let dependency = situation.graph.dependency(edge);
        let of_dependant = |id: &&InstanceId| situation.model.instance(**id).component == dependency.from;
        let by_itself = |id: &InstanceId| {
            dependency.strength != Strength::Async
                || scene.symptom_of.get(id).is_some_and(|i| scene.symptoms[*i].nature == Nature::Drain)
        };
        rollup::transfer(dependency.strength, rolled[dependency.to.index()]).is_unhealthy()
            || explained.iter().filter(of_dependant).any(by_itself)
    };

    // Breadth first from every root at once: each component belongs to the nearest one.
    let n = situation.model.components.len();
    let mut reached: Vec<Option<(usize, u32)>> = vec![None; n];
    let mut over: Vec<Vec<DependencyId>> = vec![Vec::new(); n];
    let mut queue = VecDeque::new();
    for (i, root) in roots.iter().enumerate() {
        for component in begins_at(situation, root.culprit) {
            if reached[component.index()].is_none() {
                reached[component.index()] = Some((i, 0));
                queue.push_back(component);
                if let Culprit::Edge(edge) = root.culprit {
                    over[component.index()].push(edge);
                }
            }
        }
    }
    while let Some(id) = queue.pop_front() {
        let Some((root, hops)) = reached[id.index()] else { continue };
        for edge in situation.graph.needed_by(id) {
            let dependency = situation.graph.dependency(edge);
            let from = dependency.from;
            if !rolled[from.index()].is_unhealthy() || !suffers(edge) {
                continue;
            }
            match reached[from.index()] {
                None => {
                    reached[from.index()] = Some((root, hops + 1));
                    over[from.index()].push(edge);
                    queue.push_back(from);
                }
                Some((_, there)) if there == hops + 1 => over[from.index()].push(edge),
                Some(_) => {}
            }
        }
    }

    let mut affected: Vec<(u32, Affected)> = Vec::new();
    for component in situation.model.component_ids() {
        let is_root = roots.iter().any(|root| root.culprit.component(situation.model) == Some(component));
        if let (Some((root, hops)), false) = (reached[component.index()], is_root) {
            let health = rolled[component.index()];
            let over = std::mem::take(&mut over[component.index()]);
            let because = because(situation, &over, &roots[root]);
            affected.push((hops, Affected { component, health, root, over, because }));
        }
    }
    affected.sort_by_key(|(hops, one)| (one.root, *hops, one.component));
    let explained = explained
        .into_iter()
        .filter_map(|id| {
            let component = situation.model.instance(id).component;
            reached[component.index()].map(|(root, _)| (id, root))
        })
        .collect();
    (affected.into_iter().map(|(_, one)| one).collect(), explained)
}

/// The components in which a root's trouble begins.
fn begins_at(situation: &Situation<'_>, culprit: Culprit) -> Vec<ComponentId> {
    match culprit {
        Culprit::Label(label) | Culprit::MonitorSight(label) => {
            let mut ids: Vec<ComponentId> =
                label.instances(situation.model).map(|id| situation.model.instance(id).component).collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        }
        _ => culprit.component(situation.model).into_iter().collect(),
    }
}

/// The rolled-up levels as observed.
fn rolled_up(situation: &Situation<'_>) -> Vec<Health> {
    let facts = situation.instances;
    let rolled = rollup::roll_up(situation.graph, |i| facts[i].health, |i| facts[i].role, &[]);
    rolled.into_iter().map(|rolled| rolled.health).collect()
}

fn because(situation: &Situation<'_>, over: &[DependencyId], root: &Suspect) -> Text {
    let model = situation.model;
    let culprit = root.culprit.name(model);
    let root_component = root.culprit.component(model);
    if over.is_empty() && matches!(root.culprit, Culprit::Label(_)) {
        return Text::new(
            format!("some of its instances share {culprit}"),
            format!("其部分实例属于 {culprit}"),
        );
    }
    let next = over.first().map(|edge| situation.graph.dependency(*edge).to);
    match next {
        Some(next) if Some(next) != root_component => {
            let title = &model.component(next).title;
            Text::new(
                format!("it needs {}, which suffers from {culprit}", title.en),
                format!("它依赖{}，后者受 {culprit} 影响", title.zh),
            )
        }
        _ => Text::new(format!("it needs {culprit}"), format!("它依赖 {culprit}")),
    }
}
