//! The pace of looks that are asked for beside the regular ones. A confirmed red asks for all its neighbours: on a platform
//! of hundreds that alone is a burst in which healthy servers answer late, are red, and ask for theirs. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// So many at once: those who tell most come first, and a verdict needs no more. Our choice.
const AT_ONCE: u32 = 16;
/// And then one after each such pause, where the regular looks do not come closer still. Our choice.
const PAUSE: Duration = Duration::from_millis(10);

/// When the next look that is asked for may begin: the generic cell rate algorithm (ITU-T I.371).
#[derive(Debug)]
pub(crate) struct Pace {
    pause: Duration,
    /// When all that was asked for has begun, each a pause after the other.
    until: Option<Instant>,
}

impl Pace {
    /// For probes with these intervals: what is asked for comes no closer than [`PAUSE`], or than all regular looks do.
    pub(crate) fn new(intervals: impl Iterator<Item = Duration>) -> Self {
        let a_second: f64 = intervals.map(|interval| 1.0 / interval.as_secs_f64().max(0.001)).sum();
        Self { pause: PAUSE.min(Duration::from_secs_f64(1.0 / a_second.max(1.0))), until: None }
    }

    /// The next one's turn, asked for at `now`.
    pub(crate) fn turn(&mut self, now: Instant) -> Instant {
        let until = self.until.map_or(now, |until| until.max(now));
        self.until = Some(until + self.pause);
        now.max(until.checked_sub(self.pause * (AT_ONCE - 1)).unwrap_or(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant does to count from")]
    fn origin() -> Instant {
        Instant::now()
    }

    fn turns(pace: &mut Pace, now: Instant, n: usize) -> Vec<u128> {
        (0..n).map(|_| (pace.turn(now) - now).as_millis()).collect()
    }

    #[test]
    fn the_first_begin_at_once_and_the_others_one_after_the_other() {
        let mut pace = Pace::new(std::iter::repeat_n(Duration::from_secs(3), 176));
        let now = origin();
        let of_many = turns(&mut pace, now, 116);
        assert!(of_many[..16].iter().all(|wait| *wait == 0));
        assert_eq!((of_many[16], of_many[115]), (10, 1000));
        // What was asked for half a second later comes after those, and when all is over again at once.
        assert_eq!(turns(&mut pace, now + Duration::from_millis(500), 1), [510]);
        assert!(turns(&mut pace, now + Duration::from_secs(2), 16).iter().all(|wait| *wait == 0));
    }

    #[test]
    fn many_targets_may_be_asked_for_as_often_as_they_are_looked_at() {
        let mut pace = Pace::new(std::iter::repeat_n(Duration::from_secs(5), 10_000));
        assert_eq!(turns(&mut pace, origin(), 2016).last(), Some(&1000));
    }
}
