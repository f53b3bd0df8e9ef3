//! The business curve: today against yesterday and last week, on one axis, with the figure beside it.

use collector::board::Board;
use collector::curves::{CurveState, Outage};
use jiff::{SignedDuration, Timestamp};
use topology::level::Level;
use topology::model::DEFAULT_CURVE_INTERVAL;
use topology::text::Lang;

use super::{Format, Tree};

/// What is drawn of the past and of what is to be expected.
const BEFORE: SignedDuration = SignedDuration::from_mins(60);
const AHEAD: SignedDuration = SignedDuration::from_mins(30);
/// The drawing: the plot within it, and the words right of the plot.
const WIDTH: f64 = 366.0;
const PLOT: (f64, f64, f64) = (272.0, 8.0, 104.0);

/// The panel; empty where the file names no curve.
pub(super) fn panel(board: &Board, curve: Option<&CurveState>, format: &Format) -> Tree {
    let Some(curve) = curve else { return Tree::of("section", "none", Vec::new()).with("id", "orders") };
    let title = curve.title.get(format.lang);
    let children = vec![Tree::of("div", "", figures(board, curve, format)), chart(board, curve, format)];
    Tree::of("section", &format!("panel orders {}", curve.level.as_str()), children)
        .with("id", "orders")
        .with("aria-label", title)
}

fn last(curve: &CurveState) -> Option<(Timestamp, f64)> {
    curve.points.last().copied()
}

/// No value for three intervals: the curve is as unseen as a node would be.
fn unseen(board: &Board, curve: &CurveState) -> bool {
    let declared = board.model.curves.iter().find(|declared| declared.name == curve.name);
    let interval = declared.map_or(DEFAULT_CURVE_INTERVAL, |declared| declared.interval);
    let limit = SignedDuration::try_from(interval * 3).unwrap_or(SignedDuration::from_mins(3));
    board.monitor.blind || last(curve).is_none_or(|(at, _)| board.at.duration_since(at) > limit)
}

fn figures(board: &Board, curve: &CurveState, format: &Format) -> Vec<Tree> {
    let unit = curve.unit.as_ref().map_or("", |unit| unit.get(format.lang));
    let title = curve.title.get(format.lang);
    let title = if unit.is_empty() { title.to_owned() } else { format!("{title} · {unit}") };
    let mut out = vec![Tree::text("h3", "", title)];
    let value = last(curve);
    if unseen(board, curve) {
        out.push(Tree::text("p", "big", "—"));
        let words = match (value, format.lang) {
            (None, Lang::En) => "no value yet".to_owned(),
            (None, Lang::Zh) => "尚无数据".to_owned(),
            (Some((at, _)), Lang::En) => format!("no data since {}", format.time(at)),
            (Some((at, _)), Lang::Zh) => format!("{} 起无数据", format.time(at)),
        };
        out.push(Tree::text("p", "w unknown", words));
        if let Some((_, value)) = value {
            let words = format!("{} {}", format.pick("last value", "最后值"), number(value, format));
            out.push(Tree::text("p", "note", words));
        }
        return out;
    }
    let Some((at, value)) = value else { return out };
    let bad = matches!(curve.level, Level::Red | Level::Yellow);
    out.push(Tree::text("p", "big", number(value, format)));
    let mut compared =
        [(&curve.yesterday, "on yesterday", "较昨日"), (&curve.last_week, "on last week", "较上周")]
            .into_iter()
            .filter_map(|(points, en, zh)| {
                let then = near(points, at).filter(|then| *then > 0.0)?;
                let percent = ((value / then - 1.0) * 100.0).round();
                let sign = if percent < 0.0 { "−" } else { "+" };
                let figure = format!("{sign}{}\u{2009}%", percent.abs());
                Some(match format.lang {
                    Lang::En => format!("{figure} {en}"),
                    Lang::Zh => format!("{zh} {figure}"),
                })
            });
    if let Some(words) = compared.next() {
        out.push(Tree::text("p", if bad { "w bad" } else { "w" }, words));
    }
    let second = match (curve.since(), back(curve, at)) {
        (Some(since), _) => Some(format!("{} {}", format.pick("since", "始于"), format.time(since))),
        (None, Some((from, to))) => {
            let lasted = format.seconds(to.duration_since(from).as_secs().max(0).unsigned_abs());
            Some(match format.lang {
                Lang::En => format!("back {}, after {lasted}", format.hour(to)),
                Lang::Zh => format!("{} 恢复，历时 {lasted}", format.hour(to)),
            })
        }
        (None, None) => compared.next(),
    };
    out.extend(second.map(|words| Tree::text("p", "note", words)));
    out
}

/// The last outage, if it is over and lies within what is drawn: that business is back is news, too.
fn back(curve: &CurveState, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let last = curve.outages.last()?;
    let to = last.to.filter(|to| now.duration_since(*to) < BEFORE)?;
    Some((last.from, to))
}

/// A value for people: whole from ten up.
fn number(value: f64, format: &Format) -> String {
    if value < 10.0 && value.fract() != 0.0 {
        return format!("{value:.1}");
    }
    format.count(value.max(0.0).round() as usize)
}

/// The value nearest to `at`, if there is one within five minutes.
fn near(points: &[(Timestamp, f64)], at: Timestamp) -> Option<f64> {
    let away = |point: &&(Timestamp, f64)| point.0.duration_since(at).abs();
    points.iter().min_by_key(away).filter(|point| away(point) <= SignedDuration::from_mins(5)).map(|p| p.1)
}

fn chart(board: &Board, curve: &CurveState, format: &Format) -> Tree {
    let (plot, top, bottom) = PLOT;
    // The axis moves with the minute, not with every board.
    let end = board.at.as_second() / 60 * 60;
    let from = end - BEFORE.as_secs();
    let whole = (BEFORE + AHEAD).as_secs() as f64;
    let x = |at: Timestamp| ((at.as_second() - from) as f64 / whole * plot).clamp(0.0, plot);
    let all = [&curve.points, &curve.yesterday, &curve.last_week];
    let most = all.into_iter().flatten().map(|point| point.1).fold(0.0_f64, f64::max).max(1e-9);
    let y = |value: f64| bottom - (value / most).clamp(0.0, 1.0) * (bottom - top);
    let line = |class: &str, points: &[(Timestamp, f64)]| {
        let shown = points.iter().filter(|point| point.0.as_second() >= from);
        let places: Vec<String> = shown.map(|point| format!("{:.0},{:.0}", x(point.0), y(point.1))).collect();
        Tree::of("polyline", class, Vec::new()).with("points", places.join(" "))
    };
    let word = |class: &str, x: f64, y: f64, words: String| {
        Tree::text("text", class, words).with("x", format!("{x:.0}")).with("y", format!("{y:.0}"))
    };
    let now = x(board.at);
    let mut parts = Vec::new();
    let shade = |class: &str, from: f64, to: f64| {
        Tree::of("rect", class, Vec::new())
            .with("x", format!("{from:.0}"))
            .with("y", "2")
            .with("width", format!("{:.0}", (to - from).max(4.0)))
            .with("height", format!("{:.0}", bottom - 2.0))
    };
    if unseen(board, curve) {
        parts.extend(last(curve).map(|(at, _)| shade("gap", x(at), now)));
    } else {
        let shown = |outage: &&Outage| outage.to.is_none_or(|to| to.as_second() > from);
        let outages = curve.outages.iter().filter(shown);
        parts.extend(outages.map(|outage| shade("bad", x(outage.from), outage.to.map_or(now, x))));
    }
    for (class, at) in [("axis", bottom), ("now", 0.0)] {
        let (x1, y1, x2, y2) = if class == "now" { (now, 2.0, now, bottom) } else { (0.0, at, plot, at) };
        parts.push(
            Tree::of("line", class, Vec::new())
                .with("x1", format!("{x1:.0}"))
                .with("y1", format!("{y1:.0}"))
                .with("x2", format!("{x2:.0}"))
                .with("y2", format!("{y2:.0}")),
        );
    }
    let labels =
        [("week", &curve.last_week, "last week", "上周"), ("day", &curve.yesterday, "yesterday", "昨日")];
    let mut taken: Option<f64> = None;
    for (class, points, en, zh) in labels {
        let Some((_, end)) = points.last() else { continue };
        parts.push(line(class, points));
        // The words stand at the end of their lines, at least a line apart.
        let mut at = y(*end) + 5.0;
        if let Some(other) = taken
            && (at - other).abs() < 18.0
        {
            at = other - 18.0;
        }
        taken = Some(at);
        parts.push(word("k", plot + 8.0, at.clamp(14.0, bottom), format.pick(en, zh).to_owned()));
    }
    parts.push(line("today", &curve.points));
    if let Some((at, value)) = last(curve) {
        parts.push(
            Tree::of("circle", "end", Vec::new())
                .with("cx", format!("{:.0}", x(at)))
                .with("cy", format!("{:.0}", y(value)))
                .with("r", "5"),
        );
    }
    for minutes in [60, 30, 0] {
        let at = Timestamp::from_second(end - minutes * 60).unwrap_or(board.at);
        let time = format.time(at);
        let shown = time.get(..5).unwrap_or(&time).to_owned();
        let class = match minutes {
            60 => "t from",
            _ => "t",
        };
        parts.push(word(class, x(at), 124.0, shown));
    }
    Tree::of("svg", "curve", parts).with("viewBox", format!("0 0 {WIDTH} 128")).with("aria-hidden", "true")
}
