//! The sentences a person would say, in both languages. Words as in the design: plain, short, no
//! exclamation marks; the same on wall, alert and terminal.

use topology::fault::FaultKind;
use topology::level::Health;
use topology::model::{ComponentId, Model};
use topology::text::Text;
use topology::verdict::{Culprit, Suspect, Verdict};

use crate::board::Board;
use crate::changes::ChangeNote;
use crate::judge::spoken;

/// A title at the beginning of a sentence keeps its capital, elsewhere it is as the file has it.
fn title(model: &Model, id: ComponentId) -> &Text {
    &model.component(id).title
}

/// The headline and second line of an outage.
pub fn of_verdict(model: &Model, verdict: &Verdict, instances: &[Health]) -> (Text, Text) {
    match verdict.roots.as_slice() {
        [] => (Text::default(), Text::default()),
        [root] => of_one(model, verdict, root, instances),
        many => of_many(model, verdict, many, instances),
    }
}

fn of_one(model: &Model, verdict: &Verdict, root: &Suspect, instances: &[Health]) -> (Text, Text) {
    let others = verdict.affected.len();
    let state = root_state(root);
    match root.culprit {
        Culprit::Edge(edge) => {
            let dependency = &model.dependencies[edge.index()];
            let (from, to) = (title(model, dependency.from), title(model, dependency.to));
            (
                Text::new(
                    format!("{} cannot reach {}; both are healthy", from.en, to.en),
                    format!("{}连不上{}，两者自身均正常", from.zh, to.zh),
                ),
                Text::new("Look at the way between the two.", "检查两者之间的网络。"),
            )
        }
        Culprit::Way { from, to } => {
            let (from, to) = (&model.instance(from).name, title(model, to));
            (
                Text::new(
                    format!("{from} cannot reach {}; both are healthy", to.en),
                    format!("{from} 连不上{}，两者自身均正常", to.zh),
                ),
                Text::new(
                    format!("Look at the way between the two, and at {from}'s host."),
                    format!("检查两者之间的网络以及 {from} 所在的主机。"),
                ),
            )
        }
        Culprit::Label(label) => {
            let (key, value) = label.get(model);
            let bad = label.instances(model).filter(|i| instances[i.index()].is_unhealthy()).count();
            let total = label.instances(model).count();
            (
                Text::new(
                    format!(
                        "{key} {value} is bad: {bad} of its {total} instances, {others} components affected"
                    ),
                    format!("{key} {value} 异常：{total} 个实例中 {bad} 个异常，波及 {others} 个组件"),
                ),
                Text::new(
                    format!("Look at what they share: {key} {value}."),
                    format!("检查它们共有的 {key} {value}。"),
                ),
            )
        }
        Culprit::Monitor => (blind(), Text::default()),
        Culprit::MonitorSight(label) => {
            let (key, value) = label.get(model);
            (
                Text::new(
                    format!("This monitor no longer sees {key} {value}; who needs it is well"),
                    format!("监控看不到 {key} {value}，而依赖它的组件都正常"),
                ),
                Text::new("Look at the monitor's own network.", "检查监控自身的网络。"),
            )
        }
        Culprit::Instance(_) | Culprit::Component(_) if root.overloads.is_some() => {
            let from = root.culprit.component(model).map(|id| title(model, id).clone()).unwrap_or_default();
            let to = root.overloads.map(|id| title(model, id).clone()).unwrap_or_default();
            (
                Text::new(
                    format!("{} overloads {}: {others} affected", from.en, to.en),
                    format!("{}使{}过载，波及 {others} 个组件", from.zh, to.zh),
                ),
                Text::new(
                    format!("Slow {} down; {} only suffers from it.", from.en, to.en),
                    format!("请限制{}的流量；{}只是受害者。", from.zh, to.zh),
                ),
            )
        }
        Culprit::Instance(id) => {
            let instance = model.instance(id);
            let component = title(model, instance.component);
            let total = model.component(instance.component).instances.len();
            if total > 1 {
                let bad = model
                    .component(instance.component)
                    .instance_ids()
                    .filter(|i| {
                        instances[i.index()].is_unhealthy() && !verdict.explained.iter().any(|(e, _)| e == i)
                    })
                    .count()
                    .max(1);
                let local = if others == 0 {
                    Text::new(
                        format!(
                            "Local: {} others answer, nobody else is affected. Restart {}.",
                            total - bad,
                            instance.name
                        ),
                        format!(
                            "仅限本机：其余 {} 个正常，未波及他处。请重启 {}。",
                            total - bad,
                            instance.name
                        ),
                    )
                } else {
                    others_healthy(&instance.name, others)
                };
                return (
                    Text::new(
                        format!(
                            "{bad} of {total} {} instances {} {}",
                            component.en,
                            if bad == 1 { "is" } else { "are" },
                            state.en
                        ),
                        format!("{} {total} 个实例中有 {bad} 个{}", component.zh, state.zh),
                    ),
                    local,
                );
            }
            (headline(component, &state, others), others_healthy(&instance.name, others))
        }
        Culprit::Component(id) => {
            let component = title(model, id);
            (headline(component, &state, others), others_healthy(&model.component(id).name, others))
        }
    }
}

fn headline(component: &Text, state: &Text, others: usize) -> Text {
    if others == 0 {
        return Text::new(
            format!("{} is {}: nobody else is affected", component.en, state.en),
            format!("{}{}，未波及其他组件", component.zh, state.zh),
        );
    }
    Text::new(
        format!(
            "{} is {}: {others} {} affected",
            component.en,
            state.en,
            if others == 1 { "other" } else { "others" }
        ),
        format!("{}{}，波及其余 {others} 个组件", component.zh, state.zh),
    )
}

fn others_healthy(name: &str, others: usize) -> Text {
    if others == 0 {
        return Text::new(format!("Fix {name}."), format!("请处理 {name}。"));
    }
    Text::new(
        format!("Fix {name}; the others are healthy themselves."),
        format!("请处理 {name}；其余组件自身无故障。"),
    )
}

/// What the root is, after "is": hung, down, unreachable.
fn root_state(root: &Suspect) -> Text {
    let Some(kind) = root.fault else {
        return match root.signal.as_deref() {
            Some(signal) if signal.contains("_seconds") => {
                let name = spoken(signal);
                Text::new(format!("slow ({name})"), format!("变慢（{name}）"))
            }
            Some(signal) => {
                let name = spoken(signal);
                Text::new(format!("past a limit ({name})"), format!("超限（{name}）"))
            }
            None => Text::new("in trouble", "异常"),
        };
    };
    match kind {
        FaultKind::Refused => Text::new("down", "宕机"),
        FaultKind::Unresolvable => Text::new("without an address", "无法解析"),
        FaultKind::Unreachable => Text::new("unreachable", "不可达"),
        FaultKind::ConnectTimeout => Text::new("taking no connections", "连接超时"),
        FaultKind::Tls => Text::new("failing TLS", "TLS 失败"),
        FaultKind::Auth => Text::new("refusing the monitor's login", "拒绝监控登录"),
        FaultKind::Hung => Text::new("hung", "挂起"),
        FaultKind::Dropped => Text::new("dropping connections", "中途断开"),
        FaultKind::Protocol => Text::new("answering garbage", "协议错误"),
        FaultKind::BadAnswer => Text::new("answering badly", "异常应答"),
    }
}

fn of_many(model: &Model, verdict: &Verdict, roots: &[Suspect], instances: &[Health]) -> (Text, Text) {
    let first = roots[0].culprit.component(model);
    if first.is_some() && roots.iter().all(|root| root.culprit.component(model) == first) {
        // Several of one component: one sentence about them all.
        let one = of_one(model, verdict, &roots[0], instances);
        let names: Vec<String> = roots.iter().take(4).map(|root| root.culprit.name(model)).collect();
        let list = names.join(", ");
        let more = roots.len() - names.len();
        let and = if more > 0 { format!(" and {more} more") } else { String::new() };
        let others = verdict.affected.len();
        return (
            one.0,
            Text::new(
                format!(
                    "Fix {list}{and}{}",
                    if others == 0 {
                        "; nobody else is affected."
                    } else {
                        "; the others are healthy themselves."
                    }
                ),
                format!(
                    "请处理 {list}{}",
                    if more > 0 { format!(" 等 {} 个。", roots.len()) } else { "。".to_owned() }
                ),
            ),
        );
    }
    let mut names: Vec<&Text> = Vec::new();
    for root in roots {
        if let Some(component) = root.culprit.component(model)
            && !names.contains(&title(model, component))
        {
            names.push(title(model, component));
        }
    }
    let shown = |lang: fn(&Text) -> &str, join: &str| {
        let list: Vec<&str> = names.iter().take(3).map(|name| lang(name)).collect();
        let more = names.len().saturating_sub(3);
        if more > 0 { format!("{} +{more}", list.join(join)) } else { list.join(join) }
    };
    let (en, zh) = (shown(|t| &t.en, " and "), shown(|t| &t.zh, "、"));
    let n = names.len();
    let count = match n {
        2 => ("Two".to_owned(), "两".to_owned()),
        3 => ("Three".to_owned(), "三".to_owned()),
        _ => (n.to_string(), n.to_string()),
    };
    let fix: Vec<String> = roots.iter().take(4).map(|root| root.culprit.name(model)).collect();
    (
        Text::new(format!("{} independent faults: {en}", count.0), format!("{}处独立故障：{zh}", count.1)),
        Text::new(format!("Fix {}.", fix.join(" and ")), format!("请处理 {}。", fix.join("、"))),
    )
}

/// The monitor sees nothing.
pub fn blind() -> Text {
    Text::new("This monitor is blind: no verdict on the platform", "监控自身失明：无法判断平台状态")
}

/// The roots answer, the affected catch up.
pub fn recovering(model: &Model, roots: &[Suspect], left: usize) -> Text {
    let name = root_title(model, roots);
    Text::new(
        format!("{} answers again; {left} still recovering", name.en),
        format!("{}已恢复应答，{left} 个组件恢复中", name.zh),
    )
}

fn root_title(model: &Model, roots: &[Suspect]) -> Text {
    roots
        .first()
        .and_then(|root| root.culprit.component(model))
        .map_or_else(Text::default, |component| title(model, component).clone())
}

/// A line of the timeline: the roots answer.
pub fn answers_again(model: &Model, roots: &[Suspect]) -> Text {
    let name = root_title(model, roots);
    Text::new(format!("{} answers again", name.en), format!("{}已恢复应答", name.zh))
}

/// A line of the timeline: the first bad look.
pub fn went_bad(model: &Model, culprit: Culprit) -> Text {
    let name = culprit.name(model);
    Text::new(format!("{name}: first bad look"), format!("{name}：首次异常"))
}

/// A line of the timeline.
pub fn now_affected(model: &Model, components: &[ComponentId]) -> Text {
    let list = |lang: fn(&Text) -> &str, join: &str| {
        components.iter().map(|c| lang(title(model, *c))).collect::<Vec<_>>().join(join)
    };
    Text::new(format!("Affected: {}", list(|t| &t.en, ", ")), format!("波及：{}", list(|t| &t.zh, "、")))
}

/// A line of the timeline.
pub fn all_green_again() -> Text {
    Text::new("Green confirmed: it is over", "确认恢复正常，事件结束")
}

/// A line of the timeline: what was to blame is not watched any more.
pub fn taken_out(names: &[String]) -> Text {
    let (are, names) = (if names.len() == 1 { "is" } else { "are" }, names.join(", "));
    Text::new(format!("{names} {are} no longer in the topology file"), format!("{names} 已从拓扑文件中移除"))
}

/// A line of the timeline: somebody changed something.
pub fn was_changed(change: &ChangeNote) -> Text {
    let ChangeNote { node, what, .. } = change;
    let (by, by_zh) =
        change.by.as_ref().map_or_else(Default::default, |by| (format!(" (by {by})"), format!("（{by}）")));
    Text::new(format!("Change to {node}: {what}{by}"), format!("变更 {node}：{what}{by_zh}"))
}

/// A line of the timeline: somebody has taken it on, or lets it go.
pub fn taken_on(by: Option<(&str, Option<&str>)>) -> Text {
    match by {
        Some((by, None)) => Text::new(format!("Acknowledged by {by}"), format!("{by} 已认领")),
        Some((by, Some(note))) => {
            Text::new(format!("Acknowledged by {by}: {note}"), format!("{by} 已认领：{note}"))
        }
        None => Text::new("No longer acknowledged", "已取消认领"),
    }
}

/// A line of the timeline: it broke again before its end was told.
pub fn is_back() -> Text {
    Text::new("It is back", "再次发生")
}

/// A line of the timeline: somebody says something.
pub fn said_by(by: &str, words: &str) -> Text {
    Text::new(format!("{by}: {words}"), format!("{by}：{words}"))
}

/// A line of the timeline: it has become part of another incident.
pub fn part_of(incident: &str) -> Text {
    Text::new(format!("Now part of incident {incident}"), format!("已并入事件 {incident}"))
}

/// Why the monitor is blind: starved of its processor, or cut off.
pub fn why_blind(late: bool) -> Text {
    if late {
        Text::new(
            "its own probes start later than an interval: it lacks processor time",
            "自身探测的启动延迟超过一个周期：处理器时间不足",
        )
    } else {
        Text::new(
            "no probe of the last round got any answer from anywhere, not even a refusal",
            "最近一轮探测没有得到任何应答，连拒绝都没有",
        )
    }
}

/// What was taken for an outage on the way into blindness.
pub fn not_seen() -> Text {
    Text::new("withdrawn: the monitor itself had become blind", "已撤销：实为监控自身失明")
}

/// Of a moment in which the monitor was not running.
pub fn nobody_watched() -> (Text, Text) {
    (
        Text::new("The monitor was not watching then", "当时监控没有运行"),
        Text::new("What was is not known.", "当时的情况无从知晓。"),
    )
}

/// The board's headline and second line.
pub fn of_board(board: &Board) -> (Text, Text) {
    let (components, instances) = (board.components.len(), board.instances.len());
    if board.monitor.blind {
        return (
            blind(),
            Text::new(
                "It has lost its own network or processor; nobody is blamed.",
                "监控失去了自身的网络或处理器，不归咎于任何组件。",
            ),
        );
    }
    let counts = board.counts();
    if let Some(incident) = board.open.first() {
        if board.open.len() == 1 || counts.red > 0 && board.open[1].level != topology::level::Level::Red {
            return (incident.title.clone(), incident.advice.clone());
        }
        let roots: Vec<Suspect> = board.open.iter().flat_map(|i| i.verdict.roots.iter().cloned()).collect();
        let affected = board.open.iter().flat_map(|i| i.verdict.affected.iter().cloned()).collect();
        let all = Verdict { suspects: roots.clone(), roots, affected, explained: Vec::new() };
        let levels: Vec<Health> = board.instances.iter().map(|i| i.health).collect();
        return of_verdict(&board.model, &all, &levels);
    }
    if board.monitor.seen < instances {
        let seen = board.monitor.seen;
        return (
            Text::new(
                format!("Looking for the first time: {seen} of {instances} seen"),
                format!("首次探测：已见 {seen} / {instances}"),
            ),
            Text::default(),
        );
    }
    if counts.red == 0 && counts.yellow == 0 && counts.unknown == 0 {
        let n = components;
        let edges = board.edges.len();
        return (
            Text::new(
                if n == 1 {
                    "1 component is healthy".to_owned()
                } else {
                    format!("All {n} components are healthy")
                },
                format!("{n} 个组件全部正常"),
            ),
            Text::new(
                format!(
                    "{instances} instance{}, {edges} dependenc{}. Nothing needs you.",
                    if instances == 1 { "" } else { "s" },
                    if edges == 1 { "y" } else { "ies" }
                ),
                format!("{instances} 个实例，{edges} 条依赖，无需处理。"),
            ),
        );
    }
    let names = |wanted: fn(&Health) -> bool| -> Vec<&Text> {
        board
            .model
            .component_ids()
            .filter(|id| wanted(&board.component(*id).health))
            .map(|id| title(&board.model, id))
            .take(3)
            .collect()
    };
    let join = |list: &[&Text]| {
        Text::new(
            list.iter().map(|t| t.en.as_str()).collect::<Vec<_>>().join(", "),
            list.iter().map(|t| t.zh.as_str()).collect::<Vec<_>>().join("、"),
        )
    };
    if counts.red + counts.yellow > 0 {
        let sick = join(&names(|h| h.is_unhealthy()));
        let n = counts.red + counts.yellow;
        let (word, zh) = if counts.red > 0 { ("in trouble", "异常") } else { ("at risk", "有风险") };
        return (
            Text::new(
                format!("{n} {} {word}: {}", plural(n, "component is", "components are"), sick.en),
                format!("{n} 个组件{zh}：{}", sick.zh),
            ),
            Text::new("Nobody else is affected.", "未波及其他组件。"),
        );
    }
    let unseen = join(&names(|h| *h == Health::Unknown));
    let n = counts.unknown;
    (
        Text::new(
            format!(
                "{n} {} not been seen lately: {}",
                plural(n, "component has", "components have"),
                unseen.en
            ),
            format!("{n} 个组件近期未见：{}", unseen.zh),
        ),
        Text::default(),
    )
}

fn plural<'a>(n: usize, one: &'a str, many: &'a str) -> &'a str {
    if n == 1 { one } else { many }
}
