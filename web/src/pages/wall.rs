//! `GET /`: the wall.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;
use topology::model::{ComponentId, Model};
use topology::text::Lang;

use super::{Head, not_found, render};
use crate::WebState;
use crate::ask::{Path, Query};
use crate::events::moment;
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
    modules: Vec<String>,
    /// Loaded when they are asked for.
    search_script: String,
    help_script: String,
    kiosk: bool,
    far: bool,
    /// The group whose wall it is; empty for the whole.
    group: &'a str,
    stage: &'a str,
    then: Option<Travel>,
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

/// A moment that is asked for, and the time around it that can be walked through.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Then {
    at: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

/// The moment that is shown, for the page.
struct Travel {
    /// Seconds since 1970.
    at: i64,
    from: i64,
    to: i64,
    /// Day and time.
    date: String,
    /// The page's own address.
    path: String,
    /// A minute earlier and later.
    earlier: String,
    later: String,
}

/// `GET /`.
pub(crate) async fn wall(
    State(state): State<WebState>,
    Query(asked): Query<Asked>,
    Query(then): Query<Then>,
    headers: HeaderMap,
) -> Response {
    show(&state, &Which::Whole, &then, &Prefs::of(&asked, &headers)).await
}

/// `GET /wall/{group}`.
pub(crate) async fn group(
    State(state): State<WebState>,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
    Query(then): Query<Then>,
    headers: HeaderMap,
) -> Response {
    show(&state, &Which::Group(name), &then, &Prefs::of(&asked, &headers)).await
}

async fn show(state: &WebState, which: &Which, then: &Then, prefs: &Prefs) -> Response {
    if let Some(at) = then.at.as_deref() {
        let Some(at) = moment(at) else { return not_found(prefs) };
        return match state.then(which, prefs.lang, at).await {
            Some(snapshot) => {
                let mut page = page(state, &snapshot, prefs);
                page.travel_to(state, then, at, prefs);
                render(StatusCode::OK, &page)
            }
            None => not_found(prefs),
        };
    }
    match state.snapshot(which, prefs.lang) {
        Some(snapshot) => render(StatusCode::OK, &page(state, &snapshot, prefs)),
        None => not_found(prefs),
    }
}

fn page<'a>(state: &'a WebState, snapshot: &'a Snapshot, prefs: &Prefs) -> Wall<'a> {
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
        modules: ["stream.js", "apply.js", "clock.js", "keys.js"].map(assets::url).to_vec(),
        search_script: assets::url("search.js"),
        help_script: assets::url("help.js"),
        kiosk: prefs.kiosk,
        far: prefs.far,
        group: stage.which.group(),
        stage: &stage.hash,
        then: None,
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

/// What can be walked through when the address does not say: this much before and after the moment.
const AROUND: i64 = 15 * 60;

impl Wall<'_> {
    /// Makes it a page of the past: no stream, a time line instead.
    fn travel_to(&mut self, state: &WebState, then: &Then, at: Timestamp, prefs: &Prefs) {
        let now = (state.clock)().as_second();
        let seconds = at.as_second();
        let bound = |text: &Option<String>, or: i64| {
            text.as_deref().and_then(moment).map_or(or, Timestamp::as_second).min(now)
        };
        let (from, to) = (bound(&then.from, seconds - AROUND), bound(&then.to, seconds + AROUND));
        let path = match self.group {
            "" => "/".to_owned(),
            group => format!("/wall/{}", encoded(group)),
        };
        let join = if prefs.query.is_empty() { "?" } else { "&" };
        let link = |seconds: i64| format!("{path}{}{join}at={seconds}&from={from}&to={to}", prefs.query);
        let zoned = at.to_zoned_datetime(state.zone.clone());
        self.script = assets::url("travel.js");
        self.modules.retain(|module| !module.ends_with("stream.js"));
        self.time = zoned.strftime("%H:%M:%S").to_string();
        self.age = String::from(prefs.pick("as it was then", "当时的状态"));
        self.then = Some(Travel {
            at: seconds,
            from: from.min(seconds),
            to: to.max(seconds),
            date: zoned.strftime("%Y-%m-%d").to_string(),
            earlier: link(seconds - 60),
            later: link((seconds + 60).min(now)),
            path,
        });
    }

    fn header(&self) -> &Header {
        &self.view.header
    }
}
