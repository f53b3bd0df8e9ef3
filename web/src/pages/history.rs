//! `GET /history`: what happened this week, or from one day to another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use collector::board::Board;
use collector::history::{Availability, History, HistoryError, Stretch, Window};
use collector::incident::{Incident, IncidentState};
use collector::objectives::ObjectiveState;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::Deserialize;
use topology::level::Level;
use topology::model::{ComponentId, NodeId};
use topology::text::Lang;

use super::wall::encoded;
use super::{Head, render};
use crate::WebState;
use crate::ask::Query;
use crate::events::moment;
use crate::respond::{Asked, Prefs};
use crate::view::Format;

/// What is shown when nothing is asked for.
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The longest stretch of time.
const LONGEST: SignedDuration = SignedDuration::from_hours(400 * 24);
/// Incidents that are listed; of more the newest.
const MOST_INCIDENTS: u32 = 200;
/// Worst nodes that are listed, of each kind.
const MOST_NODES: usize = 12;

/// From when to when: moments, or days such as 2026-11-24, the last one included.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    from: Option<String>,
    to: Option<String>,
}

#[derive(Template)]
#[template(path = "history.html")]
struct HistoryPage {
    head: Head,
    /// `17 Nov 12:11 – 24 Nov 12:11`.
    span: String,
    /// How long that is.
    length: String,
    /// What is odd about what was asked for, or why there is no answer.
    trouble: String,
    /// For the fields of the form: days.
    from: String,
    to: String,
    quick: Vec<Quick>,
    /// Share of the time that the monitor watched.
    watched: String,
    counts: String,
    more: bool,
    incidents: Vec<IncidentRow>,
    objectives: Vec<ObjectiveRow>,
    /// Components, then instances.
    worst: [Worst; 2],
}

/// A stretch of time that is often looked at.
struct Quick {
    title: &'static str,
    href: String,
}

struct IncidentRow {
    href: String,
    title: String,
    level: &'static str,
    at: String,
    lasted: String,
    /// Of what it became a part, how many others it hurt, or that it goes on.
    note: String,
    /// It goes on.
    open: bool,
}

struct ObjectiveRow {
    name: String,
    title: String,
    target: String,
    window: String,
    availability: String,
    own: String,
    /// It kept its promise, in the time that is shown.
    kept: bool,
    outages: u32,
    red_own: String,
    red_inherited: String,
    coverage: String,
    /// Share of the budget of its own window, and how much that is.
    left: String,
    left_for: String,
    /// How wide the bar of what is left is, of a hundred.
    left_width: String,
    left_level: &'static str,
    left_coverage: String,
}

struct Worst {
    title: &'static str,
    rows: Vec<WorstRow>,
}

struct WorstRow {
    /// Empty for a node that the file no longer has.
    href: String,
    title: String,
    availability: String,
    coverage: String,
    outages: u32,
    red_own: String,
    red_inherited: String,
    yellow: String,
}

/// `GET /history[?from=][&to=]`.
pub(crate) async fn history(
    State(state): State<WebState>,
    Query(asked): Query<Asked>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Response {
    let prefs = Prefs::of(&asked, &headers);
    let format = Format { lang: prefs.lang, zone: state.zone.clone() };
    let now = (state.clock)();
    let (window, odd) = match window(&wanted, now, &format) {
        Ok(window) => (window, String::new()),
        Err(why) => (Window::last(WEEK.unsigned_abs(), now), why.to_owned()),
    };
    let board = state.boards.current();
    let mut page = empty(&prefs, window, &format, now);
    page.trouble = odd;
    let status = if page.trouble.is_empty() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    let Some(history) = &state.history else {
        page.trouble = format.pick("this server keeps no history", "此服务器不保存历史").to_owned();
        return render(StatusCode::OK, &page);
    };
    match found(history, &board, window).await {
        Ok(found) => fill(&mut page, &found, &state.objectives.current(), &board, &prefs.query, now, &format),
        Err(error) => {
            page.trouble = error.to_string();
            return render(StatusCode::SERVICE_UNAVAILABLE, &page);
        }
    }
    render(status, &page)
}

/// What history knows of a stretch of time.
struct Found {
    incidents: Vec<Arc<Incident>>,
    nodes: Vec<Availability>,
    watched: f64,
}

async fn found(history: &History, board: &Board, window: Window) -> Result<Found, HistoryError> {
    let incidents = history.incidents(&board.model, window, MOST_INCIDENTS + 1).await?;
    let nodes = history.availability(window, &[]).await?;
    let spans = history.watched(window).await?;
    let seen: Duration = spans.iter().map(|span| span.length()).sum();
    let watched = seen.as_secs_f64() / window.length().as_secs_f64().max(1e-3);
    Ok(Found { incidents, nodes, watched: watched.min(1.0) })
}

/// The time that is asked for, at most up to now.
fn window(wanted: &Wanted, now: Timestamp, format: &Format) -> Result<Window, &'static str> {
    let odd = format.pick_static(
        "`from` and `to` are days such as 2026-11-24, or times such as 2026-11-24T12:00:00Z; this is the last week",
        "from 与 to 是日期（如 2026-11-24）或时刻（如 2026-11-24T12:00:00Z）；现显示最近一周",
    );
    let day = |text: &str, days: i64| {
        let date: Date = text.parse().ok()?;
        let date = date.checked_add(days.days()).ok()?;
        let midnight = format.zone.to_ambiguous_zoned_datetime(date.at(0, 0, 0, 0)).compatible().ok()?;
        Some(midnight.timestamp())
    };
    let text =
        |text: &Option<String>| text.as_deref().map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned);
    let to = match text(&wanted.to) {
        Some(text) => day(&text, 1).or_else(|| moment(&text)).ok_or(odd)?,
        None => now,
    };
    let to = to.min(now);
    let from = match text(&wanted.from) {
        Some(text) => day(&text, 0).or_else(|| moment(&text)).ok_or(odd)?,
        None => to.checked_sub(WEEK).map_err(|_| odd)?,
    };
    if to.duration_since(from) > LONGEST {
        return Err(format.pick_static(
            "at most 400 days are shown at once; this is the last week",
            "一次最多显示 400 天；现显示最近一周",
        ));
    }
    Window::new(from, to).map_err(|_| {
        format.pick_static(
            "it ends before it begins, or lies ahead; this is the last week",
            "结束早于开始，或尚未到来；现显示最近一周",
        )
    })
}

fn empty(prefs: &Prefs, window: Window, format: &Format, now: Timestamp) -> HistoryPage {
    let date = |at: Timestamp| at.to_zoned_datetime(format.zone.clone()).date().to_string();
    // The end is not part of it: a day that was asked for is shown as that day.
    let last = window.to().checked_sub(SignedDuration::from_millis(1)).unwrap_or(window.to());
    let quick = |title: (&'static str, &'static str), hours: i64| Quick {
        title: format.pick_static(title.0, title.1),
        href: {
            let from = now.checked_sub(SignedDuration::from_hours(hours)).unwrap_or(now);
            format!("/history{}", prefs.turned("from", &from.as_second().to_string()))
        },
    };
    let worst = |en, zh| Worst { title: format.pick_static(en, zh), rows: Vec::new() };
    HistoryPage {
        head: Head::of(prefs),
        span: format!("{} – {}", format.date_and_time(window.from()), format.date_and_time(window.to())),
        length: format.seconds(window.length().as_secs()),
        trouble: String::new(),
        from: date(window.from()),
        to: date(last),
        quick: vec![
            quick(("24 h", "24 小时"), 24),
            quick(("7 d", "7 天"), 7 * 24),
            quick(("30 d", "30 天"), 30 * 24),
        ],
        watched: String::new(),
        counts: String::new(),
        more: false,
        incidents: Vec::new(),
        objectives: Vec::new(),
        worst: [worst("Components", "组件"), worst("Instances", "实例")],
    }
}

fn fill(
    page: &mut HistoryPage,
    found: &Found,
    objectives: &[ObjectiveState],
    board: &Board,
    query: &str,
    now: Timestamp,
    format: &Format,
) {
    page.watched = seen(found.watched);
    page.more = found.incidents.len() > MOST_INCIDENTS as usize;
    let listed = &found.incidents[..found.incidents.len().min(MOST_INCIDENTS as usize)];
    let whole = listed.iter().filter(|incident| incident.subsumed_by.is_none());
    let red = whole.clone().filter(|incident| incident.level == Level::Red).count();
    let all = whole.count();
    page.counts = match format.lang {
        Lang::En => format!("{all}, {red} of them red"),
        Lang::Zh => format!("{all} 起，其中红色 {red} 起"),
    };
    page.incidents =
        listed.iter().map(|incident| incident_row(incident, board, query, now, format)).collect();
    let by_name: BTreeMap<&str, &Availability> =
        found.nodes.iter().map(|node| (node.node.as_str(), node)).collect();
    page.objectives = objectives
        .iter()
        .map(|objective| {
            objective_row(objective, by_name.get(objective.component.as_str()).copied(), board, format)
        })
        .collect();
    let mut nodes: Vec<&Availability> =
        found.nodes.iter().filter(|node| !(node.time.red() + node.time.yellow).is_zero()).collect();
    nodes.sort_by(|a, b| {
        let worth = |node: &Availability| (node.time.red_own, node.time.red(), node.time.yellow);
        worth(b).cmp(&worth(a)).then_with(|| a.node.cmp(&b.node))
    });
    for node in nodes {
        let id = board.model.find(&node.node).ok().filter(|id| board.model.node_name(*id) == node.node);
        let list = &mut page.worst[usize::from(matches!(id, Some(NodeId::Instance(_))))].rows;
        // A node that is gone stands with the components, where its name says more.
        if list.len() < MOST_NODES {
            list.push(worst_row(node, id, board, query, format));
        }
    }
}

fn incident_row(
    incident: &Incident,
    board: &Board,
    query: &str,
    now: Timestamp,
    format: &Format,
) -> IncidentRow {
    let end = incident.resolved_at.unwrap_or(now);
    let open = incident.state == IncidentState::Open;
    let affected = incident.verdict.affected.len();
    let note = match (&incident.subsumed_by, open, format.lang) {
        (Some(_), _, Lang::En) => "became part of another".to_owned(),
        (Some(_), _, Lang::Zh) => "并入另一事件".to_owned(),
        (None, true, Lang::En) => "goes on".to_owned(),
        (None, true, Lang::Zh) => "进行中".to_owned(),
        (None, false, _) if affected == 0 => String::new(),
        (None, false, Lang::En) => format!("{affected} affected"),
        (None, false, Lang::Zh) => format!("波及 {affected} 个组件"),
    };
    IncidentRow {
        href: format!("/incidents/{}{query}", encoded(&incident.id)),
        title: incident.title.get(format.lang).to_owned(),
        level: incident.level.as_str(),
        at: format.day(incident.opened_at, board.at),
        lasted: format.ago(incident.opened_at, end),
        note,
        open,
    }
}

fn objective_row(
    objective: &ObjectiveState,
    found: Option<&Availability>,
    board: &Board,
    format: &Format,
) -> ObjectiveRow {
    let id = board.model.component_by_name(&objective.component);
    let title = |id: ComponentId| board.model.component(id).title.get(format.lang).to_owned();
    let nothing = Stretch::default();
    let time = found.map_or(&nothing, |found| &found.time);
    let own = {
        let known = time.known().as_secs_f64();
        (known > 0.0).then(|| 1.0 - time.red_own.as_secs_f64() / known)
    };
    let left = objective.budget_left();
    let allowed = objective.allowed();
    ObjectiveRow {
        name: objective.component.clone(),
        title: id.map_or_else(|| objective.component.clone(), title),
        target: percent(objective.target),
        window: format.seconds(objective.window.as_secs()),
        availability: share(time.availability()),
        own: share(own),
        kept: time.availability().is_none_or(|availability| availability >= objective.target),
        outages: found.map_or(0, |found| found.outages),
        red_own: lasted(time.red_own, format),
        red_inherited: lasted(time.red_inherited, format),
        coverage: seen(found.map_or(0.0, |found| found.coverage)),
        left: percent(left),
        left_for: {
            let used = objective.time.red();
            let (used, allowed) = (lasted(used, format), lasted(allowed, format));
            match format.lang {
                Lang::En => format!("{used} of {allowed} used"),
                Lang::Zh => format!("已用 {used}，共 {allowed}"),
            }
        },
        left_width: format!("{:.1}", left.clamp(0.0, 1.0) * 100.0),
        left_level: match left {
            left if left <= 0.0 => "red",
            left if left < 0.25 => "yellow",
            _ => "green",
        },
        left_coverage: seen(objective.coverage),
    }
}

fn worst_row(
    node: &Availability,
    id: Option<NodeId>,
    board: &Board,
    query: &str,
    format: &Format,
) -> WorstRow {
    let title = match id {
        Some(NodeId::Component(id)) => board.model.component(id).title.get(format.lang).to_owned(),
        Some(NodeId::Instance(_)) => node.node.clone(),
        None => match format.lang {
            Lang::En => format!("{} (no longer in the file)", node.node),
            Lang::Zh => format!("{}（已不在文件中）", node.node),
        },
    };
    WorstRow {
        href: id.map(|_| format!("/nodes/{}{query}", encoded(&node.node))).unwrap_or_default(),
        title,
        availability: share(node.time.availability()),
        coverage: seen(node.coverage),
        outages: node.outages,
        red_own: lasted(node.time.red_own, format),
        red_inherited: lasted(node.time.red_inherited, format),
        yellow: lasted(node.time.yellow, format),
    }
}

/// A length of time; a dash for none, so that the eye finds what is there.
fn lasted(duration: Duration, format: &Format) -> String {
    match duration {
        Duration::ZERO => "–".to_owned(),
        duration if duration < Duration::from_secs(1) => format.pick("< 1 s", "< 1 秒").to_owned(),
        duration => format.seconds(duration.as_secs()),
    }
}

/// With all its digits, for they stand under one another.
fn share(value: Option<f64>) -> String {
    match value {
        None => "—".to_owned(),
        Some(share) if (0.99..1.0 - 1e-11).contains(&share) => format!("{:.4}\u{2009}%", cut(share * 100.0)),
        Some(share) => percent(share),
    }
}

/// Cut, not rounded: a promise that was missed by a second must not look kept.
fn cut(hundred: f64) -> f64 {
    (hundred * 1e4 + 1e-6).floor() / 1e4
}

/// How much was seen, to a tenth of a per cent: what is not whole is never shown as 100 %.
fn seen(share: f64) -> String {
    let tenths = (share * 1000.0 + 1e-6).floor() / 10.0;
    if tenths >= 100.0 { "100\u{2009}%".to_owned() } else { format!("{tenths:.1}\u{2009}%") }
}

/// A share with as many nines as it has: what is not whole is never shown as 100 %.
fn percent(share: f64) -> String {
    let hundred = share * 100.0;
    let text = match hundred {
        value if (value - 100.0).abs() < 1e-9 => "100".to_owned(),
        value if (99.0..100.0).contains(&value) => {
            format!("{:.4}", cut(value)).trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        value if value.abs() >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    };
    format!("{}\u{2009}%", text.replace('-', "−"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_that_was_missed_does_not_look_kept() {
        let shown = [1.0, 0.999_999_9, 0.999_95, 0.99, 0.5, 0.0, -2.0].map(percent);
        let shown: Vec<String> = shown.iter().map(|text| text.replace('\u{2009}', " ")).collect();
        assert_eq!(shown, ["100 %", "99.9999 %", "99.995 %", "99 %", "50.0 %", "0.00 %", "−200.0 %"]);
    }

    #[test]
    fn days_include_their_end_and_nothing_lies_ahead() {
        let now: Timestamp = "2026-11-24T12:11:03Z".parse().unwrap();
        let format = Format { lang: Lang::En, zone: jiff::tz::TimeZone::get("Asia/Shanghai").unwrap() };
        let of = |from: &str, to: &str| {
            let wanted = Wanted { from: Some(from.to_owned()), to: Some(to.to_owned()) };
            window(&wanted, now, &format).map(|window| format!("{} {}", window.from(), window.to()))
        };
        assert_eq!(of("2026-11-22", "2026-11-22").unwrap(), "2026-11-21T16:00:00Z 2026-11-22T16:00:00Z");
        assert_eq!(of("2026-11-22", "2030-01-01").unwrap(), "2026-11-21T16:00:00Z 2026-11-24T12:11:03Z");
        assert_eq!(of("", "").unwrap(), "2026-11-17T12:11:03Z 2026-11-24T12:11:03Z");
        for (from, to) in [("soon", ""), ("2026-11-23", "2026-11-22"), ("2020-01-01", ""), ("2030-01-01", "")]
        {
            assert!(of(from, to).is_err(), "{from} {to}");
        }
    }
}
