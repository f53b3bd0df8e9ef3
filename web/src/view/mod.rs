//! What the wall shows of a board, in one language: plain data that the page is rendered from, and that
//! two of can be compared to tell a page what changed.

mod cards;
mod figures;
mod format;
mod header;
mod patch;
mod strip;
mod tree;

use collector::board::Board;
use jiff::tz::TimeZone;
use serde::Serialize;
use topology::text::Lang;

pub(crate) use cards::{CardView, culprit_name, root_names};
pub(crate) use format::Format;
use format::circled;
pub(crate) use header::Header;
pub(crate) use patch::patch;
pub(crate) use tree::Tree;

use crate::layout::Layout;

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
    /// The view of `board`.
    pub(crate) fn of(board: &Board, layout: &Layout, lang: Lang, zone: &TimeZone) -> Self {
        let format = Format { lang, zone: zone.clone() };
        let cards = cards::cards(board, layout, &format);
        let lit = board
            .model
            .dependencies
            .iter()
            .zip(&board.edges)
            .map(|(dependency, edge)| {
                let level = board.component(dependency.from).health.level().as_str();
                let level = if level == "red" { "red" } else { "yellow" };
                edge.lit.map(|lit| LitView { hop: (lit.hops + 1).min(4), level })
            })
            .collect();
        let newest = board.instances.iter().filter_map(|instance| instance.observed_at).max();
        Self {
            header: header::header(board, &format),
            lanes: layout.lanes.iter().map(|lane| header::lane(board, &lane.components, lang)).collect(),
            strip: strip::strip(board, &cards, &format),
            cards,
            lit,
            newest: newest.unwrap_or(board.at).as_millisecond(),
        }
    }
}
