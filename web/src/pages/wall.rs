//! `GET /`: the wall.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use topology::model::{ComponentId, Model};
use topology::text::Lang;

use super::{Head, not_found, render};
use crate::WebState;
use crate::respond::{Asked, Prefs};
use crate::scene::{Cell, Place, Which};
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
    /// Loaded when they are asked for.
    search_script: String,
    help_script: String,
    kiosk: bool,
    far: bool,
    /// The group whose wall it is; empty for the whole.
    group: &'a str,
    stage: &'a str,
    /// Where the skip link leads: to the first root cause, else to the topology.
    skip: String,
    orders: String,
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
    href: String,
    title: &'a str,
    shape: &'static str,
    small: bool,
    /// Not even the smaller size has room beside the badge.
    tight: bool,
    /// Names of the instances, where they are listed.
    listed: Vec<(char, String, &'a str)>,
    view: &'a CardView,
    fault: String,
    bar: String,
    group: bool,
}

struct WireOf<'a> {
    index: usize,
    wire: &'a DrawnWire,
    lit: Option<LitView>,
    /// The cards at its two ends.
    ends: (u32, u32),
}

/// `GET /`.
pub(crate) async fn wall(
    State(state): State<WebState>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    show(&state, &Which::Whole, &Prefs::of(&asked, &headers))
}

/// `GET /wall/{group}`.
pub(crate) async fn group(
    State(state): State<WebState>,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    show(&state, &Which::Group(name), &Prefs::of(&asked, &headers))
}

fn show(state: &WebState, which: &Which, prefs: &Prefs) -> Response {
    match state.snapshot(which, prefs.lang) {
        Some(snapshot) => render(StatusCode::OK, &page(state, &snapshot, prefs)),
        None => not_found(prefs),
    }
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
        .map(|(index, (wire, lit))| {
            let dependency = &stage.scene.model.dependencies[index];
            WireOf { index, wire, lit: *lit, ends: (dependency.from.0, dependency.to.0) }
        })
        .collect();
    // What is lit lies above what is not, the root's own wires on top.
    wires.sort_by_key(|wire| wire.lit.map_or((0, 0), |lit| (1, 5 - lit.hop)));
    Wall {
        version: state.version,
        script: assets::url("wall.js"),
        modules: ["stream.js", "apply.js", "clock.js", "keys.js"].map(assets::url),
        search_script: assets::url("search.js"),
        help_script: assets::url("help.js"),
        kiosk: prefs.kiosk,
        far: prefs.far,
        group: stage.which.group(),
        stage: &stage.hash,
        skip: match view.cards.iter().position(|card| card.state == "root") {
            Some(card) => format!("#c{card}"),
            None => "#topology".to_owned(),
        },
        orders: view.orders.html(&prefs.query),
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
        lanes: lanes(stage, view, &format, now, &prefs.query),
        wires,
        strip: view.strip.html(&prefs.query),
        tally: view.header.tally.html(&prefs.query),
        head: Head::of(prefs),
        view,
    }
}

fn lanes<'a>(
    stage: &'a Stage,
    view: &'a View,
    format: &Format,
    now: jiff::Timestamp,
    query: &str,
) -> Vec<LaneOf<'a>> {
    let model = &stage.scene.model;
    let lanes = stage.layout.lanes.iter().zip(&view.lanes).enumerate();
    lanes
        .map(|(index, (lane, head))| LaneOf {
            index,
            title: title(model, lane, format),
            head,
            cards: lane.components.iter().map(|id| card(stage, view, *id, format, now, query)).collect(),
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
    query: &str,
) -> CardOf<'a> {
    let scene = &stage.scene;
    let (component, card, seen) =
        (scene.model.component(id), &stage.layout.cards[id.index()], &view.cards[id.index()]);
    let group = matches!(scene.places[id.index()], Place::Group(_));
    let title = component.title.get(format.lang);
    let fault = match jiff::Timestamp::from_millisecond(seen.since) {
        Ok(since) if seen.since > 0 => seen.fault.replace("{}", &format.brief(since, now)),
        _ => seen.fault.clone(),
    };
    let listed = card.cells.order.iter().zip(seen.cells.chars()).zip(&seen.rows);
    let listed = listed.map(|((id, letter), row)| {
        let name = match scene.cells[id.index()] {
            Cell::Instance(instance) => {
                instance_name(&stage.model.instance(instance).name, &component.name, card.line_width)
            }
            Cell::Component(member) => stage.model.component(member).title.get(format.lang).to_owned(),
        };
        (letter, name, row.as_str())
    });
    CardOf {
        listed: listed.collect(),
        index: id.index(),
        href: format!("/{}/{}{query}", if group { "wall" } else { "nodes" }, encoded(&component.name)),
        bar: seen.bar.as_ref().map(|bar| bar.html("")).unwrap_or_default(),
        group,
        title,
        shape: card.shape.as_str(),
        // The badge takes its room when there is trouble; the name never changes its size then.
        small: layout::text_width(title, card.shape.name_size()) + BADGE > card.name_width,
        tight: layout::text_width(title, 20) + BADGE + 8 > card.name_width,
        view: seen,
        fault,
    }
}

/// A name as part of an address: everything but the plain letters in percent signs.
pub(crate) fn encoded(name: &str) -> String {
    name.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte as char),
            other => out.push_str(&format!("%{other:02X}")),
        }
        out
    })
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
