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
    timeline: Vec<(String, String)>,
}

struct SuspectRow {
    number: usize,
    root: bool,
    title: String,
    name: String,
    link: Option<String>,
    percent: u32,
    word: &'static str,
    evidence: Vec<String>,
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
    render(StatusCode::OK, &page(&board, found, Head::of(&prefs), &format))
}

fn page(board: &Board, incident: &Incident, head: Head, format: &Format) -> IncidentPage {
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
        evidence: suspect.evidence.iter().map(|evidence| evidence.text.get(lang).to_owned()).collect(),
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
    IncidentPage {
        id: incident.id.clone(),
        title: incident.title.get(lang).to_owned(),
        advice: incident.advice.get(lang).to_owned(),
        mood: if incident.state == IncidentState::Resolved { "green" } else { incident.level.as_str() },
        lasting: format.ago(incident.opened_at, end),
        when,
        confidence: verdict.roots.first().map_or("", |root| format.confidence(root.confidence)),
        suspects: suspects.iter().enumerate().map(row).collect(),
        affected: affected.collect(),
        timeline: incident
            .timeline
            .iter()
            .map(|entry| (format.time(entry.at), entry.what.get(lang).to_owned()))
            .collect(),
        head,
    }
}
