//! `GET /table`: every instance in a row, to be sorted and searched without script.

use std::cmp::Reverse;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use collector::board::Board;
use serde::Deserialize;
use topology::model::InstanceId;
use topology::text::Lang;

use super::wall::encoded;
use super::{Head, render};
use crate::WebState;
use crate::ask::Query;
use crate::respond::{Asked, Prefs};
use crate::view::Format;

/// Bytes of a search text that are looked at.
const MAX_TEXT: usize = 100;

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    sort: String,
    #[serde(default)]
    q: String,
}

/// What the rows are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sort {
    /// The worst first, among them those that are nobody else's doing, then by file order.
    #[default]
    Level,
    Component,
    Name,
    Fault,
    Latency,
    Since,
}

impl Sort {
    const ALL: [Self; 6] =
        [Self::Level, Self::Name, Self::Component, Self::Fault, Self::Latency, Self::Since];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Level => "level",
            Self::Component => "component",
            Self::Name => "name",
            Self::Fault => "fault",
            Self::Latency => "latency",
            Self::Since => "since",
        }
    }

    const fn title(self) -> (&'static str, &'static str) {
        match self {
            Self::Level => ("Level", "状态"),
            Self::Component => ("Component", "组件"),
            Self::Name => ("Instance", "实例"),
            Self::Fault => ("Fault", "故障"),
            Self::Latency => ("Latency", "延迟"),
            Self::Since => ("Since", "始于"),
        }
    }
}

#[derive(Template)]
#[template(path = "table.html")]
struct Table {
    head: Head,
    sentence: String,
    q: String,
    sort: &'static str,
    columns: Vec<Column>,
    rows: Vec<Row>,
    shown: String,
}

struct Column {
    title: &'static str,
    href: String,
    sorted: bool,
    right: bool,
}

struct Row {
    href: String,
    name: String,
    component_href: String,
    component: String,
    level: &'static str,
    /// Another's doing: its badge is hollow.
    affected: bool,
    word: String,
    fault: String,
    latency: String,
    since: String,
    address: String,
}

/// `GET /table`.
pub(crate) async fn table(
    State(state): State<WebState>,
    Query(asked): Query<Asked>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Response {
    let prefs = Prefs::of(&asked, &headers);
    let board = state.boards.current();
    let format = Format { lang: prefs.lang, zone: state.zone.clone() };
    let sort = Sort::ALL.into_iter().find(|sort| sort.as_str() == wanted.sort).unwrap_or_default();
    let q: String = wanted.q.chars().take(MAX_TEXT).collect();
    let mut ids: Vec<InstanceId> = board.model.instance_ids().collect();
    let text = q.trim().to_lowercase();
    if !text.is_empty() {
        ids.retain(|id| words(&board, *id, &format).contains(&text));
    }
    order(&board, sort, &format, &mut ids);
    let kept = |sort: &str| {
        let join = if prefs.query.is_empty() { "?" } else { "&" };
        let search = if q.is_empty() { String::new() } else { format!("&q={}", encoded(&q)) };
        format!("/table{}{join}sort={sort}{search}", prefs.query)
    };
    let column = |other: Sort| Column {
        title: match prefs.lang {
            Lang::En => other.title().0,
            Lang::Zh => other.title().1,
        },
        href: kept(other.as_str()),
        sorted: other == sort,
        right: matches!(other, Sort::Latency | Sort::Since),
    };
    let page = Table {
        sentence: board.sentence.get(prefs.lang).to_owned(),
        columns: Sort::ALL.into_iter().map(column).collect(),
        shown: match prefs.lang {
            Lang::En => {
                format!("{} of {} instances", format.count(ids.len()), format.count(board.instances.len()))
            }
            Lang::Zh => {
                format!("{} / {} 个实例", format.count(ids.len()), format.count(board.instances.len()))
            }
        },
        rows: ids.iter().map(|id| row(&board, *id, &prefs.query, &format)).collect(),
        sort: sort.as_str(),
        head: Head::of(&prefs),
        q,
    };
    render(StatusCode::OK, &page)
}

/// All that a search looks at, in small letters.
fn words(board: &Board, id: InstanceId, format: &Format) -> String {
    let (instance, state) = (board.model.instance(id), board.instance(id));
    let component = board.model.component(instance.component);
    let mut text = format!(
        "{} {} {} {} {} {} {}",
        instance.name,
        component.name,
        component.title.get(format.lang),
        instance.address,
        state.health.level().as_str(),
        format.level(state.health.level()),
        fault(board, id, format)
    );
    for (name, value) in &instance.labels {
        text.push_str(&format!(" {name}={value}"));
    }
    text.to_lowercase()
}

fn fault(board: &Board, id: InstanceId, format: &Format) -> String {
    board.instance(id).short.get(format.lang).to_owned()
}

fn order(board: &Board, sort: Sort, format: &Format, ids: &mut [InstanceId]) {
    let state = |id: &InstanceId| board.instance(*id);
    match sort {
        Sort::Level => {
            ids.sort_by_key(|id| {
                (Reverse(state(id).health.level().rank()), state(id).explained_by.is_some())
            });
        }
        Sort::Component => ids.sort_by_key(|id| board.model.instance(*id).component),
        Sort::Name => ids.sort_by(|a, b| board.model.instance(*a).name.cmp(&board.model.instance(*b).name)),
        // Those without a fault last.
        Sort::Fault => ids.sort_by_cached_key(|id| {
            let fault = fault(board, *id, format);
            (fault.is_empty(), fault)
        }),
        Sort::Latency => ids.sort_by_key(|id| Reverse(state(id).latency)),
        Sort::Since => ids.sort_by_key(|id| Reverse(state(id).since)),
    }
}

fn row(board: &Board, id: InstanceId, query: &str, format: &Format) -> Row {
    let (instance, state) = (board.model.instance(id), board.instance(id));
    let component = board.model.component(instance.component);
    let mut word = format.level(state.health.level()).to_owned();
    if state.flapping {
        word = format!("{word} · {}", format.pick("flapping", "抖动"));
    } else if state.suspected {
        word = format!("{word} · {}", format.pick("suspected", "疑似"));
    }
    Row {
        href: format!("/nodes/{}{query}", encoded(&instance.name)),
        name: instance.name.clone(),
        component_href: format!("/nodes/{}{query}", encoded(&component.name)),
        component: component.title.get(format.lang).to_owned(),
        level: state.health.level().as_str(),
        affected: state.explained_by.is_some(),
        word,
        fault: fault(board, id, format),
        latency: state.latency.map(Format::latency).unwrap_or_default(),
        since: format.day(state.since, board.at),
        address: instance.address.to_string(),
    }
}
