//! What became of all looks since the start, by kind of probe: how long they took and how they failed.

use std::collections::BTreeMap;
use std::time::Duration;

use probes::observation::Outcome;

/// Upper bounds of the buckets, in seconds: from a local cache to the longest timeout that makes sense.
pub const BOUNDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The word for a look that this machine itself could not make (out of ports, out of files).
const LOCAL: &str = "local";

/// All looks, by kind of probe.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Looked {
    kinds: BTreeMap<&'static str, Tally>,
}

/// The looks of one kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// How long all of them took.
    pub took: Duration,
    /// How many took at most [`BOUNDS`] (and more than the bound before).
    pub buckets: [u64; BOUNDS.len()],
    /// How many ended in each fault, by the fault's word; `local` where this machine itself failed.
    pub faults: BTreeMap<&'static str, u64>,
}

impl Looked {
    /// One more look of `kind`.
    pub(crate) fn add(&mut self, kind: &'static str, took: Duration, outcome: &Outcome) {
        let tally = self.kinds.entry(kind).or_default();
        tally.count += 1;
        tally.took += took;
        let bucket = BOUNDS.partition_point(|bound| *bound < took.as_secs_f64());
        if let Some(bucket) = tally.buckets.get_mut(bucket) {
            *bucket += 1;
        }
        let fault = match outcome {
            Outcome::Answer(_) => return,
            Outcome::Fault(fault) => fault.kind.as_str(),
            Outcome::Local(_) => LOCAL,
        };
        *tally.faults.entry(fault).or_default() += 1;
    }

    /// The kinds that were used, by name.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, &Tally)> {
        self.kinds.iter().map(|(kind, tally)| (*kind, tally))
    }
}

#[cfg(test)]
mod tests {
    use topology::fault::{Fault, FaultKind};

    use super::*;

    #[test]
    fn looks_are_counted_by_kind_length_and_fault() {
        let mut looked = Looked::default();
        let good = Outcome::Answer(probes::observation::Answer::default());
        let hung = Outcome::Fault(Fault::new(FaultKind::Hung, "ask", "no answer"));
        looked.add("redis", Duration::from_millis(1), &good);
        looked.add("redis", Duration::from_micros(1_001), &good);
        looked.add("redis", Duration::from_mins(1), &hung);
        looked.add("http", Duration::from_millis(30), &Outcome::Local("no ports".to_owned()));

        let kinds: Vec<_> = looked.kinds().collect();
        assert_eq!(kinds.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), ["http", "redis"]);
        let redis = kinds[1].1;
        assert_eq!(redis.count, 3);
        assert_eq!(redis.took, Duration::from_micros(60_002_001));
        assert_eq!(redis.buckets[..3], [1, 1, 0], "a bound belongs to its bucket");
        assert_eq!(redis.buckets.iter().sum::<u64>(), 2, "what took longer than all bounds is in none");
        assert_eq!(redis.faults, BTreeMap::from([("hung", 1)]));
        assert_eq!(kinds[0].1.faults, BTreeMap::from([("local", 1)]));
    }
}
