//! What the wall shows of a board, in one language: plain data that the page is rendered from, and that
//! two of can be compared to tell a page what changed.

mod cards;
mod curve;
mod figures;
mod format;
mod groups;
mod header;
mod past;
mod patch;
mod strip;
mod tree;

use collector::board::Board;
use collector::curves::CurveState;
use jiff::Timestamp;
use serde::Serialize;
use topology::level::Level;

pub(crate) use cards::{CardView, culprit_name, root_names};
pub(crate) use format::Format;
pub(crate) use format::circled;
pub(crate) use header::{Header, counts_in_words};
pub(crate) use patch::{patch, whole};
pub(crate) use tree::Tree;

use crate::stage::Stage;

/// Everything the wall shows that can change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct View {
    pub(crate) header: Header,
    /// By component.
    pub(crate) cards: Vec<CardView>,
    /// By dependency.
    pub(crate) lit: Vec<Option<LitView>>,
    /// The panels of the strip.
    pub(crate) strip: Tree,
    /// The business curve.
    pub(crate) orders: Tree,
    /// By lane, for the list.
    pub(crate) lanes: Vec<LaneView>,
    /// When the newest observation was made, in milliseconds since 1970.
    pub(crate) newest: i64,
}

/// A lane's head in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LaneView {
    /// The worst level in it.
    pub(crate) level: &'static str,
    /// The badge: hollow when no root stands in the lane.
    pub(crate) badge: String,
    /// Its components by level.
    pub(crate) counts: String,
}

/// A lit wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LitView {
    /// 1 to 4: the thickest first.
    pub(crate) hop: u32,
    /// `red` or `yellow`, as the affected end is.
    pub(crate) level: &'static str,
}

impl View {
    /// The view of `board` on `stage`; nothing is claimed of the time before `known_since`.
    pub(crate) fn of(
        board: &Board,
        stage: &Stage,
        curve: Option<&CurveState>,
        known_since: Timestamp,
        format: &Format,
    ) -> Self {
        let cards = cards::cards(board, stage, format);
        let lit = stage.scene.wires.iter().map(|of| lit(board, of)).collect();
        let newest = board.instances.iter().filter_map(|instance| instance.observed_at).max();
        Self {
            header: header::header(board, format),
            lanes: header::lanes(board, stage, format),
            strip: strip::strip(board, stage, known_since, format),
            orders: curve::panel(board, curve, format),
            cards,
            lit,
            newest: newest.unwrap_or(board.at).as_millisecond(),
        }
    }
}

/// How a wire that stands for `of` is lit: as the one nearest to a root is, and as red as the worst.
fn lit(board: &Board, of: &[topology::graph::DependencyId]) -> Option<LitView> {
    let lit = || of.iter().filter(|id| board.edge(**id).lit.is_some());
    let hops = lit().filter_map(|id| board.edge(*id).lit).map(|lit| lit.hops).min()?;
    let red = lit().any(|id| {
        let from = board.model.dependencies[id.index()].from;
        board.component(from).health.level() == Level::Red
    });
    Some(LitView { hop: (hops + 1).min(4), level: if red { "red" } else { "yellow" } })
}
