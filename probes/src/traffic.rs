//! What a gateway's log lines add up to over the last seconds: in all, for each interface, and for each server
//! behind it. Pure: the time is an argument, and what is kept is bounded whatever is logged.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::histogram::Histogram;

/// The window moves on by a fifth of itself.
const SLOTS: u32 = 5;
/// Servers behind one gateway that are told apart.
const MOST_SERVERS: usize = 1024;

/// One request as the gateway logged it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request<'l> {
    pub(crate) method: &'l str,
    pub(crate) path: &'l str,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    pub(crate) took: Duration,
    /// Whom it asked, in turn.
    pub(crate) hops: Vec<Hop<'l>>,
}

/// One server that was asked for an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hop<'l> {
    pub(crate) address: &'l str,
    /// What it answered, or what the gateway made of its silence; `None` where nothing came of it.
    pub(crate) status: Option<u16>,
    pub(crate) took: Option<Duration>,
}

/// Which requests are one interface.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Interface {
    pub(crate) path: String,
    pub(crate) method: Option<String>,
}

impl Interface {
    fn takes(&self, request: &Request<'_>) -> bool {
        let path = match self.path.strip_suffix('*') {
            Some(beginning) => request.path.starts_with(beginning),
            None => request.path == self.path,
        };
        path && self.method.as_ref().is_none_or(|method| method.eq_ignore_ascii_case(request.method))
    }
}

/// Requests added up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    /// Answered with a 5xx.
    pub(crate) failed: u64,
    pub(crate) times: Histogram,
}

impl Sum {
    fn add(&mut self, request: &Request<'_>) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(request.bytes);
        self.failed += u64::from(request.status >= 500);
        self.times.add(request.took);
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.failed += other.failed;
        self.times.merge(&other.times);
    }
}

/// One server's answers added up.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Server {
    pub(crate) count: u64,
    /// 5xx, its own or the gateway's in its place, and what never came.
    pub(crate) failed: u64,
    /// The last status that counted as failed.
    pub(crate) last_bad: Option<u16>,
    /// The time of all of them, and how many told one.
    took: Duration,
    timed: u32,
}

impl Server {
    fn add(&mut self, hop: &Hop<'_>) {
        self.count += 1;
        if hop.status.is_none_or(|status| status >= 500) {
            self.failed += 1;
            self.last_bad = hop.status;
        }
        if let Some(took) = hop.took {
            self.took = self.took.saturating_add(took);
            self.timed = self.timed.saturating_add(1);
        }
    }

    fn merge(&mut self, later: &Self) {
        self.count += later.count;
        if later.failed > 0 {
            self.last_bad = later.last_bad;
        }
        self.failed += later.failed;
        self.took = self.took.saturating_add(later.took);
        self.timed = self.timed.saturating_add(later.timed);
    }

    /// How long an answer took in the mean.
    pub(crate) fn mean(&self) -> Option<Duration> {
        self.took.checked_div(self.timed)
    }
}

#[derive(Debug)]
struct Slot {
    number: u64,
    all: Sum,
    interfaces: Vec<Sum>,
    servers: BTreeMap<Box<str>, Server>,
}

/// The last seconds of one gateway.
#[derive(Debug)]
pub(crate) struct Traffic {
    since: Instant,
    slot: Duration,
    interfaces: Vec<Interface>,
    slots: VecDeque<Slot>,
    last: Option<Instant>,
}

/// What the window holds.
#[derive(Debug)]
pub(crate) struct Window {
    pub(crate) all: Sum,
    /// In the order of the interfaces.
    pub(crate) interfaces: Vec<Sum>,
    pub(crate) servers: BTreeMap<Box<str>, Server>,
    /// How much time that is of.
    pub(crate) span: Duration,
    /// Since the last line; `None` when there was none at all.
    pub(crate) silent_for: Option<Duration>,
}

impl Traffic {
    /// Begins to listen `since`, over the last `window`.
    pub(crate) fn new(since: Instant, window: Duration, interfaces: Vec<Interface>) -> Self {
        let slot = (window / SLOTS).max(Duration::from_millis(200));
        Self { since, slot, interfaces, slots: VecDeque::new(), last: None }
    }

    /// The interfaces that are told apart.
    pub(crate) fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn number(&self, at: Instant) -> u64 {
        let number = at.saturating_duration_since(self.since).as_nanos() / self.slot.as_nanos();
        u64::try_from(number).unwrap_or(u64::MAX)
    }

    /// Adds one request that was logged just now.
    pub(crate) fn add(&mut self, at: Instant, request: &Request<'_>) {
        let number = self.number(at);
        self.forget(number);
        if self.slots.back().is_none_or(|slot| slot.number < number) {
            let interfaces = vec![Sum::default(); self.interfaces.len()];
            self.slots.push_back(Slot { number, all: Sum::default(), interfaces, servers: BTreeMap::new() });
        }
        self.last = Some(at);
        // The longest path that fits is the interface's own: `/api/orders/*` before `/api/*`.
        let fits = self.interfaces.iter().enumerate().filter(|(_, interface)| interface.takes(request));
        let own = fits.max_by_key(|(_, interface)| (interface.path.len(), interface.method.is_some()));
        let own = own.map(|(i, _)| i);
        let Some(slot) = self.slots.back_mut() else { return };
        slot.all.add(request);
        if let Some(sum) = own.and_then(|i| slot.interfaces.get_mut(i)) {
            sum.add(request);
        }
        for hop in &request.hops {
            if let Some(server) = slot.servers.get_mut(hop.address) {
                server.add(hop);
            } else if slot.servers.len() < MOST_SERVERS {
                slot.servers.entry(hop.address.into()).or_default().add(hop);
            }
        }
    }

    fn forget(&mut self, number: u64) {
        while self.slots.front().is_some_and(|slot| slot.number + u64::from(SLOTS) < number) {
            self.slots.pop_front();
        }
    }

    /// The last whole slots and the one that has begun.
    pub(crate) fn window(&mut self, now: Instant) -> Window {
        let number = self.number(now);
        self.forget(number);
        let first = number.saturating_sub(u64::from(SLOTS));
        let from = self.since + self.slot.saturating_mul(u32::try_from(first).unwrap_or(u32::MAX));
        let mut window = Window {
            all: Sum::default(),
            interfaces: vec![Sum::default(); self.interfaces.len()],
            servers: BTreeMap::new(),
            span: now.saturating_duration_since(from),
            silent_for: self.last.map(|last| now.saturating_duration_since(last)),
        };
        for slot in &self.slots {
            window.all.merge(&slot.all);
            for (sum, more) in window.interfaces.iter_mut().zip(&slot.interfaces) {
                sum.merge(more);
            }
            for (address, server) in &slot.servers {
                window.servers.entry(address.clone()).or_default().merge(server);
            }
        }
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::now;

    fn request(path: &str, status: u16, hops: &[(&'static str, u16)]) -> Request<'static> {
        let path = path.to_owned().leak();
        let took = Duration::from_millis(10);
        let hops = hops
            .iter()
            .map(|(address, status)| Hop { address, status: Some(*status), took: Some(took) })
            .collect();
        Request { method: "GET", path, status, bytes: 100, took, hops }
    }

    fn interfaces() -> Vec<Interface> {
        let one = |path: &str| Interface { path: path.to_owned(), method: None };
        vec![one("/api/*"), one("/api/orders*"), one("/menu")]
    }

    #[test]
    fn a_request_belongs_to_the_longest_interface_and_a_retry_to_two_servers() {
        let start = now();
        let mut traffic = Traffic::new(start, Duration::from_secs(10), interfaces());
        traffic.add(start, &request("/api/orders/7", 200, &[("a:1", 502), ("b:1", 200)]));
        traffic.add(start, &request("/api/menu", 500, &[("b:1", 500)]));
        traffic.add(start, &request("/menus", 200, &[]));
        let window = traffic.window(start + Duration::from_secs(1));
        let counts: Vec<u64> = window.interfaces.iter().map(|sum| sum.count).collect();
        assert_eq!((window.all.count, window.all.failed, window.all.bytes), (3, 1, 300));
        assert_eq!(counts, [1, 1, 0]);
        let servers: Vec<_> = window.servers.iter().map(|(a, s)| (&**a, s.count, s.failed)).collect();
        assert_eq!(servers, [("a:1", 1, 1), ("b:1", 2, 1)]);
        assert_eq!(window.servers["b:1"].mean(), Some(Duration::from_millis(10)));
        assert_eq!(window.servers["a:1"].last_bad, Some(502));
        assert_eq!(window.span, Duration::from_secs(1));
    }

    #[test]
    fn what_is_older_than_the_window_is_gone() {
        let start = now();
        let mut traffic = Traffic::new(start, Duration::from_secs(10), interfaces());
        for second in 0..60 {
            let at = start + Duration::from_secs(second);
            traffic.add(at, &request("/menu", 200, &[]));
            assert!(traffic.slots.len() <= SLOTS as usize + 1);
        }
        let window = traffic.window(start + Duration::from_mins(1));
        assert_eq!((window.all.count, window.span), (10, Duration::from_secs(10)));
        let later = traffic.window(start + Duration::from_secs(100));
        assert_eq!((later.all.count, later.silent_for), (0, Some(Duration::from_secs(41))));
    }

    #[test]
    fn no_number_of_servers_takes_more_room() {
        let start = now();
        let mut traffic = Traffic::new(start, Duration::from_secs(10), Vec::new());
        for i in 0..MOST_SERVERS + 50 {
            let address: &'static str = format!("10.0.0.1:{i}").leak();
            traffic.add(start, &request("/", 200, &[(address, 200)]));
        }
        let window = traffic.window(start);
        assert_eq!((window.servers.len(), window.all.count), (MOST_SERVERS, MOST_SERVERS as u64 + 50));
    }
}
