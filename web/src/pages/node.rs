//! `GET /nodes/{name}`: one component, or the component of one instance.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use collector::board::Board;
use topology::graph::DependencyId;
use topology::level::Level;
use topology::links::LinkTemplate;
use topology::model::{ComponentId, InstanceId, NodeId, Strength};
use topology::text::Lang;

use super::forms::{Forms, Peer};
use super::signals::{Of, Range, Signals, Wanted, signals};
use super::wall::encoded;
use super::{Head, not_found, render};
use crate::WebState;
use crate::ask::{Path, Query};
use crate::respond::{Asked, Prefs};
use crate::view::{Format, root_names};

#[derive(Template)]
#[template(path = "node.html")]
struct NodePage {
    head: Head,
    name: String,
    title: String,
    tier: String,
    level: &'static str,
    level_word: &'static str,
    affected: bool,
    short: String,
    words: String,
    because: Option<Because>,
    lasting: String,
    since: String,
    incidents: Vec<String>,
    own: &'static str,
    inherited: String,
    policy: &'static str,
    probes: Vec<String>,
    runbook: Option<String>,
    sides: [Side; 2],
    instances: Vec<InstanceRow>,
    faults: Vec<FaultRow>,
    signals: Signals,
    forms: Forms,
    /// This page's own address, and that its nodes can be paused.
    here: String,
    pauses: bool,
    links: Vec<Link>,
    /// There is a column for the links of each instance.
    linked: bool,
}

/// What an instance last said when it did not answer well.
struct FaultRow {
    at: String,
    instance: String,
    level: &'static str,
    kind: &'static str,
    stage: &'static str,
    words: String,
}

/// Faults that are shown.
const MOST_FAULTS: usize = 8;
/// Characters of a target's words that are shown.
const MOST_WORDS: usize = 200;

/// A way to another tool.
struct Link {
    name: String,
    href: String,
}

struct Because {
    number: u32,
    name: String,
}

struct Side {
    title: &'static str,
    rows: Vec<NodeRow>,
}

struct NodeRow {
    name: String,
    title: String,
    level: &'static str,
    /// Unhealthy, and another's doing: its badge is hollow.
    affected: bool,
    /// The number of the root behind it, 0 when there is none.
    number: u32,
    strength: &'static str,
    word: String,
}

struct InstanceRow {
    name: String,
    level: &'static str,
    affected: bool,
    word: String,
    fault: String,
    words: String,
    latency: String,
    since: String,
    address: String,
    links: Vec<Link>,
}

/// `GET /nodes/{name}`.
pub(crate) async fn node(
    State(state): State<WebState>,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
    Query(wanted): Query<Wanted>,
    peer: Peer,
    headers: HeaderMap,
) -> Response {
    let prefs = Prefs::of(&asked, &headers);
    let board = state.boards.current();
    let Ok(found) = board.model.find(&name) else { return not_found(&prefs) };
    let of = match found {
        NodeId::Component(id) => Of { component: id, instance: None },
        NodeId::Instance(id) => Of { component: board.model.instance(id).component, instance: Some(id) },
    };
    let format = Format { lang: prefs.lang, zone: state.zone.clone() };
    let signals = signals(&state, &board, of, Range::of(&wanted), &prefs, &format).await;
    let forms = Forms::of(&state, (&headers, &peer), &board, Forms::of_node(&board, of), &format);
    render(StatusCode::OK, &page(&board, of, (signals, forms), Head::of(&prefs), &format))
}

fn page(board: &Board, of: Of, (signals, forms): (Signals, Forms), head: Head, format: &Format) -> NodePage {
    let id = of.component;
    let name = of
        .instance
        .map_or_else(|| &board.model.component(id).name, |id| &board.model.instance(id).name)
        .clone();
    let (component, state, lang) = (board.model.component(id), board.component(id), format.lang);
    let (red, green) = (component.confirm.red_after, component.confirm.green_after);
    let confirm = match lang {
        Lang::En => format!("red after {red}, green after {green}"),
        Lang::Zh => format!("{red} 次判红，{green} 次恢复"),
    };
    let level = state.health.level();
    let number = board.number_of(id).unwrap_or(0);
    let because = (number > 0 && !board.is_root(id) && state.health.is_unhealthy()).then(|| Because {
        number,
        name: root_names(board, lang).get(number as usize - 1).cloned().unwrap_or_default(),
    });
    let titles = |ids: &[ComponentId]| -> String {
        let all: Vec<&str> = ids.iter().map(|id| board.model.component(*id).title.get(lang)).collect();
        all.join(", ")
    };
    let words = match state.words.get(lang) {
        "" if level == Level::Green => format.pick("Answers well.", "应答正常。").to_owned(),
        words => words.to_owned(),
    };
    let concerned = board.open.iter().filter(|incident| {
        let verdict = &incident.verdict;
        verdict.affected.iter().any(|a| a.component == id)
            || verdict.roots.iter().any(|root| root.culprit.component(&board.model) == Some(id))
    });
    NodePage {
        title: component.title.get(lang).to_owned(),
        tier: component.tier.map(|t| board.model.tiers[t].title.get(lang).to_owned()).unwrap_or_default(),
        level: level.as_str(),
        level_word: format.level(level),
        affected: because.is_some(),
        short: state.short.get(lang).to_owned(),
        words,
        because,
        lasting: format.ago(state.since, board.at),
        since: format.time(state.since),
        incidents: concerned.map(|incident| incident.id.clone()).collect(),
        own: own_words(board, id, format),
        inherited: if state.inherited_from.is_empty() {
            format.pick("nothing", "无").to_owned()
        } else {
            format!("{}{}", format.pick("from ", "来自 "), titles(&state.inherited_from))
        },
        policy: component.policy.as_str(),
        probes: component
            .probes
            .iter()
            .map(|probe| {
                let (every, limit) = (Format::latency(probe.interval), Format::latency(probe.timeout));
                match lang {
                    Lang::En => format!("{} every {every}, timeout {limit}, {confirm}", probe.kind.name),
                    Lang::Zh => format!("{}，间隔 {every}，超时 {limit}，{confirm}", probe.kind.name),
                }
            })
            .collect(),
        runbook: component.runbook.clone(),
        sides: [
            Side {
                title: format.pick_static("Needs", "它依赖"),
                rows: rows(board, &board.graph.needs(id), false, format),
            },
            Side {
                title: format.pick_static("Needed by", "谁依赖它"),
                rows: rows(board, &board.graph.needed_by(id), true, format),
            },
        ],
        instances: component.instance_ids().map(|id| instance(board, id, format)).collect(),
        faults: faults(board, id, format),
        signals,
        forms,
        here: format!("/nodes/{}{}", encoded(&name), head.query),
        pauses: true,
        links: links(board, of),
        linked: component.links.iter().any(LinkTemplate::is_of_instance),
        head,
        name,
    }
}

fn own_words(board: &Board, id: ComponentId, format: &Format) -> &'static str {
    let state = board.component(id);
    if state.explained_by.is_some() {
        return format.pick_static("unhealthy, and explained by another", "异常，由其他节点解释");
    }
    format.level(state.own.level())
}

fn rows(board: &Board, dependencies: &[DependencyId], back: bool, format: &Format) -> Vec<NodeRow> {
    let row = |id: &DependencyId| {
        let dependency = board.graph.dependency(*id);
        let other = if back { dependency.from } else { dependency.to };
        let (component, state) = (board.model.component(other), board.component(other));
        let word = match state.short.get(format.lang) {
            "" => format.level(state.health.level()),
            short => short,
        };
        NodeRow {
            name: component.name.clone(),
            title: component.title.get(format.lang).to_owned(),
            level: state.health.level().as_str(),
            affected: state.health.is_unhealthy() && !board.is_root(other),
            number: if state.health.is_unhealthy() { board.number_of(other).unwrap_or(0) } else { 0 },
            strength: match dependency.strength {
                Strength::Required => format.pick_static("required", "必需"),
                Strength::Optional => format.pick_static("optional", "可选"),
                Strength::Async => format.pick_static("async", "异步"),
            },
            word: word.to_owned(),
        }
    };
    dependencies.iter().map(row).collect()
}

fn instance(board: &Board, id: InstanceId, format: &Format) -> InstanceRow {
    let (instance, state) = (board.model.instance(id), board.instance(id));
    let mut word = format.level(state.health.level()).to_owned();
    if state.flapping {
        word = format!("{word} · {}", format.pick("flapping", "抖动"));
    } else if state.suspected {
        word = format!("{word} · {}", format.pick("suspected", "疑似"));
    } else if state.explained_by.is_some() {
        word = format!("{word} · {}", format.pick("explained", "已解释"));
    }
    let fault = state.fault.as_ref().map(|fault| match format.lang {
        Lang::En => fault.kind.short(),
        Lang::Zh => fault.kind.short_zh(),
    });
    InstanceRow {
        name: instance.name.clone(),
        level: state.health.level().as_str(),
        affected: state.explained_by.is_some(),
        word,
        fault: fault.unwrap_or_default().to_owned(),
        words: state.words.get(format.lang).to_owned(),
        latency: state.latency.map(Format::latency).unwrap_or_default(),
        since: format.day(state.since, board.at),
        address: instance.address.to_string(),
        links: instance_links(board, id),
    }
}

/// The links of what the page is of.
fn links(board: &Board, of: Of) -> Vec<Link> {
    let component = board.model.component(of.component);
    let own = component
        .links
        .iter()
        .filter_map(|link| Some(Link { name: link.name.clone(), href: link.of_component(&component.name)? }));
    own.chain(of.instance.into_iter().flat_map(|id| instance_links(board, id))).collect()
}

/// The links that only an instance can fill in.
fn instance_links(board: &Board, id: InstanceId) -> Vec<Link> {
    let instance = board.model.instance(id);
    let component = board.model.component(instance.component);
    let own = component.links.iter().filter(|link| link.is_of_instance());
    own.map(|link| Link { name: link.name.clone(), href: link.of_instance(&component.name, instance) })
        .collect()
}

/// The confirmed faults, the newest first.
fn faults(board: &Board, id: ComponentId, format: &Format) -> Vec<FaultRow> {
    let mut ids: Vec<InstanceId> = board.model.component(id).instance_ids().collect();
    ids.retain(|id| board.instance(*id).fault.is_some());
    ids.sort_by_key(|id| std::cmp::Reverse(board.instance(*id).since));
    let row = |id: &InstanceId| {
        let state = board.instance(*id);
        let fault = state.fault.as_ref()?;
        Some(FaultRow {
            at: format.time(state.since),
            instance: board.model.instance(*id).name.clone(),
            level: state.health.level().as_str(),
            kind: match format.lang {
                Lang::En => fault.kind.short(),
                Lang::Zh => fault.kind.short_zh(),
            },
            stage: fault.stage,
            words: fault.words.chars().take(MOST_WORDS).collect(),
        })
    };
    ids.iter().take(MOST_FAULTS).filter_map(row).collect()
}
