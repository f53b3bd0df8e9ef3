//! Evidence: sentences a person can check, each with its number, in both languages.

use crate::fault::FaultKind;
use crate::model::{Component, ComponentId, InstanceId};
use crate::text::Text;

use super::cause::{Cause, Why};
use super::scene::Scene;
use super::situation::{Meaning, Onset, Situation};
use super::{Culprit, Evidence, Suspect};

/// What speaks for a root.
pub(super) fn of_root(scene: &Scene<'_>, cause: &Cause, culprit: Culprit, roots: usize) -> Vec<Evidence> {
    let situation = scene.situation;
    let mut list = Vec::new();
    match culprit {
        _ if cause.why == Why::Overload => list.extend(of_way(scene, cause, culprit)),
        Culprit::Instance(id) => {
            list.extend(instance_fault(situation, id));
            list.extend(named(scene, cause, culprit));
            list.extend(first(scene, cause));
            list.extend(redundancy(situation, id));
        }
        Culprit::Component(id) => {
            list.extend(component_fault(situation, id, cause));
            list.extend(named(scene, cause, culprit));
            list.extend(first(scene, cause));
        }
        Culprit::Edge(_) | Culprit::Way { .. } => list.extend(of_way(scene, cause, culprit)),
        Culprit::Label(label) => list.extend(of_label(scene, cause, label)),
        Culprit::MonitorSight(label) => list.extend(of_lost_sight(scene, label)),
        Culprit::Monitor => list.extend(of_monitor(scene, cause)),
    }
    if let Why::Unseen | Why::AllCallers | Why::Queue | Why::Singled = cause.why {
        list.extend(of_quiet(scene, cause, culprit));
    }
    list.extend(changes(scene, cause));
    if matches!(cause.why, Why::Sick) {
        list.extend(dependencies(scene, culprit));
    }
    list.extend(reach(scene, cause, culprit, roots));
    if !cause.contradicted.is_empty() {
        let names = names(situation, &cause.contradicted);
        list.push(sentence(
            "against",
            format!("Against it: {names} should suffer too and is seen green"),
            format!("反证：{names} 本应受影响，却显示正常"),
        ));
    }
    list.extend(undeclared(scene, cause));
    list
}

/// That another answer is as good.
pub(super) fn tie(rival: &str) -> Evidence {
    sentence(
        "tie",
        format!("Nothing separates it from {rival}: it may be either"),
        format!("无法与 {rival} 区分：两者皆有可能"),
    )
}

/// Why a suspect that is no root was set aside.
pub(super) fn of_other(
    scene: &Scene<'_>,
    cause: &Cause,
    culprit: Culprit,
    roots: &[Suspect],
) -> Vec<Evidence> {
    let situation = scene.situation;
    let mut list = Vec::new();
    if let Culprit::Instance(id) = culprit {
        list.extend(instance_fault(situation, id));
    }
    if let (Culprit::Component(id), Some(member)) = (culprit, cause.instances.first()) {
        let fault = instance_fault(situation, *member);
        let name = &situation.model.component(id).name;
        list.extend(fault.map(|e| Evidence {
            text: Text::new(format!("All of {name}: {}", e.text.en), format!("{name} 全部：{}", e.text.zh)),
            ..e
        }));
    }
    let names: Vec<String> = roots.iter().map(|root| root.culprit.name(situation.model)).collect();
    let names = names.join(", ");
    list.push(if cause.instances.is_empty() {
        sentence(
            "explained",
            format!("{names} explains as much, and more is known against it"),
            format!("{names} 同样能解释，且证据更充分"),
        )
    } else {
        sentence("explained", format!("Its trouble follows from {names}"), format!("其异常由 {names} 引起"))
    });
    list
}

/// A way: who cannot go it, and that both its ends are well; or who sends too much over it.
fn of_way(scene: &Scene<'_>, cause: &Cause, culprit: Culprit) -> Vec<Evidence> {
    let situation = scene.situation;
    let Some(way) = cause.way else { return Vec::new() };
    let (from, to) = (situation.model.component(way.from), situation.model.component(way.to));
    let mut list = Vec::new();
    if matches!(cause.why, Why::Overload) {
        for sign in situation.signs.iter().filter(|s| {
            s.peer == Some(way.from)
                && situation.model.instance(s.at).component == way.to
                && matches!(s.meaning, Meaning::Requests | Meaning::Connections)
                && s.ratio() > 1.5
        }) {
            let (what, zh) = match sign.meaning {
                Meaning::Requests => ("requests a second", "每秒请求"),
                _ => ("connections", "连接"),
            };
            list.push(sentence(
                "overload",
                format!(
                    "{} went from {} to {} {what} at {}: {:.1} times its normal",
                    from.name,
                    round(sign.normal),
                    round(sign.now),
                    to.name,
                    sign.ratio()
                ),
                format!(
                    "{} 对 {} 的{zh}从 {} 升至 {}：为平时的 {:.1} 倍",
                    from.name,
                    to.name,
                    round(sign.normal),
                    round(sign.now),
                    sign.ratio()
                ),
            ));
        }
        for id in &cause.instances {
            list.extend(instance_fault(situation, *id));
        }
        return list;
    }
    list.extend(named(scene, cause, culprit));
    list.push(sentence(
        "own_probe",
        format!("{} itself answers well: the way between the two is broken", to.name),
        format!("{} 自身应答正常：断的是两者之间的通路", to.name),
    ));
    list
}

/// A label: how many of its instances are bad, and how many elsewhere.
fn of_label(scene: &Scene<'_>, cause: &Cause, label: super::LabelId) -> Vec<Evidence> {
    let situation = scene.situation;
    let (key, value) = label.get(situation.model);
    let total = label.instances(situation.model).count();
    let bad = cause.instances.len();
    let elsewhere = scene.symptoms.len() - bad;
    let explained = cause.explained.len() - bad.min(cause.explained.len());
    let mut list = vec![sentence(
        "label",
        format!("{bad} of the {total} instances with {key}={value} are bad"),
        format!("带 {key}={value} 的 {total} 个实例中有 {bad} 个异常"),
    )];
    if let Some(id) = cause.instances.first() {
        list.extend(instance_fault(situation, *id));
    }
    if elsewhere > 0 {
        list.push(sentence(
            "explains",
            format!("It explains {explained} of the {elsewhere} others"),
            format!("它能解释其余 {elsewhere} 个中的 {explained} 个"),
        ));
    }
    list
}

fn of_lost_sight(scene: &Scene<'_>, label: super::LabelId) -> Vec<Evidence> {
    let (key, value) = label.get(scene.situation.model);
    let total = label.instances(scene.situation.model).count();
    vec![sentence(
        "monitor",
        format!(
            "This monitor reaches none of the {total} instances with {key}={value}, and nobody who needs them suffers: it has lost its own way there"
        ),
        format!(
            "监控本身连不到 {key}={value} 的 {total} 个实例，而依赖它们的组件都正常：是监控到那里的网络断了"
        ),
    )]
}

fn of_monitor(scene: &Scene<'_>, cause: &Cause) -> Vec<Evidence> {
    let (lost, all) = (cause.instances.len(), scene.situation.model.instances.len());
    vec![sentence(
        "monitor",
        format!(
            "{lost} of {all} instances became unreachable at once, and nothing that answered proves sight: this monitor has lost its own network"
        ),
        format!("{all} 个实例中有 {lost} 个同时不可达，没有任何应答证明监控仍能看见：监控自身断网"),
    )]
}

/// Somebody who is not seen to be bad.
fn of_quiet(scene: &Scene<'_>, cause: &Cause, culprit: Culprit) -> Vec<Evidence> {
    let name = culprit.name(scene.situation.model);
    let mut list = Vec::new();
    match cause.why {
        Why::Unseen => list.push(sentence(
            "unseen",
            format!("No fresh look at {name} itself: it or the way to it"),
            format!("没有 {name} 自身的新观测：故障在它或通往它的路上"),
        )),
        Why::Singled => list.push(sentence(
            "own_probe",
            format!(
                "Its own probe finds {name} well; its callers fail on it, and not on the others of its kind"
            ),
            format!("{name} 自身探测正常，但调用方只在它上面失败，在同类其他实例上正常"),
        )),
        Why::AllCallers => list.push(sentence(
            "own_probe",
            format!(
                "{name} answers this monitor, and none of its callers: its side of the network, or what it asks of them (a password, a right, a limit)"
            ),
            format!(
                "{name} 能应答监控，却不应答任何调用方：故障在它一侧的网络，或在它对调用方的要求（密码、权限、限额）"
            ),
        )),
        _ => {
            let model = scene.situation.model;
            for sign in scene.situation.signs.iter().filter(|s| {
                matches!(s.meaning, Meaning::Delivered | Meaning::Published)
                    && s.peer.is_some_and(|peer| cause.components.contains(&peer))
            }) {
                let at = &model.instance(sign.at).name;
                let (en, zh) = match sign.meaning {
                    Meaning::Delivered => ("takes", "取走"),
                    _ => ("puts in", "放入"),
                };
                list.push(sentence(
                    "flow",
                    format!(
                        "{name} {en} {} messages a second at {at}, normally {}",
                        round(sign.now),
                        round(sign.normal)
                    ),
                    format!(
                        "{name} 在 {at} 每秒{zh} {} 条消息，平时 {} 条",
                        round(sign.now),
                        round(sign.normal)
                    ),
                ));
            }
            if list.is_empty() {
                list.push(sentence(
                    "flow",
                    format!("A backlog is its consumer's or its producer's doing before it is the broker's: {name}"),
                    format!("积压首先是消费方或生产方的问题：{name}"),
                ));
            }
        }
    }
    let component = culprit.component(scene.situation.model).filter(|_| cause.why != Why::Singled);
    if let Some(component) = component {
        list.extend(named(scene, cause, Culprit::Component(component)));
    }
    list
}

/// What was done to it just before.
fn changes(scene: &Scene<'_>, cause: &Cause) -> Vec<Evidence> {
    let situation = scene.situation;
    let mut touched: Vec<ComponentId> =
        cause.instances.iter().map(|id| situation.model.instance(*id).component).collect();
    touched.extend(&cause.components);
    touched.sort_unstable();
    touched.dedup();
    if touched.len() > 1 {
        return Vec::new();
    }
    let began = situation.first_bad(cause.instances.iter().copied()).unwrap_or(scene.began);
    let relevant = situation
        .changes
        .iter()
        .filter(|c| touched.contains(&c.component) && c.at <= began && began - c.at <= 1800.0);
    relevant
        .map(|change| {
            let name = &situation.model.component(change.component).name;
            let ago = began - change.at;
            sentence(
                "change",
                format!("{name} was changed {ago:.0} s before: {}", change.what),
                format!("{ago:.0} 秒前 {name} 有变更：{}", change.what),
            )
        })
        .collect()
}

/// Ways that witnesses tell of and the file does not.
fn undeclared(scene: &Scene<'_>, cause: &Cause) -> Vec<Evidence> {
    let model = scene.situation.model;
    let mut seen: Vec<(ComponentId, ComponentId)> = Vec::new();
    for i in &cause.explained {
        let symptom = &scene.symptoms[*i];
        for blame in &symptom.named {
            let undeclared =
                scene.view(symptom.component).needs.iter().any(|l| l.other == blame.on && l.edge.is_none());
            if undeclared && !seen.contains(&(symptom.component, blame.on)) {
                seen.push((symptom.component, blame.on));
            }
        }
    }
    seen.into_iter()
        .map(|(from, to)| {
            let (from, to) = (&model.component(from).name, &model.component(to).name);
            sentence(
                "missing_edge",
                format!("{from} names {to}, which the file does not declare as its dependency"),
                format!("{from} 指认 {to}，但配置中没有声明这一依赖"),
            )
        })
        .collect()
}

fn round(value: f64) -> String {
    if value.abs() >= 10.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

fn sentence(kind: &'static str, en: String, zh: String) -> Evidence {
    Evidence { kind, text: Text::new(en, zh) }
}

fn instance_fault(situation: &Situation<'_>, id: InstanceId) -> Option<Evidence> {
    let instance = situation.model.instance(id);
    let facts = situation.facts(id);
    // A recorded case has no addresses.
    let (at, at_zh) = if instance.address.port == 0 {
        (String::new(), String::new())
    } else {
        (format!(" ({})", instance.address), format!("（{}）", instance.address))
    };
    let name = &instance.name;
    if let Some(fault) = facts.fault {
        let verb = fault.kind.verb();
        let own = fault.kind.is_own();
        // "connection refused" adds nothing to "refuses connections".
        let words = if fault.words.is_empty() || fault.kind == FaultKind::Refused {
            String::new()
        } else {
            format!(" ({})", fault.words)
        };
        let (en, zh) =
            (format!("{name}{at} {verb}{words}"), format!("{name}{at_zh}{}{words}", fault.kind.short_zh()));
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
    Some(match (signal, facts.slower_by) {
        ("health.reported", _) => sentence(
            "signal",
            format!("{name}{at} says of itself that it is not well"),
            format!("{name}{at_zh}自报状态不佳"),
        ),
        // A record does not always say which.
        ("latency_seconds" | "level", by) if by.is_none_or(|by| by < 0.005) => sentence(
            "signal",
            format!("{name}{at} is past a threshold"),
            format!("{name}{at_zh}有指标超过阈值"),
        ),
        ("latency_seconds", Some(by)) => sentence(
            "signal",
            format!("{name}{at} takes {by:.2} s longer to answer than normal"),
            format!("{name}{at_zh}的应答比平时慢 {by:.2} 秒"),
        ),
        _ => sentence(
            "signal",
            format!("{name}{at} is past its threshold in {signal}"),
            format!("{name}{at_zh}的 {signal} 超过阈值"),
        ),
    })
}

fn component_fault(situation: &Situation<'_>, id: ComponentId, cause: &Cause) -> Option<Evidence> {
    let component = situation.model.component(id);
    let members = &cause.instances;
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
fn named(scene: &Scene<'_>, cause: &Cause, culprit: Culprit) -> Vec<Evidence> {
    let situation = scene.situation;
    let mut list = Vec::new();
    let edges = match culprit {
        Culprit::Edge(edge) => vec![edge],
        _ => culprit.component(situation.model).map(|c| situation.graph.needed_by(c)).unwrap_or_default(),
    };
    for edge in edges {
        let dependency = situation.graph.dependency(edge);
        let (bad, good) = situation.words_on(dependency.from, dependency.to);
        if bad + good == 0 || cause.named_by.0 == 0 {
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
fn dependencies(scene: &Scene<'_>, culprit: Culprit) -> Option<Evidence> {
    let situation = scene.situation;
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
fn first(scene: &Scene<'_>, cause: &Cause) -> Option<Evidence> {
    let onset_of = |ids: &mut dyn Iterator<Item = InstanceId>| -> Option<(InstanceId, Onset)> {
        ids.filter_map(|id| Some((id, scene.situation.facts(id).onset?)))
            .min_by(|a, b| a.1.first_bad.total_cmp(&b.1.first_bad))
    };
    let (_, own) = onset_of(&mut cause.instances.iter().copied())?;
    let mut others =
        cause.explained.iter().map(|i| scene.symptoms[*i].id).filter(|id| !cause.instances.contains(id));
    let (next, then) = onset_of(&mut others)?;
    let gap = then.first_bad - own.first_bad;
    if gap < 0.05 {
        return None;
    }
    let name = &scene.situation.model.instance(next).name;
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
fn reach(scene: &Scene<'_>, cause: &Cause, culprit: Culprit, roots: usize) -> Option<Evidence> {
    if matches!(culprit, Culprit::Label(_) | Culprit::Monitor | Culprit::MonitorSight(_))
        || cause.culprits.len() > 1
    {
        return None;
    }
    let others =
        cause.explained.iter().filter(|i| !cause.instances.contains(&scene.symptoms[**i].id)).count();
    if others == 0 {
        // "Nobody else" is only true of the only root.
        return (roots == 1).then(|| {
            sentence("explains", "Nobody else is affected".to_owned(), "未波及其他组件".to_owned())
        });
    }
    let all = scene.symptoms.iter().filter(|s| !cause.instances.contains(&s.id)).count();
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
