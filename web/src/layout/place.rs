//! From rows and lanes to rectangles.

use topology::model::{ComponentId, Model};

use super::lanes::Column;
use super::measure::{text_width, widest};
use super::rows::{Rows, Span};
use super::{BOTTOM, Card, Cells, LEFT, Lane, RIGHT, Rect, Shape, TOP, cells};

/// Lanes and cards in their places, and the grid they stand in.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) lanes: Vec<Lane>,
    pub(crate) cards: Vec<Card>,
    pub(crate) spans: Vec<Span>,
}

/// Padding inside a card.
const PAD: i32 = 12;
/// Room for the badge before a name.
const BADGE: i32 = 28;
/// What a row of a tall card takes besides the name: the cell, the figure and the space between.
pub(crate) const ROW_FIGURE: i32 = 116;
/// A pitch above this leaves the stage empty below instead of stretching cards.
const MAX_PITCH: f64 = 132.0;
/// The room a line needs: the longest usual fault word with its count.
const LINE: i32 = 104;

/// Room for the name and the figures of a tall card.
const HEADING: i32 = 140;

/// The rows' measures.
#[derive(Clone, Copy, Debug)]
struct Pitch {
    step: f64,
    gap: i32,
    /// How much lower than a full card those in the nearest lane right of the spine are, and those
    /// in the lanes after it: straight wires pass below them.
    stairs: (i32, i32),
}

impl Pitch {
    fn of(rows: usize) -> Self {
        let gap = match rows {
            0..=7 => 18,
            8 => 15,
            9..=13 => 9,
            14..=24 => 7,
            _ => 3,
        };
        let pitch = (f64::from(BOTTOM - TOP + gap) / rows.max(1) as f64).min(MAX_PITCH);
        let full = pitch as i32 - gap;
        let stairs = match rows {
            0..=7 => (34.min(full / 3), 17),
            8 => (24, 12),
            9..=11 => (26, 10),
            12..=13 => (24, 8),
            _ => (0, 0),
        };
        Self { step: pitch, gap, stairs }
    }

    fn top(self, row: usize) -> i32 {
        TOP + (row as f64 * self.step).round() as i32
    }

    fn height(self, row: usize, rows: usize) -> i32 {
        (self.top(row + rows) - self.top(row) - self.gap).max(3)
    }
}

/// Places every lane and card; `gutters` are the widths between lanes.
pub(crate) fn place(model: &Model, columns: &[Column], rows: &Rows, gutters: &[i32]) -> Placed {
    let pitch = Pitch::of(rows.count);
    let height = |id: ComponentId| {
        let span = rows.spans[id.index()];
        let full = pitch.height(span.row, span.rows);
        if span.rows > 1 { full } else { full - stair(rows, span.lane, columns, pitch) }
    };
    let needs: Vec<i32> = columns
        .iter()
        .map(|column| column.components.iter().map(|id| need(model, *id, height(*id))).max().unwrap_or(0))
        .collect();
    let widths = share(&needs, RIGHT - LEFT - gutters.iter().sum::<i32>());
    let mut lanes = Vec::with_capacity(columns.len());
    let mut cards = vec![None; model.components.len()];
    let mut x = LEFT;
    for (lane, column) in columns.iter().enumerate() {
        let width = widths[lane];
        let mut components = column.components.clone();
        components.sort_by_key(|id| rows.spans[id.index()].row);
        for id in &components {
            let y = pitch.top(rows.spans[id.index()].row);
            cards[id.index()] = Some(card(model, *id, Rect { x, y, width, height: height(*id) }));
        }
        lanes.push(Lane { tier: column.tier, x, width, components });
        x += width + gutters.get(lane).copied().unwrap_or(0);
    }
    Placed { lanes, cards: cards.into_iter().flatten().collect(), spans: rows.spans.clone() }
}

/// How much lower a one-row card stands in `lane`: right of the spine the first long lane, and short ones
/// that wires pass, are the lowest, so that straight wires pass below them to the lanes after.
fn stair(rows: &Rows, lane: usize, columns: &[Column], pitch: Pitch) -> i32 {
    let last = columns.len() - 1;
    if lane <= rows.spine || lane == last {
        return 0;
    }
    let long = |lane: usize| columns[lane].components.len() * 2 > rows.count;
    let others = (rows.spine + 1..last).filter(|other| *other != lane && long(*other));
    if long(lane) && (others.clone().any(|other| other < lane) || others.count() == 0) {
        pitch.stairs.1
    } else {
        pitch.stairs.0
    }
}

/// Widths in proportion to the needs, adding up to `room`.
fn share(needs: &[i32], room: i32) -> Vec<i32> {
    let total: i32 = needs.iter().sum::<i32>().max(1);
    // What is left over goes half in equal parts, half by need: a narrow lane breathes too.
    let spare = (room - total).max(0);
    let count = needs.len().max(1) as i32;
    let width = |need: &i32| {
        if total > room {
            (need * room / total).max(1)
        } else {
            need + spare / 2 / count + spare / 2 * need / total
        }
    };
    let mut widths: Vec<i32> = needs.iter().map(width).collect();
    // Rounding leaves a few pixels: the last lane takes them, for the right edge to be straight.
    let used: i32 = widths.iter().sum();
    if let Some(last) = widths.last_mut() {
        *last = (*last + room - used).max(1);
    }
    widths
}

const fn shape(height: i32) -> Shape {
    match height {
        120.. => Shape::Tall,
        66..120 => Shape::Three,
        41..66 => Shape::Two,
        _ => Shape::One,
    }
}

/// The width a card would like.
fn need(model: &Model, id: ComponentId, height: i32) -> i32 {
    let component = model.component(id);
    let name = widest(&component.title, 20).min(230) + BADGE;
    let grid = |room: i32| grid(model, id, Rect { width: room, height, ..Rect::default() });
    let need = match shape(height) {
        Shape::Tall => {
            let own_names =
                component.instance_ids().map(|id| row_need(&model.instance(id).name, &component.name));
            (widest(&component.title, 24).min(240) + BADGE).max(180).max(own_names.max().unwrap_or(0))
        }
        Shape::One => name + grid(120).0.width() + PAD,
        Shape::Two | Shape::Three => match grid(290) {
            (cells, true) => name.max(LINE + PAD + cells.width()),
            (cells, false) => name.max(LINE) + PAD + cells.width(),
        },
    };
    need + 2 * PAD
}

/// The width of a row of a tall card for an instance with a name of its own; `web-3` can become `#3`.
fn row_need(name: &str, component: &str) -> i32 {
    if name.strip_prefix(component).is_some_and(|rest| rest.starts_with('-')) {
        return 0;
    }
    (text_width(name, 18) + ROW_FIGURE).min(240)
}

/// The cells of a card, and whether they stand below the name (else beside everything).
fn grid(model: &Model, id: ComponentId, rect: Rect) -> (Cells, bool) {
    let component = model.component(id);
    let fit = |width: i32, height: i32, largest: i32| cells::fit(model, component, width, height, largest);
    let (inner, height) = (rect.width - 2 * PAD, rect.height);
    match shape(height) {
        Shape::Tall if component.instances.len() as i32 * 30 <= height - HEADING => {
            (cells::list(model, component), true)
        }
        Shape::Tall => (fit(inner, height - 118, 18), true),
        // The name comes first: its cells are smaller rather than it cut.
        Shape::One => {
            let name = widest(&component.title, 18) + BADGE + PAD;
            (fit((inner - name).clamp(44, 150), height - 8, 14), false)
        }
        Shape::Two | Shape::Three => {
            let below = fit((inner - LINE).max(40), height - 36, 14);
            if below.size == 14 {
                return (below, true);
            }
            let beside = fit((inner * 2 / 5).max(40), height - 14, 14);
            // A bar needs little height: it stands below the name, which keeps its room.
            if beside.most > 0 { (below, true) } else { (beside, false) }
        }
    }
}

fn card(model: &Model, id: ComponentId, rect: Rect) -> Card {
    let (cells, below) = grid(model, id, rect);
    let inner = rect.width - 2 * PAD;
    let beside = (inner - cells.width() - PAD).max(0);
    let shape = shape(rect.height);
    let (name_width, line_width) = match shape {
        Shape::Tall => (inner, inner),
        _ if below => (inner, beside),
        _ => (beside, beside),
    };
    Card { rect, shape, cells, name_width, line_width }
}
