//! From a node's looks to the facts of the verdict: the same confirmation as live, run over the record.

use crate::fault::{Fault, FaultKind, Reason};
use crate::level::Health;
use crate::normal::Normal;
use crate::verdict::{Looks, Onset};

/// One look, its level decided.
#[derive(Clone, Debug)]
pub(super) struct Look<'a> {
    pub(super) t: f64,
    pub(super) health: Health,
    pub(super) fault: Option<FaultKind>,
    pub(super) latency: Option<f64>,
    pub(super) words: &'a str,
    /// Whether words on dependencies came with it, and whether one of them was bad.
    pub(super) told: Told,
}

/// What a look's answer said of the dependencies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing.
    #[default]
    Nothing,
    /// All fine.
    Fine,
    /// Something is bad.
    Bad,
}

/// What the looks of one node say.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub(super) health: Health,
    pub(super) suspected: bool,
    pub(super) fault: Option<Fault>,
    pub(super) signal: Option<&'static str>,
    pub(super) onset: Option<Onset>,
    pub(super) last_good: Option<f64>,
    pub(super) chronic: bool,
    pub(super) slower_by: Option<f64>,
    pub(super) looks: Looks,
    pub(super) interval: f64,
}

/// Bad looks in a row that confirm, and good ones that clear, as in topology.yaml's defaults.
const AFTER: usize = 2;
/// A look without a level is slow when it took this many times the node's own normal ...
const SLOW_TIMES: f64 = 5.0;
/// ... and at least this much longer, in seconds: nobody feels less.
const SLOW_FLOOR: f64 = 0.2;
/// Without a look for this many intervals a node is unknown.
const STALE_INTERVALS: f64 = 3.0;

/// Gives a level to a look that brought none: good, unless it took far longer than is normal here.
pub(super) fn level_of_latency(latency: Option<f64>, normal: Option<&Normal>) -> Health {
    match (latency, normal) {
        (Some(value), Some(normal))
            if value > normal.median * SLOW_TIMES && value - normal.median > SLOW_FLOOR =>
        {
            Health::Impaired
        }
        _ => Health::Green,
    }
}

/// Judges the looks of one node, in time order, over `[from, to]`.
pub(super) fn judge(looks: &[Look<'_>], from: f64, to: f64, normal: Option<&Normal>) -> Judged {
    let interval = interval_of(looks);
    let mut judged = Judged {
        health: Health::Unknown,
        suspected: false,
        fault: None,
        signal: None,
        onset: None,
        last_good: looks.iter().filter(|l| l.health == Health::Green).map(|l| l.t).next_back(),
        chronic: false,
        slower_by: None,
        looks: Looks::default(),
        interval,
    };
    let Some(last) = looks.last() else { return judged };
    // The level that was confirmed when the incident began: trouble from before is no news.
    let before = confirmed_at(looks, from);
    let Some(spell) = worst_spell(looks, from, before) else {
        let stale = last.t < to - STALE_INTERVALS * interval;
        judged.health = if before.is_unhealthy() && !stale {
            judged.chronic = true;
            before
        } else if stale {
            Health::Unknown
        } else {
            Health::Green
        };
        judged.suspected = last.health.is_unhealthy();
        judged.slower_by = slower_by(looks.iter().filter(|l| l.t >= from), normal, last.t - 10.0 * interval);
        if judged.chronic {
            describe(&mut judged, looks, |l| l.health.is_unhealthy(), normal);
        }
        return judged;
    };
    judged.health = spell.health;
    judged.onset = Some(Onset { last_good: spell.last_good, first_bad: spell.first_bad });
    describe(
        &mut judged,
        looks,
        |l| l.t >= spell.first_bad && l.health.severity() > before.severity(),
        normal,
    );
    judged.looks.all = looks.iter().filter(|l| l.t >= spell.first_bad).count() as u32;
    judged.suspected = false;
    judged
}

struct Spell {
    health: Health,
    last_good: f64,
    first_bad: f64,
}

/// The first confirmed spell in the incident that is worse than what was there before, with its worst level.
fn worst_spell(looks: &[Look<'_>], from: f64, before: Health) -> Option<Spell> {
    let worse = |l: &Look<'_>| l.health.severity() > before.severity();
    let mut found: Option<Spell> = None;
    let mut run = 0;
    for (i, look) in looks.iter().enumerate() {
        if !worse(look) {
            run = 0;
            continue;
        }
        run += 1;
        // The first look of the run may lie before the window, the confirming one not.
        if run < AFTER || look.t < from {
            continue;
        }
        let first = i + 1 - run;
        if let Some(spell) = &mut found {
            spell.health = spell.health.worse(look.health);
        } else {
            let health = looks[first..=i].iter().fold(Health::Green, |h, l| h.worse(l.health));
            let last_good = if first > 0 { looks[first - 1].t } else { looks[first].t };
            found = Some(Spell { health, last_good, first_bad: looks[first].t });
        }
    }
    found
}

/// The level confirmed at `t`.
fn confirmed_at(looks: &[Look<'_>], t: f64) -> Health {
    let earlier: Vec<&Look<'_>> = looks.iter().take_while(|l| l.t < t).collect();
    let recent = &earlier[earlier.len().saturating_sub(6)..];
    // A single good or bad look among the last few changes nothing: the median of them is what was.
    let mut levels: Vec<Health> = recent.iter().map(|l| l.health).collect();
    levels.sort_by_key(|h| h.severity());
    levels.get(levels.len() / 2).copied().unwrap_or(Health::Green)
}

/// Fills in what the bad looks have in common.
fn describe(
    judged: &mut Judged,
    looks: &[Look<'_>],
    bad: impl Fn(&Look<'_>) -> bool,
    normal: Option<&Normal>,
) {
    let bad: Vec<&Look<'_>> = looks.iter().filter(|l| bad(l)).collect();
    let mut counts: Vec<(FaultKind, usize)> = Vec::new();
    for kind in bad.iter().filter_map(|l| l.fault) {
        match counts.iter_mut().find(|(k, _)| *k == kind) {
            Some((_, n)) => *n += 1,
            None => counts.push((kind, 1)),
        }
    }
    let main = counts.iter().max_by_key(|(kind, n)| (*n, kind.is_own())).map(|(kind, _)| *kind);
    let faults: usize = counts.iter().map(|(_, n)| n).sum();
    let words = |wanted: Option<FaultKind>| {
        bad.iter().rev().find(|l| l.fault == wanted).map(|l| l.words).unwrap_or_default()
    };
    if let Some(kind) = main
        && faults * 2 >= bad.len()
    {
        let text = words(Some(kind));
        judged.fault = Some(match reason_of(kind, text) {
            Some(reason) => Fault::new(kind, "ask", text).because(reason),
            None => Fault::new(kind, "ask", text),
        });
    } else {
        let text = words(None);
        judged.signal = Some(if text.starts_with("queue") {
            "amqp.queue_messages"
        } else if text.starts_with("degraded") {
            "health.reported"
        } else if bad.iter().any(|l| l.latency.is_some()) || text.starts_with("slow") {
            "latency_seconds"
        } else {
            "level"
        });
    }
    // Over all answers since then: dependants and dependencies are compared in the same way.
    let since = bad.first().map_or(f64::INFINITY, |l| l.t);
    judged.slower_by = slower_by(looks.iter(), normal, since);
    judged.looks = Looks {
        all: bad.len() as u32,
        bad: bad.len() as u32,
        mute: bad.iter().filter(|l| l.told == Told::Nothing).count() as u32,
        fine: bad.iter().filter(|l| l.told == Told::Fine).count() as u32,
    };
}

/// What the words say of the reason, in the terms of docs/probes.md.
fn reason_of(kind: FaultKind, words: &str) -> Option<Reason> {
    if kind != FaultKind::BadAnswer {
        return None;
    }
    let words = words.to_ascii_lowercase();
    let has = |needle: &str| words.contains(needle);
    if has("too many connections") || has("connection limit") || has("max number of clients") {
        Some(Reason::ConnectionLimit)
    } else if has("starting") || has("loading") {
        Some(Reason::Starting)
    } else if has("read only") || has("read-only") {
        Some(Reason::ReadOnly)
    } else {
        Some(Reason::Status5xx)
    }
}

/// The usual distance between two looks.
fn interval_of(looks: &[Look<'_>]) -> f64 {
    let mut gaps: Vec<f64> = looks.windows(2).map(|pair| pair[1].t - pair[0].t).collect();
    gaps.sort_by(f64::total_cmp);
    gaps.get(gaps.len() / 2).copied().unwrap_or(0.0)
}

/// The middle of how long answers took since `since`, less what is normal.
fn slower_by<'a>(
    looks: impl Iterator<Item = &'a Look<'a>>,
    normal: Option<&Normal>,
    since: f64,
) -> Option<f64> {
    let mut slow: Vec<f64> = looks.filter(|l| l.t >= since).filter_map(|l| l.latency).collect();
    if slow.is_empty() {
        return None;
    }
    Some(crate::normal::median_of(&mut slow) - normal.map_or(0.0, |normal| normal.median))
}
