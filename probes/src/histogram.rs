//! Durations counted in buckets that grow by an eighth: percentiles of any number of them in 400 bytes.

use std::time::Duration;

/// Buckets: from under a millisecond to over a minute.
const BUCKETS: usize = 96;
/// How much a bucket is wider than the one before: a percentile is right to within 6 %.
const GROWTH: f64 = 1.125;
/// What the first bucket ends at: servers write their times in milliseconds.
const LEAST: f64 = 0.001;

/// How many took how long.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Box<[u32; BUCKETS]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: Box::new([0; BUCKETS]) }
    }
}

impl Histogram {
    /// Counts one.
    pub(crate) fn add(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = if seconds < LEAST { 0.0 } else { 1.0 + (seconds / LEAST).log(GROWTH).floor() };
        let count = &mut self.counts[(bucket as usize).min(BUCKETS - 1)];
        *count = count.saturating_add(1);
    }

    /// Counts all of another one's too.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (own, others) in self.counts.iter_mut().zip(other.counts.iter()) {
            *own = own.saturating_add(*others);
        }
    }

    /// What `share` (0 to 1) of them stayed under, in seconds: the middle of its bucket; `None` of none.
    pub(crate) fn percentile(&self, share: f64) -> Option<f64> {
        let all: u64 = self.counts.iter().map(|count| u64::from(*count)).sum();
        if all == 0 {
            return None;
        }
        let wanted = ((all as f64 * share).ceil() as u64).clamp(1, all);
        let mut so_far = 0;
        let bucket = self.counts.iter().position(|count| {
            so_far += u64::from(*count);
            so_far >= wanted
        })?;
        Some(if bucket == 0 { LEAST / 2.0 } else { LEAST * GROWTH.powf(bucket as f64 - 0.5) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_has_no_percentile_and_the_shortest_are_under_a_millisecond() {
        let mut none = Histogram::default();
        assert_eq!(none.percentile(0.5), None);
        none.add(Duration::ZERO);
        assert_eq!(none.percentile(0.99), Some(0.0005));
    }

    proptest! {
        #[test]
        fn a_percentile_is_near_the_true_one(times in proptest::collection::vec(1u64..60_000, 1..200), percent in 1u32..100) {
            let mut both = (Histogram::default(), Histogram::default());
            for (i, ms) in times.iter().enumerate() {
                let one = if i % 2 == 0 { &mut both.0 } else { &mut both.1 };
                one.add(Duration::from_millis(*ms));
            }
            both.0.merge(&both.1);
            let mut sorted = times;
            sorted.sort_unstable();
            let share = f64::from(percent) / 100.0;
            let place = (sorted.len() as f64 * share).ceil() as usize;
            let truth = sorted[place.clamp(1, sorted.len()) - 1] as f64 / 1e3;
            let said = both.0.percentile(share).unwrap();
            prop_assert!((said / truth - 1.0).abs() < 0.07, "{said} for {truth}");
        }
    }
}
