//! Wires that never enter a card: straight where they can be, else along gutters and row gaps.
//!
//! Each wire takes the cheapest of a fixed list of ways, given those already laid; straight ones are laid
//! first. No randomness: the same cards give the same wires.

use topology::model::{Dependency, Model, Strength};

use super::place::Placed;
use super::{BOTTOM, Rect, TOP, Wire};

/// Wires keep this far from cards they do not end at.
const CLEAR: i32 = 4;
/// Two wires side by side keep this far from each other.
const APART: i32 = 7;
/// From a card's corner to its first port.
const CORNER: i32 = 8;

/// All wires, and what they took.
#[derive(Clone, Debug)]
pub(crate) struct Routed {
    pub(crate) wires: Vec<Wire>,
    pub(crate) crossings: usize,
    /// How many tracks each gutter holds.
    pub(crate) tracks: Vec<usize>,
}

type Point = (i32, i32);

/// Routes every dependency.
pub(crate) fn route(model: &Model, placed: &Placed) -> Routed {
    let mut router = Router { model, placed, laid: Vec::new(), wires: vec![None; model.dependencies.len()] };
    let mut order: Vec<usize> = (0..model.dependencies.len()).collect();
    order.sort_by_key(|i| router.rank(&model.dependencies[*i], *i));
    for i in order {
        let points = router.best(i);
        router.lay(i, points);
    }
    router.finish()
}

/// One straight piece of a laid wire.
#[derive(Clone, Copy, Debug)]
struct Piece {
    from: Point,
    to: Point,
    wire: usize,
}

struct Router<'a> {
    model: &'a Model,
    placed: &'a Placed,
    laid: Vec<Piece>,
    wires: Vec<Option<Vec<Point>>>,
}

/// The two cards of a wire, the left one first.
struct Ends {
    left: Rect,
    right: Rect,
    left_lane: usize,
    right_lane: usize,
    /// The dependant is the right one.
    turned: bool,
}

impl Router<'_> {
    fn ends(&self, dependency: &Dependency) -> Ends {
        let (a, b) = (dependency.from.index(), dependency.to.index());
        let lane = |i: usize| self.placed.spans[i].lane;
        let turned = (lane(b), self.placed.cards[b].rect.y) < (lane(a), self.placed.cards[a].rect.y);
        let (left, right) = if turned { (b, a) } else { (a, b) };
        Ends {
            left: self.placed.cards[left].rect,
            right: self.placed.cards[right].rect,
            left_lane: lane(left),
            right_lane: lane(right),
            turned,
        }
    }

    /// Wires that can be straight first, the near before the far.
    fn rank(&self, dependency: &Dependency, index: usize) -> (bool, usize, i32, usize) {
        let ends = self.ends(dependency);
        let shared = ends.left.bottom().min(ends.right.bottom()) - ends.left.y.max(ends.right.y);
        let straight = ends.left_lane == ends.right_lane || shared > 2 * CORNER;
        (!straight, ends.right_lane - ends.left_lane, (ends.left.y - ends.right.y).abs(), index)
    }

    fn best(&self, wire: usize) -> Vec<Point> {
        let dependency = &self.model.dependencies[wire];
        let ends = self.ends(dependency);
        let mut ways =
            if ends.left_lane == ends.right_lane { self.within(&ends) } else { self.across(&ends) };
        if ends.left_lane != ends.right_lane
            && !ways.iter().any(|way| self.cost(wire, way, false).is_some_and(|c| c < 200))
        {
            ways.extend(self.around(&ends));
        }
        let cheapest = |strict: bool| {
            ways.iter()
                .filter_map(|way| self.cost(wire, way, strict).map(|cost| (cost, way)))
                .min_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(b.1)))
                .map(|(_, way)| way.clone())
        };
        let mut points = cheapest(true).or_else(|| cheapest(false)).unwrap_or_else(|| self.outside(&ends));
        points.dedup();
        if ends.turned {
            points.reverse();
        }
        points
    }

    /// Ways between two cards of one lane: straight down, or a bracket in a gutter.
    fn within(&self, ends: &Ends) -> Vec<Vec<Point>> {
        let (upper, lower) = (ends.left, ends.right);
        let mut ways: Vec<Vec<Point>> = (1..8)
            .map(|i| upper.x + 18 + i * (upper.width - 36) / 8)
            .map(|x| vec![(x, upper.bottom()), (x, lower.y)])
            .collect();
        let last = ends.left_lane + 1 == self.placed.lanes.len();
        let sides: &[bool] = if last { &[true, false] } else { &[false, true] };
        for right in sides {
            let edge = if *right { upper.right() } else { upper.x };
            let gutter = if *right { ends.left_lane as i32 + 1 } else { ends.left_lane as i32 };
            for x in self.tracks(gutter) {
                for a in ports(upper, lower.y) {
                    for b in ports(lower, upper.bottom()) {
                        ways.push(vec![(edge, a), (x, a), (x, b), (edge, b)]);
                    }
                }
            }
        }
        ways
    }

    /// Ways from a card's right side to another's left side with at most two corners.
    fn across(&self, ends: &Ends) -> Vec<Vec<Point>> {
        let (x1, x2) = (ends.left.right(), ends.right.x);
        let top = ends.left.y.max(ends.right.y) + CORNER;
        let bottom = ends.left.bottom().min(ends.right.bottom()) - CORNER + 3;
        let mut ways: Vec<Vec<Point>> = (top..=bottom).map(|y| vec![(x1, y), (x2, y)]).collect();
        for gutter in ends.left_lane + 1..=ends.right_lane {
            for x in self.tracks(gutter as i32) {
                for a in ports(ends.left, ends.right.y + ends.right.height / 2) {
                    for b in ports(ends.right, ends.left.y + ends.left.height / 2) {
                        if a != b {
                            ways.push(vec![(x1, a), (x, a), (x, b), (x2, b)]);
                        }
                    }
                }
            }
        }
        ways
    }

    /// Ways with four corners: a gutter, a free height across the lanes between, another gutter.
    fn around(&self, ends: &Ends) -> Vec<Vec<Point>> {
        let (first, last) = (ends.left_lane + 1, ends.right_lane);
        if first == last {
            return Vec::new();
        }
        let (x1, x2) = (ends.left.right(), ends.right.x);
        let mut ways = Vec::new();
        let span = Rect { x: x1 + 1, y: 0, width: x2 - x1 - 2, height: 1 };
        let free = (TOP - 14..BOTTOM + 12).step_by(3).filter(|y| {
            let strip = Rect { y: *y, ..span };
            !self.placed.cards.iter().any(|card| card.rect.touches(strip, CLEAR - 1))
        });
        let near = |a: i32, b: i32| (a - b).abs();
        let mut heights: Vec<i32> = free.collect();
        let (from, to) = (ends.left.y + ends.left.height / 2, ends.right.y + ends.right.height / 2);
        heights.sort_by_key(|y| (near(*y, from) + near(*y, to), *y));
        heights.truncate(10);
        for y in heights {
            for g1 in self.tracks(first as i32) {
                for g2 in self.tracks(last as i32) {
                    for a in ports(ends.left, y).into_iter().take(4) {
                        for b in ports(ends.right, y).into_iter().take(4) {
                            ways.push(vec![(x1, a), (g1, a), (g1, y), (g2, y), (g2, b), (x2, b)]);
                        }
                    }
                }
            }
        }
        ways
    }

    /// The last resort, above all cards or below them: it may run beside another wire, never into a card.
    fn outside(&self, ends: &Ends) -> Vec<Point> {
        let middle = |rect: Rect| rect.y + rect.height / 2;
        let (a, b) = (middle(ends.left), middle(ends.right));
        let y = if a + b < TOP + BOTTOM { TOP - 10 } else { BOTTOM + 8 };
        let (x1, x2) = (ends.left.right(), ends.right.x);
        let centre = |gutter: usize| self.tracks(gutter as i32).first().copied().unwrap_or(x1 + 4);
        let (g1, g2) = (centre(ends.left_lane + 1), centre(ends.right_lane));
        if ends.left_lane == ends.right_lane {
            let x = centre(ends.left_lane + 1);
            return vec![(x1, a), (x, a), (x, b), (ends.right.right(), b)];
        }
        vec![(x1, a), (g1, a), (g1, y), (g2, y), (g2, b), (x2, b)]
    }

    /// The tracks of a gutter (0 is left of the first lane), the middle one first.
    fn tracks(&self, gutter: i32) -> Vec<i32> {
        let lanes = &self.placed.lanes;
        let gutter = gutter as usize;
        let left = match gutter {
            0 => 8,
            g => lanes[g - 1].x + lanes[g - 1].width,
        };
        let right = lanes.get(gutter).map_or(1912, |lane| lane.x);
        let (middle, room) = (left.midpoint(right), (right - left) / 2 - 9);
        let mut tracks = vec![middle];
        let mut off = 8;
        while off <= room.min(24) {
            tracks.extend([middle - off, middle + off]);
            off += 8;
        }
        tracks
    }

    /// What a way costs; nothing when it meets a card, or (if `strict`) lies on another wire.
    fn cost(&self, wire: usize, way: &[Point], strict: bool) -> Option<i32> {
        let mut cost = (way.len() as i32 - 2) * 40;
        for pair in way.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            if self.meets_card(wire, a, b) {
                return None;
            }
            cost += ((a.0 - b.0).abs() + (a.1 - b.1).abs()) / 12;
            for piece in &self.laid {
                match meeting((a, b), (piece.from, piece.to)) {
                    Meeting::None => {}
                    Meeting::Crossing if self.kin(wire, piece.wire) => cost += 12,
                    Meeting::Crossing => cost += 120,
                    Meeting::Same if self.kin(wire, piece.wire) => {}
                    _ if strict => return None,
                    _ => cost += 400,
                }
            }
        }
        Some(cost + self.off_centre(wire, way))
    }

    /// Ports look best in the middle of the smaller card, or at the same height as in the rows beside.
    fn off_centre(&self, wire: usize, way: &[Point]) -> i32 {
        let ends = self.ends(&self.model.dependencies[wire]);
        let smaller = if ends.left.height < ends.right.height { ends.left } else { ends.right };
        let (Some(first), Some(last)) = (way.first(), way.last()) else { return 0 };
        if first.0 == last.0 && way.len() == 2 {
            // Straight down: near the left edge, out of the way of flags.
            return (first.0 - smaller.x - 48).abs() / 16;
        }
        let off = |rect: Rect, y: i32| (y - rect.y - rect.height / 2).abs();
        if way.len() == 2 {
            off(smaller, first.1) / 3
        } else {
            (off(ends.left, first.1) + off(ends.right, last.1)) / 6
        }
    }

    fn meets_card(&self, wire: usize, a: Point, b: Point) -> bool {
        let dependency = &self.model.dependencies[wire];
        let strip = Rect {
            x: a.0.min(b.0),
            y: a.1.min(b.1),
            width: (a.0 - b.0).abs() + 1,
            height: (a.1 - b.1).abs() + 1,
        };
        self.placed.cards.iter().enumerate().any(|(i, card)| {
            if i == dependency.from.index() || i == dependency.to.index() {
                // It may touch the border of its own cards, at its end, and nothing inside.
                let inner = Rect {
                    x: card.rect.x + 1,
                    y: card.rect.y + 1,
                    width: card.rect.width - 2,
                    height: card.rect.height - 2,
                };
                return inner.touches(strip, 0);
            }
            card.rect.touches(strip, CLEAR)
        })
    }

    /// Wires of one source or of one target may share a trunk.
    fn kin(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.model.dependencies[a], &self.model.dependencies[b]);
        (a.to == b.to || a.from == b.from) && a.strength == b.strength
    }

    fn lay(&mut self, wire: usize, points: Vec<Point>) {
        for pair in points.windows(2) {
            self.laid.push(Piece { from: pair[0], to: pair[1], wire });
        }
        self.wires[wire] = Some(points);
    }

    fn finish(self) -> Routed {
        let mut crossings = 0;
        for (i, a) in self.laid.iter().enumerate() {
            for b in &self.laid[i + 1..] {
                let crossing = matches!(meeting((a.from, a.to), (b.from, b.to)), Meeting::Crossing);
                if crossing && a.wire != b.wire && !self.kin(a.wire, b.wire) {
                    crossings += 1;
                }
            }
        }
        let gutters = self.placed.lanes.len().saturating_sub(1);
        let tracks = (0..gutters).map(|gutter| self.used_tracks(gutter)).collect();
        let strength = |i: usize| self.model.dependencies.get(i).map_or(Strength::Required, |d| d.strength);
        let wires = self
            .wires
            .iter()
            .enumerate()
            .map(|(i, points)| Wire { strength: strength(i), points: points.clone().unwrap_or_default() })
            .collect();
        Routed { wires, crossings, tracks }
    }

    fn used_tracks(&self, gutter: usize) -> usize {
        let left = self.placed.lanes[gutter].x + self.placed.lanes[gutter].width;
        let right = self.placed.lanes[gutter + 1].x;
        let mut tracks: Vec<i32> = self
            .laid
            .iter()
            .filter(|piece| piece.from.0 == piece.to.0 && (left..right).contains(&piece.from.0))
            .map(|piece| piece.from.0)
            .collect();
        tracks.sort_unstable();
        tracks.dedup();
        tracks.len()
    }
}

/// Heights at which a wire may leave `rect`, nearest to `towards` first: some sixteen on a tall card, ten on others.
fn ports(rect: Rect, towards: i32) -> Vec<i32> {
    let (top, bottom) = (rect.y + CORNER, rect.bottom() - CORNER);
    if top >= bottom {
        return vec![rect.y + rect.height / 2];
    }
    let mut ports: Vec<i32> = (top..=bottom).step_by(APART as usize).collect();
    ports.push(rect.y + rect.height / 2);
    ports.sort_by_key(|y| ((y - towards).abs(), *y));
    ports.truncate(if rect.height > 120 { 16 } else { 10 });
    ports
}

/// How two pieces lie to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meeting {
    None,
    /// At a right angle, through each other.
    Crossing,
    /// On one line, over each other.
    Same,
    /// Side by side, too near to tell apart.
    Beside,
}

fn meeting(a: (Point, Point), b: (Point, Point)) -> Meeting {
    let flat = |piece: (Point, Point)| piece.0.1 == piece.1.1;
    let range = |p: i32, q: i32| (p.min(q), p.max(q));
    match (flat(a), flat(b)) {
        (true, true) => beside(a.0.1 - b.0.1, range(a.0.0, a.1.0), range(b.0.0, b.1.0)),
        (false, false) => beside(a.0.0 - b.0.0, range(a.0.1, a.1.1), range(b.0.1, b.1.1)),
        (true, false) => crossing(a, b),
        (false, true) => crossing(b, a),
    }
}

fn beside(distance: i32, a: (i32, i32), b: (i32, i32)) -> Meeting {
    if distance.abs() >= APART || a.1 < b.0 || b.1 < a.0 {
        Meeting::None
    } else if distance == 0 {
        Meeting::Same
    } else {
        Meeting::Beside
    }
}

fn crossing(flat: (Point, Point), upright: (Point, Point)) -> Meeting {
    let (x1, x2) = (flat.0.0.min(flat.1.0), flat.0.0.max(flat.1.0));
    let (y1, y2) = (upright.0.1.min(upright.1.1), upright.0.1.max(upright.1.1));
    let inside = x1 < upright.0.0 && upright.0.0 < x2 && y1 < flat.0.1 && flat.0.1 < y2;
    if inside { Meeting::Crossing } else { Meeting::None }
}
