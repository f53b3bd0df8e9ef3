//! The idle connections beside the probes: which of them stand, and what their end means. The end is a hint,
//! never a verdict: it makes a probe due.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use probes::SentinelEnd;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;

use crate::engine::JobId;

/// Idle connections at once, at most; see also [`most_sentinels`].
const MOST: usize = 4096;
/// After its connection ended a probe is due this much later: an immediate connect can still be accepted by
/// what is about to go.
pub const HINT: Duration = Duration::from_millis(10);
/// A server that ends idle connections after so long does no harm: the look each time costs nothing.
const LONG_LIVED: Duration = Duration::from_secs(30);
/// The first pause after a connection that ended soon, for no reason; then doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// How many idle connections this process may hold: a quarter of the files it may open.
pub fn most_sentinels(open_files: u64) -> usize {
    MOST.min(usize::try_from(open_files / 4).unwrap_or(MOST))
}

/// What is known of the idle connection of one probe. Pure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// Ends in a row that were soon and told nothing.
    fruitless: u32,
    /// No new one before this.
    not_before: Option<Instant>,
    /// It has ended, and nobody has looked since: when, and how long it had been there.
    ended: Option<(Instant, Duration)>,
    /// There never will be one.
    unsupported: bool,
}

impl Guard {
    /// It ended: true when the probe is due.
    pub fn ended(&mut self, end: &SentinelEnd, now: Instant) -> bool {
        match end {
            SentinelEnd::Ended { after } => {
                self.ended = Some((now, *after));
                true
            }
            SentinelEnd::NotMade => {
                self.pause(now);
                false
            }
            SentinelEnd::Unsupported => {
                self.unsupported = true;
                false
            }
        }
    }

    /// A look that began at `started` came back, good or bad: true when a new connection may be made.
    pub fn looked(&mut self, good: bool, started: Instant, now: Instant) -> bool {
        match self.ended {
            // It saw what was before the end.
            Some((at, _)) if started < at => return false,
            // The hint was right, or the connection had stood for long.
            Some((_, after)) if !good || after >= LONG_LIVED => self.fruitless = 0,
            Some(_) => self.pause(now),
            None => {}
        }
        self.ended = None;
        good && !self.unsupported && self.not_before.is_none_or(|at| at <= now)
    }

    /// Doubles the pause: a server that ends every idle connection is not asked for one all the time.
    fn pause(&mut self, now: Instant) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.fruitless.min(16)).min(LONGEST_PAUSE);
        self.fruitless += 1;
        self.not_before = Some(now + pause);
    }
}

/// All of them.
pub(crate) struct Sentinels {
    tasks: JoinSet<SentinelEnd>,
    who: HashMap<Id, JobId>,
    guards: Vec<(Guard, Option<AbortHandle>)>,
    most: usize,
}

impl Sentinels {
    pub(crate) fn new(jobs: usize, most: usize) -> Self {
        Self {
            tasks: JoinSet::new(),
            who: HashMap::new(),
            guards: (0..jobs).map(|_| Default::default()).collect(),
            most,
        }
    }

    /// A look at `job` came back; `wait` is a connection's whole life, used where one is to be made.
    pub(crate) fn looked<F>(
        &mut self,
        job: JobId,
        good: bool,
        (started, now): (Instant, Instant),
        wait: impl FnOnce() -> F,
    ) where
        F: Future<Output = SentinelEnd> + Send + 'static,
    {
        let (guard, standing) = &mut self.guards[job];
        if !guard.looked(good, started, now) || standing.is_some() || self.tasks.len() >= self.most {
            return;
        }
        let task = self.tasks.spawn(wait());
        self.who.insert(task.id(), job);
        *standing = Some(task);
    }

    /// The next one to end; never returns while there is none.
    pub(crate) async fn next(&mut self) -> Result<(Id, SentinelEnd), JoinError> {
        match self.tasks.join_next_with_id().await {
            Some(ended) => ended,
            None => std::future::pending().await,
        }
    }

    /// Takes note of an end: the job that is due now, if it makes one.
    pub(crate) fn ended(
        &mut self,
        ended: Result<(Id, SentinelEnd), JoinError>,
        now: Instant,
    ) -> Option<JobId> {
        let (id, end) = match ended {
            Ok((id, end)) => (id, end),
            Err(error) => {
                if error.is_panic() {
                    tracing::error!(%error, "an idle connection's task panicked");
                }
                (error.id(), SentinelEnd::NotMade)
            }
        };
        let job = self.who.remove(&id)?;
        let (guard, standing) = &mut self.guards[job];
        *standing = None;
        guard.ended(&end, now).then_some(job)
    }

    /// Another topology: what stays keeps its connection, the others end theirs.
    pub(crate) fn follow(&mut self, jobs: usize, same: &HashMap<JobId, JobId>) {
        let mut guards: Vec<(Guard, Option<AbortHandle>)> = (0..jobs).map(|_| Default::default()).collect();
        for (old, (guard, standing)) in self.guards.drain(..).enumerate() {
            match (same.get(&old), standing) {
                (Some(new), standing) => guards[*new] = (guard, standing),
                (None, Some(standing)) => standing.abort(),
                (None, None) => {}
            }
        }
        self.guards = guards;
        self.who = self.who.drain().filter_map(|(id, job)| Some((id, *same.get(&job)?))).collect();
    }

    /// Ends them all.
    pub(crate) async fn shutdown(&mut self) {
        self.tasks.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[expect(clippy::disallowed_methods, reason = "any instant will do as the origin")]
    fn origin() -> Instant {
        Instant::now()
    }

    fn ended(after: Duration) -> SentinelEnd {
        SentinelEnd::Ended { after }
    }

    #[test]
    fn a_hint_that_was_right_leads_to_a_new_one_with_the_first_good_look() {
        let (mut guard, t0) = (Guard::default(), origin());
        assert!(guard.looked(true, t0, t0));
        assert!(guard.ended(&ended(Duration::from_secs(1)), t0));
        assert!(!guard.looked(false, t0, t0));
        assert!(!guard.looked(false, t0, t0));
        assert!(guard.looked(true, t0, t0));
    }

    #[test]
    fn a_hint_for_nothing_pauses_longer_each_time() {
        let (mut guard, mut now) = (Guard::default(), origin());
        let mut pauses = Vec::new();
        for _ in 0..12 {
            guard.ended(&ended(Duration::from_millis(5)), now);
            let began = now;
            while !guard.looked(true, now, now) {
                now += Duration::from_secs(1);
            }
            pauses.push((now - began).as_secs());
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]);
    }

    #[test]
    fn a_server_that_ends_idle_connections_after_a_minute_is_no_trouble() {
        let (mut guard, t0) = (Guard::default(), origin());
        for _ in 0..100 {
            assert!(guard.ended(&ended(Duration::from_mins(1)), t0));
            assert!(guard.looked(true, t0, t0));
        }
    }

    #[test]
    fn what_has_none_is_not_asked_for_one_again() {
        let (mut guard, t0) = (Guard::default(), origin());
        assert!(!guard.ended(&SentinelEnd::Unsupported, t0));
        assert!(!guard.looked(true, t0 + LONGEST_PAUSE, t0 + LONGEST_PAUSE));
    }

    #[test]
    fn no_more_than_a_quarter_of_the_files() {
        assert_eq!(
            (most_sentinels(1024), most_sentinels(1_048_576), most_sentinels(u64::MAX)),
            (256, 4096, 4096)
        );
    }

    proptest! {
        /// Whatever a server does with idle connections: at most one look for it in each two seconds on the
        /// average, past the first few.
        #[test]
        fn no_server_can_make_it_a_storm(lives in prop::collection::vec(0_u64..120_000, 50..200)) {
            let (t0, mut guard) = (origin(), Guard::default());
            let (mut now, mut hints) = (t0, 0_u32);
            for life in lives {
                // A good look every 100 ms until a connection may stand.
                while !guard.looked(true, now, now) {
                    now += Duration::from_millis(100);
                }
                now += Duration::from_millis(life);
                hints += u32::from(guard.ended(&ended(Duration::from_millis(life)), now));
            }
            prop_assert!((now - t0).as_secs_f64() >= f64::from(hints - 1) * 2.0);
        }
    }
}
