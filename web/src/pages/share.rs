//! What others show of it: the topology as a picture, badges, and a fragment for a frame.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use collector::board::{Board, Counts};
use topology::level::Level;
use topology::model::NodeId;
use topology::text::Lang;

use super::{Head, not_found, render};
use crate::ask::{Path, Query};
use crate::layout::{Card, Shape, text_width};
use crate::respond::{Asked, Prefs};
use crate::scene::Which;
use crate::stage::Stage;
use crate::state::Snapshot;
use crate::view::{CardView, Format, counts_in_words};
use crate::{WebState, layout};

/// The fragment may stand in anybody's frame: it only shows, and takes no input.
const EMBED_CSP: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors *";

/// Colours of a picture, which has no style sheet: background, card, its edge, wires, three texts, then green,
/// yellow, red, unknown, paused as fills.
struct Paint {
    bg: &'static str,
    card: &'static str,
    hair: &'static str,
    wire: &'static str,
    text: [&'static str; 3],
    level: [&'static str; 5],
}

const DARK: Paint = Paint {
    bg: "#0D1217",
    card: "#161D24",
    hair: "#2A3540",
    wire: "#526473",
    text: ["#E8EDF1", "#B3BFC9", "#8A99A6"],
    level: ["#2F8570", "#F7C948", "#FF5447", "#A9A4FF", "#78ABDF"],
};
const LIGHT: Paint = Paint {
    bg: "#EDF0F2",
    card: "#FFFFFF",
    hair: "#CBD3DA",
    wire: "#7B8995",
    text: ["#101A22", "#3C4954", "#586672"],
    level: ["#4A9882", "#7F5300", "#C9271B", "#5A50C8", "#2A68A8"],
};

impl Paint {
    const fn of(&self, level: Level) -> &'static str {
        match level {
            Level::Green => self.level[0],
            Level::Yellow => self.level[1],
            Level::Red => self.level[2],
            Level::Unknown => self.level[3],
            Level::Paused => self.level[4],
        }
    }
}

fn level_of(word: &str) -> Level {
    match word {
        "green" => Level::Green,
        "yellow" => Level::Yellow,
        "red" => Level::Red,
        "paused" => Level::Paused,
        _ => Level::Unknown,
    }
}

fn svg(body: String) -> Response {
    ([(header::CONTENT_TYPE, "image/svg+xml; charset=utf-8")], body).into_response()
}

/// Text for XML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

/// `GET /topology.svg`: the wall's picture as it is now, with nothing that it would have to load.
pub(crate) async fn topology(
    State(state): State<WebState>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let prefs = Prefs::of(&asked, &headers);
    let Some(snapshot) = state.snapshot(&Which::Whole, prefs.lang) else { return not_found(&prefs) };
    let format = Format { lang: prefs.lang, zone: state.zone.clone() };
    let paint = if prefs.theme == "light" { LIGHT } else { DARK };
    let board = state.boards.current();
    let at = board.at.to_zoned_datetime(state.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string();
    svg(picture(&snapshot, &paint, &at, &format))
}

fn picture(snapshot: &Snapshot, paint: &Paint, at: &str, format: &Format) -> String {
    let (stage, view) = (&*snapshot.stage, &snapshot.view);
    let title = escaped(&view.header.title);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1920 890\" role=\"img\" \
         font-family=\"Inter, 'Noto Sans SC', system-ui, sans-serif\" font-weight=\"500\"><title>{title}</title>\n\
         <rect width=\"1920\" height=\"890\" fill=\"{}\"/>\n",
        paint.bg
    );
    let level = level_of(view.header.mood);
    out.push_str(&format!(
        "<rect x=\"32\" y=\"34\" width=\"16\" height=\"64\" fill=\"{}\"/>{}{}\n",
        paint.of(level),
        text(64, 70, 40, paint.text[0], 700, &view.header.title),
        text(64, 100, 20, paint.text[1], 500, &format!("{} · {at}", view.header.line)),
    ));
    for lane in &stage.layout.lanes {
        if let Some(tier) = lane.tier {
            let title = stage.scene.model.tiers[tier].title.get(format.lang);
            out.push_str(&text(lane.x, 146, 18, paint.text[2], 500, title));
        }
    }
    out.push_str(&format!("<g fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\">", paint.wire));
    for wire in &stage.wires {
        let dashes = match wire.class {
            "w o" => " stroke-dasharray=\"7 5\"",
            "w a" => " stroke-dasharray=\"2 5\"",
            _ => "",
        };
        out.push_str(&format!("<path d=\"{}\"{dashes}/>", wire.d));
    }
    out.push_str("</g>\n");
    for (wire, lit) in stage.wires.iter().zip(&view.lit) {
        if let Some(lit) = lit {
            let colour = paint.of(level_of(lit.level));
            let width = 7 - lit.hop;
            out.push_str(&format!(
                "<path d=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"/><polygon points=\"{}\" \
                 fill=\"{colour}\"/>\n",
                wire.short, wire.head
            ));
        }
    }
    for (i, (card, seen)) in stage.layout.cards.iter().zip(&view.cards).enumerate() {
        drawn(&mut out, stage, i, card, seen, paint, format);
    }
    out.push_str("</svg>\n");
    out
}

fn text(x: i32, y: i32, size: i32, fill: &str, weight: u32, words: &str) -> String {
    let words = escaped(words);
    format!(
        "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{fill}\" font-weight=\"{weight}\">{words}</text>"
    )
}

/// As much of `words` as `width` has room for.
fn cut(words: &str, size: i32, width: i32) -> String {
    if text_width(words, size) <= width {
        return words.to_owned();
    }
    let mut out = String::new();
    for c in words.chars() {
        if text_width(&out, size) + text_width("…", size) + text_width(&c.to_string(), size) > width {
            break;
        }
        out.push(c);
    }
    out + "…"
}

fn drawn(
    out: &mut String,
    stage: &Stage,
    i: usize,
    card: &Card,
    seen: &CardView,
    paint: &Paint,
    format: &Format,
) {
    let (r, level) = (card.rect, level_of(seen.level));
    let root = seen.state == "root" && level == Level::Red;
    let fill = if root { "#C9271B" } else { paint.card };
    let (edge, width) = if level == Level::Green { (paint.hair, 1) } else { (paint.of(level), 2) };
    let dash = if level == Level::Unknown { " stroke-dasharray=\"6 5\"" } else { "" };
    let [first, second, _] = if root { ["#FFFFFF"; 3] } else { paint.text };
    out.push_str(&format!(
        "<g><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"6\" fill=\"{fill}\" stroke=\"{edge}\" \
         stroke-width=\"{width}\"{dash}/>",
        r.x, r.y, r.width, r.height
    ));
    let title = stage.scene.model.components[i].title.get(format.lang);
    let mark =
        if seen.number > 0 { format!("{} ", crate::view::circled(seen.number)) } else { String::new() };
    let (name_y, size) = match card.shape {
        Shape::One => (r.y + r.height / 2 + 6, 17),
        _ => (r.y + 24, 19),
    };
    let name = cut(&format!("{mark}{title}"), size, card.name_width);
    out.push_str(&text(r.x + 12, name_y, size, first, 600, &name));
    if card.shape != Shape::One {
        let words = if seen.fault.is_empty() {
            seen.figures.first().map(String::as_str).unwrap_or_default()
        } else {
            seen.fault.split("{}").next().unwrap_or_default()
        };
        let colour = match level {
            Level::Green => second,
            _ if root => first,
            level => paint.of(level),
        };
        out.push_str(&text(r.x + 12, r.y + 44, 17, colour, 600, &cut(words, 17, card.line_width)));
    }
    cells(out, card, seen, paint, root);
    out.push_str("</g>\n");
}

fn cells(out: &mut String, card: &Card, seen: &CardView, paint: &Paint, root: bool) {
    let (r, grid) = (card.rect, &card.cells);
    if grid.most > 0 {
        return; // what a bar says stands in words on the card
    }
    let columns = if grid.listed { 1 } else { grid.columns.max(1) };
    let (left, top) = if card.shape == Shape::Tall {
        let top = if grid.listed { r.y + 146 } else { r.bottom() - 14 - grid.height() };
        (r.x + 14, top)
    } else {
        (r.right() - 12 - grid.width(), r.bottom() - 10 - grid.height())
    };
    for (i, letter) in seen.cells.chars().enumerate() {
        let place = |n: usize| i32::try_from(n).unwrap_or(0) * grid.step;
        let (x, y) = (left + place(i % columns), top + place(i / columns));
        let size = grid.size;
        let level = match letter {
            'r' | 'x' | 'f' => Level::Red,
            'y' => Level::Yellow,
            'u' => Level::Unknown,
            'z' => Level::Paused,
            _ => Level::Green,
        };
        let colour = match (root, level) {
            (true, Level::Green) => "#E9A39E",
            (true, _) => "#FFFFFF",
            (false, level) => paint.of(level),
        };
        let shape = match letter {
            'x' | 'u' => format!(
                "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"2\" fill=\"none\" stroke=\"{colour}\" \
                 stroke-width=\"2\"/>",
                x + 1,
                y + 1,
                size - 2,
                size - 2
            ),
            'y' => format!(
                "<path d=\"M{} {y}L{} {}H{x}z\" fill=\"{colour}\"/>",
                x + size / 2,
                x + size,
                y + size
            ),
            _ => format!(
                "<rect x=\"{x}\" y=\"{y}\" width=\"{size}\" height=\"{size}\" rx=\"2\" fill=\"{colour}\"/>"
            ),
        };
        out.push_str(&shape);
    }
}

/// `GET /badge.svg`: how the platform is, for a page elsewhere.
pub(crate) async fn platform_badge(
    State(state): State<WebState>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let prefs = Prefs::of(&asked, &headers);
    let board = state.boards.current();
    let format = Format { lang: prefs.lang, zone: state.zone.clone() };
    let counts = board.counts();
    let words = if board.monitor.blind {
        format.pick("monitor blind", "监控失明").to_owned()
    } else if counts.red + counts.yellow + counts.unknown == 0 {
        format.level(Level::Green).to_owned()
    } else {
        let worse = Counts { green: 0, paused: 0, ..counts };
        counts_in_words(&worse, prefs.lang).join(format.pick(", ", "、"))
    };
    badge(&board.model.name, &words, if board.monitor.blind { Level::Unknown } else { board.level })
}

/// `GET /badge/{node}.svg`.
pub(crate) async fn node_badge(
    State(state): State<WebState>,
    Path(file): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let prefs = Prefs::of(&asked, &headers);
    let board = state.boards.current();
    let Some(node) = file.strip_suffix(".svg").and_then(|name| exactly(&board, name)) else {
        return not_found(&prefs);
    };
    let format = Format { lang: prefs.lang, zone: state.zone.clone() };
    let (name, level, short) = match node {
        NodeId::Component(id) => {
            let state = board.component(id);
            (board.model.component(id).title.get(prefs.lang), state.health.level(), &state.short)
        }
        NodeId::Instance(id) => {
            let state = board.instance(id);
            (board.model.instance(id).name.as_str(), state.health.level(), &state.short)
        }
    };
    let words = match short.get(prefs.lang) {
        "" => format.level(level),
        short => short,
    };
    badge(name, words, level)
}

/// A badge must not change to another node's because the file got a new one: no prefixes here.
fn exactly(board: &Board, name: &str) -> Option<NodeId> {
    board.model.find(name).ok().filter(|node| board.model.node_name(*node) == name)
}

/// Two fields: whose, and how. Read by browsers that know neither our fonts nor our sheet.
fn badge(name: &str, words: &str, level: Level) -> Response {
    let (name, words) = (cut(name, 12, 220), cut(words, 12, 220));
    let (a, b) = (text_width(&name, 12) + 14, text_width(&words, 12) + 14);
    // White on each of these has a contrast over 4.5.
    let fill = match level {
        Level::Green => "#1A7460",
        Level::Yellow => "#8A5A00",
        Level::Red => "#C9271B",
        Level::Unknown => "#5A50C8",
        Level::Paused => "#2A68A8",
    };
    let (name, words, width) = (escaped(&name), escaped(&words), a + b);
    svg(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"20\" role=\"img\" \
         aria-label=\"{name}: {words}\"><title>{name}: {words}</title>\
         <rect width=\"{width}\" height=\"20\" rx=\"3\" fill=\"#3C4954\"/>\
         <path d=\"M{a} 0h{}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-{}z\" fill=\"{fill}\"/>\
         <g fill=\"#FFFFFF\" font-family=\"Inter, Verdana, 'Noto Sans SC', sans-serif\" font-size=\"12\" \
         text-anchor=\"middle\"><text x=\"{}\" y=\"14\">{name}</text><text x=\"{}\" y=\"14\">{words}</text></g></svg>\n",
        b - 3,
        b - 3,
        a / 2,
        a + b / 2
    ))
}

#[derive(Template)]
#[template(path = "embed.html")]
struct Embed {
    head: Head,
    mood: &'static str,
    title: String,
    line: String,
    time: String,
    lanes: Vec<(String, &'static str, String, String)>,
}

/// `GET /embed`: the sentence and the lanes, to be put into a frame of another page.
pub(crate) async fn embed(
    State(state): State<WebState>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let prefs = Prefs::of(&asked, &headers);
    let Some(snapshot) = state.snapshot(&Which::Whole, prefs.lang) else { return not_found(&prefs) };
    let format = Format { lang: prefs.lang, zone: state.zone.clone() };
    let (stage, view) = (&snapshot.stage, &snapshot.view);
    let lane = |(lane, seen): (&layout::Lane, &crate::view::LaneView)| {
        let title = match (lane.tier, prefs.lang) {
            (Some(tier), lang) => stage.scene.model.tiers[tier].title.get(lang),
            (None, Lang::En) => "More",
            (None, Lang::Zh) => "其他",
        };
        (title.to_owned(), seen.level, seen.badge.clone(), seen.counts.clone())
    };
    let page = Embed {
        mood: view.header.mood,
        title: view.header.title.clone(),
        line: view.header.line.clone(),
        time: format.time((state.clock)()),
        lanes: stage.layout.lanes.iter().zip(&view.lanes).map(lane).collect(),
        head: Head::of(&prefs),
    };
    let mut response = render(StatusCode::OK, &page);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(EMBED_CSP));
    // It has no script; this keeps it at most ten seconds old.
    headers.insert(header::REFRESH, HeaderValue::from_static("10"));
    response
}
