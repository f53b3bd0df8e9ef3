//! A warning for a circle of which no member can turn green first.
//!
//! A circle is allowed. But when every member needs the next one and every probe asks what lies behind it, then
//! after an outage of all of them each waits for the others: the picture stays red although nothing is broken.

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::{HashMap, HashSet, VecDeque};

use crate::decode::Context;
use crate::diagnostic::Place;
use crate::model::{Model, Strength};

pub(super) fn warn(model: &Model, places: &[Place], cx: &mut Context<'_>) {
    let mut graph = DiGraph::<usize, Place>::new();
    let nodes: Vec<NodeIndex> = (0..model.components.len()).map(|i| graph.add_node(i)).collect();
    for (dependency, place) in model.dependencies.iter().zip(places) {
        let whole = dependency.from_part.is_empty() && dependency.to_part.is_empty();
        let asks = |i: usize| model.components[i].exercises_dependencies();
        let (from, to) = (dependency.from.index(), dependency.to.index());
        if dependency.strength == Strength::Required
            && dependency.one_of.is_none()
            && whole
            && asks(from)
            && asks(to)
        {
            graph.add_edge(nodes[from], nodes[to], *place);
        }
    }
    for circle in tarjan_scc(&graph) {
        if circle.len() < 2 {
            continue;
        }
        let Some((way, place)) = shortest(&graph, &circle) else { continue };
        let names: Vec<&str> = way.iter().map(|node| model.components[graph[*node]].name.as_str()).collect();
        let message = format!(
            "a circle of required dependencies, {}: when all of them are down, none can turn green first",
            names.join(" -> ")
        );
        cx.diagnostics.warning(place, message).help(
            "make one of them `strength: optional` or `async` if that is true, or probe one with a page that asks \
             no dependency",
        );
    }
}

/// The shortest way round through the member that comes first in the file, and the place of its last step.
fn shortest(graph: &DiGraph<usize, Place>, circle: &[NodeIndex]) -> Option<(Vec<NodeIndex>, Place)> {
    let start = *circle.iter().min()?;
    let members: HashSet<NodeIndex> = circle.iter().copied().collect();
    let mut came_from: HashMap<NodeIndex, NodeIndex> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for next in graph.neighbors(node) {
            if next == start {
                let mut way = vec![start, node];
                let mut at = node;
                while at != start {
                    at = came_from[&at];
                    way.push(at);
                }
                way.reverse();
                let place = graph[graph.find_edge(node, start)?];
                return Some((way, place));
            }
            if !came_from.contains_key(&next) && members.contains(&next) {
                came_from.insert(next, node);
                queue.push_back(next);
            }
        }
    }
    None
}
