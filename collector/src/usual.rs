//! What is usual for one probe of one instance: how long its answers take, and the middle of its values. Renewed
//! while all is well, held while it is not: trouble that lasts does not become normal.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use topology::level::Health;
use topology::normal::{Normal, median_of};

use crate::clock::between;
use crate::recent::{Recent, WINDOW};

/// Renewed so often: it moves slowly.
const EVERY: Duration = Duration::from_secs(30);
/// Fewer looks tell nothing of how long answers take.
const ENOUGH_LOOKS: usize = 10;

/// What is usual.
#[derive(Debug, Default)]
pub(crate) struct Usual {
    renewed: Option<Timestamp>,
    took: Option<f64>,
    signals: BTreeMap<u16, Normal>,
}

impl Usual {
    /// Renews it at `now`, if that is due. `well`: this probe's level is green and not in doubt; `calm`: so is
    /// everything else. A trouble elsewhere that lasts longer than the memory holds it no longer. `wanted` are
    /// the signals (by the place of their names) of which a normal is needed.
    pub(crate) fn renew(
        &mut self,
        recent: &Recent,
        now: Timestamp,
        (well, calm): (bool, bool),
        wanted: impl Fn(u16) -> bool,
    ) {
        let age = self.renewed.map(|at| between(at, now));
        let due = age.is_none_or(|age| age >= EVERY && calm || age > WINDOW);
        if !well || !due {
            return;
        }
        let good = recent.looks(now).filter(|look| look.health == Health::Green);
        let mut took: Vec<f64> = good.map(|look| look.took.as_secs_f64()).collect();
        if took.len() < ENOUGH_LOOKS {
            return;
        }
        self.renewed = Some(now);
        self.took = Some(median_of(&mut took));
        self.signals = recent
            .series(now)
            .filter(|(name, _)| wanted(*name))
            .filter_map(|(name, points)| Some((name, Normal::of(points.map(|(_, v)| f64::from(v)), 0.0)?)))
            .collect();
    }

    /// How long an answer usually takes, in seconds.
    pub(crate) fn took(&self) -> Option<f64> {
        self.took
    }

    /// What is normal for a signal.
    pub(crate) fn signal(&self, name: u16) -> Option<&Normal> {
        self.signals.get(&name)
    }
}
