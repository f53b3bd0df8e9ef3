//! Evidence: sentences a person can check, each with its number, in both languages.

use crate::fault::FaultKind;
use crate::model::{Component, ComponentId, InstanceId};
use crate::text::Text;

use super::situation::{Onset, Situation};
use super::solve::Candidate;
use super::{Culprit, Evidence, Suspect};

/// What speaks for a root.
pub(super) fn of_root(
    situation: &Situation<'_>,
    candidate: &Candidate,
    culprit: Culprit,
    unhealthy: &[InstanceId],
    roots: usize,
) -> Vec<Evidence> {
    let mut list = Vec::new();
    match culprit {
        Culprit::Instance(id) => {
            list.extend(instance_fault(situation, id));
            list.extend(named(situation, candidate, culprit));
            list.extend(first(situation, candidate));
            list.extend(redundancy(situation, id));
        }
        Culprit::Component(id) => {
            list.extend(component_fault(situation, id, candidate));
            list.extend(named(situation, candidate, culprit));
            list.extend(first(situation, candidate));
        }
        Culprit::Edge(edge) => {
            let dependency = situation.graph.dependency(edge);
            let (from, to) =
                (situation.model.component(dependency.from), situation.model.component(dependency.to));
            list.extend(named(situation, candidate, culprit));
            list.push(sentence(
                "own_probe",
                format!("{} itself answers well: the way between the two is broken", to.name),
                format!("{} 自身应答正常：断的是两者之间的通路", to.name),
            ));
            let _ = from;
        }
        Culprit::Monitor => {}
    }
    list.extend(dependencies(situation, culprit));
    list.extend(reach(candidate, culprit, unhealthy, roots));
    if !candidate.contradicted.is_empty() {
        let names = names(situation, &candidate.contradicted);
        list.push(sentence(
            "against",
            format!("Against it: {names} should suffer too and is seen green"),
            format!("反证：{names} 本应受影响，却显示正常"),
        ));
    }
    list
}

/// Why a suspect that is no root was set aside.
pub(super) fn of_other(
    situation: &Situation<'_>,
    candidate: &Candidate,
    culprit: Culprit,
    roots: &[Suspect],
) -> Vec<Evidence> {
    let mut list = Vec::new();
    if let Culprit::Instance(id) = culprit {
        list.extend(instance_fault(situation, id));
    }
    if let (Culprit::Component(id), Some(member)) = (culprit, candidate.hypothesis.instances.first()) {
        let fault = instance_fault(situation, *member);
        let name = &situation.model.component(id).name;
        list.extend(fault.map(|e| Evidence {
            text: Text::new(format!("All of {name}: {}", e.text.en), format!("{name} 全部：{}", e.text.zh)),
            ..e
        }));
    }
    let culprits: Vec<String> = roots.iter().map(|root| root.culprit.name(situation.model)).collect();
    let culprits = culprits.join(", ");
    list.push(sentence(
        "explained",
        format!("Its trouble follows from {culprits}"),
        format!("其异常由 {culprits} 引起"),
    ));
    list
}

fn sentence(kind: &'static str, en: String, zh: String) -> Evidence {
    Evidence { kind, text: Text::new(en, zh) }
}

fn instance_fault(situation: &Situation<'_>, id: InstanceId) -> Option<Evidence> {
    let instance = situation.model.instance(id);
    let facts = situation.facts(id);
    let (name, address) = (&instance.name, &instance.address);
    if let Some(fault) = facts.fault {
        let verb = fault.kind.verb();
        let own = fault.kind.is_own();
        let words = if fault.words.is_empty() { String::new() } else { format!(" ({})", fault.words) };
        // "connection refused" adds nothing to "refuses connections".
        let words = if fault.kind == FaultKind::Refused { String::new() } else { words };
        let (en, zh) = (
            format!("{name} ({address}) {verb}{words}"),
            format!("{name}（{address}）{}{words}", fault.kind.short_zh()),
        );
        return Some(if own && fault.kind != FaultKind::Auth {
            sentence(
                "own_fault",
                format!("{en}: no dependency can cause that"),
                format!("{zh}：任何依赖都不会造成这种故障"),
            )
        } else {
            sentence("fault", en, zh)
        });
    }
    let signal = facts.signal?;
    Some(sentence(
        "signal",
        format!("{name} ({address}) is past its threshold in {signal}"),
        format!("{name}（{address}）的 {signal} 超过阈值"),
    ))
}

fn component_fault(situation: &Situation<'_>, id: ComponentId, candidate: &Candidate) -> Option<Evidence> {
    let component = situation.model.component(id);
    let members = &candidate.hypothesis.instances;
    let first = members.first()?;
    let fault = situation.facts(*first).fault;
    let same = fault.is_some()
        && members.iter().all(|m| situation.facts(*m).fault.map(|f| f.kind) == fault.map(|f| f.kind));
    let (n, total) = (members.len(), component.instances.len());
    Some(match fault {
        Some(fault) if same => sentence(
            if fault.kind.is_own() { "own_fault" } else { "fault" },
            format!("{n} of {total} {} instances: each {}", component.name, fault.kind.verb()),
            format!("{} 的 {total} 个实例中有 {n} 个：{}", component.name, fault.kind.short_zh()),
        ),
        _ => sentence(
            "fault",
            format!("{n} of {total} {} instances are unhealthy", component.name),
            format!("{} 的 {total} 个实例中有 {n} 个异常", component.name),
        ),
    })
}

/// What the dependants say.
fn named(situation: &Situation<'_>, candidate: &Candidate, culprit: Culprit) -> Vec<Evidence> {
    let mut list = Vec::new();
    let edges = match culprit {
        Culprit::Edge(edge) => vec![edge],
        _ => culprit.component(situation.model).map(|c| situation.graph.needed_by(c)).unwrap_or_default(),
    };
    for edge in edges {
        let dependency = situation.graph.dependency(edge);
        let (bad, good) = situation.words_on(dependency.from, dependency.to);
        if bad + good == 0 || candidate.named_by.0 == 0 {
            continue;
        }
        let from = situation.model.component(dependency.from);
        let to = &situation.model.component(dependency.to).name;
        let total = bad + good;
        let says = situation
            .witnesses
            .iter()
            .find(|w| {
                !w.ok && w.on == dependency.to && situation.model.instance(w.by).component == dependency.from
            })
            .map(|w| unprefixed(&w.words, to))
            .filter(|words| !words.is_empty());
        let quote = says.map(|words| format!(": \u{201c}{words}\u{201d}")).unwrap_or_default();
        if bad > 0 {
            list.push(sentence(
                "witnesses",
                format!("{bad} of {total} {} instances name {to}{quote}", from.name),
                format!("{} 的 {total} 个实例中有 {bad} 个指认 {to}{quote}", from.name),
            ));
        } else {
            list.push(sentence(
                "witnesses",
                format!("Against it: all {good} {} instances that tell can use {to}", from.name),
                format!("反证：{} 的 {good} 个实例都能使用 {to}", from.name),
            ));
        }
    }
    list
}

/// A witness's words without the level and the name that the sentence says already: `fail: member-db: no answer`.
fn unprefixed<'a>(words: &'a str, on: &str) -> &'a str {
    let mut rest = words;
    for prefix in ["fail", "warn", "down", on] {
        rest = rest.strip_prefix(prefix).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(rest);
    }
    rest
}

/// That nothing below it is to blame.
fn dependencies(situation: &Situation<'_>, culprit: Culprit) -> Option<Evidence> {
    let (Culprit::Instance(_) | Culprit::Component(_)) = culprit else { return None };
    let component = culprit.component(situation.model)?;
    let needs = situation.graph.needs(component);
    let name = culprit.name(situation.model);
    if needs.is_empty() {
        return Some(sentence(
            "dependencies",
            format!("{name} depends on nothing that could be behind it"),
            format!("{name} 不依赖其他组件，无从继承"),
        ));
    }
    let sick: Vec<ComponentId> = needs
        .iter()
        .map(|edge| situation.graph.dependency(*edge).to)
        .filter(|to| !situation.unhealthy_of(*to).is_empty())
        .collect();
    if sick.is_empty() {
        return Some(sentence(
            "dependencies",
            format!("Everything it needs is healthy ({} dependencies): the fault is its own", needs.len()),
            format!("它所依赖的 {} 个组件全部正常：故障在其自身", needs.len()),
        ));
    }
    None
}

/// That it was first.
fn first(situation: &Situation<'_>, candidate: &Candidate) -> Option<Evidence> {
    let onset_of = |ids: &mut dyn Iterator<Item = InstanceId>| -> Option<(InstanceId, Onset)> {
        ids.filter_map(|id| Some((id, situation.facts(id).onset?)))
            .min_by(|a, b| a.1.first_bad.total_cmp(&b.1.first_bad))
    };
    let (_, own) = onset_of(&mut candidate.hypothesis.instances.iter().copied())?;
    let mut others =
        candidate.covered.iter().copied().filter(|id| !candidate.hypothesis.instances.contains(id));
    let (next, then) = onset_of(&mut others)?;
    let gap = then.first_bad - own.first_bad;
    if gap < 0.05 {
        return None;
    }
    let name = &situation.model.instance(next).name;
    Some(sentence(
        "onset",
        format!("It was first: {gap:.1} s before the next one, {name}"),
        format!("它最先异常：比下一个（{name}）早 {gap:.1} 秒"),
    ))
}

/// How many of its kind are left.
fn redundancy(situation: &Situation<'_>, id: InstanceId) -> Option<Evidence> {
    let component: &Component = situation.model.component(situation.model.instance(id).component);
    let total = component.instances.len();
    if total < 2 {
        return None;
    }
    let well = component.instance_ids().filter(|i| !situation.facts(*i).health.is_unhealthy()).count();
    let sick = total - well;
    Some(sentence(
        "redundancy",
        format!(
            "{sick} of {total} {} instances {} broken; {well} answer well",
            component.name,
            if sick == 1 { "is" } else { "are" }
        ),
        format!("{} 共 {total} 个实例，{sick} 个异常，{well} 个正常", component.name),
    ))
}

/// How much it explains.
fn reach(
    candidate: &Candidate,
    culprit: Culprit,
    unhealthy: &[InstanceId],
    roots: usize,
) -> Option<Evidence> {
    if !matches!(culprit, Culprit::Component(_) | Culprit::Edge(_)) && candidate.culprits.len() > 1 {
        return None;
    }
    let others = candidate.covered.iter().filter(|id| !candidate.hypothesis.instances.contains(id)).count();
    if others == 0 {
        // "Nobody else" is only true of the only root.
        return (roots == 1).then(|| {
            sentence("explains", "Nobody else is affected".to_owned(), "未波及其他组件".to_owned())
        });
    }
    let all = unhealthy.iter().filter(|id| !candidate.hypothesis.instances.contains(id)).count();
    Some(sentence(
        "explains",
        format!("It explains {others} of the {all} other unhealthy instances"),
        format!("它能解释其余 {all} 个异常实例中的 {others} 个"),
    ))
}

fn names(situation: &Situation<'_>, ids: &[ComponentId]) -> String {
    let names: Vec<&str> = ids.iter().map(|id| situation.model.component(*id).name.as_str()).collect();
    names.join(", ")
}
