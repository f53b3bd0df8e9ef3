//! An incident as the API, `why --json` and the webhook give it: a stable interface, made by hand from the
//! engine's own types.

use jiff::Timestamp;
use serde::Serialize;
use topology::fault::FaultKind;
use topology::model::Model;
use topology::verdict;

use crate::incident::Incident;

/// The whole object.
#[derive(Clone, Debug, Serialize)]
pub struct IncidentReport {
    /// Sorts by time.
    pub id: String,
    /// `open` or `resolved`.
    pub state: &'static str,
    /// The worst level it has made.
    pub level: &'static str,
    /// RFC 3339, UTC.
    pub opened_at: String,
    /// RFC 3339, UTC, once it is over.
    pub resolved_at: Option<String>,
    /// The headline in English.
    pub title: String,
    /// The headline in Chinese.
    pub title_zh: String,
    /// The second line in English.
    pub advice: String,
    /// The second line in Chinese.
    pub advice_zh: String,
    /// Who is to blame.
    pub verdict: VerdictReport,
    /// Who suffers.
    pub affected: Vec<AffectedReport>,
    /// What happened.
    pub timeline: Vec<EntryReport>,
    /// Who has taken it on.
    pub acknowledged: Option<AcknowledgementReport>,
    /// Its messages are held back.
    pub silenced: bool,
    /// The incident that it has become part of.
    pub subsumed_by: Option<String>,
}

/// Who has taken it on.
#[derive(Clone, Debug, Serialize)]
pub struct AcknowledgementReport {
    /// RFC 3339, UTC.
    pub at: String,
    /// Who.
    pub by: String,
    /// What they say.
    pub note: Option<String>,
}

/// The verdict.
#[derive(Clone, Debug, Serialize)]
pub struct VerdictReport {
    /// The root causes.
    pub roots: Vec<SuspectReport>,
    /// All suspects, ranked.
    pub suspects: Vec<SuspectReport>,
}

/// A suspect.
#[derive(Clone, Debug, Serialize)]
pub struct SuspectReport {
    /// A node's name, `dependant -> dependency`, or `monitor`.
    pub node: String,
    /// `instance`, `component`, `edge`, `label` or `monitor`.
    pub kind: &'static str,
    /// 0 to 1.
    pub confidence: f64,
    /// The fault its broken instances have in common.
    pub fault: Option<&'static str>,
    /// Sentences.
    pub evidence: Vec<EvidenceReport>,
}

/// One sentence of evidence.
#[derive(Clone, Debug, Serialize)]
pub struct EvidenceReport {
    /// A stable word.
    pub kind: &'static str,
    /// English.
    pub text: String,
    /// Chinese.
    pub text_zh: String,
}

/// A node that suffers.
#[derive(Clone, Debug, Serialize)]
pub struct AffectedReport {
    /// The component.
    pub node: String,
    /// Its level.
    pub level: &'static str,
    /// Why, in English.
    pub because: String,
    /// Why, in Chinese.
    pub because_zh: String,
}

/// A line of the timeline.
#[derive(Clone, Debug, Serialize)]
pub struct EntryReport {
    /// RFC 3339, UTC.
    pub at: String,
    /// English.
    pub what: String,
    /// Chinese.
    pub what_zh: String,
}

/// RFC 3339 in UTC, to the millisecond.
pub fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

impl IncidentReport {
    /// The object for `incident`, whose nodes are `model`'s.
    pub fn of(model: &Model, incident: &Incident) -> Self {
        let verdict = &incident.verdict;
        let suspects = |all: &[verdict::Suspect]| all.iter().map(|s| suspect(model, s)).collect();
        Self {
            id: incident.id.clone(),
            state: incident.state.as_str(),
            level: incident.level.as_str(),
            opened_at: time(incident.opened_at),
            resolved_at: incident.resolved_at.map(time),
            title: incident.title.en.clone(),
            title_zh: incident.title.zh.clone(),
            advice: incident.advice.en.clone(),
            advice_zh: incident.advice.zh.clone(),
            verdict: VerdictReport { roots: suspects(&verdict.roots), suspects: suspects(&verdict.suspects) },
            affected: verdict
                .affected
                .iter()
                .map(|affected| AffectedReport {
                    node: model.component(affected.component).name.clone(),
                    level: affected.health.level().as_str(),
                    because: affected.because.en.clone(),
                    because_zh: affected.because.zh.clone(),
                })
                .collect(),
            timeline: incident
                .timeline
                .iter()
                .map(|entry| EntryReport {
                    at: time(entry.at),
                    what: entry.what.en.clone(),
                    what_zh: entry.what.zh.clone(),
                })
                .collect(),
            acknowledged: incident.acknowledged.as_ref().map(|ack| AcknowledgementReport {
                at: time(ack.at),
                by: ack.by.clone(),
                note: ack.note.clone(),
            }),
            silenced: incident.silenced,
            subsumed_by: incident.subsumed_by.clone(),
        }
    }
}

fn suspect(model: &Model, suspect: &verdict::Suspect) -> SuspectReport {
    let sentence = |evidence: &verdict::Evidence| EvidenceReport {
        kind: evidence.kind,
        text: evidence.text.en.clone(),
        text_zh: evidence.text.zh.clone(),
    };
    SuspectReport {
        node: suspect.culprit.name(model),
        kind: suspect.culprit.kind(),
        confidence: suspect.confidence,
        fault: suspect.fault.map(FaultKind::as_str),
        evidence: suspect.evidence.iter().map(sentence).collect(),
    }
}
