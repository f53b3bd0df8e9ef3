//! A node's own normal: a robust middle and spread of its recent past, and how far a value lies from it.
//!
//! Median and median absolute deviation, because the past has outliers; a floor under the spread, because
//! a value that never moved would make every twitch look enormous (Rousseeuw and Croux, 1993: 1.4826 makes
//! the deviation comparable with a standard deviation).

use crate::kind::Bad;
use crate::level::Level;

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

/// How many times its own normal makes a value yellow or red: `normal: { yellow: 3x, red: 10x }`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Times {
    /// Yellow from so many times the middle.
    pub yellow: Option<f64>,
    /// Red from so many times.
    pub red: Option<f64>,
}

/// A normal of fewer values is no measure.
pub const ENOUGH: usize = 20;
/// However small the middle is: a value within this many spreads is normal.
const STRAY: f64 = 5.0;

impl Times {
    /// The level that `value` makes, and how many times its normal it is; `None` when that is normal, or when
    /// too little is known of it. A value that is bad when low is so many times below its normal.
    pub fn reached(&self, normal: &Normal, value: f64, bad: Bad) -> Option<(Level, f64)> {
        if normal.count < ENOUGH || !value.is_finite() {
            return None;
        }
        let deviation = normal.deviation(value);
        let (strays, times) = match bad {
            // Nothing is a multiple of nothing: then the spread alone is the measure.
            Bad::Above => (deviation, value / normal.median.max(normal.spread)),
            Bad::Below => (-deviation, normal.median / value.max(normal.median.abs() / MOST_TIMES)),
        };
        if strays < STRAY || !times.is_finite() {
            return None;
        }
        let hit = |limit: Option<f64>| limit.is_some_and(|limit| times >= limit);
        if hit(self.red) {
            Some((Level::Red, times))
        } else {
            hit(self.yellow).then_some((Level::Yellow, times))
        }
    }
}

/// A value of nothing where something is normal is so many times below.
const MOST_TIMES: f64 = 1e6;

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

    use proptest::prelude::*;

    const TIMES: Times = Times { yellow: Some(3.0), red: Some(10.0) };

    #[test]
    fn three_times_its_normal_is_yellow_and_ten_times_red() {
        let normal = Normal::of((0..40).map(|i| 0.010 + 0.0001 * f64::from(i % 5)), 0.001).unwrap();
        let reached = |value| TIMES.reached(&normal, value, Bad::Above).map(|(level, _)| level);
        assert_eq!(
            [0.010, 0.025, 0.031, 0.2].map(reached),
            [None, None, Some(Level::Yellow), Some(Level::Red)]
        );
        let fell = |value| TIMES.reached(&normal, value, Bad::Below).map(|(level, _)| level);
        assert_eq!([0.010, 0.002, 0.0].map(fell), [None, Some(Level::Yellow), Some(Level::Red)]);
    }

    #[test]
    fn what_strays_anyway_and_what_is_hardly_known_is_not_judged() {
        let restless = Normal::of((0..40).map(|i| f64::from(i % 10)), 0.0).unwrap();
        assert_eq!(TIMES.reached(&restless, 14.0, Bad::Above), None);
        let young = Normal::of([1.0; 5], 0.0).unwrap();
        assert_eq!(TIMES.reached(&young, 100.0, Bad::Above), None);
    }

    proptest! {
        /// A value from its own past is never strange, and more of it is never better.
        #[test]
        fn normal_is_normal_and_worse_is_never_milder(
            past in prop::collection::vec(0.001_f64..100.0, 20..100), place in 0_usize..20, a in 0.0_f64..1e4,
            more in 0.0_f64..1e4,
        ) {
            let normal = Normal::of(past.iter().copied(), 0.0).unwrap();
            let mut sorted = past;
            sorted.sort_by(f64::total_cmp);
            let half = sorted.len() / 2;
            let usual = sorted[half.saturating_sub(place / 2)];
            prop_assert_eq!(TIMES.reached(&normal, usual, Bad::Above), None);
            let rank = |v| TIMES.reached(&normal, v, Bad::Above).map_or(0, |(level, _)| level.rank());
            prop_assert!(rank(a) <= rank(a + more));
            let rank = |v| TIMES.reached(&normal, v, Bad::Below).map_or(0, |(level, _)| level.rank());
            prop_assert!(rank(a + more) <= rank(a));
        }
    }
}
