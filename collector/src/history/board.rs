//! The board as it was at some moment: what the page and the API show of now, of then. Pure.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use topology::graph::Graph;
use topology::level::{Health, Level};
use topology::model::Model;
use topology::rollup;

use super::{PastLevel, PastLevels};
use crate::board::{Board, ComponentState, Counts, EdgeState, InstanceState, MonitorState};
use crate::compose::light;
use crate::incident::Incident;
use crate::names::Names;
use crate::sentence;

/// The board at `at`, in the topology that is in force now. `incidents` are those that touch the moment.
pub fn board_of(
    model: &Arc<Model>,
    graph: &Arc<Graph>,
    levels: &PastLevels,
    incidents: &[Arc<Incident>],
    at: Timestamp,
) -> Board {
    let names = Names::of(model);
    let was = |name: &str| levels.nodes.get(name).filter(|_| levels.watched);
    let instances: Vec<InstanceState> =
        model.instances.iter().map(|instance| instance_state(was(&instance.name), &names, at)).collect();
    let components: Vec<ComponentState> = model
        .component_ids()
        .map(|id| {
            let component = model.component(id);
            let members = component.instance_ids().map(|i| instances[i.index()].health.level());
            component_state(was(&component.name), &names, Counts::of(members), at)
        })
        .collect();
    let open: Vec<Arc<Incident>> = incidents
        .iter()
        .filter(|i| i.opened_at <= at && i.resolved_at.is_none_or(|end| end > at))
        .cloned()
        .collect();
    let level =
        components.iter().map(|c| c.health.level()).max_by_key(|l| l.rank()).unwrap_or(Level::Unknown);
    let seen = instances.iter().filter(|i| i.health != Health::Unknown).count();
    let mut board = Board {
        sequence: 0,
        at,
        model: Arc::clone(model),
        graph: Arc::clone(graph),
        monitor: MonitorState { seen, late: Duration::ZERO, ..MonitorState::default() },
        instances,
        components,
        edges: Vec::new(),
        open,
        resolved: Vec::new(),
        level,
        curves: Arc::default(),
        changes: Arc::default(),
        silences: Arc::default(),
        sentence: topology::text::Text::default(),
        advice: topology::text::Text::default(),
    };
    let lit = light(&board);
    board.edges = model
        .dependencies
        .iter()
        .enumerate()
        .map(|(i, dependency)| EdgeState {
            health: Some(rollup::transfer(
                dependency.strength,
                board.components[dependency.to.index()].health,
            )),
            words: topology::text::Text::default(),
            lit: lit.get(&i).copied(),
        })
        .collect();
    (board.sentence, board.advice) =
        if levels.watched { sentence::of_board(&board) } else { sentence::nobody_watched() };
    board
}

fn instance_state(was: Option<&PastLevel>, names: &Names, at: Timestamp) -> InstanceState {
    InstanceState {
        health: was.map_or(Health::Unknown, |was| was.health),
        suspected: false,
        flapping: was.is_some_and(|was| was.flapping),
        fault: None,
        words: was.map(|was| was.words.clone()).unwrap_or_default(),
        short: was.map(|was| was.short.clone()).unwrap_or_default(),
        explained_by: was.and_then(|was| names.culprit(was.explained_by.as_deref()?)),
        since: was.map_or(at, |was| was.since),
        observed_at: None,
        latency: None,
        signals: Arc::default(),
        role: None,
    }
}

fn component_state(was: Option<&PastLevel>, names: &Names, counts: Counts, at: Timestamp) -> ComponentState {
    ComponentState {
        health: was.map_or(Health::Unknown, |was| was.health),
        own: was.map_or(Health::Unknown, |was| was.own),
        explained_by: was.and_then(|was| names.culprit(was.explained_by.as_deref()?)),
        inherited_from: was
            .map(|was| was.inherited_from.iter().filter_map(|name| names.component(name)).collect())
            .unwrap_or_default(),
        counts,
        since: was.map_or(at, |was| was.since),
        words: was.map(|was| was.words.clone()).unwrap_or_default(),
        short: was.map(|was| was.short.clone()).unwrap_or_default(),
    }
}
