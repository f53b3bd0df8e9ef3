//! Incidents: one connected outage, from onset to recovery.

use jiff::Timestamp;
use topology::level::Level;
use topology::text::Text;
use topology::verdict::Verdict;

/// One outage: its root causes and everything affected.
#[derive(Clone, Debug)]
pub struct Incident {
    /// Sorts by time.
    pub id: String,
    /// Open or resolved.
    pub state: IncidentState,
    /// The worst level it has made.
    pub level: Level,
    /// The onset of the first confirmed bad level.
    pub opened_at: Timestamp,
    /// When green was confirmed again.
    pub resolved_at: Option<Timestamp>,
    /// What a person would call it.
    pub title: Text,
    /// The second line: what to do, or what is not broken.
    pub advice: Text,
    /// Who is to blame, and who suffers.
    pub verdict: Verdict,
    /// What happened, oldest first.
    pub timeline: Vec<TimelineEntry>,
    /// Who has taken it on.
    pub acknowledged: Option<Acknowledgement>,
    /// Its messages are held back by a silence.
    pub silenced: bool,
    /// The incident that it has become part of.
    pub subsumed_by: Option<String>,
}

/// Somebody has taken an incident on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// What they say.
    pub note: Option<String>,
    /// The level then: what gets worse is news again.
    pub level: Level,
}

/// Where an incident is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentState {
    /// Going on.
    Open,
    /// Over.
    Resolved,
}

impl IncidentState {
    /// The stable word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Resolved => "resolved",
        }
    }
}

/// One line of an incident's timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineEntry {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: Text,
}
