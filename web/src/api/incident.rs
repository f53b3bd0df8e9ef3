//! An incident as `/api/v1/incidents`, `why --json` and the webhook give it.

use collector::incident::Incident as Source;
use serde::Serialize;
use topology::model::Model;
use topology::verdict;

use super::time;

/// The whole object.
#[derive(Debug, Serialize)]
pub(crate) struct Incident {
    id: String,
    state: &'static str,
    level: &'static str,
    opened_at: String,
    resolved_at: Option<String>,
    title: String,
    title_zh: String,
    advice: String,
    advice_zh: String,
    verdict: Verdict,
    affected: Vec<Affected>,
    timeline: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Verdict {
    roots: Vec<Suspect>,
    suspects: Vec<Suspect>,
}

#[derive(Debug, Serialize)]
struct Suspect {
    node: String,
    kind: &'static str,
    confidence: f64,
    fault: Option<&'static str>,
    evidence: Vec<Evidence>,
}

#[derive(Debug, Serialize)]
struct Evidence {
    kind: &'static str,
    text: String,
    text_zh: String,
}

#[derive(Debug, Serialize)]
struct Affected {
    node: String,
    level: &'static str,
    because: String,
    because_zh: String,
}

#[derive(Debug, Serialize)]
struct Entry {
    at: String,
    what: String,
    what_zh: String,
}

impl Incident {
    pub(crate) fn of(model: &Model, incident: &Source) -> Self {
        let verdict = &incident.verdict;
        let suspects = |all: &[verdict::Suspect]| all.iter().map(|s| Suspect::of(model, s)).collect();
        let affected = verdict.affected.iter().map(|affected| Affected {
            node: model.component(affected.component).name.clone(),
            level: affected.health.level().as_str(),
            because: affected.because.en.clone(),
            because_zh: affected.because.zh.clone(),
        });
        let timeline = incident.timeline.iter().map(|entry| Entry {
            at: time(entry.at),
            what: entry.what.en.clone(),
            what_zh: entry.what.zh.clone(),
        });
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
            verdict: Verdict { roots: suspects(&verdict.roots), suspects: suspects(&verdict.suspects) },
            affected: affected.collect(),
            timeline: timeline.collect(),
        }
    }
}

impl Suspect {
    fn of(model: &Model, suspect: &verdict::Suspect) -> Self {
        let evidence = suspect.evidence.iter().map(|evidence| Evidence {
            kind: evidence.kind,
            text: evidence.text.en.clone(),
            text_zh: evidence.text.zh.clone(),
        });
        Self {
            node: suspect.culprit.name(model),
            kind: suspect.culprit.kind(),
            confidence: suspect.confidence,
            fault: suspect.fault.map(topology::fault::FaultKind::as_str),
            evidence: evidence.collect(),
        }
    }
}
