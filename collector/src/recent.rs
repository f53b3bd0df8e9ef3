//! The recent past of one probe of one instance, in little room: what a recorded case is written from.
//!
//! Every look is kept for [`WINDOW`], at most [`MAX_LOOKS`] of them, eight bytes each. Signals and the words
//! of witnesses hardly change from look to look: they are kept when they do, and once in a while.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use probes::observation::Witness;
use topology::fault::FaultKind;
use topology::level::Health;

use crate::judge::Judged;

/// How far back it reaches.
pub const WINDOW: Duration = Duration::from_mins(15);
/// Looks of one job, at most.
pub const MAX_LOOKS: usize = 300;
/// Points of one signal, at most; then the older half is thinned.
const MAX_POINTS: usize = 64;
/// Words of witnesses on one job's dependencies, at most.
const MAX_SAID: usize = 128;
/// Different texts kept for one job.
const MAX_WORDS: usize = 8;
/// A signal that moved by less than this share is the same.
const SAME: f32 = 0.02;
/// What stays the same is noted this often, in milliseconds.
const SIGNAL_EVERY: i32 = 30_000;
const WITNESS_EVERY: i32 = 60_000;
/// Names of signals and dependencies in all; both come from the file, so that this is never reached.
const MAX_NAMES: usize = u16::MAX as usize;

/// Names of signals and dependencies, each kept once for all jobs.
#[derive(Debug, Default)]
pub struct Interned {
    places: HashMap<Arc<str>, u16>,
    names: Vec<Arc<str>>,
}

impl Interned {
    fn place(&mut self, name: &str) -> Option<u16> {
        if let Some(place) = self.places.get(name) {
            return Some(*place);
        }
        if self.names.len() >= MAX_NAMES {
            return None;
        }
        let (place, name) = (self.names.len() as u16, Arc::<str>::from(name));
        self.names.push(Arc::clone(&name));
        self.places.insert(name, place);
        Some(place)
    }

    /// The place of a name, if it was met.
    pub fn find(&self, name: &str) -> Option<u16> {
        self.places.get(name).copied()
    }

    /// The name at a place.
    pub fn name(&self, place: u16) -> Option<&str> {
        self.names.get(usize::from(place)).map(|name| &**name)
    }

    /// All names, by their place.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.names.clone()
    }
}

/// A moment: Unix milliseconds, the lower 32 bits of them. Moments are compared within 24 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment(u32);

impl Moment {
    fn of(at: Timestamp) -> Self {
        Self((at.as_millisecond() & 0xffff_ffff) as u32)
    }

    /// Milliseconds from `self` to `later`.
    fn to(self, later: Self) -> i32 {
        later.0.wrapping_sub(self.0).cast_signed()
    }

    /// In full, near `now`.
    fn back(self, now: Timestamp) -> Timestamp {
        let ms = now.as_millisecond() - i64::from(self.to(Self::of(now)));
        Timestamp::from_millisecond(ms).unwrap_or(now)
    }
}

/// One look: eight bytes.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Moment,
    took: u16,
    /// Level and fault.
    what: u8,
    /// One more than the place of its words, 0 for none.
    words: u8,
}

#[derive(Clone, Debug)]
struct Series {
    name: u16,
    points: VecDeque<(Moment, f32)>,
}

/// What was said of a dependency: eight bytes.
#[derive(Clone, Copy, Debug)]
struct Said {
    at: Moment,
    on: u16,
    /// `None` when it was neither praised nor accused.
    ok: Option<bool>,
    words: u8,
}

/// The recent past of one job.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    looks: VecDeque<Look>,
    said: VecDeque<Said>,
    series: Vec<Series>,
    words: Vec<Box<str>>,
}

/// A look as it is read back.
#[derive(Clone, Debug, PartialEq)]
pub struct PastLook<'a> {
    /// When its answer came.
    pub at: Timestamp,
    /// How long it took, to 0.02 %.
    pub took: Duration,
    /// The level that it alone makes.
    pub health: Health,
    /// Why there was no good answer.
    pub fault: Option<FaultKind>,
    /// What was wrong; empty when nothing was.
    pub words: &'a str,
}

/// A witness's word as it is read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastWord<'a> {
    /// When.
    pub at: Timestamp,
    /// Place of the dependency's name among the interned ones.
    pub on: u16,
    /// It could be used.
    pub ok: bool,
    /// The words.
    pub words: &'a str,
}

/// What a witness says of a dependency: it can be used, or not. Half a good word is neither: who serves some of its
/// callers badly is not cleared, and not accused.
pub(crate) fn said_well(witness: &Witness) -> Option<bool> {
    match witness.health {
        Health::Green => Some(true),
        Health::Red => Some(false),
        _ => None,
    }
}

/// One look as it comes in.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    /// When its answer came.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What it says.
    pub judged: &'a Judged,
    /// The dependencies it names.
    pub witnesses: &'a [Witness],
}

const HEALTHS: [Health; 6] =
    [Health::Green, Health::AtRisk, Health::Impaired, Health::Red, Health::Unknown, Health::Paused];

impl Recent {
    /// Keeps one look, its signals and its witnesses on nodes that `known` has.
    pub fn push<'s>(
        &mut self,
        now: Now<'_>,
        signals: impl IntoIterator<Item = (&'s String, &'s f64)>,
        known: impl Fn(&str) -> bool,
        names: &mut Interned,
    ) {
        let at = Moment::of(now.at);
        self.prune(now.at);
        for (name, value) in signals {
            if let Some(place) = names.place(name).filter(|_| value.is_finite()) {
                self.measured(place, at, *value as f32);
            }
        }
        for witness in now.witnesses.iter().filter(|witness| known(&witness.on)) {
            if let Some(on) = names.place(&witness.on) {
                self.heard(on, at, witness);
            }
        }
        let bad = now.judged.health != Health::Green;
        let words = if bad { self.keep_words(&now.judged.words.en) } else { 0 };
        let what = what(now.judged.health, now.judged.fault.as_ref().map(|fault| fault.kind));
        push_bounded(&mut self.looks, MAX_LOOKS, Look { at, took: coded(now.took), what, words });
    }

    fn measured(&mut self, name: u16, at: Moment, value: f32) {
        let place = self.series.iter().position(|series| series.name == name).unwrap_or_else(|| {
            self.series.push(Series { name, points: VecDeque::new() });
            self.series.len() - 1
        });
        let points = &mut self.series[place].points;
        if let Some((then, last)) = points.back()
            && (value - last).abs() <= last.abs() * SAME
            && then.to(at) < SIGNAL_EVERY
        {
            return;
        }
        if points.len() >= MAX_POINTS {
            let half = points.len() / 2;
            let mut place = 0;
            points.retain(|_| {
                place += 1;
                place > half || place % 2 == 1
            });
        }
        push_bounded(points, MAX_POINTS, (at, value));
    }

    fn heard(&mut self, on: u16, at: Moment, witness: &Witness) {
        let ok = said_well(witness);
        let before = self.said.iter().rev().find(|said| said.on == on);
        if before.is_some_and(|said| said.ok == ok && said.at.to(at) < WITNESS_EVERY) {
            return;
        }
        let words = if ok == Some(false) { self.keep_words(&witness.words) } else { 0 };
        push_bounded(&mut self.said, MAX_SAID, Said { at, on, ok, words });
    }

    /// One more than the place of `text`; 0 when it is empty or there is no room.
    fn keep_words(&mut self, text: &str) -> u8 {
        if text.is_empty() {
            return 0;
        }
        if let Some(place) = self.words.iter().position(|known| &**known == text) {
            return place as u8 + 1;
        }
        if self.words.len() < MAX_WORDS {
            self.words.push(text.into());
            return self.words.len() as u8;
        }
        let used = |place: usize| {
            let word = place as u8 + 1;
            self.looks.iter().any(|l| l.words == word) || self.said.iter().any(|s| s.words == word)
        };
        let Some(free) = (0..MAX_WORDS).find(|place| !used(*place)) else { return 0 };
        self.words[free] = text.into();
        free as u8 + 1
    }

    /// Forgets what is older than the window.
    pub fn prune(&mut self, now: Timestamp) {
        let (now, window) = (Moment::of(now), WINDOW.as_millis() as i32);
        // A moment that seems to lie ahead is older than can be told.
        let old = |at: &Moment| !(-window..=window).contains(&at.to(now));
        while self.looks.front().is_some_and(|look| old(&look.at)) {
            self.looks.pop_front();
        }
        while self.said.front().is_some_and(|said| old(&said.at)) {
            self.said.pop_front();
        }
        for series in &mut self.series {
            while series.points.front().is_some_and(|(at, _)| old(at)) {
                series.points.pop_front();
            }
        }
        self.series.retain(|series| !series.points.is_empty());
    }

    /// The looks, oldest first.
    pub fn looks(&self, now: Timestamp) -> impl Iterator<Item = PastLook<'_>> {
        self.looks.iter().map(move |look| {
            let (health, fault) = read_what(look.what);
            let (at, took) = (look.at.back(now), decoded(look.took));
            PastLook { at, took, health, fault, words: self.words_at(look.words) }
        })
    }

    /// How many looks are kept.
    pub fn len(&self) -> usize {
        self.looks.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.looks.is_empty()
    }

    /// The words of witnesses, oldest first.
    pub fn said(&self, now: Timestamp) -> impl Iterator<Item = PastWord<'_>> {
        self.said.iter().filter_map(move |said| {
            let (at, on, words) = (said.at.back(now), said.on, self.words_at(said.words));
            Some(PastWord { at, on, ok: said.ok?, words })
        })
    }

    /// The signals: place of the name, and the points, oldest first.
    pub fn series(
        &self,
        now: Timestamp,
    ) -> impl Iterator<Item = (u16, impl Iterator<Item = (Timestamp, f32)> + '_)> {
        self.series
            .iter()
            .map(move |series| (series.name, series.points.iter().map(move |(at, v)| (at.back(now), *v))))
    }

    /// The values of one signal: seconds from `now`, so below zero, oldest first.
    pub fn values(&self, name: u16, now: Timestamp) -> Vec<(f64, f64)> {
        let now = Moment::of(now);
        let series = self.series.iter().find(|series| series.name == name);
        let points = series.map(|series| series.points.iter());
        let relative = |(at, v): &(Moment, f32)| (f64::from(at.to(now)) / -1e3, f64::from(*v));
        points.into_iter().flatten().map(relative).collect()
    }

    /// How long the latest answers took, good or bad, in seconds: those since `since`, `most` of them.
    pub fn answered(&self, since: Timestamp, most: usize) -> Vec<f64> {
        let since = Moment::of(since);
        self.looks
            .iter()
            .rev()
            .take_while(|look| since.to(look.at) >= 0)
            .filter(|look| matches!(read_what(look.what).1, None | Some(FaultKind::BadAnswer)))
            .take(most)
            .map(|look| decoded(look.took).as_secs_f64())
            .collect()
    }

    fn words_at(&self, words: u8) -> &str {
        usize::from(words).checked_sub(1).and_then(|place| self.words.get(place)).map_or("", |text| text)
    }

    /// Bytes it takes on the heap.
    pub fn bytes(&self) -> usize {
        self.looks.capacity() * size_of::<Look>()
            + self.said.capacity() * size_of::<Said>()
            + self.series.capacity() * size_of::<Series>()
            + self.series.iter().map(|s| s.points.capacity() * size_of::<(Moment, f32)>()).sum::<usize>()
            + self.words.capacity() * size_of::<Box<str>>()
            + self.words.iter().map(|text| text.len()).sum::<usize>()
    }
}

/// Adds to a queue of a fixed length, the oldest goes. It grows by an eighth of its length at a time: doubling
/// would cost as much again as it holds.
fn push_bounded<T>(queue: &mut VecDeque<T>, most: usize, item: T) {
    if queue.len() >= most {
        queue.pop_front();
    } else if queue.len() == queue.capacity() {
        queue.reserve_exact((most / 8).max(1).min(most - queue.len()));
    }
    queue.push_back(item);
}

fn what(health: Health, fault: Option<FaultKind>) -> u8 {
    let place = |found: Option<usize>| found.unwrap_or_default() as u8;
    let health = place(HEALTHS.iter().position(|h| *h == health));
    let fault = fault.map_or(0, |kind| place(FaultKind::ALL.iter().position(|k| *k == kind)) + 1);
    health | fault << 3
}

fn read_what(what: u8) -> (Health, Option<FaultKind>) {
    let fault = usize::from(what >> 3).checked_sub(1).and_then(|place| FaultKind::ALL.get(place).copied());
    (HEALTHS.get(usize::from(what & 7)).copied().unwrap_or(Health::Unknown), fault)
}

/// Steps a factor of e: from a microsecond to an hour in 16 bits, each step 0.03 %.
const STEPS: f64 = 2970.0;

fn coded(took: Duration) -> u16 {
    ((took.as_secs_f64() * 1e6 + 1.0).ln() * STEPS).round().min(f64::from(u16::MAX)) as u16
}

fn decoded(took: u16) -> Duration {
    Duration::from_secs_f64(((f64::from(took) / STEPS).exp() - 1.0) / 1e6)
}

#[cfg(test)]
#[path = "recent_tests.rs"]
mod tests;
