//! One outage as the engine hands it over.

use collector::announce::{Event, Message, Told};
use collector::incident::{Incident, IncidentState};
use collector::incidents::{Change, What};
use collector::store::{Batch, LevelChange, OutboxRow, Store};
use jiff::Timestamp;
use topology::level::Level;
use topology::model::{InstanceId, Model};
use topology::text::Text;
use topology::verdict::{Culprit, Evidence, Suspect, Verdict};

struct Nothing;

impl topology::Environment for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &str) -> Result<String, String> {
        Err("no files here".to_owned())
    }
}

pub(crate) fn model() -> Model {
    let text = "components:\n  db: { instances: [\"127.0.0.1:1\"], probe: { tcp: {} } }\n\
                alerts: { receivers: { ops: { webhook: { url: \"http://127.0.0.1:1/\" } } } }\n";
    read(text)
}

/// A model from a whole file.
pub(crate) fn read(text: &str) -> Model {
    topology::read(text, &probes::specs(), &Nothing).unwrap().0
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

pub(crate) fn outage(state: IncidentState) -> Incident {
    let root = Suspect {
        culprit: Culprit::Instance(InstanceId(0)),
        fault: Some(topology::fault::FaultKind::Refused),
        signal: None,
        overloads: None,
        confidence: 0.9,
        evidence: vec![Evidence { kind: "own_fault", text: Text::new("db-1 refuses", "db-1 拒连") }],
    };
    Incident {
        id: "0190-a".to_owned(),
        state,
        level: Level::Red,
        opened_at: at(0),
        resolved_at: (state == IncidentState::Resolved).then(|| at(60)),
        title: Text::new("db is down", "db 宕机"),
        advice: Text::same("Fix db-1."),
        verdict: Verdict { roots: vec![root.clone()], suspects: vec![root], ..Verdict::default() },
        timeline: Vec::new(),
        acknowledged: None,
        silenced: false,
        subsumed_by: None,
    }
}

/// The first message that waits for the receiver.
pub(crate) async fn next(store: &Store) -> Option<OutboxRow> {
    store.waiting("ops", 1).await.unwrap().pop()
}

/// The incident, a level, and the message of it.
pub(crate) fn batch(model: &Model, state: IncidentState) -> Batch {
    let (messages, event) = match state {
        IncidentState::Open => (1, Event::Open),
        IncidentState::Resolved => (2, Event::Resolve),
    };
    let told = Told { messages, ..Told::nothing(at(1)) };
    let messages = vec![Message { receiver: "ops".to_owned(), event }];
    let change = Change { what: What::Updated, incident: outage(state), told, messages };
    let mut batch = Batch::default();
    batch.incident(model, &change, at(7)).unwrap();
    let level = if state == IncidentState::Open { "red" } else { "green" };
    let moved =
        LevelChange { node: "db".to_owned(), at: at(7), level: level.to_owned(), ..LevelChange::default() };
    batch.level(moved, at(0));
    batch
}

/// An incident of its own for each `round`, with its message, and twenty levels at that minute.
pub(crate) fn outage_batch(round: i64) -> Batch {
    let now = at(round * 60);
    let incident = Incident { id: format!("0190-{round:03}"), opened_at: now, ..outage(IncidentState::Open) };
    let told = Told { messages: 1, ..Told::nothing(now) };
    let messages = vec![Message { receiver: "ops".to_owned(), event: Event::Open }];
    let change = Change { what: What::Opened, incident, told, messages };
    let mut batch = Batch::default();
    batch.incident(&model(), &change, now).unwrap();
    for node in 0..20 {
        let words = "no answer in 1.5 s, and words enough to fill some pages of the database file".to_owned();
        let level = if round % 2 == 0 { "red" } else { "green" }.to_owned();
        let moved =
            LevelChange { node: format!("db-{node}"), at: now, level, words, ..LevelChange::default() };
        batch.level(moved, now);
    }
    batch.watched(at(0), now);
    batch
}
