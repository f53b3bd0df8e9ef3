//! The verdict from numbers alone: who moved, when there are no colours.
//!
//! Where nobody has set thresholds there are only series, each judged against its own normal. Then tiers
//! decide, not one blended score: something that looks like a cause (a full CPU, a wait between caller and
//! callee, flow that goes in and no longer comes out) before slowness; a leaf among those that moved, whose
//! own change is a fair share of its dependants', before the rest; on the way from the symptom; seen by its
//! own probe rather than only by a caller; then size. The order and the figures behind it are in
//! docs/verdict.md.

use std::collections::BTreeMap;

use crate::graph::Graph;
use crate::model::{ComponentId, InstanceId, Model};
use crate::text::Text;

use super::{Culprit, Evidence, Suspect, Verdict};

/// What kind of trouble a signal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// How long answers take.
    Latency,
    /// How many answers are bad.
    Errors,
    /// How full something is.
    Saturation,
    /// How much comes in.
    Traffic,
}

/// How one signal of one component moved from its own normal, in its bad direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Movement {
    /// The component.
    pub component: ComponentId,
    /// The signal's name.
    pub signal: String,
    /// Its unit.
    pub unit: String,
    /// What it shows.
    pub family: Family,
    /// Who measured it, when that is not the component itself.
    pub witness: Option<ComponentId>,
    /// What was normal.
    pub normal: f64,
    /// What it is now.
    pub now: f64,
    /// By how much it is worse than normal and than just before, in its unit; never negative.
    pub change: f64,
    /// The same in spreads of its normal.
    pub deviation: f64,
    /// Its rows during the incident, time and value, higher is worse.
    pub rows: Vec<(f64, f64)>,
}

/// The wait on one edge that the callee's own work does not account for.
#[derive(Clone, Debug, PartialEq)]
pub struct Gap {
    /// Who waits.
    pub caller: ComponentId,
    /// For whom.
    pub callee: ComponentId,
    /// By how much more than normal, in seconds.
    pub change: f64,
    /// The same in spreads.
    pub deviation: f64,
}

/// What goes into a component and what comes out: requests in, and calls out of it, as ratios to normal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    /// The component.
    pub component: ComponentId,
    /// Requests that come in, against normal.
    pub inward: f64,
    /// Calls that go out, or answers that come back, against normal.
    pub outward: f64,
    /// How many spreads the ratio of both is below its normal.
    pub deviation: f64,
}

/// Everything that moved.
#[derive(Clone, Debug, Default)]
pub struct Movements {
    /// Signals.
    pub signals: Vec<Movement>,
    /// Waits.
    pub gaps: Vec<Gap>,
    /// Flows that broke.
    pub flows: Vec<Flow>,
    /// Components of which there is a series in the family that was noticed.
    pub measured: Vec<ComponentId>,
    /// Components that only their callers saw.
    pub caller_only: Vec<ComponentId>,
    /// The component whose trouble was noticed.
    pub target: Option<ComponentId>,
    /// The family of what was noticed there.
    pub family: Option<Family>,
}

/// A signal has moved when it is this many spreads from normal (flat between 2 and 5 on recorded cases).
const MOVED: f64 = 5.0;
/// A dependency that moved by less than this share of its dependant does not explain it.
const SHARE: f64 = 0.3;
/// A CPU, disk or pool that rose by this much of its whole is a cause by itself.
const SATURATED_BY: f64 = 30.0;
/// A wait must be this long to count, in seconds.
const LONG_WAIT: f64 = 0.01;
/// Suspects listed at most.
const MAX_SUSPECTS: usize = 24;

/// Who is to blame, by how everything moved.
pub fn trace(model: &Model, graph: &Graph, movements: &Movements) -> Verdict {
    let families = [movements.family.unwrap_or(Family::Latency), Family::Errors, Family::Latency];
    // Where nothing moved in the family that was noticed, the others are asked.
    let mut ranked: Vec<Candidate> = families
        .into_iter()
        .map(|family| {
            let field = Field::of(model, graph, movements, family);
            let mut list: Vec<Candidate> =
                model.component_ids().filter_map(|component| field.candidate(component)).collect();
            field.bridge(&mut list);
            list
        })
        .find(|ranked| !ranked.is_empty())
        .unwrap_or_default();
    ranked.sort_by(|a, b| {
        b.key().partial_cmp(&a.key()).unwrap_or(std::cmp::Ordering::Equal).then(a.component.cmp(&b.component))
    });
    let suspects: Vec<Suspect> = ranked
        .iter()
        .enumerate()
        .take(MAX_SUSPECTS)
        .map(|(i, candidate)| {
            let confidence = if i == 0 { sure(&ranked) } else { 0.05 };
            let mut evidence = candidate.evidence.clone();
            if i == 0
                && let Some(next) = ranked.get(1)
                && next.tier == candidate.tier
                && next.on_path == candidate.on_path
                && next.size > 0.7 * candidate.size
            {
                evidence.push(super::evidence::tie(&model.component(next.component).name));
            }
            Suspect {
                culprit: culprit(model, candidate.component),
                fault: None,
                signal: candidate.signal.clone(),
                overloads: None,
                confidence,
                evidence,
            }
        })
        .collect();
    Verdict { roots: suspects.first().cloned().into_iter().collect(), suspects, ..Verdict::default() }
}

fn culprit(model: &Model, component: ComponentId) -> Culprit {
    let ids: Vec<InstanceId> = model.component(component).instance_ids().collect();
    match ids[..] {
        [one] => Culprit::Instance(one),
        _ => Culprit::Component(component),
    }
}

/// How sure, by the tier and by how far behind the next one is.
fn sure(ranked: &[Candidate]) -> f64 {
    let Some(first) = ranked.first() else { return 0.0 };
    let base: f64 = match first.tier {
        Tier::Saturated | Tier::Wait => 0.95,
        Tier::Leaf => 0.9,
        Tier::Flow => 0.8,
        Tier::CallerOnly => 0.55,
        Tier::Moved => 0.3,
    };
    let close = ranked.get(1).is_some_and(|next| next.tier == first.tier && next.on_path == first.on_path);
    let mut sure = base;
    if close || first.on_path < 2 {
        sure -= 0.3;
    }
    if first.bridged {
        sure -= 0.15;
    }
    // A short wait proves little.
    if first.tier == Tier::Wait && first.size < SHORT_WAIT {
        sure -= 0.4;
    }
    (sure.max(0.05) * 100.0).round() / 100.0
}

/// A wait below this, in seconds, may be chance on an edge with little traffic.
const SHORT_WAIT: f64 = 0.15;

/// What kind of suspect, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    /// It moved, and so did something below it that explains it.
    Moved,
    /// A leaf that only its callers saw.
    CallerOnly,
    /// A leaf among those that moved.
    Leaf,
    /// What goes in no longer comes out.
    Flow,
    /// Its callers wait for longer than it works.
    Wait,
    /// Full.
    Saturated,
}

struct Candidate {
    component: ComponentId,
    tier: Tier,
    on_path: u8,
    size: f64,
    signal: Option<String>,
    /// It was reached over an edge that the file does not have.
    bridged: bool,
    evidence: Vec<Evidence>,
}

impl Candidate {
    fn key(&self) -> (Tier, u8, f64) {
        (self.tier, self.on_path, self.size)
    }
}

struct Field<'a> {
    model: &'a Model,
    graph: &'a Graph,
    movements: &'a Movements,
    /// The component's own movement in the family that was noticed.
    moved: BTreeMap<ComponentId, &'a Movement>,
    /// How well it lies on a way from the target: 2 through components that moved, 1 at all.
    on_path: Vec<u8>,
}

impl<'a> Field<'a> {
    fn of(model: &'a Model, graph: &'a Graph, movements: &'a Movements, family: Family) -> Self {
        let mut moved: BTreeMap<ComponentId, &Movement> = BTreeMap::new();
        for m in &movements.signals {
            if m.family != family || m.deviation < MOVED {
                continue;
            }
            // Its own word counts before a caller's.
            let better =
                |old: &Movement| (m.witness.is_none(), m.deviation) > (old.witness.is_none(), old.deviation);
            if moved.get(&m.component).is_none_or(|old| better(old)) {
                moved.insert(m.component, m);
            }
        }
        let mut on_path = vec![if movements.target.is_none() { 2 } else { 0 }; model.components.len()];
        let measured: Vec<bool> = model.component_ids().map(|id| movements.measured.contains(&id)).collect();
        for grade in [2, 1] {
            let mut seen = vec![false; model.components.len()];
            let mut work: Vec<ComponentId> = movements.target.into_iter().collect();
            while let Some(id) = work.pop() {
                if std::mem::replace(&mut seen[id.index()], true) {
                    continue;
                }
                on_path[id.index()] = on_path[id.index()].max(grade);
                // What moved passes on, and what nobody measured may.
                let passes = grade == 1
                    || Some(id) == movements.target
                    || moved.contains_key(&id)
                    || !measured[id.index()];
                if passes {
                    work.extend(graph.needs(id).into_iter().map(|edge| graph.dependency(edge).to));
                }
            }
        }
        Self { model, graph, movements, moved, on_path }
    }

    fn candidate(&self, component: ComponentId) -> Option<Candidate> {
        let name = &self.model.component(component).name;
        let mut evidence = Vec::new();
        let mut tier = None;
        let mut size = 0.0;
        let mut signal = None;

        let saturated = self
            .movements
            .signals
            .iter()
            .filter(|m| m.component == component && m.family == Family::Saturation && m.witness.is_none())
            .filter(|m| m.deviation >= MOVED && m.change >= SATURATED_BY * whole(&m.unit))
            .max_by(|a, b| a.change.total_cmp(&b.change));
        if let Some(m) = saturated {
            tier = Some(Tier::Saturated);
            size = m.change / whole(&m.unit);
            signal = Some(m.signal.clone());
            evidence.push(moved_sentence(name, m));
        }
        if let Some((callers, wait)) = self.waited_for(component) {
            if tier.is_none() {
                tier = Some(Tier::Wait);
                size = wait;
            }
            evidence.push(sentence(
                "gap",
                format!("{callers} of its callers wait {wait:.3} s longer than {name} works: the way to it, or its side of the network"),
                format!("{callers} 个调用方等待 {name} 的时间比其处理时间多出 {wait:.3} 秒：网络或通往它的路"),
            ));
        }
        if tier.is_none()
            && let Some((callees, wait)) = self.waits_for_all(component)
        {
            tier = Some(Tier::Wait);
            size = wait * 0.5;
            evidence.push(sentence(
                "gap",
                format!("{name} waits {wait:.3} s longer for each of {callees} it calls than they work: its own side"),
                format!("{name} 对 {callees} 个被调用方的等待都多出 {wait:.3} 秒：问题在它这一侧"),
            ));
        }
        let flow = self.movements.flows.iter().find(|f| f.component == component);
        if let Some(flow) = flow {
            if tier.is_none() {
                tier = Some(Tier::Flow);
                size = flow.deviation;
            }
            evidence.push(sentence(
                "flow",
                format!(
                    "What goes into {name} is {:.0} % of normal, what comes out {:.0} %",
                    flow.inward * 100.0,
                    flow.outward * 100.0
                ),
                format!(
                    "流入 {name} 的请求为平时的 {:.0}%，流出的为 {:.0}%",
                    flow.inward * 100.0,
                    flow.outward * 100.0
                ),
            ));
        }
        if let Some(m) = self.moved.get(&component) {
            let below = self.explained_by(component, m);
            if let Some(other) = below {
                evidence.push(sentence(
                    "share",
                    format!("{} below it moved by a fair share of that", self.model.component(other).name),
                    format!("它依赖的 {} 的变化足以解释", self.model.component(other).name),
                ));
            }
            let leaf = below.is_none();
            let seen_by_caller = m.witness.is_some() || self.movements.caller_only.contains(&component);
            let own = match (leaf, seen_by_caller) {
                (true, false) => Tier::Leaf,
                (true, true) => Tier::CallerOnly,
                (false, _) => Tier::Moved,
            };
            if tier.is_none_or(|t| t < own) {
                tier = Some(own);
                size = m.deviation.min(1000.0);
                signal = Some(m.signal.clone());
            }
            evidence.insert(0, moved_sentence(name, m));
            if leaf {
                evidence.push(sentence(
                    "dependencies",
                    format!("Nothing {name} needs moved by a fair share of that"),
                    format!("{name} 所依赖的组件都没有相应的变化"),
                ));
            }
        }
        let tier = tier?;
        Some(Candidate {
            component,
            tier,
            on_path: self.on_path[component.index()],
            size,
            signal,
            bridged: false,
            evidence,
        })
    }

    /// A dependency whose own change is a fair share of this one's.
    fn explained_by(&self, component: ComponentId, m: &Movement) -> Option<ComponentId> {
        self.graph.needs(component).into_iter().map(|edge| self.graph.dependency(edge).to).find(|to| {
            *to != component
                && self.moved.get(to).is_some_and(|below| {
                    let seen = below.witness.is_none() && !self.movements.caller_only.contains(to);
                    // In a circle only the larger change explains the other.
                    let circle = self.graph.on_one_cycle(component, *to);
                    seen && below.change >= SHARE * m.change && (!circle || below.change > m.change)
                })
        })
    }

    /// Callers that wait for it longer than it works: when most of those known do, it is its network.
    fn waited_for(&self, callee: ComponentId) -> Option<(usize, f64)> {
        let known: Vec<&Gap> = self.movements.gaps.iter().filter(|g| g.callee == callee).collect();
        // A caller that waits for everybody is itself the one.
        let long: Vec<&&Gap> =
            known.iter().filter(|g| self.is_long(g) && self.waits_for_all(g.caller).is_none()).collect();
        if long.is_empty() || long.len() * 2 < known.len() {
            return None;
        }
        let wait = long.iter().map(|g| g.change).fold(0.0, f64::max);
        Some((long.len(), wait))
    }

    /// A caller that waits longer for most of several callees.
    fn waits_for_all(&self, caller: ComponentId) -> Option<(usize, f64)> {
        let known: Vec<&Gap> = self.movements.gaps.iter().filter(|g| g.caller == caller).collect();
        let long: Vec<f64> = known.iter().filter(|g| self.is_long(g)).map(|g| g.change).collect();
        if long.len() < 2 || long.len() * 3 < known.len() * 2 {
            return None;
        }
        let mut middle = long.clone();
        Some((long.len(), crate::normal::median_of(&mut middle)))
    }

    /// A leaf on the way from the target, and another that moved in step with it and that no modelled way
    /// reaches: an edge between the two seems to be missing, and the far one is the cause.
    fn bridge(&self, list: &mut [Candidate]) {
        let leaves: Vec<(usize, ComponentId, u8)> = list
            .iter()
            .enumerate()
            .filter(|(_, c)| c.tier == Tier::Leaf)
            .map(|(i, c)| (i, c.component, c.on_path))
            .collect();
        for &(near, near_id, near_path) in &leaves {
            let far = leaves.iter().filter(|(_, _, path)| *path < near_path).find_map(|&(far, far_id, _)| {
                let top = self.tops(far_id).into_iter().find(|top| self.in_step(near_id, *top))?;
                Some((far, top))
            });
            let Some((far, top)) = far else { continue };
            let (near_name, top_name) =
                (&self.model.component(near_id).name, &self.model.component(top).name);
            list[near].tier = Tier::Moved;
            list[far].on_path = list[far].on_path.max(near_path);
            list[far].bridged = true;
            list[far].evidence.push(sentence(
                "missing_edge",
                format!("No modelled way leads from {near_name} to {top_name}, and both moved in step: an edge seems to be missing"),
                format!("{near_name} 与 {top_name} 之间没有声明的路径，但两者同步变化：可能缺少一条依赖"),
            ));
        }
    }

    /// The uppermost that moved above a component; only those that nobody is declared to need.
    fn tops(&self, component: ComponentId) -> Vec<ComponentId> {
        let mut seen = vec![component];
        let mut tops = Vec::new();
        let mut i = 0;
        while i < seen.len() {
            let id = seen[i];
            i += 1;
            let above: Vec<ComponentId> =
                self.graph.needed_by(id).into_iter().map(|edge| self.graph.dependency(edge).from).collect();
            if above.is_empty() {
                tops.push(id);
            }
            for from in above {
                if self.moved.contains_key(&from) && !seen.contains(&from) {
                    seen.push(from);
                }
            }
        }
        tops
    }

    /// True when `below` moved as `above` did, and by a fair share of it.
    fn in_step(&self, above: ComponentId, below: ComponentId) -> bool {
        let (Some(a), Some(b)) = (self.moved.get(&above), self.moved.get(&below)) else { return false };
        b.change >= SHARE * a.change && correlation(&a.rows, &b.rows) >= IN_STEP
    }

    #[allow(clippy::unused_self, reason = "reads as a property of the field")]
    fn is_long(&self, gap: &Gap) -> bool {
        gap.deviation >= MOVED && gap.change >= LONG_WAIT
    }
}

/// Two rows of values rise and fall together from here on (Pearson).
const IN_STEP: f64 = 0.8;

/// Pearson's correlation of two series over the times both have; 0 for fewer than three.
fn correlation(a: &[(f64, f64)], b: &[(f64, f64)]) -> f64 {
    let pairs: Vec<(f64, f64)> = a
        .iter()
        .filter_map(|(t, x)| b.iter().find(|(u, _)| u.total_cmp(t).is_eq()).map(|(_, y)| (*x, *y)))
        .collect();
    if pairs.len() < 3 {
        return 0.0;
    }
    let n = pairs.len() as f64;
    let (mx, my) = pairs.iter().fold((0.0, 0.0), |m, p| (m.0 + p.0 / n, m.1 + p.1 / n));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in pairs {
        xy += (x - mx) * (y - my);
        xx += (x - mx) * (x - mx);
        yy += (y - my) * (y - my);
    }
    if xx > 0.0 && yy > 0.0 { xy / (xx * yy).sqrt() } else { 0.0 }
}

/// What a whole is in a unit of shares.
fn whole(unit: &str) -> f64 {
    if unit == "%" { 1.0 } else { 0.01 }
}

fn moved_sentence(name: &str, m: &Movement) -> Evidence {
    let by = if m.witness.is_some() { " (its callers' word)" } else { "" };
    sentence(
        "moved",
        format!(
            "{name}: {} went from {:.4} to {:.4} {}, {:.0} times its usual spread{by}",
            m.signal,
            m.normal,
            m.now,
            m.unit,
            m.deviation.min(999.0)
        ),
        format!(
            "{name}：{} 从 {:.4} 变为 {:.4} {}，为平时波动的 {:.0} 倍",
            m.signal,
            m.normal,
            m.now,
            m.unit,
            m.deviation.min(999.0)
        ),
    )
}

fn sentence(kind: &'static str, en: String, zh: String) -> Evidence {
    Evidence { kind, text: Text::new(en, zh) }
}
