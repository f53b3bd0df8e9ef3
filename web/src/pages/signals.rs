//! A node's signals as curves, and its levels as bars, over one stretch of time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use collector::board::Board;
use collector::history::points::{FAILED, LATENCY};
use collector::history::{HistoryError, Piece, Point, Window};
use jiff::Timestamp;
use serde::Deserialize;
use topology::kind::{Bad, Unit, show_value};
use topology::level::{Health, Level};
use topology::model::{Component, ComponentId, InstanceId, Threshold};
use topology::text::Lang;

use crate::WebState;
use crate::respond::Prefs;
use crate::view::Format;

/// The drawing of a curve, and of a bar.
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 64.0;
const BAR: f64 = 1000.0;
/// The narrowest mark of a bar, in its thousandths: a short fault is a small mark, and can be seen.
const NARROW: f64 = 4.0;
/// Instances of a component whose signals are read, the unhealthy ones first.
const MOST_INSTANCES: usize = 40;
/// Signals that are drawn; the others are told as figures.
const MOST_CHARTS: usize = 24;
/// A threshold that lies higher than this many times the greatest value is told and not drawn: the curve would lie flat.
const HEADROOM: f64 = 4.0;
/// Incidents that are shaded, at most.
const MOST_INCIDENTS: u32 = 100;

/// How far the page looks back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Range {
    /// An hour.
    #[default]
    Hour,
    /// Six hours.
    Six,
    /// A day.
    Day,
    /// A week.
    Week,
}

/// What the address says of it.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    range: String,
}

impl Range {
    const ALL: [Self; 4] = [Self::Hour, Self::Six, Self::Day, Self::Week];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Six => "6h",
            Self::Day => "24h",
            Self::Week => "7d",
        }
    }

    const fn title(self) -> (&'static str, &'static str) {
        match self {
            Self::Hour => ("1 h", "1 小时"),
            Self::Six => ("6 h", "6 小时"),
            Self::Day => ("24 h", "24 小时"),
            Self::Week => ("7 d", "7 天"),
        }
    }

    const fn length(self) -> Duration {
        Duration::from_hours(match self {
            Self::Hour => 1,
            Self::Six => 6,
            Self::Day => 24,
            Self::Week => 168,
        })
    }

    /// Points of a curve: of one instance as many as can be told apart, of several so few that the rows stay few.
    const fn points(self, one: bool) -> u32 {
        match (self, one) {
            (Self::Hour | Self::Six, true) => 180,
            (Self::Hour, false) => 60,
            (Self::Six, false) => 72,
            (Self::Day, true) => 288,
            (Self::Day, false) => 144,
            (Self::Week, _) => 168,
        }
    }

    /// The one that is asked for, else an hour.
    pub(super) fn of(wanted: &Wanted) -> Self {
        Self::ALL.into_iter().find(|range| range.as_str() == wanted.range).unwrap_or_default()
    }
}

/// What is shown: a component's, or those of one of its instances.
#[derive(Clone, Copy, Debug)]
pub(super) struct Of {
    pub(super) component: ComponentId,
    pub(super) instance: Option<InstanceId>,
}

/// The section of a page.
pub(super) struct Signals {
    pub(super) ranges: Vec<RangeLink>,
    /// Whose they are.
    pub(super) whose: String,
    /// Why there are no curves.
    pub(super) trouble: String,
    /// Times of day along the axis; empty without a past.
    pub(super) ticks: Vec<String>,
    pub(super) charts: Vec<Signal>,
    /// Those without a curve.
    pub(super) figures: Vec<Signal>,
    pub(super) bars: Vec<Bar>,
}

/// A link to another range.
pub(super) struct RangeLink {
    pub(super) title: &'static str,
    pub(super) href: String,
    pub(super) chosen: bool,
}

/// One signal: its figure, and its curve if there is one.
pub(super) struct Signal {
    pub(super) name: String,
    pub(super) value: String,
    /// How it stands against its thresholds; empty without any.
    pub(super) level: &'static str,
    /// `yellow from 80 %, red from 95 %`.
    pub(super) bounds: String,
    /// The curve in words.
    pub(super) words: String,
    /// From and how far, where an incident was open.
    pub(super) bad: Vec<(String, String)>,
    /// Points of least and greatest, and of the mean: a gap begins anew.
    pub(super) parts: Vec<(String, String)>,
    /// `yellow` or `red`, and how high.
    pub(super) limits: Vec<(&'static str, String)>,
}

/// A level over time.
pub(super) struct Bar {
    pub(super) title: &'static str,
    pub(super) words: String,
    /// The class, from, how far.
    pub(super) marks: Vec<(&'static str, String, String)>,
}

/// What history knows.
#[derive(Default)]
pub(super) struct Past {
    series: BTreeMap<String, Vec<(Timestamp, Point)>>,
    step: Duration,
    course: Vec<Piece>,
    incidents: Vec<(Timestamp, Timestamp)>,
}

/// The section for `of`, with what was within `range`.
pub(super) async fn signals(
    state: &WebState,
    board: &Board,
    of: Of,
    range: Range,
    prefs: &Prefs,
    format: &Format,
) -> Signals {
    let now = (state.clock)();
    let window = Window::last(range.length(), now);
    let asked = asked(board, of);
    let (past, trouble) = match past(state, board, of, &asked, (window, range), now).await {
        Ok(past) => (past, String::new()),
        Err(error) => (None, error.to_string()),
    };
    let name = match of.instance {
        Some(id) => &board.model.instance(id).name,
        None => &board.model.component(of.component).name,
    };
    let link = |other: Range| RangeLink {
        title: format.pick_static(other.title().0, other.title().1),
        href: format!("/nodes/{}{}", super::wall::encoded(name), prefs.turned("range", other.as_str())),
        chosen: other == range,
    };
    let ranges = if past.is_some() { Range::ALL.map(link).into() } else { Vec::new() };
    let count = board.model.component(of.component).instance_ids().len();
    let whose = match (of.instance, format.lang) {
        (Some(_), _) => name.clone(),
        (None, Lang::En) if asked.len() < count => {
            format!("of {} of {count} instances: their mean, from least to greatest", asked.len())
        }
        (None, Lang::Zh) if asked.len() < count => {
            format!("{count} 个实例中的 {} 个：均值，及最小到最大", asked.len())
        }
        (None, Lang::En) if count > 1 => format!("of {count} instances: their mean, from least to greatest"),
        (None, Lang::Zh) if count > 1 => format!("{count} 个实例：均值，及最小到最大"),
        _ => String::new(),
    };
    let ticks = past.as_ref().map(|_| ticks(window, range, format)).unwrap_or_default();
    let bars = past.as_ref().map(|past| bars(past, window, of, format)).unwrap_or_default();
    let all = all(board, of, &past.unwrap_or_default(), window, format);
    let (mut charts, mut figures) = (Vec::new(), Vec::new());
    for signal in all {
        if signal.parts.is_empty() || charts.len() >= MOST_CHARTS {
            figures.push(signal);
        } else {
            charts.push(signal);
        }
    }
    Signals { ranges, whose, trouble, ticks, charts, figures, bars }
}

/// The instances whose signals are looked at.
fn asked(board: &Board, of: Of) -> Vec<InstanceId> {
    if let Some(id) = of.instance {
        return vec![id];
    }
    let mut ids: Vec<InstanceId> = board.model.component(of.component).instance_ids().collect();
    ids.sort_by_key(|id| !board.instance(*id).health.is_unhealthy());
    ids.truncate(MOST_INSTANCES);
    ids
}

async fn past(
    state: &WebState,
    board: &Board,
    of: Of,
    asked: &[InstanceId],
    (window, range): (Window, Range),
    now: Timestamp,
) -> Result<Option<Past>, HistoryError> {
    let Some(history) = &state.history else { return Ok(None) };
    let model = &board.model;
    let names: Vec<&str> = asked.iter().map(|id| model.instance(*id).name.as_str()).collect();
    let points = range.points(names.len() == 1);
    let series = history.series_of(&names, window, points, now).await?;
    let node = of.instance.map_or_else(|| &model.component(of.component).name, |id| &model.instance(id).name);
    let course = history.course(node, window).await?;
    let incidents = history.incidents(model, window, MOST_INCIDENTS).await?;
    let concerned = incidents.iter().filter(|incident| {
        let verdict = &incident.verdict;
        verdict.affected.iter().any(|affected| affected.component == of.component)
            || verdict.roots.iter().any(|root| root.culprit.component(model) == Some(of.component))
    });
    let incidents = concerned.map(|one| (one.opened_at, one.resolved_at.unwrap_or(now))).collect();
    Ok(Some(Past { series: series.signals, step: series.step, course, incidents }))
}

/// Five times of day along the axis.
fn ticks(window: Window, range: Range, format: &Format) -> Vec<String> {
    let (from, to) = (window.from().as_second(), window.to().as_second());
    let at = |part: i64| Timestamp::from_second(from + (to - from) * part / 4).unwrap_or(window.to());
    let word = |at: Timestamp| match range {
        Range::Week => format.day_of_month(at),
        _ => format.hour(at),
    };
    (0..=4).map(|part| word(at(part))).collect()
}

fn threshold<'c>(component: &'c Component, name: &str) -> Option<&'c Threshold> {
    component.probes.iter().flat_map(|probe| &probe.thresholds).find(|threshold| threshold.signal == name)
}

/// The unit that the name of a signal ends in.
fn unit(name: &str) -> Unit {
    match name.split('[').next().unwrap_or(name) {
        name if name.ends_with("_seconds") => Unit::Seconds,
        name if name.ends_with("_bytes") => Unit::Bytes,
        name if name.ends_with("_ratio") => Unit::Ratio,
        _ => Unit::Count,
    }
}

/// All signals in an order that no value changes: those of every probe, those with thresholds, the others.
fn all(board: &Board, of: Of, past: &Past, window: Window, format: &Format) -> Vec<Signal> {
    let component = board.model.component(of.component);
    let instances: Vec<InstanceId> =
        of.instance.map_or_else(|| component.instance_ids().collect(), |id| vec![id]);
    let mut present: BTreeMap<&str, f64> = BTreeMap::new();
    let mut take = |name, value: f64| {
        let worst = present.entry(name).or_insert(value);
        *worst = match threshold(component, name).map(|threshold| threshold.bad) {
            Some(Bad::Below) => worst.min(value),
            _ => worst.max(value),
        };
    };
    for id in instances {
        let state = board.instance(id);
        for (name, value) in state.signals.iter() {
            take(name, *value);
        }
        if let Some(latency) = state.latency {
            take(LATENCY, latency.as_secs_f64());
        }
    }
    let names: BTreeSet<&str> =
        present.keys().copied().chain(past.series.keys().map(String::as_str)).collect();
    let mut names: Vec<&str> = names.into_iter().collect();
    let place = |name: &str| match name {
        LATENCY => 0,
        FAILED => 1,
        name if threshold(component, name).is_some() => 2,
        _ => 3,
    };
    names.sort_by_key(|name| (place(name), *name));
    let signal = |name: &str| {
        let points = past.series.get(name).map_or(&[][..], Vec::as_slice);
        signal(component, name, (present.get(name).copied(), points), past, window, format)
    };
    names.into_iter().map(signal).collect()
}

fn signal(
    component: &Component,
    name: &str,
    (now, points): (Option<f64>, &[(Timestamp, Point)]),
    past: &Past,
    window: Window,
    format: &Format,
) -> Signal {
    let (threshold, unit) = (threshold(component, name), unit(name));
    let bad = threshold.map(|threshold| threshold.bad);
    let reached = |limit: Option<f64>, value: f64| match (limit, bad) {
        (Some(limit), Some(Bad::Below)) => value <= limit,
        (Some(limit), Some(Bad::Above)) => value >= limit,
        _ => false,
    };
    let (yellow, red) = threshold.map_or((None, None), |threshold| (threshold.yellow, threshold.red));
    let show = |value: f64| show_value(value, unit);
    let words = |limit: Option<f64>, en: &str, zh: &str| {
        limit.map(|limit| match (format.lang, bad) {
            (Lang::En, Some(Bad::Below)) => format!("{en} at or below {}", show(limit)),
            (Lang::En, _) => format!("{en} from {}", show(limit)),
            (Lang::Zh, Some(Bad::Below)) => format!("≤ {} {zh}", show(limit)),
            (Lang::Zh, _) => format!("≥ {} {zh}", show(limit)),
        })
    };
    let bounds: Vec<String> =
        words(yellow, "yellow", "黄").into_iter().chain(words(red, "red", "红")).collect();
    // What is no signal of the board stands as it was seen last.
    let last = points.last().map(|(_, point)| point.mean).filter(|_| name == FAILED);
    let value = now.or(last);
    let level = match value {
        Some(value) if reached(red, value) => "red",
        Some(value) if reached(yellow, value) => "yellow",
        _ => "",
    };
    let drawn = Drawn::of(points, past.step, [yellow, red], window);
    let title = match name {
        LATENCY => format.pick("Latency", "延迟").to_owned(),
        FAILED => format.pick("Looks that failed", "失败的探测").to_owned(),
        name => name.to_owned(),
    };
    Signal {
        name: title,
        value: value.map_or_else(|| "—".to_owned(), show),
        level,
        bounds: bounds.join(format.pick(", ", "，")),
        words: match (drawn.extremes, format.lang) {
            (Some((least, most)), Lang::En) => format!("from {} to {}", show(least), show(most)),
            (Some((least, most)), Lang::Zh) => format!("{} 至 {}", show(least), show(most)),
            (None, _) => String::new(),
        },
        bad: if drawn.parts.is_empty() { Vec::new() } else { shades(past, window) },
        limits: [("yellow", yellow), ("red", red)]
            .into_iter()
            .filter_map(|(word, limit)| Some((word, drawn.height(limit?)?)))
            .collect(),
        parts: drawn.parts,
    }
}

/// Where `at` lies, of `width`.
fn across(at: Timestamp, window: Window, width: f64) -> f64 {
    let whole = window.length().as_secs_f64().max(1e-3);
    let seconds = at.duration_since(window.from()).as_secs_f64();
    (seconds / whole * width).clamp(0.0, width)
}

/// From and how far the incidents of the node go.
fn shades(past: &Past, window: Window) -> Vec<(String, String)> {
    let shade = |(from, to): &(Timestamp, Timestamp)| {
        let (from, to) = (across(*from, window, WIDTH), across(*to, window, WIDTH));
        let width = (to - from).max(1.5);
        (short((from).min(WIDTH - width)), short(width))
    };
    past.incidents.iter().map(shade).collect()
}

/// A curve in the drawing's own measures.
struct Drawn {
    parts: Vec<(String, String)>,
    extremes: Option<(f64, f64)>,
    /// What the drawing's lower and upper edge mean.
    bottom: f64,
    top: f64,
}

impl Drawn {
    fn of(points: &[(Timestamp, Point)], step: Duration, limits: [Option<f64>; 2], window: Window) -> Self {
        let least = points.iter().map(|(_, point)| point.min).reduce(f64::min);
        let most = points.iter().map(|(_, point)| point.max).reduce(f64::max);
        let extremes = least.zip(most);
        let (least, most) = extremes.unwrap_or((0.0, 0.0));
        // From zero on, so that heights can be compared; and up to the thresholds where they are near.
        let near = limits.into_iter().flatten().filter(|limit| *limit <= most.abs() * HEADROOM);
        let top = near.fold(most, f64::max).max(1e-9) * 1.05;
        let mut drawn = Self { parts: Vec::new(), extremes, bottom: least.min(0.0), top };
        for part in unbroken(points, step) {
            let (mut upper, mut lower, mut line) = (Vec::new(), Vec::new(), Vec::new());
            let half = step / 2;
            let mut put = |at: Timestamp, point: &Point| {
                let x = short(across(at, window, WIDTH));
                upper.push(format!("{x},{}", short(drawn.y(point.max))));
                lower.push(format!("{x},{}", short(drawn.y(point.min))));
                line.push(format!("{x},{}", short(drawn.y(point.mean))));
            };
            match part {
                // One alone is as wide as the time it stands for.
                [(at, point)] => {
                    put(*at, point);
                    put(*at + step, point);
                }
                part => part.iter().for_each(|(at, point)| put(*at + half, point)),
            }
            lower.reverse();
            upper.extend(lower);
            drawn.parts.push((upper.join(" "), line.join(" ")));
        }
        drawn
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value - self.bottom) / (self.top - self.bottom);
        HEIGHT - 2.0 - share.clamp(0.0, 1.0) * (HEIGHT - 4.0)
    }

    fn height(&self, limit: f64) -> Option<String> {
        (limit >= self.bottom && limit <= self.top).then(|| short(self.y(limit)))
    }
}

/// The stretches between gaps: where a point is missing nobody saw anything.
fn unbroken(points: &[(Timestamp, Point)], step: Duration) -> Vec<&[(Timestamp, Point)]> {
    // A bucket that is not full yet, or a look that came a little later, is no gap.
    let most = step.as_secs_f64() * 1.6 + 1.0;
    points.chunk_by(|a, b| b.0.duration_since(a.0).as_secs_f64() <= most).collect()
}

/// A number for an attribute.
fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Own, inherited and shown level of a component; of an instance its own.
fn bars(past: &Past, window: Window, of: Of, format: &Format) -> Vec<Bar> {
    if past.course.is_empty() {
        return Vec::new();
    }
    let own = |piece: &Piece| (piece.level.own, piece.level.explained_by.is_some());
    let inherited = |piece: &Piece| {
        let any = !piece.level.inherited_from.is_empty();
        (if any { piece.level.health } else { Health::Green }, any)
    };
    let shown = |piece: &Piece| (piece.level.health, !piece.level.is_red_itself());
    let bar =
        |title: &'static str, of: &dyn Fn(&Piece) -> (Health, bool)| bar(title, past, window, of, format);
    if of.instance.is_some() {
        let shown = |piece: &Piece| (piece.level.health, piece.level.explained_by.is_some());
        return vec![bar(format.pick_static("Level", "状态"), &shown)];
    }
    vec![
        bar(format.pick_static("Its own", "自身"), &own),
        bar(format.pick_static("Inherited", "继承"), &inherited),
        bar(format.pick_static("Shown", "显示"), &shown),
    ]
}

fn bar(
    title: &'static str,
    past: &Past,
    window: Window,
    of: &dyn Fn(&Piece) -> (Health, bool),
    format: &Format,
) -> Bar {
    let mut spans: Vec<(Level, bool, Timestamp, Timestamp)> = Vec::new();
    for piece in &past.course {
        let (health, others) = of(piece);
        let (level, others) = (health.level(), others && health.is_unhealthy());
        match spans.last_mut() {
            Some(last) if last.3 == piece.from && (last.0, last.1) == (level, others) => last.3 = piece.to,
            _ => spans.push((level, others, piece.from, piece.to)),
        }
    }
    let mut lasted: BTreeMap<u8, (Level, u64)> = BTreeMap::new();
    for (level, _, from, to) in &spans {
        let seconds = to.duration_since(*from).as_secs().max(0).unsigned_abs();
        lasted.entry(level.rank()).or_insert((*level, 0)).1 += seconds;
    }
    let words: Vec<String> = lasted
        .into_values()
        .rev()
        .map(|(level, seconds)| format!("{} {}", format.level(level), format.seconds(seconds)))
        .collect();
    // The worst last, so that nothing covers it.
    spans.sort_by_key(|(level, ..)| level.rank());
    let mark = |(level, others, from, to): (Level, bool, Timestamp, Timestamp)| {
        let (x, end) = (across(from, window, BAR), across(to, window, BAR));
        let width = (end - x).max(NARROW);
        let class = match (level, others) {
            (Level::Red, true) => "red other",
            (Level::Yellow, true) => "yellow other",
            (level, _) => level.as_str(),
        };
        (class, short(x.min(BAR - width)), short(width))
    };
    Bar { title, words: words.join(format.pick(", ", "，")), marks: spans.into_iter().map(mark).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn points(seconds: &[i64]) -> Vec<(Timestamp, Point)> {
        seconds.iter().map(|second| (at(*second), Point::of(*second as f64))).collect()
    }

    #[test]
    fn a_gap_is_a_gap_and_one_point_alone_is_seen() {
        let (step, window) = (Duration::from_mins(1), Window::new(at(0), at(600)).unwrap());
        let drawn = Drawn::of(&points(&[0, 60, 120, 300, 480, 540]), step, [None, None], window);
        let lines: Vec<usize> = drawn.parts.iter().map(|(_, line)| line.split(' ').count()).collect();
        assert_eq!(lines, [3, 2, 2]);
        let (band, line) = &drawn.parts[1];
        assert_eq!(line.split(' ').map(|p| p.split(',').next().unwrap()).collect::<Vec<_>>(), ["150", "180"]);
        assert_eq!(band.split(' ').count(), 4);
        assert!(Drawn::of(&[], step, [None, None], window).parts.is_empty());
    }

    #[test]
    fn a_threshold_far_above_the_curve_does_not_flatten_it() {
        let (step, window) = (Duration::from_mins(1), Window::new(at(0), at(600)).unwrap());
        let of = |limits| Drawn::of(&points(&[60, 120]), step, limits, window);
        let near = of([Some(200.0), Some(400.0)]);
        assert!(near.height(200.0).is_some() && near.height(400.0).is_some());
        let far = of([Some(200.0), Some(10_000.0)]);
        assert!(far.height(200.0).is_some() && far.height(10_000.0).is_none());
        assert!(far.y(120.0) < near.y(120.0), "the curve keeps its height");
    }
}
