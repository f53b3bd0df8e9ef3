//! What is due when: a heap of timers over all jobs. Pure; instants are arguments.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::JobId;

/// Why a job is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// Its regular time.
    Regular,
    /// Out of turn: a suspicion, a neighbour's confirmed red.
    Again,
    /// An answer is late: half its time is over. Which look is waited for.
    Half(u64),
}

/// The timers.
#[derive(Debug, Default)]
pub struct Schedule {
    heap: BinaryHeap<Reverse<(Instant, JobId, Due)>>,
}

impl Schedule {
    /// Every job once, each at its own phase, so that the load is even and no two start together. The
    /// first round is spread over `first_round` only: a page is to be true soon after the start.
    pub fn new(jobs: usize, now: Instant, first_round: Duration) -> Self {
        let mut schedule = Self::default();
        schedule.spread(0..jobs, now, first_round);
        schedule
    }

    /// Adds the regular timer of each of `jobs`, each at its own phase of `first_round`.
    pub fn spread(&mut self, jobs: impl IntoIterator<Item = JobId>, now: Instant, first_round: Duration) {
        for job in jobs {
            self.add(job, now + first_round.mul_f64(phase(job)), Due::Regular);
        }
    }

    /// Gives every timer's job its new id; timers of jobs that have none go. Times stay as they are.
    pub fn renumber(&mut self, new_id: impl Fn(JobId) -> Option<JobId>) {
        let timers = std::mem::take(&mut self.heap).into_iter();
        self.heap =
            timers.filter_map(|Reverse((at, job, due))| Some(Reverse((at, new_id(job)?, due)))).collect();
    }

    /// Adds a timer.
    pub fn add(&mut self, job: JobId, at: Instant, due: Due) {
        self.heap.push(Reverse((at, job, due)));
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// Takes one that is due at `now`.
    pub fn take(&mut self, now: Instant) -> Option<(Instant, JobId, Due)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}

/// The regular time after `due`: on the same phase, never in the past (missed ticks are skipped, not
/// caught up).
pub fn after(due: Instant, interval: Duration, now: Instant) -> Instant {
    let next = due + interval;
    if next > now {
        return next;
    }
    let missed = (now - next).as_nanos() / interval.as_nanos().max(1) + 1;
    next + interval.saturating_mul(u32::try_from(missed).unwrap_or(u32::MAX))
}

/// A place in 0..1 for each job: steps of the golden ratio leave no two close together, whatever their
/// number.
fn phase(job: JobId) -> f64 {
    (job as f64 * 0.618_033_988_749_895).fract()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[expect(clippy::disallowed_methods, reason = "any instant will do as the origin")]
    fn origin() -> Instant {
        Instant::now()
    }

    #[test]
    fn the_first_round_is_spread_evenly() {
        let t0 = origin();
        let mut schedule = Schedule::new(1000, t0, Duration::from_secs(1));
        let mut times = Vec::new();
        while let Some((at, ..)) = schedule.take(t0 + Duration::from_secs(1)) {
            times.push(at);
        }
        assert_eq!(times.len(), 1000);
        for tenth in 0..10_u32 {
            let from = t0 + Duration::from_millis(100) * tenth;
            let n =
                times.iter().filter(|at| **at >= from && **at < from + Duration::from_millis(100)).count();
            assert!((95..=105).contains(&n), "{n} in tenth {tenth}");
        }
    }

    #[test]
    fn nothing_is_taken_before_its_time() {
        let t0 = origin();
        let mut schedule = Schedule::default();
        schedule.add(7, t0 + Duration::from_secs(1), Due::Again);
        assert_eq!(schedule.take(t0), None);
        assert_eq!(
            schedule.take(t0 + Duration::from_secs(1)),
            Some((t0 + Duration::from_secs(1), 7, Due::Again))
        );
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn a_job_that_stays_keeps_its_phase_under_its_new_id() {
        let t0 = origin();
        let mut schedule = Schedule::new(3, t0, Duration::from_secs(1));
        let before = t0 + Duration::from_secs(1).mul_f64(phase(2));
        schedule.renumber(|job| (job == 2).then_some(0));
        assert_eq!(schedule.take(before), Some((before, 0, Due::Regular)));
        assert_eq!(schedule.next(), None);
    }

    proptest! {
        /// However late the monitor is: the next time is in the future, at most one interval away, on the phase.
        #[test]
        fn no_drift_and_no_catching_up(interval in 200_u64..60_000, late in 0_u64..10_000_000) {
            let (t0, interval) = (origin(), Duration::from_millis(interval));
            let now = t0 + Duration::from_millis(late);
            let next = after(t0, interval, now);
            prop_assert!(next > now && next <= now + interval);
            prop_assert_eq!((next - t0).as_nanos() % interval.as_nanos(), 0);
        }
    }
}
