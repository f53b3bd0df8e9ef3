//! The search: the cheapest set of causes for all symptoms. Deterministic, a pure function of the situation.
//!
//! A weighted cover: a set of causes costs what it costs to believe each, and what the symptoms weigh that
//! none of them explains. Greedy with local improvement; every single cause and every pair are tried, so
//! that small sets are exact.

use super::affected;
use super::cause::{self, Cause, Why};
use super::confidence;
use super::evidence;
use super::scene::Scene;
use super::situation::Situation;
use super::{Suspect, Verdict};
use crate::fault::FaultKind;

/// More independent faults than this at one moment are not told apart; the rest stays unexplained.
const MAX_ROOTS: usize = 16;
/// Suspects listed at most.
const MAX_SUSPECTS: usize = 24;
/// All pairs are tried up to this many candidates.
const MAX_PAIRED: usize = 160;

/// Who is to blame for what is unhealthy now.
pub fn solve(situation: &Situation<'_>) -> Verdict {
    let scene = Scene::of(situation);
    if scene.symptoms.is_empty() {
        return Verdict::default();
    }
    let causes = cause::all(&scene);
    let search = Search::new(&scene, &causes);
    let mut chosen: Vec<(f64, usize)> = Vec::new();
    let best = search.best(&[]);
    chosen.extend(best.iter().map(|c| (search.worth(&best, *c), *c)));
    // The one that everything would be dearest without comes first.
    chosen.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let chosen: Vec<usize> = chosen.into_iter().map(|(_, c)| c).collect();
    verdict(&scene, &search, &chosen)
}

/// The weighted cover.
pub(super) struct Search<'s> {
    pub(super) causes: &'s [Cause],
    weights: Vec<f64>,
    sets: Vec<Bits>,
    total: f64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Bits(Vec<u64>);

impl Bits {
    fn empty(n: usize) -> Self {
        Self(vec![0; n.div_ceil(64)])
    }

    fn set(&mut self, i: usize) {
        self.0[i / 64] |= 1 << (i % 64);
    }

    fn join(&mut self, other: &Self) {
        for (a, b) in self.0.iter_mut().zip(&other.0) {
            *a |= b;
        }
    }
}

impl<'s> Search<'s> {
    fn new(scene: &Scene<'_>, causes: &'s [Cause]) -> Self {
        let weights: Vec<f64> = scene.symptoms.iter().map(|s| s.weight).collect();
        let sets = causes
            .iter()
            .map(|cause| {
                let mut bits = Bits::empty(weights.len());
                cause.explained.iter().for_each(|i| bits.set(*i));
                bits
            })
            .collect();
        let total = weights.iter().sum();
        Self { causes, weights, sets, total }
    }

    fn weight(&self, bits: &Bits) -> f64 {
        let mut sum = 0.0;
        for (w, word) in bits.0.iter().enumerate() {
            let mut word = *word;
            while word != 0 {
                sum += self.weights[w * 64 + word.trailing_zeros() as usize];
                word &= word - 1;
            }
        }
        sum
    }

    /// What a set of causes costs, the unexplained included.
    pub(super) fn cost(&self, chosen: &[usize]) -> f64 {
        let mut bits = Bits::empty(self.weights.len());
        for c in chosen {
            bits.join(&self.sets[*c]);
        }
        self.total - self.weight(&bits) + chosen.iter().map(|c| self.causes[*c].cost).sum::<f64>()
    }

    /// How much dearer everything is without `cause`.
    pub(super) fn worth(&self, chosen: &[usize], cause: usize) -> f64 {
        let rest: Vec<usize> = chosen.iter().copied().filter(|c| *c != cause).collect();
        self.cost(&rest) - self.cost(chosen)
    }

    /// The cheapest set that uses none of `banned`.
    pub(super) fn best(&self, banned: &[usize]) -> Vec<usize> {
        let allowed: Vec<usize> = (0..self.causes.len()).filter(|c| !banned.contains(c)).collect();
        let mut chosen = self.greedy(&allowed, Vec::new());
        self.improve(&allowed, &mut chosen);
        if allowed.len() <= MAX_PAIRED {
            let mut best = self.cost(&chosen);
            for (i, a) in allowed.iter().enumerate() {
                for b in &allowed[i..] {
                    let pair = if a == b { vec![*a] } else { vec![*a, *b] };
                    let cost = self.cost(&pair);
                    if cost < best - 1e-9 {
                        best = cost;
                        chosen = pair;
                    }
                }
            }
        }
        chosen
    }

    fn greedy(&self, allowed: &[usize], mut chosen: Vec<usize>) -> Vec<usize> {
        let mut cost = self.cost(&chosen);
        while chosen.len() < MAX_ROOTS {
            let next = allowed
                .iter()
                .filter(|c| !chosen.contains(c))
                .map(|c| {
                    let mut with = chosen.clone();
                    with.push(*c);
                    (self.cost(&with), *c)
                })
                .min_by(|a, b| a.0.total_cmp(&b.0));
            match next {
                Some((next_cost, c)) if next_cost < cost - 1e-9 => {
                    cost = next_cost;
                    chosen.push(c);
                }
                _ => break,
            }
        }
        chosen
    }

    /// Takes out, swaps, and puts one for two, as long as that helps.
    fn improve(&self, allowed: &[usize], chosen: &mut Vec<usize>) {
        let mut cost = self.cost(chosen);
        loop {
            let mut best: Option<(f64, Vec<usize>)> = None;
            let mut offer = |set: Vec<usize>| {
                let c = self.cost(&set);
                if c < cost - 1e-9 && best.as_ref().is_none_or(|(b, _)| c < *b) {
                    best = Some((c, set));
                }
            };
            for i in 0..chosen.len() {
                let mut without = chosen.clone();
                without.remove(i);
                for other in allowed {
                    let mut swapped = without.clone();
                    swapped.push(*other);
                    offer(swapped.clone());
                    for j in 0..without.len() {
                        let mut merged = swapped.clone();
                        merged.remove(j);
                        offer(merged);
                    }
                }
                offer(without);
            }
            match best {
                Some((c, set)) => {
                    cost = c;
                    *chosen = self.greedy(allowed, set);
                    cost = cost.min(self.cost(chosen));
                }
                None => return,
            }
        }
    }
}

fn verdict(scene: &Scene<'_>, search: &Search<'_>, chosen: &[usize]) -> Verdict {
    let causes = search.causes;
    let cost = search.cost(chosen);
    let mut roots: Vec<Suspect> = Vec::new();
    let mut owners = Vec::new();
    for index in chosen {
        let cause = &causes[*index];
        // How much dearer it is to blame somebody else.
        let rivals: Vec<usize> = (0..causes.len()).filter(|i| shares_a_culprit(cause, &causes[*i])).collect();
        let other = search.best(&rivals);
        let margin = search.cost(&other) - cost;
        let tie = (margin < TIE).then(|| rival_name(scene, causes, &other, chosen)).flatten();
        let confidence = confidence::of_root(scene, cause, margin, chosen.len());
        for culprit in &cause.culprits {
            let mut evidence = evidence::of_root(scene, cause, *culprit, chosen.len());
            evidence.extend(tie.as_deref().map(evidence::tie));
            let (fault, signal) = trouble(scene, cause, *culprit);
            roots.push(Suspect {
                culprit: *culprit,
                fault,
                signal,
                overloads: overloads(cause),
                confidence,
                evidence,
            });
            owners.push(*index);
        }
    }
    // Everybody else who could be it, by how much dearer it is to believe so.
    let mut others: Vec<(f64, usize)> = (0..causes.len())
        .filter(|i| !chosen.iter().any(|c| shares_a_culprit(&causes[*c], &causes[*i])))
        .map(|i| (search.cost(&[i]), i))
        .collect();
    others.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut suspects = roots.clone();
    for (_, index) in others {
        for culprit in &causes[index].culprits {
            if suspects.len() < MAX_SUSPECTS && !suspects.iter().any(|s| s.culprit == *culprit) {
                let evidence = evidence::of_other(scene, &causes[index], *culprit, &roots);
                let (fault, signal) = trouble(scene, &causes[index], *culprit);
                suspects.push(Suspect {
                    culprit: *culprit,
                    fault,
                    signal,
                    overloads: overloads(&causes[index]),
                    confidence: 0.05,
                    evidence,
                });
            }
        }
    }
    let of_roots: Vec<&Cause> = owners.iter().map(|i| &causes[*i]).collect();
    let (affected, explained) = affected::find(scene, &roots, &of_roots);
    Verdict { roots, suspects, affected, explained }
}

/// Alternatives that cost no more than this on top are told as ties.
const TIE: f64 = 0.25;

fn shares_a_culprit(a: &Cause, b: &Cause) -> bool {
    a.culprits.iter().any(|culprit| b.culprits.contains(culprit))
}

fn rival_name(scene: &Scene<'_>, causes: &[Cause], other: &[usize], chosen: &[usize]) -> Option<String> {
    let names: Vec<String> = other
        .iter()
        .filter(|i| !chosen.contains(i))
        .flat_map(|i| &causes[*i].culprits)
        .map(|culprit| culprit.name(scene.situation.model))
        .collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn overloads(cause: &Cause) -> Option<crate::model::ComponentId> {
    cause.way.filter(|_| cause.why == Why::Overload).map(|way| way.to)
}

/// The fault that a culprit's broken instances have in common; without one the signal of the first.
fn trouble(scene: &Scene<'_>, cause: &Cause, culprit: super::Culprit) -> (Option<FaultKind>, Option<String>) {
    if matches!(cause.why, Why::Way | Why::Overload) {
        return (None, None);
    }
    let one = match culprit {
        super::Culprit::Instance(id) => Some(id),
        _ => None,
    };
    let members = || {
        cause
            .instances
            .iter()
            .filter(|id| one.is_none_or(|one| one == **id))
            .map(|id| scene.situation.facts(*id))
    };
    let kind = members().next().and_then(|first| first.fault).map(|fault| fault.kind);
    if kind.is_some() && members().all(|facts| facts.fault.map(|fault| fault.kind) == kind) {
        return (kind, None);
    }
    (None, members().next().and_then(|first| first.signal).map(str::to_owned))
}
