//! What the prober remembers of an instance from one look to the next: a kept connection, and counters.

use std::any::Any;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::net::TcpStream as StdStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use tokio::sync::Notify;
use topology::model::{Address, OptionValue, Probe};

/// A rate is of the last minute at most.
const WINDOW: Duration = Duration::from_mins(1);
/// And of three looks at least.
const LEAST: usize = 3;
/// Samples kept of one counter.
const SAMPLES: usize = 16;
/// What has not been looked at for so long is not in the file any more.
const FORGET: Duration = Duration::from_mins(30);

/// Which instance, looked at how: another password is another connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(u64);

/// The memory of all instances.
#[derive(Default)]
pub(crate) struct Memory {
    hasher: RandomState,
    places: Mutex<HashMap<Key, Place>>,
}

struct Place {
    used: Instant,
    /// Told when a connection is kept.
    moved: Arc<Notify>,
    kept: Option<Kept>,
    counters: BTreeMap<String, Counter>,
    wholes: BTreeMap<String, Counter>,
    facts: BTreeMap<&'static str, (Instant, Found)>,
}

/// Signals by their names.
pub(crate) type Found = Vec<(String, f64)>;

/// A connection between two looks.
struct Kept {
    connection: Box<dyn Any + Send>,
    opened: Instant,
    socket: Option<Arc<StdStream>>,
}

/// How far a counter rose over the last looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rise {
    pub(crate) by: f64,
    seconds: f64,
}

impl Rise {
    /// A second.
    pub(crate) fn rate(self) -> f64 {
        self.by / self.seconds
    }
}

struct Counter {
    identity: String,
    samples: VecDeque<(Instant, f64)>,
}

impl Memory {
    pub(crate) fn key(&self, probe: &Probe, address: &Address, instance: &str) -> Key {
        let mut hasher = self.hasher.build_hasher();
        (probe.kind.name, instance, &address.host, address.port).hash(&mut hasher);
        for (name, value) in &probe.options {
            name.hash(&mut hasher);
            hash_value(value, &mut hasher);
        }
        Key(hasher.finish())
    }

    fn with<T>(&self, key: Key, at: Instant, work: impl FnOnce(&mut Place) -> T) -> Option<T> {
        let mut places = self.places.lock().ok()?;
        if !places.contains_key(&key) && places.len() % 256 == 255 {
            places.retain(|_, place| at.saturating_duration_since(place.used) < FORGET);
        }
        let empty = || Place {
            used: at,
            moved: Arc::default(),
            kept: None,
            counters: BTreeMap::new(),
            wholes: BTreeMap::new(),
            facts: BTreeMap::new(),
        };
        let place = places.entry(key).or_insert_with(empty);
        place.used = at;
        Some(work(place))
    }

    /// Takes the kept connection out, with the time it was opened.
    pub(crate) fn take<T: 'static>(&self, key: Key, at: Instant) -> Option<(T, Instant)> {
        let kept = self.with(key, at, |place| place.kept.take()).flatten()?;
        let connection = kept.connection.downcast::<T>().ok()?;
        Some((*connection, kept.opened))
    }

    /// Keeps a connection for the next look. A connection that lay there is returned, to be closed.
    pub(crate) fn keep<T: Send + 'static>(
        &self,
        key: Key,
        at: Instant,
        connection: T,
        opened: Instant,
        socket: Option<Arc<StdStream>>,
    ) -> Option<T> {
        let kept = Kept { connection: Box::new(connection), opened, socket };
        let keeping = |place: &mut Place| {
            place.moved.notify_waiters();
            place.kept.replace(kept)
        };
        let old = self.with(key, at, keeping).flatten();
        old.and_then(|old| old.connection.downcast::<T>().ok()).map(|old| *old)
    }

    /// Tells when a connection of this instance is kept.
    pub(crate) fn moved(&self, key: Key, at: Instant) -> Arc<Notify> {
        self.with(key, at, |place| Arc::clone(&place.moved)).unwrap_or_default()
    }

    /// The socket of the connection that lies there, idle.
    pub(crate) fn idle_socket(&self, key: Key) -> Option<Arc<StdStream>> {
        let places = self.places.lock().ok()?;
        places.get(&key)?.kept.as_ref()?.socket.clone()
    }

    /// A counter's rise a second over the last looks. None before the third look, and none when the counter
    /// began anew: when `identity` is another one, or the value fell.
    pub(crate) fn rate(
        &self,
        key: Key,
        at: Instant,
        counter: &str,
        value: f64,
        identity: &str,
    ) -> Option<Rise> {
        self.with(key, at, |place| {
            if !place.counters.contains_key(counter) {
                let first = Counter { identity: identity.to_owned(), samples: VecDeque::new() };
                place.counters.insert(counter.to_owned(), first);
            }
            place.counters.get_mut(counter)?.add(at, value, identity)
        })
        .flatten()
    }

    /// The same for the whole of which `counter` is a part.
    pub(crate) fn both(
        &self,
        key: Key,
        at: Instant,
        counter: &str,
        value: f64,
        identity: &str,
    ) -> Option<Rise> {
        self.with(key, at, |place| {
            if !place.wholes.contains_key(counter) {
                let first = Counter { identity: identity.to_owned(), samples: VecDeque::new() };
                place.wholes.insert(counter.to_owned(), first);
            }
            place.wholes.get_mut(counter)?.add(at, value, identity)
        })
        .flatten()
    }

    /// Keeps what was found by a question that is not asked at each look.
    pub(crate) fn remember(&self, key: Key, at: Instant, question: &'static str, found: Found) {
        self.with(key, at, |place| place.facts.insert(question, (at, found)));
    }

    /// What was found when the question was last asked, if that is not longer ago than `every`.
    pub(crate) fn recall(&self, key: Key, at: Instant, question: &str, every: Duration) -> Option<Found> {
        self.with(key, at, |place| {
            let (asked, found) = place.facts.get(question)?;
            (at.saturating_duration_since(*asked) < every).then(|| found.clone())
        })
        .flatten()
    }
}

impl Counter {
    fn add(&mut self, at: Instant, value: f64, identity: &str) -> Option<Rise> {
        let fell = self.samples.back().is_some_and(|(_, last)| value < *last);
        if fell || self.identity != identity {
            self.samples.clear();
            identity.clone_into(&mut self.identity);
        }
        self.samples.push_back((at, value));
        while self.samples.len() > SAMPLES
            || self.samples.front().is_some_and(|(then, _)| at.saturating_duration_since(*then) > WINDOW)
        {
            self.samples.pop_front();
        }
        let (then, first) = self.samples.front().filter(|_| self.samples.len() >= LEAST)?;
        let span = at.saturating_duration_since(*then).as_secs_f64();
        (span > 0.0).then(|| Rise { by: value - first, seconds: span })
    }
}

fn hash_value(value: &OptionValue, hasher: &mut impl Hasher) {
    match value {
        OptionValue::Text(text) => text.hash(hasher),
        OptionValue::Secret(secret) => secret.expose_secret().hash(hasher),
        OptionValue::Truth(truth) => truth.hash(hasher),
        OptionValue::Count(count) => count.hash(hasher),
        OptionValue::Number(number) => number.to_bits().hash(hasher),
        OptionValue::Duration(duration) => duration.hash(hasher),
        OptionValue::List(list) => list.iter().for_each(|value| hash_value(value, hasher)),
        OptionValue::Map(map) => map.iter().for_each(|(name, value)| {
            name.hash(hasher);
            hash_value(value, hasher);
        }),
        OptionValue::Record(record) => record.iter().for_each(|(name, value)| {
            name.hash(hasher);
            hash_value(value, hasher);
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::now;

    #[test]
    fn a_rate_needs_three_looks_and_the_same_counter() {
        let mut counter = Counter { identity: "a".to_owned(), samples: VecDeque::new() };
        let start = now();
        let mut seen = Vec::new();
        for (seconds, value, identity) in
            [(0, 10.0, "a"), (5, 20.0, "a"), (10, 40.0, "a"), (15, 5.0, "a"), (20, 6.0, "a"), (25, 9.0, "a")]
        {
            let rise = counter.add(start + Duration::from_secs(seconds), value, identity);
            seen.push(rise.map(Rise::rate));
        }
        assert_eq!(seen, [None, None, Some(3.0), None, None, Some(0.4)]);
        assert_eq!(counter.add(start + Duration::from_secs(30), 10.0, "b"), None);
    }

    #[test]
    fn a_rate_is_of_the_last_minute() {
        let mut counter = Counter { identity: String::new(), samples: VecDeque::new() };
        let start = now();
        let mut last = None;
        for look in 0..40 {
            // Ten a second for 100 s, then nothing.
            let value = if look < 20 { f64::from(look) * 50.0 } else { 1000.0 };
            let at = start + Duration::from_secs(5 * u64::try_from(look).unwrap());
            last = counter.add(at, value, "").map(Rise::rate);
        }
        assert_eq!(last, Some(0.0));
    }
}
