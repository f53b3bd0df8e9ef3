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
/// Steps of time in which values are weighed, in seconds.
const STEP: f64 = 5.0;
/// What is younger, in seconds, is not yet normal; of a short past its younger half.
const YOUNG: f64 = 180.0;
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
            .filter_map(|(name, _)| Some((name, Normal::of(before_now(&recent.values(name, now)), 0.0)?)))
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

/// What a signal was at equal steps of time, without the newest part: what moves now is not yet normal. Points
/// (seconds from now, oldest first) are kept when they change: each holds until the next.
fn before_now(points: &[(f64, f64)]) -> Vec<f64> {
    let (Some((oldest, _)), Some((newest, _))) = (points.first(), points.last()) else { return Vec::new() };
    let end = -YOUNG.min((newest - oldest) / 2.0);
    let steps = ((end - oldest) / STEP).max(0.0) as usize;
    let mut at = 0;
    (0..=steps)
        .map(|step| {
            let t = oldest + step as f64 * STEP;
            while points.get(at + 1).is_some_and(|(next, _)| *next <= t) {
                at += 1;
            }
            points[at].1
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_holds_for_long_outweighs_what_changes_often() {
        // Ten minutes at 100, noted twice; then a minute of climbing, noted at each look.
        let mut points = vec![(-660.0, 100.0), (-360.0, 100.0)];
        points.extend((0..20).map(|i| (-60.0 + 3.0 * f64::from(i), 1000.0 * f64::from(i + 1))));
        let normal = Normal::of(before_now(&points), 0.0).unwrap();
        assert_eq!((normal.median, normal.count > 90), (100.0, true));
    }

    proptest! {
        /// Only what was there comes out, so much of it that the steps fill the time, however the points lie.
        #[test]
        fn steps_hold_what_was(gaps in prop::collection::vec(0.01_f64..40.0, 1..60)) {
            let mut t = -gaps.iter().sum::<f64>();
            let points: Vec<(f64, f64)> = gaps.iter().enumerate().map(|(i, gap)| {
                let point = (t, i as f64);
                t += gap;
                point
            }).collect();
            let steps = before_now(&points);
            prop_assert!(!steps.is_empty() && steps.len() <= 2 + (-points[0].0 / STEP) as usize);
            prop_assert!(steps.windows(2).all(|pair| pair[0] <= pair[1]));
            prop_assert!(steps.iter().all(|v| *v < gaps.len() as f64));
        }
    }
}
