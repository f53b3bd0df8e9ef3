//! What of each board is worth keeping: levels when they change, said again once in a while, and the stretch of time
//! in which somebody was watching. Pure.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use probes::observation::{Observation, Outcome};
use topology::level::Health;
use topology::model::NodeId;
use topology::text::Text;
use topology::verdict::Culprit;

use crate::board::Board;
use crate::clock::between;
use crate::history::points::{FAILED, LATENCY};
use crate::store::{Batch, LevelChange, LevelDetail, LookRow, health_word};

/// Every level is said again this often, so that no reader looks back further than that.
pub(crate) const SAID_AGAIN_EVERY: Duration = Duration::from_hours(6);
/// A board comes every second. When none came for so long, nobody was watching: stopped, or starved.
pub(crate) const GAP: Duration = Duration::from_secs(10);
/// What was looked at is handed over this often, when nothing else is.
const HAND_OVER_EVERY: Duration = Duration::from_secs(2);

/// What history was last told of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said {
    health: Health,
    own: Health,
    explained: bool,
    flapping: bool,
}

/// What history was told last.
#[derive(Debug)]
pub(crate) struct Remember {
    told: HashMap<NodeId, Said>,
    said_all: Timestamp,
    watched_from: Timestamp,
    last_board: Timestamp,
    handed_over: Timestamp,
    looks: Vec<LookRow>,
}

impl Remember {
    /// Begins to watch at `now`.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            told: HashMap::new(),
            said_all: now,
            watched_from: now,
            last_board: now,
            handed_over: now,
            looks: Vec::new(),
        }
    }

    /// Another topology: what stays keeps what was told of it.
    pub(crate) fn follow(&mut self, moves: &HashMap<NodeId, NodeId>) {
        self.told = self.told.drain().filter_map(|(node, said)| Some((*moves.get(&node)?, said))).collect();
    }

    /// Notes a look at `node`.
    pub(crate) fn look(&mut self, node: &str, at: Timestamp, observation: &Observation) {
        let took = observation.took.as_secs_f64();
        let signals = match &observation.outcome {
            Outcome::Answer(answer) => {
                let own = [(LATENCY.to_owned(), took), (FAILED.to_owned(), 0.0)];
                own.into_iter()
                    .chain(answer.signals.iter().map(|(name, value)| (name.clone(), *value)))
                    .collect()
            }
            Outcome::Fault(_) => {
                let before = observation.measured.iter().map(|(name, value)| (name.clone(), *value));
                std::iter::once((FAILED.to_owned(), 1.0)).chain(before).collect()
            }
            // The monitor's own trouble says nothing of the node.
            Outcome::Local(_) => return,
        };
        self.looks.push(LookRow { node: node.to_owned(), at, signals });
    }

    /// Adds to `batch` what `board` says that is new.
    pub(crate) fn board(&mut self, board: &Board, batch: &mut Batch) {
        if between(self.last_board, board.at) > GAP {
            // Whatever was then, nobody saw it.
            self.watched_from = board.at;
            self.told.clear();
        }
        self.last_board = board.at;
        let again = between(self.said_all, board.at) >= SAID_AGAIN_EVERY;
        if again {
            self.said_all = board.at;
        }
        for (node, said, change) in levels(board) {
            let before = self.told.insert(node, said);
            if before == Some(said) && !again {
                continue;
            }
            let (change, since) = change(before == Some(said));
            batch.level(change, since);
        }
        if batch.is_empty() && between(self.handed_over, board.at) < HAND_OVER_EVERY {
            return;
        }
        self.handed_over = board.at;
        for look in self.looks.drain(..) {
            batch.look(look);
        }
        batch.watched(self.watched_from, board.at);
    }
}

type Change<'a> = Box<dyn FnOnce(bool) -> (LevelChange, Timestamp) + 'a>;

/// Every node with what there is to say of it. What nobody has seen yet is left out.
fn levels(board: &Board) -> impl Iterator<Item = (NodeId, Said, Change<'_>)> {
    let model = &board.model;
    let components = model.component_ids().map(move |id| {
        let state = board.component(id);
        let said = Said {
            health: state.health,
            own: state.own,
            explained: state.explained_by.is_some(),
            flapping: false,
        };
        let change: Change<'_> = Box::new(move |again| {
            let inherited_from = state.inherited_from.iter().map(|id| model.component(*id).name.clone());
            let of = Of {
                node: &model.component(id).name,
                words: &state.words,
                short: &state.short,
                explained_by: state.explained_by,
                inherited_from: inherited_from.collect(),
                since: state.since,
            };
            (of.change(board, said, again), state.since)
        });
        (NodeId::Component(id), said, change)
    });
    let instances = model.instance_ids().map(move |id| {
        let state = board.instance(id);
        let said = Said {
            health: state.health,
            own: state.health,
            explained: state.explained_by.is_some(),
            flapping: state.flapping,
        };
        let change: Change<'_> = Box::new(move |again| {
            let of = Of {
                node: &model.instance(id).name,
                words: &state.words,
                short: &state.short,
                explained_by: state.explained_by,
                inherited_from: Vec::new(),
                since: state.since,
            };
            (of.change(board, said, again), state.since)
        });
        (NodeId::Instance(id), said, change)
    });
    let seen = board.monitor.seen == board.instances.len();
    components.chain(instances).filter(move |(_, said, _)| said.health != Health::Unknown || seen)
}

struct Of<'a> {
    node: &'a str,
    words: &'a Text,
    short: &'a Text,
    explained_by: Option<Culprit>,
    inherited_from: Vec<String>,
    since: Timestamp,
}

impl Of<'_> {
    fn change(self, board: &Board, said: Said, again: bool) -> LevelChange {
        LevelChange {
            node: self.node.to_owned(),
            at: board.at,
            level: said.health.level().as_str().to_owned(),
            words: self.words.en.clone(),
            detail: LevelDetail {
                health: health_word(said.health),
                own: health_word(said.own),
                explained_by: self.explained_by.map(|culprit| culprit.name(&board.model)),
                inherited_from: self.inherited_from,
                since_ms: self.since.as_millisecond(),
                zh: self.words.zh.clone(),
                short: (self.short.en.clone(), self.short.zh.clone()),
                flapping: said.flapping,
            },
            again,
        }
    }
}

#[cfg(test)]
#[path = "remember_tests.rs"]
mod tests;
