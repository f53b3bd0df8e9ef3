//! What comes by itself, without being asked for: the reports of instances, and the log lines of gateways. The
//! prober keeps what was heard last; the kinds `heartbeat` and `access_log` judge it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use topology::model::{Address, Probe};

use crate::access_log;
use crate::heartbeat::{Heard, Report};
use crate::log_line::LogLine;
use crate::observation::Observation;
use crate::traffic::{Traffic, Window};

/// Reports of one instance that are taken in a second.
const A_SECOND: usize = 2;
/// The pulse beats every second: without one for so long nobody could listen (the process was stopped).
const DEAF: Duration = Duration::from_secs(5);
/// How often the pulse beats.
pub(crate) const PULSE: Duration = Duration::from_secs(1);
/// What has not been looked at for so long is not in the file any more.
const FORGET: Duration = Duration::from_mins(30);

/// A report as it came in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// What it says.
    pub report: Report,
    /// Which life of the sender this is; numbers begin anew with each.
    pub boot: Option<String>,
    /// Its number, where the sender counts: an older one that comes later is not heard.
    pub seq: Option<u64>,
}

/// Why a report was not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unheard {
    /// Too many in a second.
    #[error("more than {A_SECOND} reports a second")]
    TooOften,
    /// A newer one has come.
    #[error("a report with a higher `seq` has come already")]
    Older,
}

/// How the log lines fare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCounts {
    /// Lines that were taken.
    pub taken: u64,
    /// Lines that could not be read.
    pub unreadable: u64,
    /// Lines of gateways that no instance of the topology is.
    pub unmatched: u64,
}

#[derive(Default)]
pub(crate) struct Ears {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    listening: Option<Listening>,
    reports: HashMap<String, Reports>,
    /// By instance.
    logs: HashMap<String, Log>,
    lines: LineCounts,
    /// An access log receiver is there.
    receiving: bool,
}

/// Since when there was no gap.
#[derive(Clone, Copy)]
struct Listening {
    since: Instant,
    pulse: Instant,
}

struct Reports {
    last: Option<(Instant, Told)>,
    /// When the last ones came.
    taken: [Option<Instant>; A_SECOND],
    looked: Instant,
}

struct Log {
    address: Address,
    window: Duration,
    traffic: Traffic,
    looked: Instant,
}

impl Ears {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody takes reports from now on, and calls this every second.
    pub(crate) fn pulse(&self, now: Instant) {
        self.lock().beat(now, true);
    }

    /// An access log receiver is there.
    pub(crate) fn receives(&self) {
        self.lock().receiving = true;
    }

    /// Takes the report of an instance.
    pub(crate) fn report(&self, now: Instant, instance: &str, told: Told) -> Result<(), Unheard> {
        let mut state = self.lock();
        state.reports.retain(|_, reports| now.saturating_duration_since(reports.looked) < FORGET);
        let reports = state.reports.entry(instance.to_owned()).or_insert_with(|| Reports::new(now));
        let second = |at: &Instant| now.saturating_duration_since(*at) < Duration::from_secs(1);
        if reports.taken.iter().all(|at| at.as_ref().is_some_and(second)) {
            return Err(Unheard::TooOften);
        }
        if let Some((_, last)) = &reports.last
            && last.boot == told.boot
            && let (Some(last), Some(seq)) = (last.seq, told.seq)
            && seq <= last
        {
            return Err(Unheard::Older);
        }
        reports.taken.rotate_left(1);
        reports.taken[A_SECOND - 1] = Some(now);
        reports.last = Some((now, told));
        Ok(())
    }

    /// Judges what an instance has reported; `None` when nobody listens here.
    pub(crate) fn heartbeat(
        &self,
        now: Instant,
        instance: &str,
        judge: impl FnOnce(&Heard<'_>) -> Observation,
    ) -> Option<Observation> {
        let mut state = self.lock();
        state.beat(now, false);
        let listening = state.listening?;
        let reports = state.reports.entry(instance.to_owned()).or_insert_with(|| Reports::new(now));
        reports.looked = now;
        let last = reports.last.as_ref().map(|(at, told)| (*at, &told.report));
        Some(judge(&Heard { last, listening_since: listening.since, now }))
    }

    /// Takes a line that came from `peer`.
    pub(crate) fn line(&self, now: Instant, peer: &str, line: &LogLine<'_>) {
        let mut state = self.lock();
        let State { logs, lines, .. } = &mut *state;
        let Ok(request) = line.request() else {
            lines.unreadable += 1;
            return;
        };
        match whose(logs, peer, line) {
            Some(log) => {
                log.traffic.add(now, &request);
                lines.taken += 1;
            }
            None => lines.unmatched += 1,
        }
    }

    /// A datagram that holds no line.
    pub(crate) fn unreadable(&self) {
        self.lock().lines.unreadable += 1;
    }

    /// How the log lines fare.
    pub(crate) fn lines(&self) -> LineCounts {
        self.lock().lines
    }

    /// What the log of an instance adds up to; from now on its lines are taken. `None` when nobody receives any.
    pub(crate) fn traffic(
        &self,
        now: Instant,
        probe: &Probe,
        instance: &str,
        address: &Address,
    ) -> Option<Window> {
        let mut state = self.lock();
        if !state.receiving {
            return None;
        }
        let (window, interfaces) = (access_log::window(probe), access_log::interfaces(probe));
        state.logs.retain(|_, log| now.saturating_duration_since(log.looked) < FORGET);
        let same = |log: &Log| {
            log.window == window && log.address == *address && log.traffic.interfaces() == interfaces
        };
        if !state.logs.get(instance).is_some_and(same) {
            let traffic = Traffic::new(now, window, interfaces);
            let log = Log { address: address.clone(), window, traffic, looked: now };
            state.logs.insert(instance.to_owned(), log);
        }
        let log = state.logs.get_mut(instance)?;
        log.looked = now;
        Some(log.traffic.window(now))
    }
}

/// The log a line belongs to: by the name it carries, by the address the request came in on, or by the sender's
/// address where one instance alone has it.
fn whose<'s>(logs: &'s mut HashMap<String, Log>, peer: &str, line: &LogLine<'_>) -> Option<&'s mut Log> {
    if let Some(instance) = &line.instance {
        return logs.get_mut(instance.as_str());
    }
    let host = line.host.as_ref().map_or("", |host| host.as_str());
    let exact = logs.iter().find(|(_, log)| log.address.to_string() == host).map(|(name, _)| name.clone());
    let name = exact.or_else(|| {
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host).trim_matches(['[', ']']);
        [host, peer].into_iter().find_map(|host| {
            let mut there = logs.iter().filter(|(_, log)| log.address.host == host);
            there.next().filter(|_| there.next().is_none()).map(|(name, _)| name.clone())
        })
    })?;
    logs.get_mut(&name)
}

impl State {
    /// Time goes on. After a gap reports may have come that nobody heard.
    fn beat(&mut self, now: Instant, starts: bool) {
        match &mut self.listening {
            Some(listening) => {
                if now.saturating_duration_since(listening.pulse) > DEAF {
                    listening.since = now;
                }
                if starts || listening.since == now {
                    listening.pulse = now;
                }
            }
            None if starts => self.listening = Some(Listening { since: now, pulse: now }),
            None => {}
        }
    }
}

impl Reports {
    fn new(now: Instant) -> Self {
        Self { last: None, taken: [None; A_SECOND], looked: now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::now;
    use crate::observation::Outcome;

    fn told(seq: Option<u64>, boot: &str) -> Told {
        Told { seq, boot: Some(boot.to_owned()), ..Told::default() }
    }

    fn heard(ears: &Ears, at: Instant) -> Option<(Option<Instant>, Instant)> {
        let mut seen = None;
        ears.heartbeat(at, "cron-1", |heard| {
            seen = Some((heard.last.map(|(at, _)| at), heard.listening_since));
            let outcome = Outcome::Local(String::new());
            Observation::of(Duration::ZERO, outcome)
        });
        seen
    }

    #[test]
    fn reports_are_heard_in_their_order_and_not_too_often() {
        let (ears, t0) = (Ears::default(), now());
        let at = |ms: u64| t0 + Duration::from_millis(ms);
        assert_eq!(ears.report(at(0), "cron-1", told(Some(7), "a")), Ok(()));
        assert_eq!(ears.report(at(10), "cron-1", told(Some(6), "a")), Err(Unheard::Older));
        assert_eq!(ears.report(at(20), "cron-1", told(Some(1), "b")), Ok(()));
        assert_eq!(ears.report(at(30), "cron-1", told(Some(2), "b")), Err(Unheard::TooOften));
        assert_eq!(ears.report(at(30), "cron-2", told(None, "b")), Ok(()));
        assert_eq!(ears.report(at(1001), "cron-1", told(Some(2), "b")), Ok(()));
    }

    #[test]
    fn after_a_gap_in_its_pulse_the_monitor_has_not_listened() {
        let (ears, t0) = (Ears::default(), now());
        let at = |s: u64| t0 + Duration::from_secs(s);
        assert_eq!(heard(&ears, at(0)), None);
        ears.pulse(at(0));
        ears.report(at(1), "cron-1", Told::default()).unwrap();
        ears.pulse(at(4));
        assert_eq!(heard(&ears, at(8)), Some((Some(at(1)), at(0))));
        // Stopped, and continued: whoever looks first sees the gap.
        assert_eq!(heard(&ears, at(120)), Some((Some(at(1)), at(120))));
        assert_eq!(heard(&ears, at(121)), Some((Some(at(1)), at(120))));
    }
}
