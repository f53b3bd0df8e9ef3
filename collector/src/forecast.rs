//! Where a value is going: when it reaches a limit at its present slope. Pure.
//!
//! The slope is the median of the slopes between all pairs of points (Theil 1950, Sen 1968): up to 29 % of the
//! points may be nonsense. A slope counts only when the points truly lie along it.

use std::time::Duration;

use topology::kind::Bad;
use topology::normal::median_of;

/// How far back the present reaches.
pub const WINDOW: Duration = Duration::from_mins(5);
/// Fewer points tell nothing.
const MIN_POINTS: usize = 8;
/// Nor do points over a shorter time, in seconds: a batch job is no trend.
const MIN_SPAN: f64 = 60.0;
/// More than the newest so many are thinned first: the pairs grow with the square.
const MAX_POINTS: usize = 40;
/// Rising pairs less falling ones, as a share of all (Kendall's tau): less is no trend.
const MIN_AGREEMENT: f64 = 0.7;
/// The points lie within this share of the whole rise around the line, in the middle.
const MAX_RESIDUAL: f64 = 0.15;
/// The newest third rises at this share of the whole slope at least: what levels off is no danger.
const STILL_RISING: f64 = 0.5;

/// How long until `points` (seconds and values, oldest first, the last one is now) reach `limit` in the bad
/// direction; `None` when they have reached it already, when they do not go there, and when nobody can tell.
pub fn time_to(points: &[(f64, f64)], limit: f64, bad: Bad) -> Option<Duration> {
    let &(now, last) = points.last()?;
    if bad.reached(last, limit) {
        return None;
    }
    let up = |value: f64| if bad == Bad::Above { value } else { -value };
    let recent: Vec<(f64, f64)> = points
        .iter()
        .filter(|(t, v)| t.is_finite() && v.is_finite() && now - t <= WINDOW.as_secs_f64())
        .map(|(t, v)| (*t, up(*v)))
        .collect();
    let points = thinned(&recent);
    let span = points.last()?.0 - points.first()?.0;
    if points.len() < MIN_POINTS || span < MIN_SPAN {
        return None;
    }
    let (slope, agreement) = slope(&points)?;
    if slope <= 0.0 || agreement < MIN_AGREEMENT {
        return None;
    }
    let mut starts: Vec<f64> = points.iter().map(|(t, v)| v - slope * (t - now)).collect();
    let level = median_of(&mut starts);
    let mut off: Vec<f64> = points.iter().map(|(t, v)| (v - level - slope * (t - now)).abs()).collect();
    if median_of(&mut off) > MAX_RESIDUAL * slope * span {
        return None;
    }
    let newest = &points[points.len() - points.len().div_ceil(3)..];
    if self::slope(newest)?.0 < STILL_RISING * slope {
        return None;
    }
    let left = ((up(limit) - level) / slope).max(0.0);
    Duration::try_from_secs_f64(left).ok()
}

/// Every other point, until there are few enough; the last one stays.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let step = points.len().div_ceil(MAX_POINTS).max(1);
    let skip = points.len().saturating_sub(1) % step;
    points.iter().skip(skip).step_by(step).copied().collect()
}

/// The median slope of all pairs, and by how much the rising pairs outweigh the falling ones.
fn slope(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let mut slopes = Vec::with_capacity(points.len() * points.len() / 2);
    for (i, (t, v)) in points.iter().enumerate() {
        for (earlier, before) in &points[..i] {
            if t > earlier {
                slopes.push((v - before) / (t - earlier));
            }
        }
    }
    if slopes.is_empty() {
        return None;
    }
    let signs: f64 = slopes
        .iter()
        .map(|s| {
            if *s > 0.0 {
                1.0
            } else if *s < 0.0 {
                -1.0
            } else {
                0.0
            }
        })
        .sum();
    let agreement = signs / slopes.len() as f64;
    Some((median_of(&mut slopes), agreement))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(n: u32, step: f64, from: f64, slope: f64) -> Vec<(f64, f64)> {
        (0..n).map(|i| (f64::from(i) * step, from + slope * f64::from(i) * step)).collect()
    }

    #[test]
    fn a_steady_rise_says_when() {
        // From 60 % by 1 % each 30 s: 95 % in twelve minutes and a half after 70 %.
        let left = time_to(&line(11, 30.0, 0.60, 0.01 / 30.0), 0.95, Bad::Above).unwrap();
        assert!((left.as_secs_f64() - 750.0).abs() < 1.0, "{left:?}");
        let left = time_to(&line(11, 30.0, 0.40, -0.01 / 30.0), 0.05, Bad::Below).unwrap();
        assert!((left.as_secs_f64() - 750.0).abs() < 1.0, "{left:?}");
    }

    #[test]
    fn what_is_past_its_limit_or_goes_the_other_way_has_no_time_left_to_tell() {
        assert_eq!(time_to(&line(11, 30.0, 0.95, 0.001), 0.95, Bad::Above), None);
        assert_eq!(time_to(&line(11, 30.0, 0.60, -0.001), 0.95, Bad::Above), None);
        assert_eq!(time_to(&[], 0.95, Bad::Above), None);
    }

    #[test]
    fn a_burst_that_is_over_and_a_batch_job_are_no_trend() {
        let mut burst = line(11, 6.0, 0.0, 100.0);
        burst.extend((1..=5).map(|i| (60.0 + 6.0 * f64::from(i), 6000.0)));
        assert_eq!(time_to(&burst, 10_000.0, Bad::Above), None);
        assert_eq!(time_to(&line(20, 2.0, 0.0, 100.0), 10_000.0, Bad::Above), None);
    }

    #[test]
    fn a_saw_and_a_step_are_no_trend() {
        let saw: Vec<(f64, f64)> = (0..60).map(|i| (f64::from(i) * 5.0, f64::from(i % 6) * 1000.0)).collect();
        assert_eq!(time_to(&saw, 20_000.0, Bad::Above), None);
        let step: Vec<(f64, f64)> =
            (0..60).map(|i| (f64::from(i) * 5.0, if i < 30 { 100.0 } else { 9000.0 })).collect();
        assert_eq!(time_to(&step, 20_000.0, Bad::Above), None);
    }

    proptest! {
        /// A straight line is read exactly, wherever it lies, and one wild point in five changes little.
        #[test]
        fn a_line_with_outliers_is_read(
            n in 15_u32..120, step in 2.5_f64..8.0, from in -1e6_f64..1e6, slope in 0.01_f64..1e4,
            ahead in 1.0_f64..3000.0, wild in prop::collection::vec((0_usize..1000, -50.0_f64..50.0), 0..3),
        ) {
            let mut points = line(n, step, from, slope);
            prop_assume!(f64::from(n - 1) * step >= 90.0);
            let (last, end) = (points.len() - 1, points[points.len() - 1].1);
            let limit = end + slope * ahead;
            let exact = time_to(&points, limit, Bad::Above).unwrap().as_secs_f64();
            prop_assert!((exact - ahead).abs() < 0.01 * ahead + 0.01, "{exact} for {ahead}");
            // The wild ones lie within the window, not at its end.
            for (place, off) in wild {
                let place = place % (last * 2 / 3);
                points[place].1 += off * slope;
            }
            if let Some(left) = time_to(&points, limit, Bad::Above) {
                prop_assert!((left.as_secs_f64() - ahead).abs() < 0.5 * ahead + 60.0);
            }
        }

        /// Noise around a level reaches nothing within a quarter of an hour that is ten spreads away.
        #[test]
        fn noise_goes_nowhere(values in prop::collection::vec(-1.0_f64..1.0, 20..60)) {
            let points: Vec<(f64, f64)> =
                values.iter().enumerate().map(|(i, v)| (i as f64 * 5.0, 100.0 + v)).collect();
            let left = time_to(&points, 110.0, Bad::Above);
            prop_assert!(left.is_none_or(|left| left > Duration::from_mins(15)), "{left:?}");
        }

        /// A limit further away is reached later; both directions are the same in a mirror; when is no matter.
        #[test]
        fn further_is_later_and_mirrors_agree(
            values in prop::collection::vec(0.0_f64..10.0, 8..40), limit in 200.0_f64..300.0, shift in 0.0_f64..1e9,
        ) {
            let mut level = 0.0;
            let points: Vec<(f64, f64)> = values
                .iter()
                .enumerate()
                .map(|(i, v)| { level += v; (i as f64 * 9.0, level) })
                .collect();
            let of = |limit| time_to(&points, limit, Bad::Above);
            if let (Some(near), Some(far)) = (of(limit), of(limit + 100.0)) {
                prop_assert!(near <= far);
            }
            let mirror: Vec<(f64, f64)> = points.iter().map(|(t, v)| (*t, -v)).collect();
            prop_assert_eq!(of(limit), time_to(&mirror, -limit, Bad::Below));
            let later: Vec<(f64, f64)> = points.iter().map(|(t, v)| (t + shift.round(), *v)).collect();
            prop_assert_eq!(of(limit).is_some(), time_to(&later, limit, Bad::Above).is_some());
        }
    }
}
