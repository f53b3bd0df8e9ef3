//! A card's words and cells.

use collector::board::Board;
use serde::Serialize;
use topology::level::{Health, Level};
use topology::model::{ComponentId, InstanceId};
use topology::text::Lang;
use topology::verdict::Culprit;

use super::{Format, Tree, circled, figures, groups};
use crate::layout::{Card, Shape};
use crate::scene::{Cell, Place};
use crate::stage::Stage;

/// What a card shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct CardView {
    /// Its level's word.
    pub(crate) level: &'static str,
    /// `root`, `affected`, `own` (unhealthy, and no verdict names it) or nothing.
    pub(crate) state: &'static str,
    /// The number of its root, 0 when it has none.
    pub(crate) number: u32,
    /// The fault line; `{}` stands for the time since `since`.
    pub(crate) fault: String,
    /// When the level of an unseen card began, in milliseconds; 0 for others.
    pub(crate) since: i64,
    /// The figures, at most two.
    pub(crate) figures: Vec<String>,
    /// One letter an instance, in the layout's order; beside a bar only the unhealthy, the first ones.
    pub(crate) cells: String,
    /// Where there are too many for a cell each: a bar by level.
    pub(crate) bar: Option<Tree>,
    /// Unhealthy ones that have no cell beside the bar: `+37`.
    pub(crate) rest: String,
    /// In a card that lists its instances: the latency or the fault of each.
    pub(crate) rows: Vec<String>,
    /// All of it as one sentence, for those who listen.
    pub(crate) label: String,
}

/// The cards of `board`, by place.
pub(crate) fn cards(board: &Board, stage: &Stage, format: &Format) -> Vec<CardView> {
    let names = root_names(board, format.lang);
    let views = stage.layout.cards.iter().zip(&stage.scene.places).map(|(card, place)| {
        let all: String =
            card.cells.order.iter().map(|id| cell(board, stage.scene.cells[id.index()])).collect();
        let mut view = match place {
            Place::Component(id) => view(board, *id, card, &stage.scene.cells, &names, format),
            Place::Group(group) => {
                let rows = if card.cells.listed {
                    groups::rows(board, card, &stage.scene.cells, format)
                } else {
                    Vec::new()
                };
                CardView { rows, ..groups::view(board, group, &names, format) }
            }
        };
        if card.cells.most > 0 {
            view.bar = Some(bar(&all));
            let sick: Vec<char> = all.chars().filter(|letter| !matches!(letter, 'g' | 'p')).collect();
            view.cells = sick.iter().take(card.cells.most).collect();
            let rest = sick.len().saturating_sub(card.cells.most);
            view.rest = if rest > 0 { format!("+{rest}") } else { String::new() };
        } else {
            view.cells = all;
        }
        view
    });
    views.collect()
}

/// A thousand wide, the healthy first; what is unhealthy is never thinner than can be seen.
fn bar(letters: &str) -> Tree {
    const THINNEST: usize = 24;
    let count = |of: &str| letters.chars().filter(|letter| of.contains(*letter)).count();
    let parts = [("r", count("rxf")), ("y", count("y")), ("u", count("u")), ("z", count("z"))];
    let total = letters.len().max(1);
    let width = |n: usize| if n == 0 { 0 } else { (n * 1000 / total).max(THINNEST) };
    let sick: usize = parts.iter().map(|(_, n)| width(*n)).sum();
    let mut x = 1000_usize.saturating_sub(sick);
    let rect = |class: &str, x: usize, width: usize| {
        Tree::of("rect", class, Vec::new())
            .with("x", x.to_string())
            .with("width", width.to_string())
            .with("height", "10")
    };
    let mut rects = vec![rect("g", 0, x)];
    for (class, n) in parts.into_iter().filter(|(_, n)| *n > 0) {
        rects.push(rect(class, x, width(n)));
        x += width(n);
    }
    Tree::of("svg", "bar", rects).with("viewBox", "0 0 1000 10").with("preserveAspectRatio", "none")
}

fn cell(board: &Board, cell: Cell) -> char {
    match cell {
        Cell::Instance(id) => letter(board, id),
        Cell::Component(id) => groups::letter(board, id),
    }
}

/// The name of each root for people, in the order of their numbers.
pub(crate) fn root_names(board: &Board, lang: Lang) -> Vec<String> {
    board.roots().iter().map(|(_, root)| culprit_name(board, root.culprit, lang)).collect()
}

/// A culprit's name for people.
pub(crate) fn culprit_name(board: &Board, culprit: Culprit, lang: Lang) -> String {
    match culprit {
        Culprit::Monitor => match lang {
            Lang::En => "This monitor".to_owned(),
            Lang::Zh => "监控自身".to_owned(),
        },
        Culprit::Edge(id) => {
            let dependency = &board.model.dependencies[id.index()];
            let title = |id| board.model.component(id).title.get(lang);
            format!("{} → {}", title(dependency.from), title(dependency.to))
        }
        Culprit::Way { .. } | Culprit::Label(_) | Culprit::MonitorSight(_) => culprit.name(&board.model),
        other => other
            .component(&board.model)
            .map_or_else(String::new, |id| board.model.component(id).title.get(lang).to_owned()),
    }
}

fn view(
    board: &Board,
    id: ComponentId,
    card: &Card,
    cells: &[Cell],
    names: &[String],
    format: &Format,
) -> CardView {
    let state = board.component(id);
    let level = state.health.level();
    let number = board.number_of(id).unwrap_or(0);
    let unhealthy = state.health.is_unhealthy();
    let kind = match (board.is_root(id), number) {
        (true, _) => "root",
        (false, 1..) if unhealthy => "affected",
        _ if unhealthy => "own",
        _ => "",
    };
    let number = if kind == "root" || kind == "affected" { number } else { 0 };
    let (fault, since) = match level {
        Level::Unknown => {
            let words = format.pick("unseen {}", "{}未见");
            (words.to_owned(), state.since.as_millisecond())
        }
        Level::Paused if state.short.en.is_empty() => (format.pick("paused", "维护中").to_owned(), 0),
        Level::Green if kind != "root" => (String::new(), 0),
        _ => (fault(board, id, format), 0),
    };
    let mut figures = if matches!(level, Level::Unknown | Level::Paused) {
        Vec::new()
    } else {
        figures::figures(board, id, format.lang)
    };
    if card.shape == Shape::Two && card.rect.height >= 56 && figures.len() == 2 {
        let both = figures.join(" · ");
        if crate::layout::text_width(&both, 18) <= card.line_width {
            figures = vec![both];
        }
    }
    let rows = if card.cells.listed { rows(board, card, cells, format) } else { Vec::new() };
    let label = label(board, id, number, kind, names, format);
    CardView {
        level: level.as_str(),
        state: kind,
        number,
        fault,
        since,
        figures,
        rows,
        label,
        ..CardView::default()
    }
}

/// The short word, or failing that the dependency whose trouble it has.
fn fault(board: &Board, id: ComponentId, format: &Format) -> String {
    let state = board.component(id);
    let short = state.short.get(format.lang);
    if !short.is_empty() {
        return short.to_owned();
    }
    match state.inherited_from.first() {
        Some(from) => {
            let name = board.model.component(*from).title.get(format.lang);
            match format.lang {
                Lang::En => format!("by {name}"),
                Lang::Zh => format!("因 {name}"),
            }
        }
        None => format.level(state.health.level()).to_owned(),
    }
}

fn rows(board: &Board, card: &Card, cells: &[Cell], format: &Format) -> Vec<String> {
    let row = |id: &InstanceId| {
        let Cell::Instance(id) = cells[id.index()] else { return String::new() };
        let state = board.instance(id);
        match (state.short.get(format.lang), state.latency) {
            ("", Some(latency)) if state.health == Health::Green => Format::latency(latency),
            ("", _) if state.health == Health::Green => String::new(),
            ("", _) => format.level(state.health.level()).to_owned(),
            (short, _) => short.to_owned(),
        }
    };
    card.cells.order.iter().map(row).collect()
}

fn letter(board: &Board, id: InstanceId) -> char {
    let state = board.instance(id);
    match state.health {
        _ if state.flapping => 'f',
        Health::Unknown => 'u',
        Health::Paused => 'z',
        Health::Red if state.explained_by.is_some() => 'x',
        Health::Red => 'r',
        Health::AtRisk | Health::Impaired => 'y',
        Health::Green if state.suspected => 's',
        Health::Green if primary(board, id) => 'p',
        Health::Green => 'g',
    }
}

fn primary(board: &Board, id: InstanceId) -> bool {
    let label = board.model.instance(id).labels.get("role").map(String::as_str);
    board.instance(id).role.or(label) == Some("primary")
}

pub(super) fn label(
    board: &Board,
    id: ComponentId,
    number: u32,
    kind: &str,
    names: &[String],
    format: &Format,
) -> String {
    let (component, state) = (board.model.component(id), board.component(id));
    let mut label = format!("{}, {}", component.title.get(format.lang), format.level(state.health.level()));
    if state.health.is_unhealthy() {
        let words = match state.words.get(format.lang) {
            "" => state.short.get(format.lang),
            words => words,
        };
        if !words.is_empty() {
            label.push_str(&format!(", {words}"));
        }
        if kind == "root" {
            label.push_str(&format!(", {} {}", format.pick("root cause", "根因"), circled(number)));
        } else if let Some(name) = names.get((number as usize).wrapping_sub(1)) {
            label.push_str(&match format.lang {
                Lang::En => format!(", because of {name}"),
                Lang::Zh => format!("，由 {name} 引起"),
            });
        }
        label.push_str(&format!(", {} {}", format.pick("since", "始于"), format.time(state.since)));
    }
    let (needs, needed) = (board.graph.needs(id).len(), board.graph.needed_by(id).len());
    label.push_str(&match format.lang {
        Lang::En => format!("; needs {needs}, needed by {needed}"),
        Lang::Zh => format!("；依赖 {needs}，被依赖 {needed}"),
    });
    label
}
