//! `GET /incidents/{id}`.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use collector::alert::{Escalating, escalations};
use collector::board::Board;
use collector::history::{Delivery, Window};
use collector::incident::{Acknowledgement, Incident, IncidentState};
use jiff::{SignedDuration, Timestamp};
use topology::text::Lang;

use super::forms::{Forms, Peer};
use super::wall::encoded;
use super::{Head, not_found, render};
use crate::WebState;
use crate::ask::{Path, Query};
use crate::respond::{Asked, Prefs};
use crate::view::{Format, culprit_name};

/// Messages of one incident that are listed, the latest of them.
const MOST_MESSAGES: u32 = 200;

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
    forms: Forms,
    here: String,
    pauses: bool,
    /// It goes on.
    open: bool,
    /// Who has taken it on, in words; empty when nobody has.
    acknowledged: String,
    /// `silenced`, in words; empty when it is not.
    silenced: &'static str,
    sent: Vec<SentRow>,
    /// Why nothing is known of messages.
    sent_trouble: String,
    escalations: Vec<String>,
    /// Where the wall of then is, if the past is known; else empty.
    wall_then: String,
    /// When, the wall of then (or nothing), what.
    timeline: Vec<(String, String, String)>,
}

/// A message to a receiver.
struct SentRow {
    receiver: String,
    event: String,
    made: String,
    /// `taken 12:07:42`, `waits`, ...
    state: String,
    level: &'static str,
    late: String,
    attempts: u32,
    trouble: String,
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
    peer: Peer,
    headers: HeaderMap,
) -> Response {
    let prefs = Prefs::of(&asked, &headers);
    let board = state.boards.current();
    let at_hand = board.open.iter().chain(&board.resolved).find(|incident| incident.id == id).cloned();
    let found = match (at_hand, &state.history) {
        (Some(found), _) => Some(found),
        // What the board no longer has.
        (None, Some(history)) => history.incident(&board.model, &id).await.ok().flatten(),
        (None, None) => None,
    };
    let Some(found) = found else { return not_found(&prefs) };
    let format = Format { lang: prefs.lang, zone: state.zone.clone() };
    let named = Forms::of_incident(&board, &found);
    let forms = Forms::of(&state, (&headers, &peer), &board, named, &format);
    let told = told(&state, &found).await;
    let past = state.history.is_some();
    let objectives = state.objectives.current();
    let burning = objectives.iter().filter(|objective| objective.is_burning());
    let burning = burning.map(|objective| objective.component.clone()).collect();
    render(StatusCode::OK, &page(&board, &found, (forms, told), &burning, Head::of(&prefs), past, &format))
}

/// The messages of an incident, oldest first; or why they are not known.
async fn told(state: &WebState, incident: &Incident) -> Result<Vec<Delivery>, String> {
    let Some(history) = &state.history else { return Ok(Vec::new()) };
    // From a day before: the onset is put at the first bad look, and a clock may be set.
    let day = SignedDuration::from_hours(24);
    let from = incident.opened_at.checked_sub(day).unwrap_or(incident.opened_at);
    let to = (state.clock)().checked_add(day).unwrap_or(Timestamp::MAX);
    let window = Window::new(from, to).map_err(|error| error.to_string())?;
    let mut all = history
        .deliveries(window, Some(&incident.id), MOST_MESSAGES)
        .await
        .map_err(|error| error.to_string())?;
    all.reverse();
    Ok(all)
}

/// `past`: boards of the past can be asked for.
fn page(
    board: &Board,
    incident: &Incident,
    (forms, told): (Forms, Result<Vec<Delivery>, String>),
    burning: &BTreeSet<String>,
    head: Head,
    past: bool,
    format: &Format,
) -> IncidentPage {
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
        forms,
        here: format!("/incidents/{}{}", encoded(&incident.id), head.query),
        pauses: false,
        open: incident.state == IncidentState::Open,
        acknowledged: incident.acknowledged.as_ref().map(|ack| taken_on(ack, format)).unwrap_or_default(),
        silenced: if incident.silenced && incident.state == IncidentState::Open {
            format.pick_static("Its messages are held back by a silence.", "其消息已被静默。")
        } else {
            ""
        },
        escalations: escalating(board, incident, burning, told.as_deref().unwrap_or_default(), format),
        sent: told.as_deref().unwrap_or_default().iter().map(|one| sent_row(one, board.at, format)).collect(),
        sent_trouble: told.err().unwrap_or_default(),
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

/// `Acknowledged by wang at 12:09:02: on it`.
fn taken_on(ack: &Acknowledgement, format: &Format) -> String {
    let at = format.time(ack.at);
    let note =
        ack.note.as_deref().map(|note| format!("{}{note}", format.pick(": ", "："))).unwrap_or_default();
    match format.lang {
        Lang::En => format!("Acknowledged by {} at {at}{note}", ack.by),
        Lang::Zh => format!("{} 于 {at} 认领{note}", ack.by),
    }
}

fn sent_row(one: &Delivery, now: Timestamp, format: &Format) -> SentRow {
    let event = match one.event.as_str() {
        "open" => format.pick("open", "发生"),
        "update" => format.pick("update", "更新"),
        "subsume" => format.pick("became part", "并入"),
        "resolve" => format.pick("resolved", "恢复"),
        other => other,
    };
    let late = |at: Timestamp| at.duration_since(one.created_at).as_secs().max(0).unsigned_abs();
    let waits = late(now);
    let (state, level, late) = match one.delivered_at {
        Some(at) => {
            let late = late(at);
            let words = format!("{} {}", format.pick("taken", "已送达"), format.time(at));
            (words, "", if late == 0 { String::new() } else { format.seconds(late) })
        }
        None if one.attempts == 0 => {
            (format.pick("on its way", "发送中").to_owned(), "", format.seconds(waits))
        }
        None => (format.pick("not taken yet", "尚未送达").to_owned(), "yellow", format.seconds(waits)),
    };
    SentRow {
        receiver: one.receiver.clone(),
        event: event.to_owned(),
        made: format.time(one.created_at),
        state,
        level,
        late,
        attempts: one.attempts,
        trouble: one.trouble.clone().filter(|_| one.delivered_at.is_none()).unwrap_or_default(),
    }
}

/// What happens unless somebody takes it on, and what happened because nobody did.
fn escalating(
    board: &Board,
    incident: &Incident,
    burning: &BTreeSet<String>,
    told: &[Delivery],
    format: &Format,
) -> Vec<String> {
    let Some(first) = told.iter().map(|one| one.created_at).min() else { return Vec::new() };
    if incident.state == IncidentState::Resolved {
        return Vec::new();
    }
    let steps = escalations(board, incident, Some(burning), first, board.at);
    let taken = incident.acknowledged.as_ref().map(|ack| ack.at);
    let step = |step: Escalating| {
        let (to, at) = (step.to.join(", "), format.time(step.at));
        match (step.at <= taken.unwrap_or(board.at), taken.is_some(), format.lang) {
            (true, _, Lang::En) => format!("{at}: {to} is called, for nobody had acknowledged it"),
            (true, _, Lang::Zh) => format!("{at}：无人认领，已升级至 {to}"),
            (false, false, Lang::En) => format!("{at}: {to} is called, unless somebody acknowledges it"),
            (false, false, Lang::Zh) => format!("{at}：若仍无人认领，将升级至 {to}"),
            (false, true, Lang::En) => format!("{to} is not called: it is acknowledged"),
            (false, true, Lang::Zh) => format!("已认领，不再升级至 {to}"),
        }
    };
    steps.into_iter().map(step).collect()
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
