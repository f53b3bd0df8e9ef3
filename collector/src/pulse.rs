//! Whether the monitor itself goes on: its scheduler, its verdict and its storage each leave a mark when they have
//! advanced. Who watches the watcher asks here.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

/// A part of the monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Probes are started.
    Scheduler,
    /// Boards are made, with their verdict.
    Verdict,
    /// History is written.
    Storage,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Scheduler, Self::Verdict, Self::Storage];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduler => "scheduler",
            Self::Verdict => "verdict",
            Self::Storage => "storage",
        }
    }

    /// It stands still when it has not advanced for so long.
    pub const fn patience(self) -> Duration {
        match self {
            Self::Scheduler | Self::Verdict => Duration::from_secs(10),
            // Commits come every two seconds; one may wait five for a lock.
            Self::Storage => Duration::from_secs(15),
        }
    }
}

/// When each part advanced last.
#[derive(Debug, Default)]
pub struct Pulse {
    marks: [AtomicI64; 3],
}

impl Pulse {
    /// `part` has advanced.
    pub fn beat(&self, part: Part, now: Timestamp) {
        self.beat_ms(part, now.as_millisecond());
    }

    pub(crate) fn beat_ms(&self, part: Part, now: i64) {
        self.marks[part as usize].fetch_max(now, Ordering::Relaxed);
    }

    /// How long ago `part` advanced; none when it never did.
    pub fn age(&self, part: Part, now: Timestamp) -> Option<Duration> {
        let mark = self.marks[part as usize].load(Ordering::Relaxed);
        (mark > 0)
            .then(|| Duration::from_millis(now.as_millisecond().saturating_sub(mark).max(0).unsigned_abs()))
    }

    /// True when `part` goes on.
    pub fn advances(&self, part: Part, now: Timestamp) -> bool {
        self.age(part, now).is_some_and(|age| age <= part.patience())
    }

    /// The parts that stand still.
    pub fn standing(&self, now: Timestamp) -> Vec<Part> {
        Part::ALL.into_iter().filter(|part| !self.advances(*part, now)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lesson_14_a_part_that_stands_is_named() {
        let at = |seconds: i64| Timestamp::from_second(1_700_000_000 + seconds).unwrap();
        let pulse = Pulse::default();
        assert_eq!(pulse.standing(at(0)), Part::ALL);
        for part in Part::ALL {
            pulse.beat(part, at(0));
        }
        assert!(pulse.standing(at(5)).is_empty());
        pulse.beat(Part::Verdict, at(9));
        pulse.beat(Part::Storage, at(9));
        assert_eq!(pulse.standing(at(12)), [Part::Scheduler]);
        // An older mark takes nothing back.
        pulse.beat(Part::Verdict, at(1));
        assert_eq!(pulse.standing(at(12)), [Part::Scheduler]);
        assert_eq!(pulse.standing(at(60)), Part::ALL);
    }
}
