//! The looks under way: which task is whose, and when each really began.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::task::Id;
use tokio::time::Instant;

use crate::engine::JobId;

/// Set by a look when its turn has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Began(Arc<OnceLock<Instant>>);

impl Began {
    pub(crate) fn set(&self, at: Instant) {
        // It begins once.
        let _known = self.0.set(at);
    }

    /// When that was; `None` while it waits for its turn.
    pub(crate) fn at(&self) -> Option<Instant> {
        self.0.get().copied()
    }
}

#[derive(Debug, Default)]
struct OfJob {
    under_way: Vec<(u64, Began)>,
    last: Option<Instant>,
    /// When somebody asked for a look: one is coming.
    asked: Option<Instant>,
    /// It is to ask as a new user would.
    fresh: bool,
}

/// The looks under way.
#[derive(Debug)]
pub(crate) struct Looks {
    jobs: Vec<OfJob>,
    tasks: HashMap<Id, (JobId, u64)>,
    count: u64,
}

impl Looks {
    pub(crate) fn new(jobs: usize) -> Self {
        Self { jobs: (0..jobs).map(|_| OfJob::default()).collect(), tasks: HashMap::new(), count: 0 }
    }

    /// One more look of `job`: its number, and how it tells that it began.
    pub(crate) fn next(&mut self, job: JobId, now: Instant) -> (u64, Began) {
        self.count += 1;
        let began = Began::default();
        let of = &mut self.jobs[job];
        of.last = Some(now);
        of.under_way.push((self.count, began.clone()));
        (self.count, began)
    }

    /// Which task a look is.
    pub(crate) fn is_task(&mut self, task: Id, job: JobId, look: u64) {
        self.tasks.insert(task, (job, look));
    }

    /// A task has ended: whose it was; `None` when nobody asks any more.
    pub(crate) fn ended(&mut self, task: Id) -> Option<JobId> {
        let (job, look) = self.tasks.remove(&task)?;
        self.jobs[job].under_way.retain(|(other, _)| *other != look);
        Some(job)
    }

    /// How many looks of `job` are under way.
    pub(crate) fn under_way(&self, job: JobId) -> usize {
        self.jobs[job].under_way.len()
    }

    /// When `look` began, if it is the only one of `job` under way.
    pub(crate) fn alone(&self, job: JobId, look: u64) -> Option<&Began> {
        match self.jobs[job].under_way.as_slice() {
            [(only, began)] if *only == look => Some(began),
            _ => None,
        }
    }

    /// How long ago the last look of `job` was begun.
    pub(crate) fn since_last(&self, job: JobId, now: Instant) -> Duration {
        self.jobs[job].last.map_or(Duration::MAX, |last| now.saturating_duration_since(last))
    }

    /// Asks for a look of `job`, and a `fresh` one if need be; false when one is coming already.
    pub(crate) fn ask(&mut self, job: JobId, now: Instant, fresh: bool) -> bool {
        let of = &mut self.jobs[job];
        of.fresh |= fresh;
        let is_first = of.asked.is_none();
        of.asked.get_or_insert(now);
        is_first
    }

    /// A look of `job` has begun since it was asked for, and will do.
    pub(crate) fn began_since_asked(&self, job: JobId) -> bool {
        let of = &self.jobs[job];
        !of.fresh && of.last.zip(of.asked).is_some_and(|(last, asked)| last > asked)
    }

    /// The look that was asked for is due; true when it is to be a fresh one.
    pub(crate) fn caught_up(&mut self, job: JobId) -> bool {
        let of = &mut self.jobs[job];
        of.asked = None;
        std::mem::take(&mut of.fresh)
    }

    /// Another topology: what stays is looked at as before, answers of the others are not heard.
    pub(crate) fn follow(&mut self, jobs: usize, same: &HashMap<JobId, JobId>) {
        let mut new: Vec<OfJob> = (0..jobs).map(|_| OfJob::default()).collect();
        for (old, of) in self.jobs.drain(..).enumerate() {
            if let Some(job) = same.get(&old) {
                new[*job] = of;
            }
        }
        self.jobs = new;
        self.tasks =
            self.tasks.drain().filter_map(|(id, (job, look))| Some((id, (*same.get(&job)?, look)))).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant will do as the origin")]
    fn origin() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_look_that_waits_for_its_turn_has_not_begun() {
        let (mut looks, t0) = (Looks::new(1), origin());
        let (look, began) = looks.next(0, t0);
        assert_eq!(looks.alone(0, look).unwrap().at(), None);
        began.set(t0 + Duration::from_secs(3));
        assert_eq!(looks.alone(0, look).unwrap().at(), Some(t0 + Duration::from_secs(3)));
        let (second, _) = looks.next(0, t0);
        assert!(looks.alone(0, look).is_none() && looks.alone(0, second).is_none());
    }

    #[test]
    fn many_who_ask_get_one_look() {
        let (mut looks, t0) = (Looks::new(2), origin());
        assert_eq!(looks.since_last(0, t0), Duration::MAX);
        looks.next(0, t0);
        assert_eq!(looks.since_last(0, t0 + Duration::from_secs(1)), Duration::from_secs(1));
        let asked = t0 + Duration::from_secs(1);
        assert!(looks.ask(0, asked, false) && !looks.ask(0, asked, false) && looks.ask(1, asked, true));
        assert!(!looks.began_since_asked(0), "that was before");
        looks.next(0, t0 + Duration::from_secs(2));
        assert!(looks.began_since_asked(0) && !looks.began_since_asked(1));
        looks.next(1, t0 + Duration::from_secs(2));
        assert!(!looks.began_since_asked(1), "a fresh one was asked for");
        assert!(!looks.caught_up(0) && looks.caught_up(1));
        assert!(looks.ask(0, asked, false));
    }

    #[test]
    fn another_topology_keeps_what_stays() {
        let (mut looks, t0) = (Looks::new(2), origin());
        looks.next(0, t0);
        looks.next(1, t0);
        looks.follow(1, &HashMap::from([(1, 0)]));
        assert_eq!(looks.under_way(0), 1);
    }
}
