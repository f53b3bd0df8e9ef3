//! How long to wait after a failure. Pure; chance is an argument.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// The first retry comes after about this, then the pauses double.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Pauses grow no longer than this: a receiver that was away for a day learns soon after it is back.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The pause after so many failures in a row, half as much more or less by `chance`, which lies in 0..1: those
/// who failed together do not come back together.
pub(crate) fn pause(failed: u32, chance: f64) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1 << failed.min(10)).min(LONGEST_PAUSE);
    pause.mul_f64(0.5 + chance.clamp(0.0, 1.0))
}

/// Chance made of what differs between receivers, messages and tries.
pub(crate) fn chance(seed: impl Hash) -> f64 {
    let mut hasher = DefaultHasher::new();
    seed.hash(&mut hasher);
    (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_delivery_is_tried_again_within_a_second_then_ever_more_slowly() {
        assert!(pause(0, 1.0) < Duration::from_secs(1));
        assert_eq!(pause(1, 0.5), pause(0, 0.5) * 2);
        assert_eq!(pause(40, 0.5), LONGEST_PAUSE);
    }

    #[test]
    fn those_who_failed_together_come_back_apart() {
        let pauses: Vec<Duration> = (0..20).map(|n| pause(7, chance(("ops", n)))).collect();
        let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
        assert!(most.saturating_sub(*least) > Duration::from_secs(20), "{least:?} {most:?}");
    }
}
