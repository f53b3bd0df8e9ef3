//! What a page needs of one topology and never changes with levels: the layout, its style sheet, its wires.

use std::sync::Arc;

use topology::model::{Model, Strength};

use crate::assets::Fnv;
use crate::layout::{Card, Layout, Shape, Wire};
use crate::scene::{Place, Scene, Which};

/// One wall of a topology, laid out.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The file's own model.
    pub(crate) model: Arc<Model>,
    pub(crate) which: Which,
    /// What is laid out.
    pub(crate) scene: Scene,
    /// Components more (or fewer) than in the topology that was in force before this one.
    pub(crate) grown: Option<i64>,
    pub(crate) layout: Layout,
    /// Places for everything, as CSS.
    pub(crate) css: String,
    /// Names the style sheet.
    pub(crate) css_hash: String,
    /// Names the topology: pages of another one must load anew.
    pub(crate) hash: String,
    pub(crate) wires: Vec<DrawnWire>,
}

/// A wire as SVG takes it.
#[derive(Debug)]
pub(crate) struct DrawnWire {
    pub(crate) class: &'static str,
    /// The whole line.
    pub(crate) d: String,
    /// The line without its last piece at the dependant, where the arrow stands.
    pub(crate) short: String,
    /// The arrow, pointing at the dependant.
    pub(crate) head: String,
    /// The dot at what is needed.
    pub(crate) dot: (i32, i32),
}

impl Stage {
    /// The wall `which` of `model`; nothing when there is no such group.
    pub(crate) fn of(model: Arc<Model>, which: Which, grown: Option<i64>) -> Option<Self> {
        let scene = Scene::of(&model, &which)?;
        let layout = Layout::of(&scene.model);
        let css = css(&layout);
        let mut hash = Fnv::default();
        hash.write(css.as_bytes());
        let css_hash = hash.finish();
        for component in &scene.model.components {
            hash.write(format!("{}\n{:?}\n", component.name, component.title).as_bytes());
        }
        for instance in &scene.model.instances {
            hash.write(instance.name.as_bytes());
        }
        for place in &scene.places {
            if let Place::Group(group) = place {
                hash.write(format!("{:?}", group.members).as_bytes());
            }
        }
        for card in &layout.cards {
            hash.write(format!("{:?}", card.cells.order).as_bytes());
        }
        for tier in &model.tiers {
            hash.write(format!("{:?}", tier.title).as_bytes());
        }
        for wire in &layout.wires {
            hash.write(format!("{wire:?}").as_bytes());
        }
        let wires = layout.wires.iter().map(draw).collect();
        Some(Self { hash: hash.finish(), css_hash, css, wires, layout, scene, model, which, grown })
    }
}

/// Positions as a style sheet, because a style attribute is not allowed on the page.
fn css(layout: &Layout) -> String {
    let mut css = String::from("@media (min-width:1100px){\n");
    for (i, lane) in layout.lanes.iter().enumerate() {
        css.push_str(&format!("#l{i}>details>summary{{left:{};width:{}}}\n", u(lane.x), u(lane.width)));
    }
    for (i, card) in layout.cards.iter().enumerate() {
        card_css(&mut css, i, card);
    }
    css.push_str("}\n");
    css
}

fn card_css(css: &mut String, i: usize, card: &Card) {
    let (r, cells) = (card.rect, &card.cells);
    css.push_str(&format!(
        "#c{i}{{left:{};top:{};width:{};height:{}}}\n",
        u(r.x),
        u(r.y),
        u(r.width),
        u(r.height)
    ));
    if r.height < 50 {
        // The flag must not cover the words of the card above.
        css.push_str(&format!("#c{i} .more{{display:none}}\n"));
    }
    css.push_str(&format!("#c{i} .t{{max-width:{}}}\n", u(card.name_width)));
    if card.shape != Shape::Tall {
        css.push_str(&format!("#c{i} .fault,#c{i} .fig{{max-width:{}}}\n", u(card.line_width)));
    }
    if cells.most > 0 {
        css.push_str(&format!(
            "#c{i} .cells{{width:{};grid-template-columns:repeat({},{});grid-auto-rows:{};--c:{}}}\n",
            u(cells.width() + cells.step),
            cells.columns,
            u(cells.step),
            u(cells.step),
            u(cells.size)
        ));
        if card.shape == Shape::One {
            css.push_str(&format!("#c{i} .cells{{bottom:auto;top:{}}}\n", u((r.height - 10) / 2)));
        }
        return;
    }
    if cells.listed {
        css.push_str(&format!("#c{i} .cells{{grid-auto-rows:{};--c:{}}}\n", u(cells.step), u(cells.size)));
        return;
    }
    css.push_str(&format!(
        "#c{i} .cells{{grid-template-columns:repeat({},{});grid-auto-rows:{};--c:{}}}\n",
        cells.columns,
        u(cells.step),
        u(cells.step),
        u(cells.size)
    ));
    // The grid's last column and row have no gap after them.
    let over = cells.step - cells.size;
    css.push_str(&format!("#c{i} .cells{{margin:0 {} {} 0}}\n", u(-over), u(-over)));
    if card.shape == Shape::One {
        css.push_str(&format!("#c{i} .cells{{bottom:{}}}\n", u((r.height - 2 - cells.height()) / 2)));
    }
}

fn u(n: i32) -> String {
    if n == 0 { "0".to_owned() } else { format!("calc({n}*var(--u))") }
}

/// Radius of a wire's corners.
const CORNER: f64 = 7.0;
/// Length of an arrow's head.
const HEAD: f64 = 15.0;

fn draw(wire: &Wire) -> DrawnWire {
    let points: Vec<(f64, f64)> = wire.points.iter().map(|(x, y)| (f64::from(*x), f64::from(*y))).collect();
    let class = match wire.strength {
        Strength::Required => "w",
        Strength::Optional => "w o",
        Strength::Async => "w a",
    };
    let mut short = points.clone();
    let mut head = String::new();
    if let [tip, next, ..] = points.as_slice() {
        let length = (next.0 - tip.0).hypot(next.1 - tip.1).max(1.0);
        let (dx, dy) = ((next.0 - tip.0) / length, (next.1 - tip.1) / length);
        let reach = HEAD.min(length * 0.8);
        let base = (tip.0 + dx * reach, tip.1 + dy * reach);
        let tip = (tip.0 + dx * 3.0, tip.1 + dy * 3.0);
        let half = 8.0;
        head = format!(
            "{},{} {},{} {},{}",
            n(tip.0),
            n(tip.1),
            n(base.0 - dy * half),
            n(base.1 + dx * half),
            n(base.0 + dy * half),
            n(base.1 - dx * half)
        );
        short[0] = (tip.0 + dx * (reach - 5.0), tip.1 + dy * (reach - 5.0));
    }
    let dot = wire.points.last().copied().unwrap_or_default();
    DrawnWire { class, d: path(&points), short: path(&short), head, dot }
}

/// A line with round corners.
fn path(points: &[(f64, f64)]) -> String {
    let mut d = String::new();
    for (i, point) in points.iter().enumerate() {
        let (before, after) = (i.checked_sub(1).map(|i| points[i]), points.get(i + 1));
        match (before, after) {
            (None, _) => {
                d.push_str(&format!("M{} {}", n(point.0), n(point.1)));
            }
            (Some(before), Some(after)) => {
                let towards = |other: (f64, f64)| {
                    let length = (other.0 - point.0).hypot(other.1 - point.1);
                    let r = CORNER.min(length / 2.0) / length.max(0.1);
                    (point.0 + (other.0 - point.0) * r, point.1 + (other.1 - point.1) * r)
                };
                let (a, b) = (towards(before), towards(*after));
                d.push_str(&format!(
                    "L{} {}Q{} {} {} {}",
                    n(a.0),
                    n(a.1),
                    n(point.0),
                    n(point.1),
                    n(b.0),
                    n(b.1)
                ));
            }
            (Some(_), None) => {
                d.push_str(&format!("L{} {}", n(point.0), n(point.1)));
            }
        }
    }
    d
}

/// A number without a needless fraction.
fn n(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    format!("{rounded}")
}
