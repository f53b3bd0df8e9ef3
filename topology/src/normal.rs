//! A node's own normal: a robust middle and spread of its recent past, and how far a value lies from it.
//!
//! Median and median absolute deviation, because the past has outliers; a floor under the spread, because
//! a value that never moved would make every twitch look enormous (Rousseeuw and Croux, 1993: 1.4826 makes
//! the deviation comparable with a standard deviation).

/// What is normal for one signal of one node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normal {
    /// The middle.
    pub median: f64,
    /// The spread, never below the floor.
    pub spread: f64,
    /// How many values stand behind it.
    pub count: usize,
}

/// Makes the median absolute deviation of normally distributed values their standard deviation.
const MAD_TO_SIGMA: f64 = 1.4826;
/// Nineteen of twenty normally distributed values lie within this many spreads.
const TAIL_SPREADS: f64 = 1.96;
/// The spread is never taken below this share of the middle.
const FLOOR_SHARE: f64 = 0.05;

impl Normal {
    /// The normal of `values`; `None` for fewer than three. `floor` is the smallest spread that means anything in the
    /// signal's unit.
    pub fn of(values: impl IntoIterator<Item = f64>, floor: f64) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
        if values.len() < 3 {
            return None;
        }
        let median = median_of(&mut values);
        let mut off: Vec<f64> = values.iter().map(|v| (v - median).abs()).collect();
        let spread = MAD_TO_SIGMA * median_of(&mut off);
        // What happened in one of twenty cases is within two spreads, however rarely it moves else.
        let tail = off[(off.len() - 1) * 19 / 20] / TAIL_SPREADS;
        let spread = spread.max(tail);
        Some(Self { median, spread: spread.max(FLOOR_SHARE * median.abs()).max(floor), count: values.len() })
    }

    /// How many spreads `value` lies above the middle; negative below it.
    pub fn deviation(&self, value: f64) -> f64 {
        if self.spread > 0.0 { (value - self.median) / self.spread } else { 0.0 }
    }
}

/// The middle value; of an even number the mean of the two. NaN for none.
pub fn median_of(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_moves_neither_middle_nor_spread() {
        let normal = Normal::of([1.0, 1.1, 0.9, 1.0, 1.05, 0.95, 100.0], 0.0).unwrap();
        assert!((normal.median - 1.0).abs() < 1e-9);
        assert!(normal.spread < 0.2);
        assert!(normal.deviation(3.0) > 10.0);
    }

    #[test]
    fn a_value_that_never_moved_has_the_floor_as_its_spread() {
        let normal = Normal::of([10.0; 5], 0.0).unwrap();
        assert!((normal.spread - 0.5).abs() < 1e-9);
        let zero = Normal::of([0.0; 5], 0.02).unwrap();
        assert!((zero.deviation(0.02) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn two_values_are_no_normal() {
        assert!(Normal::of([1.0, 2.0], 0.0).is_none());
        assert!(Normal::of([1.0, f64::NAN, 2.0], 0.0).is_none());
    }
}
