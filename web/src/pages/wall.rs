//! `GET /`: the wall.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use topology::model::{ComponentId, Model};
use topology::text::Lang;

use super::{Head, render};
use crate::WebState;
use crate::respond::{Asked, Prefs};
use crate::stage::{DrawnWire, Stage};
use crate::state::Snapshot;
use crate::view::{CardView, Format, Header, LaneView, LitView, View};
use crate::{assets, layout};

#[derive(Template)]
#[template(path = "wall.html")]
struct Wall<'a> {
    head: Head,
    version: &'static str,
    script: String,
    modules: [String; 4],
    run: &'a str,
    sequence: u64,
    now: i64,
    offset: i32,
    time: String,
    age: String,
    topology_css: String,
    view: &'a View,
    lanes: Vec<LaneOf<'a>>,
    wires: Vec<WireOf<'a>>,
    strip: String,
    tally: String,
}

struct LaneOf<'a> {
    index: usize,
    title: &'a str,
    head: &'a LaneView,
    cards: Vec<CardOf<'a>>,
}

struct CardOf<'a> {
    index: usize,
    name: &'a str,
    title: &'a str,
    shape: &'static str,
    small: bool,
    /// Not even the smaller size has room beside the badge.
    tight: bool,
    /// Names of the instances, where they are listed.
    listed: Vec<(char, String, &'a str)>,
    view: &'a CardView,
    fault: String,
}

struct WireOf<'a> {
    index: usize,
    wire: &'a DrawnWire,
    lit: Option<LitView>,
}

/// `GET /`.
pub(crate) async fn wall(
    State(state): State<WebState>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let prefs = Prefs::of(&asked, &headers);
    let snapshot = state.snapshot(prefs.lang);
    render(StatusCode::OK, &page(&state, &snapshot, &prefs))
}

fn page<'a>(state: &'a WebState, snapshot: &'a Arc<Snapshot>, prefs: &Prefs) -> Wall<'a> {
    let (stage, view) = (&*snapshot.stage, &snapshot.view);
    let now = (state.clock)();
    let format = Format { lang: prefs.lang, zone: state.zone.clone() };
    let age = (now.as_millisecond() - view.newest).max(0) as f64 / 1e3;
    let mut wires: Vec<WireOf<'_>> = stage
        .wires
        .iter()
        .zip(&view.lit)
        .enumerate()
        .map(|(index, (wire, lit))| WireOf { index, wire, lit: *lit })
        .collect();
    // What is lit lies above what is not, the root's own wires on top.
    wires.sort_by_key(|wire| wire.lit.map_or((0, 0), |lit| (1, 5 - lit.hop)));
    Wall {
        version: state.version,
        script: assets::url("wall.js"),
        modules: ["stream.js", "apply.js", "clock.js", "keys.js"].map(assets::url),
        run: state.run(),
        sequence: snapshot.sequence,
        now: now.as_millisecond(),
        offset: state.zone.to_offset(now).seconds(),
        time: format.time(now),
        age: match prefs.lang {
            Lang::En => format!("live · newest data {age:.1}\u{2009}s ago"),
            Lang::Zh => format!("实时 · 最新数据 {age:.1} 秒前"),
        },
        topology_css: format!("/assets/wall-{}.css", stage.css_hash),
        lanes: lanes(stage, view, &format, now),
        wires,
        strip: view.strip.html(prefs.query),
        tally: view.header.tally.html(prefs.query),
        head: Head::of(prefs),
        view,
    }
}

fn lanes<'a>(stage: &'a Stage, view: &'a View, format: &Format, now: jiff::Timestamp) -> Vec<LaneOf<'a>> {
    let model = &stage.model;
    let lanes = stage.layout.lanes.iter().zip(&view.lanes).enumerate();
    lanes
        .map(|(index, (lane, head))| LaneOf {
            index,
            title: title(model, lane, format),
            head,
            cards: lane.components.iter().map(|id| card(stage, view, *id, format, now)).collect(),
        })
        .collect()
}

fn title<'a>(model: &'a Model, lane: &layout::Lane, format: &Format) -> &'a str {
    match lane.tier {
        Some(tier) => model.tiers[tier].title.get(format.lang),
        None => "",
    }
}

fn card<'a>(
    stage: &'a Stage,
    view: &'a View,
    id: ComponentId,
    format: &Format,
    now: jiff::Timestamp,
) -> CardOf<'a> {
    let (component, card, seen) =
        (stage.model.component(id), &stage.layout.cards[id.index()], &view.cards[id.index()]);
    let title = component.title.get(format.lang);
    let fault = match jiff::Timestamp::from_millisecond(seen.since) {
        Ok(since) if seen.since > 0 => seen.fault.replace("{}", &format.brief(since, now)),
        _ => seen.fault.clone(),
    };
    let listed = card.cells.order.iter().zip(seen.cells.chars()).zip(&seen.rows);
    let listed = listed.map(|((id, letter), row)| {
        let name = instance_name(&stage.model.instance(*id).name, &component.name, card.line_width);
        (letter, name, row.as_str())
    });
    CardOf {
        listed: listed.collect(),
        index: id.index(),
        name: &component.name,
        title,
        shape: card.shape.as_str(),
        // The badge takes its room when there is trouble; the name never changes its size then.
        small: layout::text_width(title, card.shape.name_size()) + BADGE > card.name_width,
        tight: layout::text_width(title, 20) + BADGE + 8 > card.name_width,
        view: seen,
        fault,
    }
}

/// What the badge takes beside a name when there is trouble.
const BADGE: i32 = 28;

/// An instance's name, or only its number where the whole name has no room beside its figure.
fn instance_name(name: &str, component: &str, room: i32) -> String {
    let number = name.strip_prefix(component).and_then(|rest| rest.strip_prefix('-'));
    match number {
        Some(number) if layout::text_width(name, 18) > room - layout::ROW_FIGURE => format!("#{number}"),
        _ => name.to_owned(),
    }
}

impl Wall<'_> {
    fn header(&self) -> &Header {
        &self.view.header
    }
}
