//! Which rows each card takes: beside its neighbours, with few crossings.

use topology::model::{ComponentId, Dependency, Model};

use super::lanes::Column;

/// The rows of every component.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    /// How many rows the longest lane has.
    pub(crate) count: usize,
    /// The lane whose rows the others follow.
    pub(crate) spine: usize,
    /// By component: the lane, the first row, and how many rows.
    pub(crate) spans: Vec<Span>,
}

/// A component's place in the grid of lanes and rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) lane: usize,
    pub(crate) row: usize,
    pub(crate) rows: usize,
}

impl Rows {
    /// Lays the components of `columns` into rows.
    pub(crate) fn assign(model: &Model, columns: &[Column]) -> Self {
        let count = columns.iter().map(|column| column.components.len()).max().unwrap_or(0);
        let lane_of = lanes_by_component(model, columns);
        let spine = spine(model, columns, &lane_of);
        let neighbours = neighbours(model);
        let mut rows: Vec<Option<usize>> = vec![None; model.components.len()];
        if let Some(column) = columns.get(spine) {
            for (row, id) in column.components.iter().enumerate() {
                rows[id.index()] = Some(row);
            }
        }
        // Those beside the spine first, then those beside them, last those beside nobody.
        for round in 0..=columns.len() {
            let known = rows.clone();
            for column in columns {
                seat(column, count, &known, &neighbours, &mut rows, round == columns.len());
            }
        }
        let mut grid = Grid { model, columns, lane_of: &lane_of, count, rows };
        grid.swap_neighbours(spine);
        let spans = grid.spans();
        Self { count, spine, spans }
    }
}

fn lanes_by_component(model: &Model, columns: &[Column]) -> Vec<usize> {
    let mut lane_of = vec![0; model.components.len()];
    for (lane, column) in columns.iter().enumerate() {
        for id in &column.components {
            lane_of[id.index()] = lane;
        }
    }
    lane_of
}

/// The lane that most wires touch; of equals the longer, then the left one. In a platform of services
/// with a database each, that is the services, even when there is one database more.
fn spine(model: &Model, columns: &[Column], lane_of: &[usize]) -> usize {
    let wires = |lane: usize| {
        let touches = |id: ComponentId| lane_of[id.index()] == lane;
        model.dependencies.iter().filter(|d| touches(d.from) != touches(d.to)).count()
    };
    (0..columns.len())
        .max_by_key(|lane| (wires(*lane), columns[*lane].components.len(), std::cmp::Reverse(*lane)))
        .unwrap_or(0)
}

fn neighbours(model: &Model) -> Vec<Vec<ComponentId>> {
    let mut neighbours = vec![Vec::new(); model.components.len()];
    for dependency in &model.dependencies {
        neighbours[dependency.from.index()].push(dependency.to);
        neighbours[dependency.to.index()].push(dependency.from);
    }
    neighbours
}

/// Gives the still rowless components of one lane the free row nearest to the lower median of their
/// neighbours' rows, below before above.
fn seat(
    column: &Column,
    count: usize,
    known: &[Option<usize>],
    neighbours: &[Vec<ComponentId>],
    rows: &mut [Option<usize>],
    last: bool,
) {
    let mut wanting: Vec<(usize, ComponentId)> = column
        .components
        .iter()
        .filter(|id| rows[id.index()].is_none())
        .filter_map(|id| {
            let mut beside: Vec<usize> =
                neighbours[id.index()].iter().filter_map(|other| known[other.index()]).collect();
            beside.sort_unstable();
            match beside.len() {
                0 if last => Some((0, *id)),
                0 => None,
                n => Some((beside[(n - 1) / 2], *id)),
            }
        })
        .collect();
    wanting.sort_unstable();
    for (wanted, id) in wanting {
        let taken = |row: usize| column.components.iter().any(|other| rows[other.index()] == Some(row));
        let free = (0..count).filter(|row| !taken(*row));
        // Below before above; but what needs something of its own lane stands above it.
        let needed_here =
            |other: &ComponentId| column.components.contains(other) && rows[other.index()].is_some();
        let above = neighbours[id.index()].iter().any(|other| needed_here(other) && id < *other);
        rows[id.index()] = free.min_by_key(|row| (row.abs_diff(wanted), (*row < wanted) != above));
    }
}

struct Grid<'a> {
    model: &'a Model,
    columns: &'a [Column],
    lane_of: &'a [usize],
    count: usize,
    rows: Vec<Option<usize>>,
}

impl Grid<'_> {
    fn row(&self, id: ComponentId) -> usize {
        self.rows[id.index()].unwrap_or(0)
    }

    fn in_order(&self, lane: usize) -> Vec<ComponentId> {
        let mut order = self.columns[lane].components.clone();
        order.sort_by_key(|id| self.row(*id));
        order
    }

    /// Swaps neighbours in a lane while that strictly helps: fewer crossings, or as many on a shorter way.
    fn swap_neighbours(&mut self, spine: usize) {
        let mut left = self.count * self.count;
        for lane in (0..self.columns.len()).filter(|lane| *lane != spine) {
            let mut improved = true;
            while improved && left > 0 {
                improved = false;
                for pair in self.in_order(lane).windows(2) {
                    let before = self.cost(spine);
                    self.rows.swap(pair[0].index(), pair[1].index());
                    if self.cost(spine) < before {
                        improved = true;
                        left -= 1;
                        break;
                    }
                    self.rows.swap(pair[0].index(), pair[1].index());
                }
            }
        }
    }

    /// Wires of the spine that are not level, crossings of straight lines between the cards' rows, and how
    /// much the lines climb.
    fn cost(&self, spine: usize) -> (usize, usize, usize) {
        let full = |lane: usize| self.columns[lane].components.len() * 2 > self.count;
        let tilted = self.model.dependencies.iter().filter(|d| {
            let (a, b) = (self.lane_of[d.from.index()], self.lane_of[d.to.index()]);
            (a == spine) != (b == spine) && full(a) && full(b) && self.row(d.from) != self.row(d.to)
        });
        let tilted = tilted.count();
        let lines: Vec<(f64, f64, f64, f64)> = self
            .model
            .dependencies
            .iter()
            .map(|d| {
                let end = |id: ComponentId| (self.lane_of[id.index()] as f64, self.row(id) as f64);
                let (a, b) = (end(d.from), end(d.to));
                if a.0 <= b.0 { (a.0, a.1, b.0, b.1) } else { (b.0, b.1, a.0, a.1) }
            })
            .filter(|line| line.0 < line.2)
            .collect();
        let at = |line: &(f64, f64, f64, f64), x: f64| {
            line.1 + (line.3 - line.1) * (x - line.0) / (line.2 - line.0)
        };
        let crossings = lines
            .iter()
            .enumerate()
            .flat_map(|(i, a)| lines[i + 1..].iter().map(move |b| (a, b)))
            .filter(|(a, b)| {
                let (from, to) = (a.0.max(b.0), a.2.min(b.2));
                from < to && (at(a, from) - at(b, from)) * (at(a, to) - at(b, to)) < -1e-9
            })
            .count();
        let climbed = lines.iter().map(|line| (line.1 - line.3).abs() as usize).sum();
        (tilted, crossings, climbed)
    }

    /// The rows with heights: in a lane that is at most half full the free rows go to its cards, each
    /// around the row that it wants. A fuller lane keeps its gaps, for its cards to stay in line, and so
    /// does one that many wires pass through on their way to another; for a few the last row stays free.
    fn spans(&self) -> Vec<Span> {
        let mut spans = vec![Span::default(); self.rows.len()];
        for lane in 0..self.columns.len() {
            let order = self.in_order(lane);
            let room = match self.passing(lane) {
                0 => self.count,
                1 | 2 => self.count - 1,
                _ => 0,
            };
            let stretched = order.len() * 2 <= self.count && order.iter().all(|id| self.row(*id) < room);
            let ends = if stretched { self.ends(&order, room) } else { Vec::new() };
            let mut next = 0;
            for (i, id) in order.into_iter().enumerate() {
                let row = self.row(id);
                let (row, end) = ends.get(i).map_or((row, row + 1), |end| (next, *end));
                spans[id.index()] = Span { lane, row, rows: end - row };
                next = end;
            }
        }
        spans
    }

    /// How many wires pass through a lane on their way from one side to the other.
    fn passing(&self, lane: usize) -> usize {
        let lanes = |d: &Dependency| (self.lane_of[d.from.index()], self.lane_of[d.to.index()]);
        let passes = |(a, b): (usize, usize)| a.min(b) < lane && lane < a.max(b);
        self.model.dependencies.iter().filter(|d| passes(lanes(d))).count()
    }

    /// The row after each card's last: shares of `room` by instances, moved so that every card keeps the
    /// row that it wants.
    fn ends(&self, order: &[ComponentId], room: usize) -> Vec<usize> {
        let weight = |id: &ComponentId| self.model.component(*id).instances.len().clamp(1, 40);
        let total: usize = order.iter().map(weight).sum();
        let mut sum = 0;
        let mut ends = Vec::with_capacity(order.len());
        for (i, id) in order.iter().enumerate() {
            sum += weight(id);
            let next = order.get(i + 1).map_or(room, |next| self.row(*next));
            let ideal = (room * sum + total / 2) / total;
            ends.push(if i + 1 == order.len() { room } else { ideal.clamp(self.row(*id) + 1, next) });
        }
        ends
    }
}
