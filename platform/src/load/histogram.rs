//! Latencies in buckets that each reach two hundredths further than the last: bounded, whatever the length
//! of a run, and exact to two hundredths.

use std::time::Duration;

const STEP: f64 = 1.02;
/// Up to a minute and more.
const BUCKETS: usize = 920;

#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0, max: Duration::ZERO }
    }
}

impl Histogram {
    pub(crate) fn add(&mut self, latency: Duration) {
        let micros = (latency.as_secs_f64() * 1e6).max(1.0);
        let index = (micros.ln() / STEP.ln()).ceil() as usize;
        if let Some(bucket) = self.buckets.get_mut(index.min(BUCKETS - 1)) {
            *bucket += 1;
        }
        self.count += 1;
        self.max = self.max.max(latency);
    }

    /// Those of another, too.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (bucket, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *bucket += more;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    pub(crate) fn max(&self) -> Duration {
        self.max
    }

    /// What that share of all stayed below.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let rank = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank.max(1) {
                return Duration::from_secs_f64(STEP.powf(index as f64) / 1e6).min(self.max);
            }
        }
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact_to_two_hundredths() {
        let mut histogram = Histogram::default();
        for millis in 1..=1000 {
            histogram.add(Duration::from_millis(millis));
        }
        for (share, wanted) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0)] {
            let found = histogram.quantile(share).as_secs_f64() * 1e3;
            assert!((found / wanted - 1.0).abs() < 0.021, "{share} {found}");
        }
        assert_eq!(histogram.max(), Duration::from_secs(1));
        let mut twice = histogram.clone();
        twice.merge(&histogram);
        assert_eq!(twice.quantile(0.9), histogram.quantile(0.9));
        assert_eq!(twice.count, 2000);
        assert_eq!(Histogram::default().quantile(0.99), Duration::ZERO);
    }
}
