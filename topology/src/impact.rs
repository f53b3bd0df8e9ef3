//! What breaks if something breaks: the roll-up run forward from a guess, everything else green.

use crate::graph::{DependencyId, Graph};
use crate::level::Health;
use crate::model::{ComponentId, InstanceId, Model, NodeId, Strength};
use crate::rollup::RollUp;
use crate::text::Text;

/// What is imagined to break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// All instances of a component, or one instance.
    Node(NodeId),
    /// All instances with a label.
    Label(String, String),
}

impl Target {
    /// The target called `name`: a node (a prefix will do while it is unambiguous), or a label as
    /// `host=h7`.
    ///
    /// # Errors
    /// The candidates: the nodes that begin so, or the labels with that key. None of them when nothing
    /// comes near.
    pub fn find(model: &Model, name: &str) -> Result<Self, Vec<String>> {
        let node = model.find(name).map(Self::Node);
        match (node, name.split_once('=')) {
            (Err(_), Some((key, value))) => {
                let has = |labels: &std::collections::BTreeMap<String, String>| {
                    labels.get(key).is_some_and(|found| found == value)
                };
                if model.instances.iter().any(|instance| has(&instance.labels)) {
                    return Ok(Self::Label(key.to_owned(), value.to_owned()));
                }
                Err(Vec::new())
            }
            (node, _) => node,
        }
    }

    /// Its name.
    pub fn name(&self, model: &Model) -> String {
        match self {
            Self::Node(node) => model.node_name(*node).to_owned(),
            Self::Label(key, value) => format!("{key}={value}"),
        }
    }

    /// The stable word for what it is.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Node(NodeId::Component(_)) => "component",
            Self::Node(NodeId::Instance(_)) => "instance",
            Self::Label(..) => "label",
        }
    }

    /// The instances that break.
    pub fn instances(&self, model: &Model) -> Vec<InstanceId> {
        match self {
            Self::Node(NodeId::Component(id)) => model.component(*id).instance_ids().collect(),
            Self::Node(NodeId::Instance(id)) => vec![*id],
            Self::Label(key, value) => model
                .instance_ids()
                .filter(|id| model.instance(*id).labels.get(key).is_some_and(|found| found == value))
                .collect(),
        }
    }
}

/// A component that feels it.
#[derive(Clone, Debug, PartialEq)]
pub struct Hurt {
    /// Which one.
    pub component: ComponentId,
    /// What it becomes.
    pub health: Health,
    /// How many of its own instances are what breaks.
    pub broken: usize,
    /// The dependencies over which it comes; empty where its own broken instances are enough.
    pub over: Vec<DependencyId>,
    /// The sentence.
    pub because: Text,
}

/// What follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Impact {
    /// What breaks.
    pub broken: Vec<InstanceId>,
    /// The components that feel it, nearest first.
    pub hurt: Vec<Hurt>,
    /// The instances that are not broken and lose something that only they need.
    pub instances: Vec<(InstanceId, Health)>,
    /// Every entry point, with what it becomes, in file order.
    pub entries: Vec<(ComponentId, Health)>,
    /// The components that do not feel it at all.
    pub unhurt: Vec<ComponentId>,
}

impl Impact {
    /// The components at `health`, nearest first.
    pub fn at(&self, health: Health) -> impl Iterator<Item = ComponentId> + '_ {
        self.hurt.iter().filter(move |one| one.health == health).map(|one| one.component)
    }

    /// The entry points at `health`.
    pub fn entries_at(&self, health: Health) -> impl Iterator<Item = ComponentId> + '_ {
        self.entries.iter().filter(move |(_, is)| *is == health).map(|(id, _)| *id)
    }
}

/// What follows when `target` is red.
pub fn impact(model: &Model, graph: &Graph, target: &Target) -> Impact {
    let mut green = RollUp::new(graph, |_| Health::Green, |_| None, &[]);
    of_loss(model, graph, &mut green, &graph.entry_points(), target.instances(model))
}

/// What follows when these instances are red. `green` has everything green, before and after.
pub(crate) fn of_loss(
    model: &Model,
    graph: &Graph,
    green: &mut RollUp,
    entries: &[ComponentId],
    broken: Vec<InstanceId>,
) -> Impact {
    let changed = green.set_all(broken.iter().map(|id| (*id, Health::Red)));
    let state = &*green;
    let mut lost = vec![0; model.components.len()];
    for id in &broken {
        lost[model.instance(*id).component.index()] += 1;
    }
    let components: Vec<ComponentId> = changed
        .iter()
        .filter_map(|node| match node {
            NodeId::Component(id) => Some(*id),
            NodeId::Instance(_) => None,
        })
        .collect();
    let inherits = |node: &NodeId| match node {
        NodeId::Instance(id) if state.instance(*id).own == Health::Green => Some((*id, state.health(*node))),
        _ => None,
    };
    let hurt = nearest_first(graph, state, &components, &lost)
        .into_iter()
        .map(|component| {
            let rolled = state.component(component);
            let broken = lost[component.index()];
            let over = rolled.inherited_from;
            let because = because(model, graph, component, rolled.health, broken, &over);
            Hurt { component, health: rolled.health, broken, over, because }
        })
        .collect();
    let impact = Impact {
        hurt,
        instances: changed.iter().filter_map(inherits).collect(),
        entries: entries.iter().map(|id| (*id, state.health(NodeId::Component(*id)))).collect(),
        unhurt: model.component_ids().filter(|id| components.binary_search(id).is_err()).collect(),
        broken,
    };
    green.set_all(impact.broken.iter().map(|id| (*id, Health::Green)));
    impact
}

/// The components in the order in which it reaches them: those with broken instances, then who depends on
/// them, then the next.
fn nearest_first(
    graph: &Graph,
    state: &RollUp,
    components: &[ComponentId],
    lost: &[usize],
) -> Vec<ComponentId> {
    let mut order: Vec<ComponentId> = components.iter().copied().filter(|id| lost[id.index()] > 0).collect();
    let mut reached = vec![false; lost.len()];
    for id in &order {
        reached[id.index()] = true;
    }
    let mut at = 0;
    while at < order.len() {
        let mut next: Vec<ComponentId> = graph
            .needed_by(order[at])
            .into_iter()
            .filter(|edge| {
                let from = graph.dependency(*edge).from;
                !reached[from.index()]
                    && components.binary_search(&from).is_ok()
                    && state.arriving(*edge).is_unhealthy()
            })
            .map(|edge| graph.dependency(edge).from)
            .collect();
        next.dedup();
        for id in next {
            if !std::mem::replace(&mut reached[id.index()], true) {
                order.push(id);
            }
        }
        at += 1;
    }
    // Only its instances inherit, too little to arrive anywhere: still hurt.
    order.extend(components.iter().copied().filter(|id| !reached[id.index()]));
    order
}

fn because(
    model: &Model,
    graph: &Graph,
    component: ComponentId,
    health: Health,
    broken: usize,
    over: &[DependencyId],
) -> Text {
    let all = model.component(component).instances.len();
    if broken > 0 && over.is_empty() {
        return match (broken, all) {
            (1, 1) => Text::new("it is what breaks", "就是它坏了"),
            (n, all) if n == all => {
                Text::new(format!("all its {all} instances break"), format!("其全部 {all} 个实例都坏了"))
            }
            (n, all) => {
                let (en, zh) = match health {
                    Health::Red => ("too many to serve", "已无法服务"),
                    Health::Impaired => ("the rest serves worse", "其余服务变差"),
                    _ => ("the rest serves on", "其余继续服务"),
                };
                Text::new(
                    format!("{n} of its {all} instances break{}: {en}", if n == 1 { "s" } else { "" }),
                    format!("{all} 个实例中坏了 {n} 个：{zh}"),
                )
            }
        };
    }
    let mut needs: Vec<&str> = Vec::new();
    for edge in over {
        let name = model.component(graph.dependency(*edge).to).name.as_str();
        if !needs.contains(&name) {
            needs.push(name);
        }
    }
    let strength = |wanted: Strength| over.iter().all(|edge| graph.dependency(*edge).strength == wanted);
    let (list, list_zh) = (needs.join(", "), needs.join("、"));
    if over.len() > 1 && over.iter().all(|edge| graph.dependency(*edge).one_of.is_some()) {
        let (en, zh) = if health == Health::Red {
            ("cannot serve", "无法服务")
        } else {
            ("serves worse", "服务变差")
        };
        return Text::new(
            format!("{en}: it needs one of {list}"),
            format!("{zh}：它依赖 {list_zh} 其中之一"),
        );
    }
    match health {
        Health::Red => {
            Text::new(format!("cannot serve: it needs {list}"), format!("无法服务：它依赖 {list_zh}"))
        }
        Health::Impaired => {
            Text::new(format!("serves worse: it needs {list}"), format!("服务变差：它依赖 {list_zh}"))
        }
        _ if strength(Strength::Async) => Text::new(
            format!("serves on: what it hands to {list} waits"),
            format!("继续服务：交给 {list_zh} 的数据在等待"),
        ),
        _ if strength(Strength::Required) => Text::new(
            format!("serves on: some of its instances need {list}"),
            format!("继续服务：部分实例依赖 {list_zh}"),
        ),
        _ => Text::new(format!("serves on without {list}"), format!("继续服务，但缺少 {list_zh}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{add, label, model};

    fn hurt(model: &Model, target: &str) -> Vec<String> {
        let impact = impact(model, &Graph::new(model), &Target::find(model, target).unwrap());
        let line = |one: &Hurt| {
            format!("{} {} {}", one.health.level(), model.component(one.component).name, one.because.en)
        };
        impact.hurt.iter().map(line).collect()
    }

    #[test]
    fn trouble_is_told_from_the_cause_up() {
        let m =
            model("gateway -> web\nweb x4 -> orders, mail:optional\norders -> db, mq:async\nmail\ndb\nmq");
        assert_eq!(
            hurt(&m, "db"),
            [
                "red db it is what breaks",
                "red orders cannot serve: it needs db",
                "red web cannot serve: it needs orders",
                "red gateway cannot serve: it needs web",
            ]
        );
        assert_eq!(hurt(&m, "mail"), ["red mail it is what breaks", "yellow web serves on without mail"]);
        assert_eq!(
            hurt(&m, "mq"),
            ["red mq it is what breaks", "yellow orders serves on: what it hands to mq waits"]
        );
        assert_eq!(hurt(&m, "web-3"), ["yellow web 1 of its 4 instances breaks: the rest serves on"]);
    }

    #[test]
    fn what_stays_up_is_all_that_is_not_hurt() {
        let m = model("gateway -> web\npos -> oms\nweb -> db\noms\ndb");
        let graph = Graph::new(&m);
        let impact = impact(&m, &graph, &Target::find(&m, "db").unwrap());
        let names =
            |ids: &[ComponentId]| ids.iter().map(|id| m.component(*id).name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&impact.unhurt), ["pos", "oms"]);
        let entries: Vec<_> =
            impact.entries.iter().map(|(id, h)| (m.component(*id).name.as_str(), *h)).collect();
        assert_eq!(entries, [("gateway", Health::Red), ("pos", Health::Green)]);
    }

    #[test]
    fn a_label_breaks_everything_that_carries_it() {
        let mut m = model("web x2 -> db\ndb x2");
        label(&mut m, "web-1", "host", "h7");
        label(&mut m, "db-1", "host", "h7");
        label(&mut m, "db-2", "host", "h7");
        assert_eq!(hurt(&m, "host=h7").len(), 2);
        assert_eq!(Target::find(&m, "host=h8"), Err(Vec::new()));
        assert_eq!(Target::find(&m, "nothing"), Err(Vec::new()));
    }

    #[test]
    fn a_loss_of_parts_and_alternatives_is_told_as_such() {
        let mut m = model("shop\nweb x4\na\nb\ncache");
        add(&mut m, "shop -> a one_of:1");
        add(&mut m, "shop -> b one_of:1");
        add(&mut m, "web-1 -> cache");
        assert_eq!(hurt(&m, "a"), ["red a it is what breaks"]);
        assert_eq!(
            hurt(&m, "cache"),
            ["red cache it is what breaks", "yellow web serves on: some of its instances need cache"]
        );
        let graph = Graph::new(&m);
        let cache = impact(&m, &graph, &Target::find(&m, "cache").unwrap());
        assert_eq!(cache.instances.len(), 1, "web-1 itself is red");
    }
}
