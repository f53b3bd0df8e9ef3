//! How long this process itself was kept from working: what a monitor that gets too little time measures is its own
//! lateness as much as the target's. A task that wants to wake every [`EVERY`] keeps the spells in which it could not,
//! and [`Lag::within`] is taken off the times that are measured.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often it wants to wake: 50 times a second cost 0.4 % of a core, and a spell is known to so much. Our choice.
const EVERY: Duration = Duration::from_millis(20);
/// Less is what any timer may be late.
const LEAST: Duration = Duration::from_millis(5);
/// Spells that are kept. A look ends long before so many are over.
const MOST: usize = 512;

/// The spells in which this process got no time.
#[derive(Debug, Default)]
pub(crate) struct Lag(Mutex<Spells>);

#[derive(Debug, Default)]
struct Spells {
    over: VecDeque<(Instant, Instant)>,
    /// When it is to wake next.
    due: Option<Instant>,
}

impl Lag {
    /// It is awake at `now`, and is to wake again [`EVERY`] later: when that is.
    pub(crate) fn awake(&self, now: Instant) -> Instant {
        let mut spells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(due) = spells.due.filter(|due| now.saturating_duration_since(*due) > LEAST) {
            if spells.over.len() >= MOST {
                spells.over.pop_front();
            }
            spells.over.push_back((due, now));
        }
        *spells.due.insert(now + EVERY)
    }

    /// How much of the time from `began` to `ended` this process was kept from working, the spell that lasts included.
    pub(crate) fn within(&self, began: Instant, ended: Instant) -> Duration {
        let spells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lasting = spells.due.map(|due| (due, ended)).filter(|(due, ended)| *ended > *due + LEAST);
        let common =
            |(from, to): (Instant, Instant)| to.min(ended).saturating_duration_since(from.max(began));
        let over = spells.over.iter().rev().copied().take_while(|(_, to)| *to > began);
        over.chain(lasting).map(common).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_slept_through_is_taken_off_and_no_more() {
        let (lag, start) = (Lag::default(), crate::clock::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        let within = |from, to| lag.within(at(from), at(to)).as_millis();
        assert_eq!(within(0, 100), 0, "nobody has looked yet");
        for ms in [0, 21, 141] {
            lag.awake(at(ms));
        }
        assert_eq!((within(0, 151), within(70, 110), within(0, 91), within(141, 151)), (100, 40, 50, 0));
        // The spell that lasts.
        assert_eq!((within(145, 165), within(145, 211)), (0, 50));
    }

    proptest! {
        /// Never more than there was.
        #[test]
        fn no_time_is_taken_twice(naps in prop::collection::vec(0_u64..200, 0..40), from in 0_u64..2000, length in 0_u64..2000) {
            let (lag, start) = (Lag::default(), crate::clock::now());
            let at = |ms: u64| start + Duration::from_millis(ms);
            let mut now = 0;
            for nap in naps {
                lag.awake(at(now));
                now += 20 + nap;
            }
            prop_assert!(lag.within(at(from), at(from + length)) <= Duration::from_millis(length));
        }
    }
}
