//! `GET /incidents/{id}`.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use collector::board::Board;
use collector::incident::{Incident, IncidentState};

use super::{Head, not_found, render};
use crate::WebState;
use crate::respond::{Asked, Prefs};
use crate::view::{Format, culprit_name};

#[derive(Template)]
#[template(path = "incident.html")]
struct IncidentPage {
    head: Head,
    id: String,
    title: String,
    advice: String,
    mood: &'static str,
    lasting: String,
    when: String,
    confidence: &'static str,
    suspects: Vec<SuspectRow>,
    affected: Vec<AffectedRow>,
    onsets: Vec<OnsetRow>,
    /// Where the wall of then is, if the past is known; else empty.
    wall_then: String,
    /// When, the wall of then (or nothing), what.
    timeline: Vec<(String, String, String)>,
}

struct SuspectRow {
    number: usize,
    root: bool,
    title: String,
    name: String,
    link: Option<String>,
    percent: u32,
    word: &'static str,
    /// What speaks for it.
    evidence: Vec<String>,
    /// What speaks against it.
    against: Vec<String>,
}

/// A component in the order of onset.
struct OnsetRow {
    name: String,
    title: String,
    level: &'static str,
    root: bool,
    word: String,
    /// Where its bar begins, of a thousand.
    from: i64,
    /// `12:07:41` for the first, `+1.2 s` for the others.
    at: String,
}

struct AffectedRow {
    name: String,
    title: String,
    level: &'static str,
    word: String,
}

/// `GET /incidents/{id}`.
pub(crate) async fn incident(
    State(state): State<WebState>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let prefs = Prefs::of(&asked, &headers);
    let board = state.boards.current();
    let Some(found) = board.open.iter().chain(&board.resolved).find(|incident| incident.id == id) else {
        return not_found(&prefs);
    };
    let format = Format { lang: prefs.lang, zone: state.zone.clone() };
    render(StatusCode::OK, &page(&board, found, Head::of(&prefs), state.past.is_some(), &format))
}

/// `past`: boards of the past can be asked for.
fn page(board: &Board, incident: &Incident, head: Head, past: bool, format: &Format) -> IncidentPage {
    let lang = format.lang;
    let verdict = &incident.verdict;
    let end = incident.resolved_at.unwrap_or(board.at);
    let when = match incident.resolved_at {
        Some(end) => {
            let (from, to) = (format.day(incident.opened_at, board.at), format.day(end, board.at));
            format!("{} {from} – {to}", format.pick("resolved,", "已恢复，"))
        }
        None => format!("{} {}", format.pick("open since", "始于"), format.time(incident.opened_at)),
    };
    let suspects = if verdict.suspects.is_empty() { &verdict.roots } else { &verdict.suspects };
    let row = |(i, suspect): (usize, &topology::verdict::Suspect)| SuspectRow {
        number: i + 1,
        root: i < verdict.roots.len(),
        title: culprit_name(board, suspect.culprit, lang),
        name: suspect.culprit.name(&board.model),
        link: suspect.culprit.component(&board.model).map(|id| board.model.component(id).name.clone()),
        percent: (suspect.confidence * 100.0).round() as u32,
        word: format.confidence(suspect.confidence),
        evidence: sentences(suspect, false, lang),
        against: sentences(suspect, true, lang),
    };
    let affected = verdict.affected.iter().map(|affected| {
        let component = board.model.component(affected.component);
        let state = board.component(affected.component);
        AffectedRow {
            name: component.name.clone(),
            title: component.title.get(lang).to_owned(),
            level: affected.health.level().as_str(),
            word: match incident.state {
                IncidentState::Open => state.short.get(lang).to_owned(),
                IncidentState::Resolved => format.level(affected.health.level()).to_owned(),
            },
        }
    });
    let then = |at: jiff::Timestamp| {
        let join = if head.query.is_empty() { "?" } else { "&" };
        let (from, to) = (incident.opened_at.as_second() - 60, end.as_second() + 60);
        if past {
            format!("/{}{join}at={}&from={from}&to={to}", head.query, at.as_second())
        } else {
            String::new()
        }
    };
    IncidentPage {
        wall_then: then(incident.opened_at),
        id: incident.id.clone(),
        title: incident.title.get(lang).to_owned(),
        advice: incident.advice.get(lang).to_owned(),
        mood: if incident.state == IncidentState::Resolved { "green" } else { incident.level.as_str() },
        lasting: format.ago(incident.opened_at, end),
        when,
        confidence: verdict.roots.first().map_or("", |root| format.confidence(root.confidence)),
        onsets: onsets(board, incident, format),
        suspects: suspects.iter().enumerate().map(row).collect(),
        affected: affected.collect(),
        timeline: incident
            .timeline
            .iter()
            .map(|entry| (format.time(entry.at), then(entry.at), entry.what.get(lang).to_owned()))
            .collect(),
        head,
    }
}

fn sentences(suspect: &topology::verdict::Suspect, against: bool, lang: topology::text::Lang) -> Vec<String> {
    let wanted = suspect.evidence.iter().filter(|evidence| (evidence.kind == "against") == against);
    wanted.map(|evidence| evidence.text.get(lang).to_owned()).collect()
}

/// Who was first: the root and what suffers from it, by the time their present level began. Nothing once all is
/// over: the levels of then are no longer on the board.
fn onsets(board: &Board, incident: &Incident, format: &Format) -> Vec<OnsetRow> {
    if incident.state == IncidentState::Resolved {
        return Vec::new();
    }
    let verdict = &incident.verdict;
    let roots: Vec<_> =
        verdict.roots.iter().filter_map(|root| root.culprit.component(&board.model)).collect();
    let mut all: Vec<_> = roots.iter().copied().chain(verdict.affected.iter().map(|a| a.component)).collect();
    all.sort_unstable();
    all.dedup();
    all.retain(|id| board.component(*id).health.is_unhealthy());
    all.sort_by_key(|id| (board.component(*id).since, !roots.contains(id), *id));
    let Some(first) = all.first().map(|id| board.component(*id).since) else { return Vec::new() };
    let after = |id| board.component(id).since.duration_since(first).as_millis().max(0) as i64;
    // The last of them begins at four fifths, so that every bar can be seen.
    let whole = (all.last().map_or(0, |id| after(*id)) * 5 / 4).max(1000);
    let row = |id: &topology::model::ComponentId| {
        let (component, state) = (board.model.component(*id), board.component(*id));
        let ms = after(*id);
        OnsetRow {
            name: component.name.clone(),
            title: component.title.get(format.lang).to_owned(),
            level: state.health.level().as_str(),
            root: roots.contains(id),
            word: match state.short.get(format.lang) {
                "" => format.level(state.health.level()).to_owned(),
                short => short.to_owned(),
            },
            from: ms * 1000 / whole,
            at: match ms {
                0 => format.time(first),
                ms if ms < 60_000 => {
                    format!("+{}.{} {}", ms / 1000, ms % 1000 / 100, format.pick("s", "秒"))
                }
                ms => format!("+{}", format.seconds(ms.unsigned_abs() / 1000)),
            },
        }
    };
    all.iter().map(row).collect()
}
