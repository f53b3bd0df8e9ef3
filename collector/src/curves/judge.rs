//! Whether a curve is within its bounds: the last minutes against the same minutes of the other days. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use topology::level::Level;
use topology::model::{Compare, Curve};
use topology::text::Text;

use super::{Minutes, offset};

/// So much is compared at once, or three intervals: a minute alone says little.
const WINDOW: Duration = Duration::from_mins(5);
/// What was usual then is looked at so far around.
const AROUND: SignedDuration = SignedDuration::from_mins(10);
/// Minutes with a value that a comparison needs on either side.
const ENOUGH: usize = 3;

/// What a curve is at some moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Green, yellow or red; unknown when there is nothing to compare.
    pub level: Level,
    /// What is wrong; empty when nothing is.
    pub words: Text,
    /// Below this it is out of its bounds.
    pub low: Option<f64>,
    /// Above this it is.
    pub high: Option<f64>,
}

/// One of the other days.
#[derive(Clone, Copy)]
struct Then {
    compare: Compare,
    mean: f64,
    least: f64,
    greatest: f64,
}

/// How much is compared at once.
pub(super) fn window(curve: &Curve) -> Duration {
    WINDOW.max(curve.interval * 3)
}

/// Judges the minutes before `now`. Out of bounds is what is so against **every** day it is compared with, and outside
/// of all that was seen around the time then: a ratio of small numbers proves nothing, and neither does one odd day.
pub fn judge(curve: &Curve, minutes: &Minutes, now: Timestamp) -> Judgement {
    let length = SignedDuration::try_from(window(curve)).unwrap_or(SignedDuration::ZERO);
    let end = now + SignedDuration::from_secs(60);
    let unknown = Judgement { level: Level::Unknown, words: Text::default(), low: None, high: None };
    let Some(today) = mean(minutes.between(end - length, end).map(|(_, value)| value)) else {
        return unknown;
    };
    let days: Vec<Then> = curve
        .compare
        .iter()
        .filter_map(|compare| {
            let back = offset(*compare);
            let mean = mean(minutes.between(end - back - length, end - back).map(|(_, value)| value))?;
            let around = minutes.between(end - back - length - AROUND, end - back + AROUND);
            let (least, greatest) = around
                .fold((f64::MAX, f64::MIN), |(least, most), (_, value)| (least.min(value), most.max(value)));
            Some(Then { compare: *compare, mean, least, greatest })
        })
        .collect();
    if days.is_empty() {
        return unknown;
    }
    let share = |bound: Option<f64>| bound.unwrap_or(f64::NAN);
    let below = |bound: Option<f64>| days.iter().all(|d| today <= d.mean * share(bound) && today < d.least);
    let above =
        |bound: Option<f64>| days.iter().all(|d| today >= d.mean * share(bound) && today > d.greatest);
    let (low, high) = (curve.below, curve.above);
    let found = if low.is_some_and(|b| below(b.red)) {
        Some((Level::Red, true))
    } else if high.is_some_and(|b| above(b.red)) {
        Some((Level::Red, false))
    } else if low.is_some_and(|b| below(b.yellow)) {
        Some((Level::Yellow, true))
    } else if high.is_some_and(|b| above(b.yellow)) {
        Some((Level::Yellow, false))
    } else {
        None
    };
    let means = || days.iter().map(|day| day.mean);
    Judgement {
        level: found.map_or(Level::Green, |(level, _)| level),
        words: found.map(|(_, fell)| words(curve, today, &days, fell)).unwrap_or_default(),
        low: low.and_then(|b| b.yellow.or(b.red)).map(|share| means().fold(f64::MAX, f64::min) * share),
        high: high.and_then(|b| b.yellow.or(b.red)).map(|share| means().fold(f64::MIN, f64::max) * share),
    }
}

/// The mean of enough values.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0), |(sum, n), value| (sum + value, n + 1));
    (n >= ENOUGH).then(|| sum / n as f64)
}

fn words(curve: &Curve, today: f64, days: &[Then], fell: bool) -> Text {
    let Some(day) = days.iter().min_by(|a, b| a.mean.total_cmp(&b.mean)) else { return Text::default() };
    let (then, then_zh) = match day.compare {
        Compare::Yesterday => ("yesterday", "昨天同一时间"),
        Compare::LastWeek => ("a week ago", "上周同一时间"),
    };
    let (did, did_zh) = if fell { ("fell", "下降") } else { ("rose", "上升") };
    let (now, was) = (figure(today), figure(day.mean));
    let percent =
        if day.mean > 0.0 { format!(", {} %", (today / day.mean * 100.0).round()) } else { String::new() };
    let percent_zh = percent.replace(", ", "，为其 ");
    Text::new(
        format!("{} {did} to {now}; {then} it was {was}{percent}", curve.title.en),
        format!("{}{did_zh}至 {now}；{then_zh}为 {was}{percent_zh}", curve.title.zh),
    )
}

/// A figure for people: three significant digits.
fn figure(value: f64) -> String {
    let digits = if value.abs() >= 100.0 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
