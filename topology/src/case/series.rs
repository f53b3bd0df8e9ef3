//! Levels and signs from raw series: each against its own normal.

use std::collections::BTreeMap;

use super::replay::Platform;
use super::{CaseSeries, RecordedCase};
use crate::model::ComponentId;
use crate::normal::{Normal, median_of};
use crate::verdict::{Family, Flow, Gap, Meaning, Movement, Movements, Sign, Verdict, trace};

/// The signs of a case: values with a meaning, before and after `began`.
pub(super) fn signs(case: &RecordedCase, platform: &Platform, began: f64) -> Vec<Sign> {
    let mut signs = Vec::new();
    for s in &case.series {
        let (Some(meaning), Some(at)) = (Meaning::of(&s.signal), platform.instance(&s.node)) else {
            continue;
        };
        let peer = s.peer.as_deref().and_then(|p| platform.node(p)).map(|(c, _)| c);
        let before = s.points.iter().filter(|(t, _)| *t < began.min(case.normal.to)).filter_map(|(_, v)| *v);
        let Some(normal) = Normal::of(before, 0.0) else { continue };
        let mut after: Vec<f64> =
            s.points.iter().filter(|(t, _)| *t >= began).filter_map(|(_, v)| *v).collect();
        if after.is_empty() {
            continue;
        }
        let extreme = after
            .iter()
            .copied()
            .max_by(|a, b| (a - normal.median).abs().total_cmp(&(b - normal.median).abs()))
            .unwrap_or(normal.median);
        let now = median_of(&mut after);
        signs.push(Sign { at, signal: s.signal.clone(), meaning, peer, normal: normal.median, now, extreme });
    }
    signs
}

/// The verdict when there are only series.
pub(super) fn verdict(case: &RecordedCase, platform: &Platform) -> Verdict {
    trace(&platform.model, &platform.graph, &movements(case, platform))
}

fn movements(case: &RecordedCase, platform: &Platform) -> Movements {
    let component = |name: &str| platform.node(name).map(|(c, _)| c);
    let target = case.target.as_deref().and_then(component);
    let wanted = case.target_signal.as_deref().map(family_of_name);
    let mut all = Movements { target, family: wanted, ..Movements::default() };
    for node in &case.graph.nodes {
        if node.labels.as_ref().and_then(|l| l.get("observed")).is_some_and(|o| o == "caller") {
            all.caller_only.extend(component(&node.id));
        }
    }
    for s in &case.series {
        let Some(id) = component(&s.node) else { continue };
        let family =
            s.family.as_deref().and_then(family_of_word).unwrap_or_else(|| family_of_name(&s.signal));
        if family == Family::Traffic || is_foreign(&s.signal) {
            continue;
        }
        if Some(family) == wanted && !all.measured.contains(&id) {
            all.measured.push(id);
        }
        let witness =
            s.witness.as_deref().and_then(component).filter(|w| *w != id && !is_callee_side(&s.signal));
        if let Some(m) = moved(case, s, &s.points, family) {
            all.signals.push(Movement {
                component: id,
                signal: s.signal.clone(),
                unit: s.unit.clone().unwrap_or_default(),
                family,
                witness,
                normal: m.normal,
                now: m.now,
                change: m.change,
                deviation: m.deviation,
                rows: m.rows,
            });
        }
    }
    all.gaps = gaps(case, platform);
    all.flows = flows(case, platform);
    all
}

/// How far a series went.
struct Moved {
    normal: f64,
    now: f64,
    change: f64,
    deviation: f64,
    rows: Vec<(f64, f64)>,
}

/// Compares a series during the incident with its normal, and with the best it was just before it was
/// noticed: what was as bad then is no news.
fn moved(
    case: &RecordedCase,
    s: &CaseSeries,
    points: &[(f64, Option<f64>)],
    family: Family,
) -> Option<Moved> {
    // Errors are measured as errors, whichever way the series counts.
    let down = s.bad.as_deref() == Some("down") || s.bad.is_none() && counts_good(&s.signal);
    let top = if s.unit.as_deref() == Some("%") { 100.0 } else { 1.0 };
    let turn = |v: f64| match (down, family) {
        (true, Family::Errors) => top - v,
        (true, _) => -v,
        (false, _) => v,
    };
    let values = |from: f64, to: f64| {
        points.iter().filter(move |(t, _)| *t >= from && *t <= to).filter_map(|(_, v)| *v).map(turn)
    };
    let unit = s.unit.as_deref().unwrap_or_default();
    let normal = Normal::of(values(case.normal.from, case.normal.to), floor(unit, family))?;
    let noticed = case.noticed.unwrap_or(case.incident.from);
    // A row stands for the time up to the next one: the one in which it was noticed may lie before that.
    let begun = noticed - step(points, case);
    let mut during: Vec<f64> = values(begun, case.incident.to).collect();
    during.sort_by(|a, b| b.total_cmp(a));
    // One row alone may be a hiccup; of two the mean.
    let now = match during[..] {
        [] => return None,
        [one] => one,
        [one, two, ..] => f64::midpoint(one, two),
    };
    // Where the old normal no longer holds, what strays from it strays anyway: half of how far it had
    // drifted just before counts as its spread.
    let before = values(case.incident.from, begun - 1e-6).min_by(f64::total_cmp);
    let usual = before.map_or(normal.median, |b| b.max(normal.median));
    let drifted = usual - normal.median;
    let deviation = (now - usual) / (normal.spread + 0.5 * drifted).max(f64::MIN_POSITIVE);
    Some(Moved {
        normal: turn_back(normal.median, down, family, top),
        now: turn_back(now, down, family, top),
        change: (now - usual).max(0.0),
        deviation: deviation.max(0.0),
        rows: points
            .iter()
            .filter(|(t, _)| (case.incident.from..=case.incident.to).contains(t))
            .filter_map(|(t, v)| Some((*t, turn((*v)?))))
            .collect(),
    })
}

/// The distance between two rows, in seconds.
fn step(points: &[(f64, Option<f64>)], case: &RecordedCase) -> f64 {
    let mut gaps: Vec<f64> = points
        .windows(2)
        .filter(|pair| pair[1].0 >= case.incident.from)
        .map(|pair| pair[1].0 - pair[0].0)
        .collect();
    if gaps.is_empty() { 0.0 } else { median_of(&mut gaps).min(case.incident.to - case.incident.from) }
}

fn turn_back(v: f64, down: bool, family: Family, top: f64) -> f64 {
    match (down, family) {
        (true, Family::Errors) => top - v,
        (true, _) => -v,
        (false, _) => v,
    }
}

/// The smallest spread that means anything.
fn floor(unit: &str, family: Family) -> f64 {
    match (unit, family) {
        ("s", _) => 0.001,
        ("ms", _) => 1.0,
        // Five hundredths of a per cent of errors.
        ("%", Family::Errors) => 0.05,
        (_, Family::Errors) => 0.0005,
        ("%", _) => 1.0,
        (_, Family::Saturation) => 0.01,
        _ => 0.0,
    }
}

fn family_of_word(word: &str) -> Option<Family> {
    match word {
        "latency" => Some(Family::Latency),
        "errors" => Some(Family::Errors),
        "saturation" => Some(Family::Saturation),
        "traffic" => Some(Family::Traffic),
        _ => None,
    }
}

/// What a signal shows, by the usual names (the four golden signals, Google SRE book, chapter 6).
fn family_of_name(name: &str) -> Family {
    let has = |list: &[&str]| list.iter().any(|needle| name.contains(needle));
    if has(&["latency", "duration", "response_time", "_seconds"]) {
        Family::Latency
    } else if has(&["availability", "success", "error", "fail"]) {
        Family::Errors
    } else if has(&[
        "cpu",
        "memory",
        "disk",
        "pool",
        "util",
        "saturation",
        "fd_",
        "in_use",
        "throttl",
        "connections",
        "queue",
    ]) {
        Family::Saturation
    } else {
        Family::Traffic
    }
}

fn counts_good(name: &str) -> bool {
    name.contains("availability") || name.contains("success")
}

/// Signals that tell of somebody else: of the host it shares, or of those it calls.
fn is_foreign(name: &str) -> bool {
    name.starts_with("host_") || name.contains("client") || name == "memory" || name.ends_with("_p99")
}

/// Measured on an edge, but by the callee: its own word.
fn is_callee_side(name: &str) -> bool {
    name.contains("callee")
}

/// For each edge: what the caller waits less what the callee works, against its normal.
fn gaps(case: &RecordedCase, platform: &Platform) -> Vec<Gap> {
    let mut pairs: BTreeMap<(&str, &str, String), [Option<&CaseSeries>; 2]> = BTreeMap::new();
    for s in &case.series {
        let Some(witness) = s.witness.as_deref() else { continue };
        if family_of_name(&s.signal) != Family::Latency {
            continue;
        }
        if s.signal.contains("caller") {
            let base = s.signal.replace("caller", "*");
            pairs.entry((&s.node, witness, base)).or_default()[0] = Some(s);
        } else if is_callee_side(&s.signal) {
            let base = s.signal.replace("callee", "*");
            pairs.entry((&s.node, witness, base)).or_default()[1] = Some(s);
        }
    }
    let mut best: BTreeMap<(ComponentId, ComponentId), Gap> = BTreeMap::new();
    for ((callee, caller, _), pair) in pairs {
        let [Some(waits), Some(works)] = pair else { continue };
        let (Some((caller, _)), Some((callee, _))) = (platform.node(caller), platform.node(callee)) else {
            continue;
        };
        let at: BTreeMap<u64, f64> =
            works.points.iter().filter_map(|(t, v)| Some((t.to_bits(), (*v)?))).collect();
        let points: Vec<(f64, Option<f64>)> = waits
            .points
            .iter()
            .filter_map(|(t, v)| Some((*t, Some((*v)? - at.get(&t.to_bits())?))))
            .collect();
        let Some(m) = moved(case, waits, &points, Family::Latency) else { continue };
        let gap = Gap { caller, callee, change: m.change, deviation: m.deviation };
        let entry = best.entry((caller, callee)).or_insert_with(|| gap.clone());
        if gap.deviation > entry.deviation {
            *entry = gap;
        }
    }
    best.into_values().collect()
}

/// Components whose calls out fell while what comes in did not: the worst of each one's edges.
fn flows(case: &RecordedCase, platform: &Platform) -> Vec<Flow> {
    // Requests a row on each edge, by the name of the row's time.
    let mut edges: BTreeMap<(ComponentId, ComponentId), BTreeMap<u64, f64>> = BTreeMap::new();
    for s in &case.series {
        let (Some(caller), true) = (s.witness.as_deref(), s.signal.contains("requests")) else { continue };
        let (Some((caller, _)), Some((callee, _))) = (platform.node(caller), platform.node(&s.node)) else {
            continue;
        };
        let rows = edges.entry((caller, callee)).or_default();
        rows.extend(s.points.iter().filter_map(|(t, v)| Some((t.to_bits(), (*v)?))));
    }
    let mut inward: BTreeMap<ComponentId, BTreeMap<u64, f64>> = BTreeMap::new();
    for ((_, callee), rows) in &edges {
        let total = inward.entry(*callee).or_default();
        for (t, v) in rows {
            *total.entry(*t).or_default() += v;
        }
    }
    let noticed = case.noticed.unwrap_or(case.incident.from);
    let mut worst: BTreeMap<ComponentId, Flow> = BTreeMap::new();
    for ((caller, _), rows) in &edges {
        let Some(inflow) = inward.get(caller) else { continue };
        let times: Vec<f64> = inflow.keys().map(|t| f64::from_bits(*t)).collect();
        let share = |t: f64| {
            let into = inflow[&t.to_bits()];
            (into > 0.0).then(|| (rows.get(&t.to_bits()).copied().unwrap_or(0.0) / into, into))
        };
        let usual: Vec<(f64, f64)> = times
            .iter()
            .filter(|t| (case.normal.from..=case.normal.to).contains(*t))
            .filter_map(|t| share(*t))
            .collect();
        let Some(normal) = Normal::of(usual.iter().map(|(share, _)| *share), 0.01) else { continue };
        let mut into: Vec<f64> = usual.iter().map(|(_, into)| *into).collect();
        let normally = median_of(&mut into);
        let begun = noticed - 60.0;
        let now: Vec<(f64, f64)> = times
            .iter()
            .filter(|t| **t >= begun && **t <= case.incident.to)
            .filter_map(|t| share(*t))
            .collect();
        // The middle of the worst half: an early return hits most rows, a hiccup one.
        let calls: f64 = now.iter().map(|(_, into)| into).sum();
        if now.is_empty() || calls < MIN_CALLS {
            continue;
        }
        let out: f64 = now.iter().map(|(share, into)| share * into).sum();
        let outward = out / calls;
        // So few calls may fall short by chance: counting noise belongs to the spread.
        let p = normal.median;
        let chance = if p < 1.0 { (p * (1.0 - p) / calls).sqrt() } else { 0.0 };
        let deviation = (normal.median - outward) / normal.spread.max(chance);
        if normal.median <= 0.0 || outward > 0.7 * normal.median {
            continue;
        }
        let flow = Flow {
            component: *caller,
            inward: calls / now.len() as f64 / normally.max(f64::MIN_POSITIVE),
            outward: outward / normal.median,
            deviation,
        };
        let entry = worst.entry(*caller).or_insert(flow);
        if flow.deviation > entry.deviation {
            *entry = flow;
        }
    }
    worst.into_values().filter(|flow| flow.deviation >= FLOW_BREAK).collect()
}

/// Fewer calls than this prove nothing.
const MIN_CALLS: f64 = 10.0;
/// Calls out of a component have broken off when they fall short by this many spreads.
const FLOW_BREAK: f64 = 5.0;
