//! Where everything stands on the wall: a pure function of topology.yaml.
//!
//! Never of levels and never of the clock: position is memory, so the same file gives the same pixels.
//! All lengths are pixels of a stage of 1920 by 1080.
#![allow(clippy::cast_possible_wrap, reason = "counts of what fits on a screen")]

mod cells;
mod lanes;
mod measure;
mod place;
mod rows;
mod wires;

use topology::graph::Graph;
use topology::model::{ComponentId, InstanceId, Model, Strength};

pub use measure::text_width;
pub(crate) use place::ROW_FIGURE;

/// Left edge of the topology.
pub const LEFT: i32 = 32;
/// Right edge of the topology.
pub const RIGHT: i32 = 1888;
/// Upper edge of the topology.
pub const TOP: i32 = 170;
/// Lower edge of the topology.
pub const BOTTOM: i32 = 866;

/// Everything's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The lanes, left to right.
    pub lanes: Vec<Lane>,
    /// One for each component, by [`ComponentId`].
    pub cards: Vec<Card>,
    /// One for each dependency, by its index.
    pub wires: Vec<Wire>,
    /// How often two wires cross.
    pub crossings: usize,
}

/// One column of cards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Index into [`Model::tiers`], for the title; the second half of a divided lane has none.
    pub tier: Option<usize>,
    /// Left edge.
    pub x: i32,
    /// Width.
    pub width: i32,
    /// Its components, top to bottom.
    pub components: Vec<ComponentId>,
}

/// A rectangle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rect {
    /// Left edge.
    pub x: i32,
    /// Upper edge.
    pub y: i32,
    /// Width.
    pub width: i32,
    /// Height.
    pub height: i32,
}

impl Rect {
    /// The x of the right edge.
    pub const fn right(self) -> i32 {
        self.x + self.width
    }

    /// The y of the lower edge.
    pub const fn bottom(self) -> i32 {
        self.y + self.height
    }

    /// True when the two share a point, `margin` apart counted as touching.
    pub const fn touches(self, other: Self, margin: i32) -> bool {
        self.x < other.right() + margin
            && other.x < self.right() + margin
            && self.y < other.bottom() + margin
            && other.y < self.bottom() + margin
    }
}

/// How much a card can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Large figures, cells at the bottom.
    Tall,
    /// A name and two lines.
    Three,
    /// A name and one line.
    Two,
    /// One line.
    One,
}

impl Shape {
    /// The size a name has in a card of this shape, before it steps down.
    pub const fn name_size(self) -> i32 {
        match self {
            Self::Tall => 22,
            _ => 20,
        }
    }

    /// The class name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tall => "tall",
            Self::Three => "three",
            Self::Two => "two",
            Self::One => "one",
        }
    }
}

/// A component's card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Where it stands.
    pub rect: Rect,
    /// How much it can say.
    pub shape: Shape,
    /// Its instances' cells.
    pub cells: Cells,
    /// Room for the name, so that it never runs into the cells.
    pub name_width: i32,
    /// Room for the lines below the name.
    pub line_width: i32,
}

/// The cells of a card: a grid with the lower right corner (or the lower left, in a tall card) fixed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cells {
    /// The instances in the order they are drawn, row by row.
    pub order: Vec<InstanceId>,
    /// Columns of the grid.
    pub columns: usize,
    /// Rows of the grid.
    pub rows: usize,
    /// Edge of a cell.
    pub size: i32,
    /// From one cell to the next.
    pub step: i32,
    /// One row an instance, with its name and its latency or fault.
    pub listed: bool,
    /// Too many for cells: a bar by level, and this many cells at most for the unhealthy ones; else 0.
    pub most: usize,
}

impl Cells {
    /// Width of the grid.
    pub fn width(&self) -> i32 {
        (self.columns as i32 - 1).max(0) * self.step + self.size
    }

    /// Height of the grid.
    pub fn height(&self) -> i32 {
        (self.rows as i32 - 1).max(0) * self.step + self.size
    }
}

/// A dependency's line, from the dependant to what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    /// How much it is needed: solid, dashed or dotted.
    pub strength: Strength,
    /// The corners, both ends included; every piece is horizontal or vertical.
    pub points: Vec<(i32, i32)>,
}

impl Layout {
    /// The layout of `model`.
    pub fn of(model: &Model) -> Self {
        let graph = Graph::new(model);
        let columns = lanes::columns(model, &graph);
        let rows = rows::Rows::assign(model, &columns);
        // The first round tells how many tracks each gutter needs, the second gives them their room.
        let mut gutters = vec![40; columns.len().saturating_sub(1)];
        let mut placed = place::place(model, &columns, &rows, &gutters);
        let mut routed = wires::route(model, &placed);
        for (gutter, tracks) in gutters.iter_mut().zip(&routed.tracks) {
            *gutter = if *tracks <= 1 { 30 } else { (14 + 16 * *tracks as i32).min(78) };
        }
        placed = place::place(model, &columns, &rows, &gutters);
        routed = wires::route(model, &placed);
        Self { lanes: placed.lanes, cards: placed.cards, wires: routed.wires, crossings: routed.crossings }
    }
}
