//! Signals of one node over one stretch of time, and how they are written in a row. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How long a look took to be answered; every answer has it.
pub const LATENCY: &str = "latency_seconds";
/// 0 for an answer, 1 for a fault: its mean is the share of looks that failed.
pub const FAILED: &str = "failed_ratio";
/// Significant digits that are kept.
const DIGITS: i32 = 5;

/// A signal over a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Values in it.
    pub count: u64,
    /// The least of them.
    pub min: f64,
    /// Their mean.
    pub mean: f64,
    /// The greatest.
    pub max: f64,
}

impl Point {
    /// A single value.
    pub const fn of(value: f64) -> Self {
        Self { count: 1, min: value, mean: value, max: value }
    }

    /// Both together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        let count = self.count + other.count;
        let share = other.count as f64 / count.max(1) as f64;
        Self {
            count,
            min: self.min.min(other.min),
            mean: self.mean + (other.mean - self.mean) * share,
            max: self.max.max(other.max),
        }
    }
}

/// The points of one row, by the number of their signal's name.
pub(crate) type Row = BTreeMap<i64, Point>;

/// Adds `point` to what a row has of the signal already.
pub(crate) fn add(row: &mut Row, signal: i64, point: Point) {
    row.entry(signal).and_modify(|sum| *sum = sum.with(point)).or_insert(point);
}

/// `3=0.0021;4=20,1,1.5,2`: a single value, or count, least, mean and greatest; or count and the one value that
/// all of them have.
pub(crate) fn write(row: &Row) -> String {
    let mut text = String::with_capacity(row.len() * 20);
    for (signal, point) in row {
        if !text.is_empty() {
            text.push(';');
        }
        let Point { count, min, mean, max } = *point;
        let (min, mean, max) = (number(min), number(mean), number(max));
        // Writing to a string cannot fail.
        let _done = if count == 1 {
            write!(text, "{signal}={mean}")
        } else if min == max {
            write!(text, "{signal}={count},{mean}")
        } else {
            write!(text, "{signal}={count},{min},{mean},{max}")
        };
    }
    text
}

/// The row back; what makes no sense in it is left out.
pub(crate) fn read(text: &str) -> Row {
    let mut row = Row::new();
    for part in text.split(';') {
        let Some((signal, values)) = part.split_once('=') else { continue };
        let Ok(signal) = signal.parse::<i64>() else { continue };
        let mut numbers = values.split(',');
        let mut next = || numbers.next().and_then(|text| text.parse::<f64>().ok());
        let point = match (next(), next(), next(), next()) {
            (Some(value), None, ..) => Point::of(value),
            (Some(count), Some(value), None, _) => {
                Point { count: count as u64, min: value, mean: value, max: value }
            }
            (Some(count), Some(min), Some(mean), Some(max)) => Point { count: count as u64, min, mean, max },
            _ => continue,
        };
        if point.count > 0 && point.min.is_finite() && point.mean.is_finite() && point.max.is_finite() {
            row.insert(signal, point);
        }
    }
    row
}

/// To [`DIGITS`] significant digits, in the shorter of two ways.
fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".to_owned();
    }
    let scale = DIGITS - 1 - value.abs().log10().floor() as i32;
    let rounded = if (0..=15).contains(&scale) {
        let factor = 10f64.powi(scale);
        (value * factor).round() / factor
    } else {
        value
    };
    let (plain, exponent) = (format!("{rounded}"), format!("{value:.4e}"));
    if plain.len() <= exponent.len() { plain } else { exponent }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_row_is_short_and_comes_back() {
        let mut row = Row::new();
        add(&mut row, 3, Point::of(0.002_134_567));
        add(&mut row, 4, Point::of(1.0));
        add(&mut row, 4, Point::of(2.0));
        add(&mut row, 7, Point::of(12.0));
        add(&mut row, 7, Point::of(12.0));
        assert_eq!(write(&row), "3=0.0021346;4=2,1,1.5,2;7=2,12");
        assert_eq!(read(&write(&row))[&4], Point { count: 2, min: 1.0, mean: 1.5, max: 2.0 });
        assert_eq!(write(&Row::from([(1, Point::of(4_294_967_296.0))])), "1=4.2950e9");
    }

    #[test]
    fn nonsense_is_left_out() {
        for text in ["", ";;", "3", "x=1", "3=", "3=1,2,3", "3=0,1,2,3", "3=NaN", "3=1,inf"] {
            assert!(read(text).is_empty(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_number_comes_back_to_four_digits(value in -1e18f64..1e18, small in -1e-6f64..1e-6) {
            for value in [value, small] {
                let back: f64 = number(value).parse().unwrap();
                prop_assert!((back - value).abs() <= value.abs() * 1e-4, "{value} {back}");
            }
        }

        #[test]
        fn the_mean_of_parts_is_the_mean_of_all(values in prop::collection::vec(-1e6f64..1e6, 2..50), cut in 1usize..49) {
            let cut = cut.min(values.len() - 1);
            let sum = |values: &[f64]| values.iter().map(|v| Point::of(*v)).reduce(Point::with).unwrap();
            let (whole, parts) = (sum(&values), sum(&values[..cut]).with(sum(&values[cut..])));
            prop_assert_eq!(whole.count, parts.count);
            prop_assert_eq!((whole.min, whole.max), (parts.min, parts.max));
            prop_assert!((whole.mean - parts.mean).abs() < 1e-6);
        }
    }
}
