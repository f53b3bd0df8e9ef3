//! A circuit breaker: after some failures in a row nobody waits for that dependency any more, but for one
//! trial after a pause. Failures are no answer at all; an answer that says "I cannot" is an answer.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failures in a row that open it. Fewer are bad luck: a killed instance costs some calls at once.
const FAILURES: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct State {
    failures: u32,
    /// Set while it is open.
    trial_at: Option<Instant>,
    pause: Duration,
}

#[derive(Debug)]
pub(super) struct Breaker(Mutex<State>);

impl Default for Breaker {
    fn default() -> Self {
        Self(Mutex::new(State { failures: 0, trial_at: None, pause: FIRST_PAUSE }))
    }
}

impl Breaker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// May a call be made? While it is open: one, each time the pause is over.
    pub(super) fn lets_through(&self, now: Instant) -> bool {
        let mut state = self.state();
        match state.trial_at {
            Some(at) if now < at => false,
            Some(_) => {
                // Until the trial is heard of, nobody else tries.
                state.trial_at = Some(now + state.pause);
                true
            }
            None => true,
        }
    }

    /// Whether it opened or closed by this.
    pub(super) fn heard(&self, good: bool, now: Instant) -> Option<bool> {
        let mut state = self.state();
        let was_open = state.trial_at.is_some();
        if good {
            *state = State { failures: 0, trial_at: None, pause: FIRST_PAUSE };
            return was_open.then_some(false);
        }
        state.failures = state.failures.saturating_add(1);
        if was_open {
            state.pause = (state.pause * 2).min(LONGEST_PAUSE);
            state.trial_at = Some(now + state.pause);
        } else if state.failures >= FAILURES {
            state.trial_at = Some(now + state.pause);
            return Some(true);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_after_one_good_trial() {
        let (breaker, now) = (Breaker::default(), clock::now());
        for _ in 1..FAILURES {
            assert_eq!(breaker.heard(false, now), None);
        }
        breaker.heard(true, now);
        for _ in 1..FAILURES {
            assert_eq!(breaker.heard(false, now), None);
        }
        assert!(breaker.lets_through(now));
        assert_eq!(breaker.heard(false, now), Some(true));
        assert!(!breaker.lets_through(now + FIRST_PAUSE / 2));
        // One trial, and no second one beside it.
        assert!(breaker.lets_through(now + FIRST_PAUSE));
        assert!(!breaker.lets_through(now + FIRST_PAUSE));
        breaker.heard(false, now + FIRST_PAUSE);
        assert!(!breaker.lets_through(now + FIRST_PAUSE * 2), "the pause has doubled");
        assert!(breaker.lets_through(now + FIRST_PAUSE * 3));
        assert_eq!(breaker.heard(true, now + FIRST_PAUSE * 3), Some(false));
        assert!(breaker.lets_through(now + FIRST_PAUSE * 3));
    }
}
