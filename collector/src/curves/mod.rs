//! Business curves: their values by the minute, what they are compared with, and what is to be said of them. Pure;
//! `collect` asks for the values.

pub mod collect;
mod incident;
mod judge;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use topology::level::Level;
use topology::model::{Compare, Curve, Model};
use topology::text::Text;

use crate::clock::between;

pub(crate) use incident::{Outages, is_of_curve};
pub use judge::{Judgement, judge};

const MINUTE_MS: i64 = 60_000;
/// Minutes that are kept: a week to compare with, and what is drawn before.
const KEPT_MINUTES: i64 = 7 * 1440 + 360;
/// What is on the board: the last hours, and a little of what came then.
pub const SHOWN: Duration = Duration::from_hours(3);
const AHEAD: Duration = Duration::from_mins(30);
/// A value is not known any more after this many intervals.
const STALE_AFTER: u32 = 3;
/// Judgements in a row that make a level, and that clear it.
const CONFIRM: u32 = 2;

/// A curve on the board.
#[derive(Clone, Debug, PartialEq)]
pub struct CurveState {
    /// Its name in the file.
    pub name: String,
    /// Its name for people.
    pub title: Text,
    /// What is counted.
    pub unit: Option<Text>,
    /// The newest value, and when it was true.
    pub latest: Option<(Timestamp, f64)>,
    /// Confirmed.
    pub level: Level,
    /// What is wrong; empty when nothing is.
    pub words: Text,
    /// When it left its bounds within the last hours, and when it was back; the last one may go on.
    pub outages: Vec<Outage>,
    /// Below this it is out of its bounds.
    pub low: Option<f64>,
    /// Above this it is.
    pub high: Option<f64>,
    /// The last hours, a mean each minute that has one.
    pub points: Vec<(Timestamp, f64)>,
    /// What it was the day before, at the times of today; a little ahead, too.
    pub yesterday: Vec<(Timestamp, f64)>,
    /// The same of a week before.
    pub last_week: Vec<(Timestamp, f64)>,
}

/// A time out of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The first judgement that said so.
    pub from: Timestamp,
    /// The first one that said that it is back; none while it goes on.
    pub to: Option<Timestamp>,
}

impl CurveState {
    /// Since when it is out of its bounds, if it is.
    pub fn since(&self) -> Option<Timestamp> {
        let bad = matches!(self.level, Level::Yellow | Level::Red);
        self.outages.last().filter(|outage| bad && outage.to.is_none()).map(|outage| outage.from)
    }
}

/// Values by the minute: sum and number.
#[derive(Clone, Debug, Default)]
pub struct Minutes {
    means: BTreeMap<i64, (f64, u32)>,
}

impl Minutes {
    fn add(&mut self, at: Timestamp, value: f64) {
        let minute = at.as_millisecond().div_euclid(MINUTE_MS);
        let (sum, n) = self.means.entry(minute).or_default();
        *sum += value;
        *n += 1;
        let newest = self.means.last_key_value().map_or(minute, |(newest, _)| *newest);
        while self.means.first_key_value().is_some_and(|(oldest, _)| newest - oldest > KEPT_MINUTES) {
            self.means.pop_first();
        }
    }

    /// The means of the minutes that begin from `from` on and before `to`.
    pub(crate) fn between(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = (Timestamp, f64)> {
        let minute = |at: Timestamp| at.as_millisecond().div_euclid(MINUTE_MS);
        let (from, to) = (minute(from), minute(to));
        let means = if from < to { Some(self.means.range(from..to)) } else { None };
        means.into_iter().flatten().filter_map(|(minute, (sum, n))| {
            Some((Timestamp::from_millisecond(minute * MINUTE_MS).ok()?, sum / f64::from(*n)))
        })
    }
}

/// How far back a comparison lies.
pub(crate) const fn offset(compare: Compare) -> SignedDuration {
    SignedDuration::from_hours(match compare {
        Compare::Yesterday => 24,
        Compare::LastWeek => 24 * 7,
    })
}

#[derive(Clone, Debug)]
struct Known {
    minutes: Minutes,
    latest: Option<(Timestamp, f64)>,
    /// Why the last question had no answer.
    trouble: Option<String>,
    since: Timestamp,
    confirmed: (Level, Text),
    /// What was judged last, how often in a row, and since when.
    streak: (Level, u32, Timestamp),
    outages: Vec<Outage>,
    bounds: (Option<f64>, Option<f64>),
}

/// All curves of the file.
#[derive(Debug)]
pub struct Curves {
    known: BTreeMap<String, Known>,
    states: Arc<Vec<CurveState>>,
}

impl Curves {
    /// Nothing known yet.
    pub fn new(model: &Model, now: Timestamp) -> Self {
        let mut curves = Self { known: BTreeMap::new(), states: Arc::default() };
        curves.follow(model, now);
        curves
    }

    /// Another file: what keeps its name keeps its values.
    pub fn follow(&mut self, model: &Model, now: Timestamp) {
        self.known.retain(|name, _| model.curves.iter().any(|curve| curve.name == *name));
        for curve in &model.curves {
            self.known.entry(curve.name.clone()).or_insert_with(|| Known {
                minutes: Minutes::default(),
                latest: None,
                trouble: None,
                since: now,
                confirmed: (Level::Unknown, Text::default()),
                streak: (Level::Unknown, 0, now),
                outages: Vec::new(),
                bounds: (None, None),
            });
        }
        self.show(model, now);
    }

    /// Values that a database kept.
    pub fn restore(&mut self, model: &Model, points: &[(String, Timestamp, f64)], now: Timestamp) {
        for (name, at, value) in points {
            if let Some(known) = self.known.get_mut(name) {
                known.minutes.add(*at, *value);
                if known.latest.is_none_or(|(latest, _)| latest < *at) {
                    known.latest = Some((*at, *value));
                }
            }
        }
        for curve in &model.curves {
            if let Some(known) = self.known.get_mut(&curve.name) {
                known.look_back(curve, now);
            }
        }
        self.show(model, now);
    }

    /// Takes a value that was true at `at`, or why there is none. False when there is no such curve.
    pub fn take(&mut self, model: &Model, name: &str, at: Timestamp, value: Result<f64, String>) -> bool {
        let curve = model.curves.iter().find(|curve| curve.name == name);
        let (Some(curve), Some(known)) = (curve, self.known.get_mut(name)) else { return false };
        match value {
            Ok(value) => {
                known.minutes.add(at, value);
                known.trouble = None;
                if known.latest.is_none_or(|(latest, _)| latest <= at) {
                    known.latest = Some((at, value));
                    let judged = judge(curve, &known.minutes, at);
                    known.bounds = (judged.low, judged.high);
                    known.weigh(judged, at);
                }
            }
            Err(why) => known.trouble = Some(why),
        }
        self.show(model, at);
        true
    }

    /// Lets go of what nobody has renewed.
    pub fn expire(&mut self, model: &Model, now: Timestamp) {
        let mut any = false;
        for curve in &model.curves {
            let Some(known) = self.known.get_mut(&curve.name) else { continue };
            let seen = known.latest.map_or(known.since, |(at, _)| at);
            let stale = between(seen, now) > curve.interval * STALE_AFTER;
            if stale && (known.confirmed.0 != Level::Unknown || known.confirmed.1.en.is_empty()) {
                let why = known.trouble.clone().unwrap_or_else(|| "no value came".to_owned());
                known.confirmed =
                    (Level::Unknown, Text::new(format!("not known: {why}"), format!("无法得知：{why}")));
                known.streak = (Level::Unknown, 0, now);
                any = true;
            }
        }
        if any {
            self.show(model, now);
        }
    }

    /// As they are shown, in file order.
    pub fn states(&self) -> Arc<Vec<CurveState>> {
        Arc::clone(&self.states)
    }

    fn show(&mut self, model: &Model, now: Timestamp) {
        let states =
            model.curves.iter().filter_map(|curve| Some(self.known.get(&curve.name)?.shown(curve, now)));
        self.states = Arc::new(states.collect());
    }
}

impl Known {
    /// Suspected by one judgement, confirmed by the next.
    fn weigh(&mut self, judged: Judgement, at: Timestamp) {
        let Judgement { level, words, .. } = judged;
        let (was, times, since) = self.streak;
        self.streak = if was == level { (level, times + 1, since) } else { (level, 1, at) };
        let same = self.confirmed.0 == level;
        // The first judgement after none, when it is good, needs no second one.
        let first = self.confirmed.0 == Level::Unknown && level == Level::Green;
        if same || first || self.streak.1 >= CONFIRM {
            self.confirmed = (level, words);
            self.tell_outages(level, at);
        }
    }

    /// Keeps the outages of the last hours. What is not known neither begins one nor ends it.
    fn tell_outages(&mut self, level: Level, at: Timestamp) {
        let going = self.outages.last().is_some_and(|outage| outage.to.is_none());
        match level {
            // A milder bound may be left before the other: it began with the first of the two.
            Level::Yellow | Level::Red if !going => {
                self.outages.push(Outage { from: self.streak.2, to: None });
            }
            Level::Green if going => {
                let back = self.streak.2;
                if let Some(last) = self.outages.last_mut() {
                    last.to = Some(back);
                }
            }
            _ => {}
        }
        self.outages.retain(|outage| outage.to.is_none_or(|to| between(to, at) <= SHOWN));
    }

    /// Judges the last hours once more, by what a database kept of them: a restart forgets no outage.
    fn look_back(&mut self, curve: &Curve, now: Timestamp) {
        let shown = SignedDuration::try_from(SHOWN).unwrap_or(SignedDuration::ZERO);
        let minutes: Vec<Timestamp> = self.minutes.between(now - shown, now).map(|(at, _)| at).collect();
        let before = (self.confirmed.clone(), self.streak);
        for at in minutes {
            let judged = judge(curve, &self.minutes, at);
            self.weigh(judged, at);
        }
        // What it is now the next value tells.
        (self.confirmed, self.streak) = before;
    }

    fn shown(&self, curve: &Curve, now: Timestamp) -> CurveState {
        let shown = SignedDuration::try_from(SHOWN).unwrap_or(SignedDuration::ZERO);
        let ahead = SignedDuration::try_from(AHEAD).unwrap_or(SignedDuration::ZERO);
        let end = now + SignedDuration::from_secs(60);
        let then = |compare: Compare| -> Vec<(Timestamp, f64)> {
            if !curve.compare.contains(&compare) {
                return Vec::new();
            }
            let back = offset(compare);
            let values = self.minutes.between(now - back - shown, now - back + ahead);
            values.map(|(at, value)| (at + back, value)).collect()
        };
        CurveState {
            name: curve.name.clone(),
            title: curve.title.clone(),
            unit: curve.unit.clone(),
            latest: self.latest,
            level: self.confirmed.0,
            words: self.confirmed.1.clone(),
            outages: self.outages.clone(),
            low: self.bounds.0,
            high: self.bounds.1,
            points: self.minutes.between(now - shown, end).collect(),
            yesterday: then(Compare::Yesterday),
            last_week: then(Compare::LastWeek),
        }
    }
}

#[cfg(test)]
mod tests;
