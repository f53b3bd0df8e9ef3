//! Incidents and confirmed states as JSON rows, by name: ids change with the file, names do not.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use topology::fault::{Fault, FaultKind};
use topology::level::{Health, Level};
use topology::model::Model;
use topology::text::Text;
use topology::verdict::{Affected, Culprit, Evidence, Suspect, Verdict};

use super::StoreError;
use crate::announce::{EVERYBODY, Known, Told};
use crate::confirm::Tracker;
use crate::incident::{Acknowledgement, Incident, IncidentState, TimelineEntry};
use crate::incidents::Kept;
use crate::judge::Judged;
use crate::names::Names;

#[derive(Serialize, Deserialize)]
struct TextRecord {
    en: String,
    zh: String,
}

impl TextRecord {
    fn of(text: &Text) -> Self {
        Self { en: text.en.clone(), zh: text.zh.clone() }
    }

    fn back(self) -> Text {
        Text { en: self.en, zh: self.zh }
    }
}

#[derive(Serialize, Deserialize)]
struct IncidentRecord {
    id: String,
    state: String,
    level: String,
    opened_at: Timestamp,
    resolved_at: Option<Timestamp>,
    title: TextRecord,
    advice: TextRecord,
    roots: Vec<SuspectRecord>,
    suspects: Vec<SuspectRecord>,
    affected: Vec<AffectedRecord>,
    explained: Vec<(String, usize)>,
    timeline: Vec<(Timestamp, TextRecord)>,
    confirmed_at: Timestamp,
    messages: u32,
    // What everybody was told last, as versions before receivers were told apart kept it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    told_roots: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    told_level: String,
    #[serde(default)]
    first_at: Option<Timestamp>,
    #[serde(default)]
    recurs: bool,
    #[serde(default)]
    settled: Option<(BTreeSet<String>, Timestamp)>,
    #[serde(default)]
    receivers: BTreeMap<String, KnownRecord>,
    #[serde(default)]
    acknowledged: Option<AcknowledgedRecord>,
    #[serde(default)]
    subsumed_by: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct KnownRecord {
    at: Timestamp,
    updates: u32,
    roots: BTreeSet<String>,
    level: String,
}

#[derive(Serialize, Deserialize)]
struct AcknowledgedRecord {
    at: Timestamp,
    by: String,
    note: Option<String>,
    level: String,
}

#[derive(Serialize, Deserialize)]
struct SuspectRecord {
    node: String,
    fault: Option<String>,
    signal: Option<String>,
    #[serde(default)]
    overloads: Option<String>,
    confidence: f64,
    evidence: Vec<(String, TextRecord)>,
}

#[derive(Serialize, Deserialize)]
struct AffectedRecord {
    component: String,
    health: String,
    root: usize,
    over: Vec<String>,
    because: TextRecord,
}

/// What one probe of one instance last confirmed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfirmedRecord {
    health: String,
    fault: Option<(String, String, String)>,
    signal: Option<String>,
    words: (String, String),
    short: (String, String),
    since: Timestamp,
    onset: Option<(Timestamp, Timestamp)>,
}

const HEALTHS: [(Health, &str); 6] = [
    (Health::Green, "green"),
    (Health::AtRisk, "at_risk"),
    (Health::Impaired, "impaired"),
    (Health::Red, "red"),
    (Health::Unknown, "unknown"),
    (Health::Paused, "paused"),
];

pub(crate) fn health_word(health: Health) -> String {
    HEALTHS.iter().find(|(h, _)| *h == health).map_or("unknown", |(_, word)| word).to_owned()
}

pub(crate) fn health_of(word: &str) -> Health {
    HEALTHS.iter().find(|(_, w)| *w == word).map_or(Health::Unknown, |(health, _)| *health)
}

pub(crate) fn level_of(word: &str) -> Level {
    [Level::Green, Level::Yellow, Level::Red, Level::Paused]
        .into_iter()
        .find(|level| level.as_str() == word)
        .unwrap_or(Level::Unknown)
}

impl ConfirmedRecord {
    /// What `tracker` has confirmed.
    pub fn of(tracker: &Tracker) -> Self {
        let judged = &tracker.confirmed;
        Self {
            health: health_word(judged.health),
            fault: judged
                .fault
                .as_ref()
                .map(|f| (f.kind.as_str().to_owned(), f.stage.to_owned(), f.words.clone())),
            signal: judged.signal.clone(),
            words: (judged.words.en.clone(), judged.words.zh.clone()),
            short: (judged.short.en.clone(), judged.short.zh.clone()),
            since: tracker.since,
            onset: tracker.onset,
        }
    }

    /// The state to go on from: level, since and onset.
    pub fn back(&self) -> (Judged, Timestamp, Option<(Timestamp, Timestamp)>) {
        let fault = self.fault.as_ref().and_then(|(kind, stage, words)| {
            let stages = ["resolve", "tcp", "tls", "handshake", "ask", "body", "deep"];
            let stage = stages.into_iter().find(|known| known == stage).unwrap_or("ask");
            FaultKind::from_word(kind).map(|kind| Fault::new(kind, stage, words))
        });
        let judged = Judged {
            health: health_of(&self.health),
            fault,
            signal: self.signal.clone(),
            words: Text::new(self.words.0.clone(), self.words.1.clone()),
            short: Text::new(self.short.0.clone(), self.short.1.clone()),
        };
        (judged, self.since, self.onset)
    }
}

/// The row of an incident.
pub(super) fn write(model: &Model, incident: &Incident, told: &Told) -> Result<String, StoreError> {
    Ok(serde_json::to_string(&record(model, incident, told))?)
}

/// An incident back from its row. What the file no longer has is left out of it.
pub(crate) fn read(names: &Names, body: &str) -> Result<Kept, StoreError> {
    Ok(back(names, serde_json::from_str(body)?))
}

/// The same incident in another topology, its nodes found by their names.
pub(crate) fn carry_over(old: &Model, new: &Names, incident: &Incident, told: &Told) -> Kept {
    back(new, record(old, incident, told))
}

fn record(model: &Model, incident: &Incident, told: &Told) -> IncidentRecord {
    let suspects = |list: &[Suspect]| list.iter().map(|s| suspect_record(model, s)).collect();
    let verdict = &incident.verdict;
    IncidentRecord {
        id: incident.id.clone(),
        state: incident.state.as_str().to_owned(),
        level: incident.level.as_str().to_owned(),
        opened_at: incident.opened_at,
        resolved_at: incident.resolved_at,
        title: TextRecord::of(&incident.title),
        advice: TextRecord::of(&incident.advice),
        roots: suspects(&verdict.roots),
        suspects: suspects(&verdict.suspects),
        affected: verdict.affected.iter().map(|a| affected_record(model, a)).collect(),
        explained: verdict
            .explained
            .iter()
            .map(|(id, root)| (model.instance(*id).name.clone(), *root))
            .collect(),
        timeline: incident.timeline.iter().map(|e| (e.at, TextRecord::of(&e.what))).collect(),
        confirmed_at: told.confirmed_at,
        messages: told.messages,
        told_roots: BTreeSet::new(),
        told_level: String::new(),
        first_at: told.first_at,
        recurs: told.recurs,
        settled: told.settled.clone(),
        receivers: told.receivers.iter().map(|(name, known)| (name.clone(), known_record(known))).collect(),
        acknowledged: incident.acknowledged.as_ref().map(|ack| AcknowledgedRecord {
            at: ack.at,
            by: ack.by.clone(),
            note: ack.note.clone(),
            level: ack.level.as_str().to_owned(),
        }),
        subsumed_by: incident.subsumed_by.clone(),
    }
}

fn suspect_record(model: &Model, suspect: &Suspect) -> SuspectRecord {
    SuspectRecord {
        node: suspect.culprit.name(model),
        fault: suspect.fault.map(|kind| kind.as_str().to_owned()),
        signal: suspect.signal.clone(),
        overloads: suspect.overloads.map(|id| model.component(id).name.clone()),
        confidence: suspect.confidence,
        evidence: suspect.evidence.iter().map(|e| (e.kind.to_owned(), TextRecord::of(&e.text))).collect(),
    }
}

fn affected_record(model: &Model, affected: &Affected) -> AffectedRecord {
    AffectedRecord {
        component: model.component(affected.component).name.clone(),
        health: health_word(affected.health),
        root: affected.root,
        over: affected.over.iter().map(|edge| Culprit::Edge(*edge).name(model)).collect(),
        because: TextRecord::of(&affected.because),
    }
}

fn back(names: &Names, record: IncidentRecord) -> Kept {
    let roots: Vec<Option<Suspect>> = record.roots.into_iter().map(|s| suspect_back(names, s)).collect();
    // A root that is gone changes the numbers of those behind it.
    let number = |old: usize| roots.get(old)?.as_ref().map(|_| roots[..old].iter().flatten().count());
    let orphaned = roots.iter().all(Option::is_none);
    let affected = record.affected.into_iter().filter_map(|a| {
        // Without any root the affected stay: they tell which outage it was.
        let root = number(a.root).or(orphaned.then_some(0))?;
        Some(Affected {
            component: names.component(&a.component)?,
            health: health_of(&a.health),
            root,
            over: a.over.iter().filter_map(|name| names.edge(name)).collect(),
            because: a.because.back(),
        })
    });
    let explained =
        record.explained.iter().filter_map(|(name, root)| Some((names.instance(name)?, number(*root)?)));
    let verdict = Verdict {
        affected: affected.collect(),
        explained: explained.collect(),
        suspects: record.suspects.into_iter().filter_map(|s| suspect_back(names, s)).collect(),
        roots: roots.into_iter().flatten().collect(),
    };
    let incident = Incident {
        id: record.id,
        state: if record.state == "open" { IncidentState::Open } else { IncidentState::Resolved },
        level: level_of(&record.level),
        opened_at: record.opened_at,
        resolved_at: record.resolved_at,
        title: record.title.back(),
        advice: record.advice.back(),
        verdict,
        timeline: record
            .timeline
            .into_iter()
            .map(|(at, what)| TimelineEntry { at, what: what.back() })
            .collect(),
        acknowledged: record.acknowledged.map(|ack| Acknowledgement {
            at: ack.at,
            by: ack.by,
            note: ack.note,
            level: level_of(&ack.level),
        }),
        silenced: false,
        subsumed_by: record.subsumed_by,
    };
    let mut told = Told {
        confirmed_at: record.confirmed_at,
        messages: record.messages,
        first_at: record.first_at,
        recurs: record.recurs,
        settled: record.settled,
        receivers: record.receivers.into_iter().map(|(name, known)| (name, known_back(known))).collect(),
    };
    if !record.told_level.is_empty() && told.messages > 0 && incident.state == IncidentState::Open {
        let (roots, level) = (record.told_roots, level_of(&record.told_level));
        let at = record.confirmed_at;
        told.receivers.insert(EVERYBODY.to_owned(), Known { at, updates: 0, roots, level });
        told.first_at = Some(at);
    }
    Kept { incident, told }
}

fn known_record(known: &Known) -> KnownRecord {
    let Known { at, updates, roots, level } = known;
    KnownRecord { at: *at, updates: *updates, roots: roots.clone(), level: level.as_str().to_owned() }
}

fn known_back(record: KnownRecord) -> Known {
    let KnownRecord { at, updates, roots, level } = record;
    Known { at, updates, roots, level: level_of(&level) }
}

fn suspect_back(names: &Names, record: SuspectRecord) -> Option<Suspect> {
    // Kinds of evidence are a closed list; a word of a later version is shown as plain evidence.
    let kinds = [
        "own_fault",
        "fault",
        "signal",
        "witnesses",
        "own_probe",
        "dependencies",
        "onset",
        "redundancy",
        "explains",
        "explained",
        "against",
        "tie",
        "label",
        "overload",
        "unseen",
        "flow",
        "change",
        "monitor",
        "missing_edge",
    ];
    let kind = |word: &str| kinds.into_iter().find(|known| *known == word).unwrap_or("evidence");
    Some(Suspect {
        culprit: names.culprit(&record.node)?,
        fault: record.fault.as_deref().and_then(FaultKind::from_word),
        signal: record.signal,
        overloads: record.overloads.as_deref().and_then(|name| names.component(name)),
        confidence: record.confidence,
        evidence: record
            .evidence
            .into_iter()
            .map(|(word, text)| Evidence { kind: kind(&word), text: text.back() })
            .collect(),
    })
}
