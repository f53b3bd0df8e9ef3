//! What is due when: a heap of timers over all jobs. Pure; instants are arguments.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::JobId;

/// Why a job is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// For the first time.
    First,
    /// Its regular time.
    Regular,
    /// Out of turn: its own answer was a surprise.
    Again,
    /// Out of turn: a neighbour's level was confirmed.
    Asked,
    /// The same, put off: it had just been looked at.
    AskedLater,
    /// Its idle connection has ended.
    Hint,
    /// An answer is late: half its time is over. Which look is waited for.
    Half(u64),
}

/// The timers.
#[derive(Debug, Default)]
pub struct Schedule {
    heap: BinaryHeap<Reverse<(Instant, JobId, Due)>>,
}

/// When a job comes round.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Which job.
    pub job: JobId,
    /// Its place in its interval, 0 to 1.
    pub phase: f64,
    /// How often.
    pub interval: Duration,
}

impl Schedule {
    /// Adds the timers of each of `turns`. The first round is spread over `first_round` only: a page is to be
    /// true soon after the start. From then on each keeps its own phase of its own interval, so that the load is
    /// even; the first gap is at least a tenth of an interval, and at most eleven: longer ones would leave a fault
    /// soon after the start unseen for longer than any other.
    pub fn spread(&mut self, turns: impl IntoIterator<Item = Turn>, now: Instant, first_round: Duration) {
        for Turn { job, phase, interval } in turns {
            let first = now + first_round.mul_f64(phase);
            self.add(job, first, Due::First);
            let regular = now + interval.mul_f64(phase);
            let soonest = first + interval / 10;
            self.add(
                job,
                if regular >= soonest { regular } else { after(regular, interval, soonest) },
                Due::Regular,
            );
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

/// The interval in force, `wanted` or a little more, as a whole number of regular ones: whoever is looked at
/// less often keeps its phase.
pub fn on_phase(regular: Duration, wanted: Duration) -> Duration {
    let steps = wanted.as_nanos().div_ceil(regular.as_nanos().max(1)).max(1);
    regular.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX))
}

/// A place in 0..1 for each job, from its host and its own name: the same at every start and in every
/// monitor. Those of one host are steps of the golden ratio apart, which leaves no two close together, however
/// many they are: a host is never asked everything at once.
pub fn phases<'a>(jobs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<f64> {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    let jobs: Vec<(&str, u64)> = jobs.into_iter().map(|(host, name)| (host, hash(name))).collect();
    let mut of_host: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, (host, _)) in jobs.iter().enumerate() {
        of_host.entry(host).or_default().push(place);
    }
    let mut phases = vec![0.0; jobs.len()];
    for (host, mut places) in of_host {
        // By hash, so that a neighbour in the file is no neighbour in time.
        places.sort_by_key(|place| (jobs[*place].1, *place));
        let first = hash(host) as f64 / (u64::MAX as f64 + 1.0);
        for (rank, place) in places.into_iter().enumerate() {
            phases[place] = (first + rank as f64 * GOLDEN).fract();
        }
    }
    phases
}

/// The same for the same text, in every process.
fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[expect(clippy::disallowed_methods, reason = "any instant will do as the origin")]
    fn origin() -> Instant {
        Instant::now()
    }

    const INTERVAL: Duration = Duration::from_secs(5);
    const FIRST_ROUND: Duration = Duration::from_millis(800);

    fn turns(phases: Vec<f64>) -> impl Iterator<Item = Turn> {
        phases.into_iter().enumerate().map(|(job, phase)| Turn { job, phase, interval: INTERVAL })
    }

    /// The most of `times` in any tenth of `[from, from + length)`.
    fn busiest_tenth(times: &[Instant], from: Instant, length: Duration) -> usize {
        let tenth = |at: Instant| ((at - from).as_secs_f64() / length.as_secs_f64() * 10.0) as usize;
        (0..10).map(|n| times.iter().filter(|at| tenth(**at) == n).count()).max().unwrap()
    }

    #[test]
    fn the_first_round_is_soon_and_every_later_one_is_spread_over_the_interval() {
        let t0 = origin();
        let names: Vec<String> = (0..1000).map(|n| format!("web-{n}")).collect();
        for host_of in [|_: usize| "10.0.0.1".to_owned(), |n: usize| format!("10.0.{}.{}", n / 250, n % 250)]
        {
            let hosts: Vec<String> = (0..1000).map(host_of).collect();
            let phases = phases(hosts.iter().map(String::as_str).zip(names.iter().map(String::as_str)));
            let mut schedule = Schedule::default();
            schedule.spread(turns(phases), t0, FIRST_ROUND);
            let (mut first, mut regular) = (vec![t0; 1000], vec![t0; 1000]);
            while let Some((at, job, due)) = schedule.take(t0 + 2 * INTERVAL) {
                match due {
                    Due::First => first[job] = at,
                    _ => regular[job] = at,
                }
            }
            let gaps = first.iter().zip(&regular).map(|(first, regular)| *regular - *first);
            assert!(gaps.into_iter().all(|gap| gap >= INTERVAL / 10 && gap <= INTERVAL.mul_f64(1.1)));
            // A hash is as even as chance: four spreads of 9.5 above 100.
            assert!(busiest_tenth(&first, t0, FIRST_ROUND) < 140);
            // From the second look on the phases fill the interval.
            let folded: Vec<Instant> = regular
                .iter()
                .map(|at| t0 + Duration::from_nanos(((*at - t0).as_nanos() % INTERVAL.as_nanos()) as u64))
                .collect();
            assert!(busiest_tenth(&folded, t0, INTERVAL) < 140);
        }
    }

    #[test]
    fn a_phase_hangs_on_the_names_alone_and_those_of_one_host_keep_apart() {
        let names: Vec<String> = (0..20).map(|n| format!("db-{n}")).collect();
        let all = phases(names.iter().map(|name| ("10.0.0.1", name.as_str())));
        let turned: Vec<f64> = {
            let mut turned = phases(names.iter().rev().map(|name| ("10.0.0.1", name.as_str())));
            turned.reverse();
            turned
        };
        assert_eq!(all, turned);
        let mut sorted = all;
        sorted.sort_by(f64::total_cmp);
        // Twenty that were evenly spread would be 0.05 apart.
        assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] > 0.02), "{sorted:?}");
    }

    #[test]
    fn a_slowed_down_probe_keeps_its_phase() {
        let second = Duration::from_secs(1);
        assert_eq!(on_phase(3 * second, 5 * second), 6 * second);
        assert_eq!(on_phase(5 * second, 5 * second), 5 * second);
        assert_eq!(on_phase(20 * second, 5 * second), 20 * second);
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
        let mut schedule = Schedule::default();
        schedule.spread(turns(vec![0.1, 0.5, 0.8]), t0, FIRST_ROUND);
        schedule.renumber(|job| (job == 2).then_some(0));
        let (first, regular) = (t0 + FIRST_ROUND.mul_f64(0.8), t0 + INTERVAL.mul_f64(0.8));
        assert_eq!(schedule.take(regular), Some((first, 0, Due::First)));
        assert_eq!(schedule.take(regular), Some((regular, 0, Due::Regular)));
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
