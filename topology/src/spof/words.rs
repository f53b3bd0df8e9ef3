//! The sentences: what it is, why it matters, what to do.

use crate::graph::Graph;
use crate::impact::Impact;
use crate::level::Health;
use crate::model::{ComponentId, Model, Policy};
use crate::rollup::needed;
use crate::text::Text;

use super::SpofKind;

/// Names listed in one sentence at most.
const MAX_NAMES: usize = 4;

/// What it is, and what to do.
pub(super) fn what_and_advice(
    model: &Model,
    kind: SpofKind,
    name: &str,
    components: &[ComponentId],
    impact: &Impact,
) -> (Text, Text) {
    let Some(component) = components.first().map(|id| model.component(*id)) else {
        return (Text::default(), Text::default());
    };
    let (its, all) = (component.name.as_str(), component.instances.len());
    match kind {
        SpofKind::SingleInstance => (
            Text::new(format!("{its} has one instance"), format!("{its} 只有一个实例")),
            Text::new(
                format!(
                    "run a second instance of {its} on another host; if one must do, make its users live without it (optional, async, a cache)"
                ),
                format!(
                    "在另一台主机上再运行一个 {its} 实例；若只能有一个，让依赖它的组件在缺少它时也能服务（optional、async、缓存）"
                ),
            ),
        ),
        SpofKind::SharedLabel => {
            let names = listed(model, components.iter().copied());
            let whole = impact
                .hurt
                .iter()
                .filter(|hurt| components.contains(&hurt.component))
                .all(|hurt| hurt.broken == model.component(hurt.component).instances.len());
            let (en, zh) = if whole { ("all", "全部") } else { ("too many", "过多") };
            (
                Text::new(
                    format!("{name} carries {en} instances of {}", names.en),
                    format!("{name} 承载了 {} 的{zh}实例", names.zh),
                ),
                Text::new(
                    format!("spread the instances of {} over more than {name}", names.en),
                    format!("把 {} 的实例分散到 {name} 之外", names.zh),
                ),
            )
        }
        SpofKind::OneLoss => match component.policy {
            Policy::Replicas { min_healthy } => {
                let must = needed(min_healthy, all as u32);
                let allows = (all - 1) * 100 / all;
                (
                    Text::new(
                        format!(
                            "{its} needs {must} of its {all} instances (min_healthy {:.0} %)",
                            min_healthy * 100.0
                        ),
                        format!(
                            "{its} 的 {all} 个实例必须有 {must} 个健康（min_healthy {:.0} %）",
                            min_healthy * 100.0
                        ),
                    ),
                    Text::new(
                        format!(
                            "run more instances, or set min_healthy to at most {allows} %, if the rest can carry the load"
                        ),
                        format!("增加实例；若其余实例能承担负载，把 min_healthy 设为不高于 {allows} %"),
                    ),
                )
            }
            _ => (
                Text::new(format!("{its} has one primary, {name}"), format!("{its} 只有一个主节点 {name}")),
                Text::new(
                    format!(
                        "let a replica of {its} take over by itself, and try it: until then nobody can write"
                    ),
                    format!("让 {its} 的副本能自动接管，并加以演练：接管之前无法写入"),
                ),
            ),
        },
        SpofKind::SingleCopy => (
            Text::new(
                format!("one loss takes a shard of {its} away ({all} instances)"),
                format!("坏一个实例就失去 {its} 的一个分片（共 {all} 个实例）"),
            ),
            Text::new(
                format!(
                    "give each shard of {its} a replica that can take over (labels `shard` and `role: replica`)"
                ),
                format!("为 {its} 的每个分片配置可接管的副本（标签 `shard` 与 `role: replica`）"),
            ),
        ),
        SpofKind::NeededAlone => (
            Text::new(
                format!("{name} is one of {all} instances of {its}, and needed by itself"),
                format!("{name} 是 {its} 的 {all} 个实例之一，却被单独依赖"),
            ),
            Text::new(
                format!("let its users take any instance of {its}, or name an alternative (one_of)"),
                format!("让依赖方可使用 {its} 的任一实例，或声明备选（one_of）"),
            ),
        ),
        SpofKind::OnEveryWay => (
            Text::new(
                format!("every way from the users to much of the platform passes {its} ({all} instances)"),
                format!("从用户到平台大部分功能都必经 {its}（{all} 个实例）"),
            ),
            Text::new(
                format!(
                    "one loss is no harm, a fault of all {all} at once is (a bad release, one configuration): roll changes out step by step"
                ),
                format!("坏一个无妨，{all} 个同时出错则不然（错误的发布、同一份配置）：变更要分批进行"),
            ),
        ),
    }
}

/// Why it matters.
pub(super) fn why(model: &Model, graph: &Graph, components: &[ComponentId], impact: &Impact) -> Text {
    let entry = |id: &ComponentId| impact.entries.iter().any(|(entry, _)| entry == id);
    let itself = |id: &ComponentId| components.contains(id);
    let cut: Vec<ComponentId> = impact.entries_at(Health::Red).collect();
    let of = |health: Health| -> Vec<ComponentId> {
        impact.at(health).filter(|id| !itself(id) && !entry(id)).collect()
    };
    let mut en: Vec<String> = Vec::new();
    let mut zh: Vec<String> = Vec::new();
    let mut say = |ids: &[ComponentId], one: &str, many: &str, words_zh: &str| {
        if !ids.is_empty() {
            let names = listed(model, ids.iter().copied());
            en.push(format!("{} {}", names.en, if ids.len() == 1 { one } else { many }));
            zh.push(format!("{}{words_zh}", names.zh));
        }
    };
    say(&cut, "cuts its users off", "cut their users off", " 无法为用户服务");
    say(&of(Health::Red), "goes red", "go red", " 变红");
    let worse: Vec<ComponentId> = impact.at(Health::Impaired).filter(|id| !itself(id)).collect();
    say(&worse, "serves worse", "serve worse", " 服务变差");
    let on: Vec<ComponentId> = impact.at(Health::AtRisk).filter(|id| !itself(id)).collect();
    say(&on, "serves on, yellow", "serve on, yellow", " 继续服务（黄）");
    if cut.is_empty() && worse.iter().all(|id| !entry(id)) {
        en.push("users are still served".to_owned());
        zh.push("用户仍可得到服务".to_owned());
    }
    let alone = impact.hurt.iter().all(|hurt| itself(&hurt.component));
    if alone && components.iter().all(|id| graph.needed_by(*id).is_empty() && entry(id)) {
        en.push("nothing in the file depends on it".to_owned());
        zh.push("文件中没有组件依赖它".to_owned());
    }
    Text::new(en.join("; "), zh.join("；"))
}

fn listed(model: &Model, ids: impl ExactSizeIterator<Item = ComponentId>) -> Text {
    let count = ids.len();
    let names: Vec<&str> = ids.take(MAX_NAMES).map(|id| model.component(id).name.as_str()).collect();
    let more = count - names.len();
    if more == 0 {
        return Text::new(names.join(", "), names.join("、"));
    }
    Text::new(
        format!("{} and {more} more", names.join(", ")),
        format!("{} 等 {count} 个组件", names.join("、")),
    )
}
