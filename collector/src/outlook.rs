//! What one look cannot tell: whether a value is far from its own normal, and where it is going. Pure.

use std::time::Duration;

use topology::kind::{Bad, Unit, show_value};
use topology::level::{Health, Level};
use topology::model::{Probe, Threshold};
use topology::normal::{Normal, Times};
use topology::text::Text;

use crate::forecast;
use crate::judge::{Judged, spoken};

/// A limit that is reached within this is near: time for somebody to come and look.
pub const HORIZON: Duration = Duration::from_mins(15);
/// Once said, it is said until the limit is this much further away: a warning that comes and goes is none.
const HOLD: u32 = 2;
/// What runs full: their thresholds have a time besides a value. Of the others a rise says nothing of the
/// future (a lag, a number of errors), or they are counted in days already (certificates).
const RUNS_FULL: [&str; 9] = [
    "memory",
    "disk",
    "queue_messages",
    "connections",
    "clients",
    "files",
    "sockets",
    "processes",
    "slot_retained",
];

/// What is known of a probe's past.
pub struct Past<'a> {
    /// A signal's values before now: seconds from now (so below zero), oldest first.
    pub points: &'a dyn Fn(&str) -> Vec<(f64, f64)>,
    /// What is normal for a signal that is judged against its own normal.
    pub normal: &'a dyn Fn(&Threshold) -> Option<(Times, Normal)>,
    /// What is confirmed.
    pub confirmed: &'a Judged,
}

/// Judges `signal` values against their past: `judged` is what the look alone says, and stays where the past says
/// nothing worse.
pub fn over_time(
    judged: Judged,
    probe: &Probe,
    value_of: impl Fn(&str) -> Option<f64>,
    past: &Past<'_>,
) -> Judged {
    let mut worst = judged;
    for threshold in &probe.thresholds {
        let Some(value) = value_of(&threshold.signal) else { continue };
        let strange = (past.normal)(threshold)
            .and_then(|(times, normal)| against_normal(threshold, value, &normal, &times));
        let found = strange.into_iter().chain(early_warning(threshold, value, past));
        for found in found {
            if found.health.severity() > worst.health.severity() {
                worst = found;
            }
        }
    }
    worst
}

/// A value far from its own normal.
pub fn against_normal(threshold: &Threshold, value: f64, normal: &Normal, times: &Times) -> Option<Judged> {
    let (level, by) = times.reached(normal, value, threshold.bad)?;
    let health = if level == Level::Red { Health::Red } else { threshold.effect.into() };
    let name = spoken(&threshold.signal);
    let by = if by < 10.0 { format!("{by:.1}") } else { format!("{:.0}", by.min(1000.0)) };
    let (value, usual) = (show_value(value, threshold.unit), show_value(normal.median, threshold.unit));
    let (than, than_zh) = match threshold.bad {
        Bad::Above => ("times", "倍"),
        Bad::Below => ("times below", "分之一"),
    };
    Some(Judged {
        health,
        fault: None,
        signal: Some(threshold.signal.clone()),
        words: Text::new(
            format!("{name} {value}: {by} {than} its normal {usual}"),
            format!("{name} {value}：为平时 {usual} 的 {by} {than_zh}"),
        ),
        short: Text::same(format!("{name} {value}")),
    })
}

/// A value that will be red soon, if it goes on like this.
fn early_warning(threshold: &Threshold, value: f64, past: &Past<'_>) -> Option<Judged> {
    let limit = threshold.red.filter(|_| runs_full(threshold))?;
    let mut points = (past.points)(&threshold.signal);
    points.push((0.0, value));
    let left = forecast::time_to(&points, limit, threshold.bad)?;
    let said = past.confirmed.health == Health::AtRisk
        && past.confirmed.signal.as_deref() == Some(&threshold.signal);
    if left > if said { HORIZON * HOLD } else { HORIZON } {
        return None;
    }
    let name = spoken(&threshold.signal);
    let (value, limit) = (show_value(value, threshold.unit), show_value(limit, threshold.unit));
    let (minutes, minutes_zh) = spoken_minutes(left);
    let (what, what_zh) = match threshold.bad {
        Bad::Above => ("full", "满"),
        Bad::Below => ("used up", "耗尽"),
    };
    Some(Judged {
        health: Health::AtRisk,
        fault: None,
        signal: Some(threshold.signal.clone()),
        words: Text::new(
            format!("{name} {value}: {what} in {minutes} at this rate ({limit} is red)"),
            format!("{name} {value}：照此速度{minutes_zh}后{what_zh}（{limit} 为红）"),
        ),
        short: Text::new(format!("{what} in {minutes}"), format!("{minutes_zh}后{what_zh}")),
    })
}

fn spoken_minutes(left: Duration) -> (String, String) {
    match (left.as_secs_f64() / 60.0).round() {
        0.0 => ("under 1 min".to_owned(), "不到 1 分钟".to_owned()),
        minutes => (format!("{minutes:.0} min"), format!("{minutes:.0} 分钟")),
    }
}

fn runs_full(threshold: &Threshold) -> bool {
    let name = &threshold.signal;
    matches!(threshold.unit, Unit::Ratio | Unit::Count | Unit::Bytes)
        && !name.contains("per_second")
        && RUNS_FULL.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use topology::level::Kind;

    fn memory() -> Threshold {
        Threshold {
            signal: "redis.memory_used_ratio".to_owned(),
            unit: Unit::Ratio,
            bad: Bad::Above,
            yellow: Some(0.8),
            red: Some(0.95),
            times: None,
            effect: Kind::AtRisk,
        }
    }

    fn warned(threshold: &Threshold, points: &[(f64, f64)], confirmed: &Judged) -> Option<Judged> {
        let (now, before) = points.split_last().unwrap();
        let before: Vec<(f64, f64)> = before.iter().map(|(t, v)| (t - now.0, *v)).collect();
        let past = Past { points: &|_| before.clone(), normal: &|_| None, confirmed };
        early_warning(threshold, now.1, &past)
    }

    fn rising(per_minute: f64) -> Vec<(f64, f64)> {
        (0..11).map(|i| (f64::from(i) * 30.0, 0.6 + per_minute * f64::from(i) / 2.0)).collect()
    }

    #[test]
    fn what_runs_full_says_when() {
        let judged = warned(&memory(), &rising(0.025), &Judged::green()).unwrap();
        assert_eq!(judged.health, Health::AtRisk);
        assert_eq!(judged.words.en, "memory used 72.5 %: full in 9 min at this rate (95 % is red)");
        assert_eq!(judged.words.zh, "memory used 72.5 %：照此速度9 分钟后满（95 % 为红）");
        assert_eq!((judged.short.en.as_str(), judged.short.zh.as_str()), ("full in 9 min", "9 分钟后满"));
    }

    #[test]
    fn a_slow_rise_is_no_warning_and_one_that_was_said_is_held() {
        // 95 % in 24 min.
        let slow = rising(0.012);
        assert_eq!(warned(&memory(), &slow, &Judged::green()), None);
        let said = warned(&memory(), &rising(0.025), &Judged::green()).unwrap();
        assert!(warned(&memory(), &slow, &said).is_some());
    }

    #[test]
    fn only_what_runs_full_is_foretold() {
        let lag =
            Threshold { signal: "postgres.replay_lag_seconds".to_owned(), unit: Unit::Seconds, ..memory() };
        assert_eq!(warned(&lag, &rising(0.025), &Judged::green()), None);
        let disk = Threshold {
            signal: "rabbitmq.disk_free_ratio".to_owned(),
            bad: Bad::Below,
            yellow: Some(0.1),
            red: Some(0.05),
            ..memory()
        };
        let falling: Vec<(f64, f64)> = rising(0.025).into_iter().map(|(t, v)| (t, 0.9 - v)).collect();
        let judged = warned(&disk, &falling, &Judged::green()).unwrap();
        assert_eq!(judged.short.en, "used up in 5 min");
    }

    #[test]
    fn far_from_its_own_normal_says_how_far() {
        let normal = Normal::of((0..30).map(|i| 0.020 + 0.0001 * f64::from(i % 3)), 0.001).unwrap();
        let latency = Threshold {
            signal: "http.latency_seconds".to_owned(),
            unit: Unit::Seconds,
            effect: Kind::Impaired,
            yellow: None,
            red: None,
            ..memory()
        };
        let times = Times { yellow: Some(3.0), red: Some(10.0) };
        let judged = against_normal(&latency, 0.1, &normal, &times).unwrap();
        assert_eq!(judged.health, Health::Impaired);
        assert_eq!(judged.words.en, "latency 100 ms: 5.0 times its normal 20 ms");
        let judged = against_normal(&latency, 0.5, &normal, &times).unwrap();
        assert_eq!(
            (judged.health, judged.words.zh.as_str()),
            (Health::Red, "latency 500 ms：为平时 20 ms 的 25 倍")
        );
    }

    proptest! {
        /// The past never makes a look better than it is, and never red by a forecast.
        #[test]
        fn the_past_only_warns(values in prop::collection::vec(0.0_f64..1.0, 1..60), red in any::<bool>()) {
            let points: Vec<(f64, f64)> =
                values.iter().enumerate().map(|(i, v)| ((i as f64 - values.len() as f64) * 5.0, *v)).collect();
            let model = crate::testkit::read(
                "components:\n  c: { instances: [\"127.0.0.1:1\"], probe: { redis: {} } }\n",
            );
            let green = Judged::green();
            let look = if red { Judged { health: Health::Red, ..Judged::green() } } else { Judged::green() };
            let past = Past { points: &|_| points.clone(), normal: &|_| None, confirmed: &green };
            let probe = &model.components[0].probes[0];
            let after = over_time(look.clone(), probe, |_| Some(values[0]), &past);
            prop_assert!(after == look || (!red && after.health == Health::AtRisk));
        }
    }
}
