//! Puts a board together from the engine's state and one round of roll-up and verdict.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use topology::graph::Graph;
use topology::level::{Health, Level};
use topology::model::{ComponentId, InstanceId, Model};
use topology::rollup::{self, RolledUp};
use topology::text::Text;
use topology::verdict::{Culprit, Verdict};

use crate::board::{Board, ComponentState, Counts, EdgeState, InstanceState, Lit, MonitorState};
use crate::engine::Engine;
use crate::sentence;

/// What one round found.
pub(crate) struct Parts {
    pub(crate) sequence: u64,
    pub(crate) now: Timestamp,
    pub(crate) monitor: MonitorState,
    pub(crate) model: Arc<Model>,
    pub(crate) graph: Arc<Graph>,
    pub(crate) health: Vec<Health>,
    pub(crate) rolled: Vec<RolledUp>,
    pub(crate) verdict: Verdict,
}

pub(crate) fn board(engine: &mut Engine, parts: Parts) -> Board {
    let Parts { sequence, now, monitor, model, graph, health, rolled, verdict } = parts;
    for (i, since) in engine.instance_since.iter_mut().enumerate() {
        if since.0 != health[i] {
            // The first look that made the level, which is earlier than the one that confirmed it.
            let trackers = engine.jobs_of[i].iter().map(|job| &engine.states[*job].tracker);
            let made_by = trackers.filter(|t| t.health() == health[i]).map(|t| t.since).min();
            *since = (health[i], made_by.unwrap_or(now));
        }
    }
    for (i, since) in engine.component_since.iter_mut().enumerate() {
        if since.0 != rolled[i].health {
            let kept = engine.kept_since.get(&model.components[i].name);
            let before =
                kept.filter(|(level, _)| level == rolled[i].health.level().as_str()).map(|(_, at)| *at);
            *since = (rolled[i].health, before.unwrap_or(now));
        }
    }
    if monitor.seen == model.instances.len() {
        // The picture is whole again: from here on a change is news.
        engine.kept_since.clear();
    }
    let explained: BTreeMap<InstanceId, Culprit> =
        verdict.explained.iter().map(|(id, root)| (*id, verdict.roots[*root].culprit)).collect();
    let instances: Vec<InstanceState> = model
        .instance_ids()
        .map(|id| instance_state(engine, id, health[id.index()], explained.get(&id).copied()))
        .collect();
    let components: Vec<ComponentState> = model
        .component_ids()
        .map(|id| component_state(engine, &model, &graph, id, &rolled[id.index()], &instances))
        .collect();
    let beside = engine.sight.open().into_iter().chain(engine.outages.open());
    let open: Vec<_> =
        engine.incidents.open().into_iter().chain(beside).map(|i| Arc::new(i.clone())).collect();
    let mut resolved: Vec<_> = engine
        .incidents
        .resolved()
        .iter()
        .chain(engine.outages.resolved())
        .map(|i| Arc::new(i.clone()))
        .collect();
    resolved.sort_by_key(|incident| std::cmp::Reverse(incident.resolved_at));
    resolved.truncate(10);
    let level =
        components.iter().map(|c| c.health.level()).max_by_key(|l| l.rank()).unwrap_or(Level::Unknown);
    let mut board = Board {
        sequence,
        at: now,
        model,
        graph,
        monitor,
        instances,
        components,
        edges: Vec::new(),
        open,
        resolved,
        level,
        curves: engine.curves.states(),
        changes: engine.changes.list(),
        silences: engine.silences.list(),
        sentence: Text::default(),
        advice: Text::default(),
    };
    board.edges = edges(&board, engine, &rolled);
    (board.sentence, board.advice) = sentence::of_board(&board);
    board
}

fn instance_state(
    engine: &Engine,
    id: InstanceId,
    health: Health,
    explained_by: Option<Culprit>,
) -> InstanceState {
    let judged = engine.judged(id);
    let states = || engine.jobs_of[id.index()].iter().map(|job| &engine.states[*job]);
    let mut latest = states().filter_map(|state| state.latest.as_ref());
    let mut signals = latest.next().map(|first| Arc::clone(&first.signals)).unwrap_or_default();
    for other in latest {
        let more = other.signals.iter().map(|(name, value)| (name.clone(), *value));
        Arc::make_mut(&mut signals).extend(more);
    }
    let newest = states().filter_map(|state| state.latest.as_ref()).max_by_key(|latest| latest.at);
    let told = health.is_unhealthy();
    InstanceState {
        health,
        suspected: states().any(|state| state.tracker.suspected()),
        flapping: states().any(|state| state.tracker.flapping),
        fault: if told { judged.fault } else { None },
        words: if told { judged.words } else { Text::default() },
        short: if told { judged.short } else { Text::default() },
        explained_by,
        since: engine.instance_since[id.index()].1,
        observed_at: newest.map(|latest| latest.at),
        latency: newest.map(|latest| latest.took),
        signals,
        role: engine.role(id),
    }
}

fn component_state(
    engine: &Engine,
    model: &Model,
    graph: &Graph,
    id: ComponentId,
    rolled: &RolledUp,
    instances: &[InstanceState],
) -> ComponentState {
    let members: Vec<&InstanceState> =
        model.component(id).instance_ids().map(|i| &instances[i.index()]).collect();
    let sick: Vec<&&InstanceState> = members.iter().filter(|m| m.health.is_unhealthy()).collect();
    // Explained only when all of it is: one broken of its own makes it a component with a fault.
    let explained_by = match sick.first() {
        Some(first) if sick.iter().all(|m| m.explained_by.is_some()) => first.explained_by,
        _ => None,
    };
    let (short, words) = faults(&sick, members.len());
    ComponentState {
        health: rolled.health,
        own: rolled.own,
        explained_by,
        inherited_from: rolled.inherited_from.iter().map(|edge| graph.dependency(*edge).to).collect(),
        counts: Counts::of(members.iter().map(|m| m.health.level())),
        since: engine.component_since[id.index()].1,
        words,
        short,
    }
}

/// The most frequent fault among the sick, with its count: `hung 1/4`.
fn faults(sick: &[&&InstanceState], total: usize) -> (Text, Text) {
    let mut kinds: Vec<(&Text, usize, u8)> = Vec::new();
    for member in sick {
        match kinds.iter_mut().find(|(short, ..)| *short == &member.short) {
            Some(kind) => kind.1 += 1,
            None => kinds.push((&member.short, 1, member.health.severity())),
        }
    }
    // The worst, then the most frequent, then the first.
    let Some((short, count, _)) = kinds.iter().rev().max_by_key(|(_, count, severity)| (*severity, *count))
    else {
        return (Text::default(), Text::default());
    };
    let words = sick.iter().find(|m| &m.short == *short).map(|m| m.words.clone()).unwrap_or_default();
    if total == 1 {
        return ((*short).clone(), words);
    }
    (Text::new(format!("{} {count}/{total}", short.en), format!("{} {count}/{total}", short.zh)), words)
}

fn edges(board: &Board, engine: &Engine, rolled: &[RolledUp]) -> Vec<EdgeState> {
    let lit = light(board);
    board
        .model
        .dependencies
        .iter()
        .enumerate()
        .map(|(i, dependency)| EdgeState {
            health: Some(rollup::transfer(dependency.strength, rolled[dependency.to.index()].health)),
            words: complaint(board, engine, dependency.from, dependency.to),
            lit: lit.get(&i).copied(),
        })
        .collect()
}

/// The edges that the open incidents explain, by their number.
pub(crate) fn light(board: &Board) -> BTreeMap<usize, Lit> {
    let mut lit: BTreeMap<usize, Lit> = BTreeMap::new();
    let mut base = 0;
    for incident in &board.open {
        for (i, root) in incident.verdict.roots.iter().enumerate() {
            let number = base + i as u32 + 1;
            let mut hops_of: BTreeMap<ComponentId, u32> = BTreeMap::new();
            if let Some(component) = root.culprit.component(&board.model) {
                hops_of.insert(component, 0);
            }
            if let Culprit::Edge(edge) = root.culprit {
                lit.insert(edge.index(), Lit { hops: 0, number });
            }
            // The affected come ordered by distance from their root.
            for affected in incident.verdict.affected.iter().filter(|a| a.root == i) {
                for edge in &affected.over {
                    let to = board.graph.dependency(*edge).to;
                    let hops = hops_of.get(&to).copied().unwrap_or(0);
                    lit.entry(edge.index()).or_insert(Lit { hops, number });
                    hops_of.entry(affected.component).or_insert(hops + 1);
                }
            }
        }
        base += incident.verdict.roots.len() as u32;
    }
    lit
}

/// What the dependant's instances last said of the dependency, where they complain.
fn complaint(board: &Board, engine: &Engine, from: ComponentId, to: ComponentId) -> Text {
    let name = &board.model.component(to).name;
    let jobs = board.model.component(from).instance_ids().flat_map(|id| engine.jobs_of[id.index()].iter());
    jobs.flat_map(|job| engine.states[*job].witnesses())
        .find(|witness| &witness.on == name && witness.health == Health::Red)
        .map(|witness| Text::same(witness.words.clone()))
        .unwrap_or_default()
}
