//! The search: greedy cover with pruning. Deterministic, a pure function of the situation.

use crate::fault::FaultKind;
use crate::graph::DependencyId;
use crate::level::Health;
use crate::model::{ComponentId, InstanceId};

use super::affected;
use super::evidence;
use super::explain::{Hypothesis, Prediction, explains, predict};
use super::situation::{Inheritance, Situation};
use super::{Culprit, Suspect, Verdict};

/// More independent faults than this at one moment are not told apart; the rest stays unexplained.
const MAX_ROOTS: usize = 16;
/// Suspects listed at most.
const MAX_SUSPECTS: usize = 24;

/// One thing that may be broken, and how well that fits.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) culprits: Vec<Culprit>,
    pub(super) hypothesis: Hypothesis,
    /// Unhealthy instances that follow from it alone.
    pub(super) covered: Vec<InstanceId>,
    /// Components it says must be bad, that are seen green by a probe that exercises them.
    pub(super) contradicted: Vec<ComponentId>,
    /// Dependants' instances that name it, and that use it without complaint.
    pub(super) named_by: (usize, usize),
    /// At least one of its faults cannot be inherited.
    pub(super) own_fault: bool,
    score: f64,
}

/// Who is to blame for what is unhealthy now.
pub fn solve(situation: &Situation<'_>) -> Verdict {
    let unhealthy = situation.unhealthy();
    if unhealthy.is_empty() {
        return Verdict::default();
    }
    let mut chosen: Vec<Candidate> = Vec::new();
    let mut all = Hypothesis::default();
    let mut open = unhealthy.clone();
    while !open.is_empty() && chosen.len() < MAX_ROOTS {
        let Some(best) = best_of(candidates(situation, &open)) else { break };
        all = all.join(&best.hypothesis);
        chosen.push(best);
        let prediction = predict(situation, &all);
        open.retain(|id| !explains(situation, &all, &prediction, *id));
    }
    prune(situation, &mut chosen, &unhealthy);
    verdict(situation, &chosen, &unhealthy)
}

/// One candidate for each component with open trouble, and for each way that only its user complains of.
fn candidates(situation: &Situation<'_>, open: &[InstanceId]) -> Vec<Candidate> {
    let mut list = Vec::new();
    for component in situation.model.component_ids() {
        let members: Vec<InstanceId> =
            open.iter().copied().filter(|id| situation.model.instance(*id).component == component).collect();
        if !members.is_empty() {
            list.push(component_candidate(situation, component, &members, open));
        }
        for edge in situation.graph.needs(component) {
            list.extend(edge_candidate(situation, edge, &members, open));
        }
    }
    list
}

fn component_candidate(
    situation: &Situation<'_>,
    component: ComponentId,
    members: &[InstanceId],
    open: &[InstanceId],
) -> Candidate {
    let hypothesis = Hypothesis { instances: members.iter().copied().collect(), ..Hypothesis::default() };
    let spec = situation.model.component(component);
    // All of several: the component. One or a few of them: each by name.
    let culprits = if members.len() > 1 && members.len() == spec.instances.len() {
        vec![Culprit::Component(component)]
    } else {
        members.iter().copied().map(Culprit::Instance).collect()
    };
    let mut named_by = (0, 0);
    for edge in situation.graph.needed_by(component) {
        let (bad, good) = situation.words_on(situation.graph.dependency(edge).from, component);
        named_by = (named_by.0 + bad, named_by.1 + good);
    }
    let own_fault = members.iter().any(|id| situation.facts(*id).inheritance() == Inheritance::Never);
    weigh(
        situation,
        Candidate {
            culprits,
            hypothesis,
            covered: Vec::new(),
            contradicted: Vec::new(),
            named_by,
            own_fault,
            score: 0.0,
        },
        open,
    )
}

/// A dependency that is green itself while its user cannot reach it: the way between is broken.
fn edge_candidate(
    situation: &Situation<'_>,
    edge: DependencyId,
    members: &[InstanceId],
    open: &[InstanceId],
) -> Option<Candidate> {
    let dependency = situation.graph.dependency(edge);
    let (bad, good) = situation.words_on(dependency.from, dependency.to);
    let since = situation.first_bad(members)?;
    let target = situation.model.component(dependency.to);
    let seen_well = target.instance_ids().all(|id| {
        let facts = situation.facts(id);
        facts.health == Health::Green && !facts.suspected && facts.last_good.is_some_and(|t| t > since + 1.0)
    });
    if bad == 0 || !seen_well {
        return None;
    }
    let mut hypothesis = Hypothesis::default();
    hypothesis.edges.insert(edge);
    Some(weigh(
        situation,
        Candidate {
            culprits: vec![Culprit::Edge(edge)],
            hypothesis,
            covered: Vec::new(),
            contradicted: Vec::new(),
            named_by: (bad, good),
            own_fault: false,
            score: 0.0,
        },
        open,
    ))
}

/// Fills in what follows from the candidate, and how well it fits.
fn weigh(situation: &Situation<'_>, mut candidate: Candidate, open: &[InstanceId]) -> Candidate {
    let prediction = predict(situation, &candidate.hypothesis);
    candidate.covered = open
        .iter()
        .copied()
        .filter(|id| explains(situation, &candidate.hypothesis, &prediction, *id))
        .collect();
    candidate.contradicted = contradictions(situation, &candidate.hypothesis, &prediction);
    let late = candidate.covered.iter().filter(|id| began_before(situation, **id, &candidate)).count();
    let (bad, good) = candidate.named_by;
    let agreement = (bad as f64 - good as f64) / (bad + good).max(1) as f64;
    // Unexplained nodes weigh heaviest; then wrong predictions; then witnesses, onsets and kind of fault.
    candidate.score = 10.0 * candidate.covered.len() as f64 - 6.0 * candidate.contradicted.len() as f64
        + 4.0 * agreement
        + if candidate.own_fault { 5.0 } else { 0.0 }
        - 3.0 * late as f64
        - 0.5 * candidate.hypothesis.instances.len() as f64;
    candidate
}

/// True when `id` was surely bad before anything in the candidate was: an effect is not earlier than its cause.
fn began_before(situation: &Situation<'_>, id: InstanceId, candidate: &Candidate) -> bool {
    let Some(effect) = situation.facts(id).onset else { return false };
    let causes = || candidate.hypothesis.instances.iter().filter_map(|c| situation.facts(*c).onset);
    causes().next().is_some() && causes().all(|cause| effect.surely_before(cause))
}

fn contradictions(
    situation: &Situation<'_>,
    hypothesis: &Hypothesis,
    prediction: &Prediction,
) -> Vec<ComponentId> {
    let members: Vec<InstanceId> = hypothesis.instances.iter().copied().collect();
    let Some(since) = situation.first_bad(&members) else { return Vec::new() };
    situation
        .model
        .component_ids()
        .filter(|id| prediction.must[id.index()].severity() >= Health::Impaired.severity())
        .filter(|id| situation.proven_green(*id, since))
        .collect()
}

/// The best candidate; ties go to what lies deeper (later in the file when on one level).
fn best_of(list: Vec<Candidate>) -> Option<Candidate> {
    list.into_iter().reduce(|best, next| if next.score > best.score { next } else { best })
}

/// Takes out every root whose trouble follows from the others.
fn prune(situation: &Situation<'_>, chosen: &mut Vec<Candidate>, unhealthy: &[InstanceId]) {
    let mut i = 0;
    while i < chosen.len() && chosen.len() > 1 {
        let others = chosen
            .iter()
            .enumerate()
            .filter(|(j, _)| *j != i)
            .fold(Hypothesis::default(), |all, (_, candidate)| all.join(&candidate.hypothesis));
        let prediction = predict(situation, &others);
        if unhealthy.iter().all(|id| explains(situation, &others, &prediction, *id)) {
            chosen.remove(i);
        } else {
            i += 1;
        }
    }
}

fn verdict(situation: &Situation<'_>, chosen: &[Candidate], unhealthy: &[InstanceId]) -> Verdict {
    // Every candidate once more, each against all of the trouble: for the ranking and for "who else".
    let mut others: Vec<Candidate> = candidates(situation, unhealthy);
    others.retain(|other| {
        !chosen.iter().any(|c| c.culprits.iter().any(|culprit| other.culprits.contains(culprit)))
            && !other
                .hypothesis
                .instances
                .iter()
                .all(|id| chosen.iter().any(|c| c.hypothesis.instances.contains(id)))
    });
    others.sort_by(|a, b| b.score.total_cmp(&a.score));

    let whole: Vec<Candidate> =
        chosen.iter().map(|candidate| weigh(situation, candidate.clone(), unhealthy)).collect();
    let mut roots = Vec::new();
    let mut hypotheses = Vec::new();
    for candidate in &whole {
        let rival = others.iter().map(|other| other.score).fold(f64::NEG_INFINITY, f64::max);
        let confidence = confidence(situation, candidate, unhealthy.len(), whole.len(), rival);
        for culprit in &candidate.culprits {
            let evidence = evidence::of_root(situation, candidate, *culprit, unhealthy, whole.len());
            let hypothesis = part(candidate, *culprit);
            let (fault, signal) = trouble(situation, &hypothesis);
            roots.push(Suspect { culprit: *culprit, fault, signal, confidence, evidence });
            hypotheses.push(hypothesis);
        }
    }
    let mut suspects = roots.clone();
    for other in others {
        for culprit in &other.culprits {
            if suspects.len() < MAX_SUSPECTS {
                let evidence = evidence::of_other(situation, &other, *culprit, &roots);
                let (fault, signal) = trouble(situation, &part(&other, *culprit));
                suspects.push(Suspect { culprit: *culprit, fault, signal, confidence: 0.05, evidence });
            }
        }
    }
    let (affected, explained) = affected::find(situation, &roots, &hypotheses, unhealthy);
    Verdict { roots, suspects, affected, explained }
}

/// The part of a candidate's hypothesis that is this one culprit's.
fn part(candidate: &Candidate, culprit: Culprit) -> Hypothesis {
    match culprit {
        Culprit::Instance(id) => Hypothesis { instances: [id].into(), ..Hypothesis::default() },
        _ => candidate.hypothesis.clone(),
    }
}

/// The fault that all broken instances of a hypothesis have; without one the signal of the first.
fn trouble(situation: &Situation<'_>, hypothesis: &Hypothesis) -> (Option<FaultKind>, Option<String>) {
    let facts = || hypothesis.instances.iter().map(|id| situation.facts(*id));
    let kind = facts().next().and_then(|first| first.fault).map(|fault| fault.kind);
    if kind.is_some() {
        let common = facts().all(|other| other.fault.map(|fault| fault.kind) == kind);
        return (kind.filter(|_| common), None);
    }
    (None, facts().next().and_then(|first| first.signal).map(str::to_owned))
}

/// True when nothing that its broken instances need is unhealthy or about to be: there is nobody to inherit from.
fn nothing_behind(situation: &Situation<'_>, candidate: &Candidate) -> bool {
    candidate.hypothesis.edges.is_empty()
        && candidate.hypothesis.instances.iter().all(|id| {
            let component = situation.model.instance(*id).component;
            situation.graph.needs(component).into_iter().all(|edge| {
                let needed = situation.model.component(situation.graph.dependency(edge).to);
                needed.instance_ids().all(|i| {
                    let facts = situation.facts(i);
                    facts.health == Health::Green && !facts.suspected
                })
            })
        })
}

/// How sure: what speaks for the candidate, and how far behind the next one is. Hand-set; calibrating it on
/// recorded cases is a matter of these numbers alone.
fn confidence(
    situation: &Situation<'_>,
    candidate: &Candidate,
    unhealthy: usize,
    roots: usize,
    rival: f64,
) -> f64 {
    let (bad, good) = candidate.named_by;
    let mut sure: f64 = 0.55;
    if candidate.own_fault {
        sure += 0.2;
    } else if nothing_behind(situation, candidate) {
        sure += 0.17;
    }
    if roots == 1 && candidate.covered.len() == unhealthy {
        sure += 0.12;
    }
    if bad + good > 0 {
        sure += 0.12 * (bad as f64 - good as f64) / (bad + good) as f64;
    }
    sure -= 0.1 * candidate.contradicted.len().min(3) as f64;
    if candidate.score - rival < 3.0 {
        sure -= 0.2;
    }
    (sure.clamp(0.05, 0.97) * 100.0).round() / 100.0
}
