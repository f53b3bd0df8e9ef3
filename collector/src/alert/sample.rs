//! A message to try a receiver with: of a made-up incident of the file's own first component.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use topology::fault::FaultKind;
use topology::level::{Health, Level};
use topology::model::Model;
use topology::text::Text;
use topology::verdict::{Affected, Culprit, Evidence, Suspect, Verdict};

use super::message::{self, Letter};
use super::ways::{Parcel, SetupError, Way};
use crate::incident::{Incident, IncidentState, TimelineEntry};

/// Why a receiver could not be told a test.
#[derive(Debug, thiserror::Error)]
pub enum Untold {
    /// The file has no such receiver.
    #[error("there is no receiver `{0}`")]
    Unknown(String),
    /// It cannot be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// It did not take the message.
    #[error("{0}")]
    NotTaken(String),
    /// The message cannot be made, which is a bug.
    #[error("the message cannot be made: {0}")]
    Words(#[from] serde_json::Error),
}

/// Tells `receiver` a test, now and past the outbox. `id` is the incident's.
///
/// # Errors
/// When it was not taken, or could not be sent.
pub async fn tell_sample(model: &Model, receiver: &str, id: &str, now: Timestamp) -> Result<(), Untold> {
    let found = model.alerting.receiver(receiver).ok_or_else(|| Untold::Unknown(receiver.to_owned()))?;
    let way = Way::new(found.clone(), TimeZone::system())?;
    let key = format!("{id}-1");
    let body = message::body_of(model, &incident(model, id, now), "test", &key)?;
    let (json, letter) = (message::stamped(&body, now, now)?, Letter::read(&body, now)?);
    let parcel = Parcel { key: &key, json: &json, letters: &[letter], terse: false, now };
    way.tell(&parcel).await.map_err(|trouble| Untold::NotTaken(trouble.words))
}

fn incident(model: &Model, id: &str, now: Timestamp) -> Incident {
    let text = Text::new(
        "This is a test: nothing is wrong, and nobody needs to do anything",
        "这是一条测试消息：没有故障，无需处理",
    );
    let root = model.instance_ids().next().map(|first| Suspect {
        culprit: Culprit::Instance(first),
        fault: Some(FaultKind::Hung),
        signal: None,
        overloads: None,
        confidence: 0.97,
        evidence: vec![Evidence {
            kind: "own_fault",
            text: Text::new("Made up for this test", "为测试而编造"),
        }],
    });
    let first = root.as_ref().and_then(|root| root.culprit.component(model));
    let needs = |d: &&topology::model::Dependency| Some(d.to) == first;
    let affected = model.dependencies.iter().filter(needs).take(3).map(|dependency| Affected {
        component: dependency.from,
        health: Health::Red,
        root: 0,
        over: Vec::new(),
        because: Text::new("it needs it", "依赖于它"),
    });
    let verdict = Verdict {
        affected: affected.collect(),
        explained: Vec::new(),
        suspects: root.iter().cloned().collect(),
        roots: root.into_iter().collect(),
    };
    Incident {
        id: id.to_owned(),
        state: IncidentState::Open,
        level: Level::Red,
        opened_at: now,
        resolved_at: None,
        title: text.clone(),
        advice: Text::new("Sent by `topowatch alert test`.", "由 `topowatch alert test` 发出。"),
        verdict,
        timeline: vec![TimelineEntry { at: now, what: text }],
        acknowledged: None,
        silenced: false,
        subsumed_by: None,
    }
}
