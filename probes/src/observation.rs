//! What one look at one instance found.

use std::collections::BTreeMap;
use std::time::Duration;

use topology::fault::Fault;
use topology::level::Health;

/// The result of one probe of one instance. When it was made is known to whoever asked for it.
#[derive(Clone, Debug)]
pub struct Observation {
    /// How long it took in all.
    pub took: Duration,
    /// How long each stage took, also of one that failed: it tells *where* it hung.
    pub stages: Vec<Stage>,
    /// What came of it.
    pub outcome: Outcome,
    /// What was measured before it failed, as the steps of a journey up to the one that did. Of an answer all is in there.
    pub measured: BTreeMap<String, f64>,
    /// What the instance itself says of what it depends on; also in a bad answer.
    pub witnesses: Vec<Witness>,
}

/// One stage of a probe: `resolve`, `tcp`, `tls`, `handshake`, `ask`, `body`, `deep`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Its name.
    pub name: &'static str,
    /// How long it took.
    pub took: Duration,
}

/// What came of a look.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The question was answered; how well, the signals tell.
    Answer(Answer),
    /// No good answer.
    Fault(Fault),
    /// The monitor's own host failed (out of ports, out of files): says nothing of the target.
    Local(String),
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The measured values by full name, in base units.
    pub signals: BTreeMap<String, f64>,
    /// The level the instance itself reports, with its words, where it reports one worse than green.
    pub reported: Option<(Health, String)>,
    /// Remarks for people: a right that is missing, a kept connection that had been cut.
    pub notes: Vec<String>,
    /// The role last seen (`primary`, `replica`), of what has roles.
    pub role: Option<&'static str>,
}

/// A dependant's own word on a dependency.
#[derive(Clone, Debug, PartialEq)]
pub struct Witness {
    /// The name the dependant gave it; a component, or an instance of one.
    pub on: String,
    /// How it finds it.
    pub health: Health,
    /// Its words, cleaned and bounded.
    pub words: String,
    /// How long its call took, where it says so.
    pub latency: Option<Duration>,
}

impl Observation {
    /// What came of a look that had no stages, measured nothing beside its answer, and heard of nobody else.
    pub fn of(took: Duration, outcome: Outcome) -> Self {
        Self { took, stages: Vec::new(), outcome, measured: BTreeMap::new(), witnesses: Vec::new() }
    }

    /// The fault, if there was one.
    pub fn fault(&self) -> Option<&Fault> {
        match &self.outcome {
            Outcome::Fault(fault) => Some(fault),
            _ => None,
        }
    }
}
