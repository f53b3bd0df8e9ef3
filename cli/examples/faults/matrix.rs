//! Which faults there are, alone and together, and who is to blame for each.

use anyhow::{Result, bail};
use serde::Deserialize;

/// Pairs from areas that have nothing to do with each other: both are roots.
const PAIRS: &[(&str, &str)] = &[
    ("kill-member-db", "kill-oms-redis"),
    ("stop-payment-db", "kill-product-redis"),
    ("stop-coupon-service", "kill-order-mq"),
    ("kill-order-shard", "stop-wechat"),
    ("wrong-password-coupon-db", "stop-product-db"),
    ("kill-payment-channel", "kill-pos-proxy"),
    ("cut-telecom-line", "kill-coupon-db"),
    ("stop-miniapp-server", "kill-push-centre"),
    ("stop-notification-db", "stop-gateway"),
    ("read-only-coupon-db", "errors-payment-channel"),
    ("memory-order-mq", "stop-member-redis"),
    ("cut-coupon-service", "kill-oms-db"),
    ("name-gone-payment-channel", "lag-order-replica"),
    ("full-product-redis", "kill-cdn"),
];

/// The monitor itself, not the platform, gets no time: nobody else may be blamed.
pub(crate) const STARVED: &str = "starve-monitor";

/// A fault as `ordering-platform break --list --json` tells it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Known {
    pub(crate) fault: String,
    pub(crate) what: String,
    /// Any one of these names the cause.
    pub(crate) expected_root: Vec<String>,
}

/// One line of the matrix.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) faults: Vec<String>,
    pub(crate) what: String,
    /// For each root the names that are accepted.
    pub(crate) truth: Vec<Vec<String>>,
}

impl Entry {
    pub(crate) fn name(&self) -> String {
        self.faults.join("+")
    }

    /// The cause is a broken line between two that are well by themselves.
    pub(crate) fn is_edge(&self) -> bool {
        self.truth.iter().any(|names| names.first().is_some_and(|name| name.contains(" -> ")))
    }
}

/// So many of the single ones, drawn by a seed.
pub(crate) fn sample(known: &[Known], count: usize, seed: u64) -> Vec<String> {
    let mut names: Vec<&str> = known.iter().map(|fault| fault.fault.as_str()).collect();
    names.sort_by_key(|name| fnv(seed, name));
    names.into_iter().take(count).map(str::to_owned).collect()
}

/// FNV-1a: the same everywhere.
fn fnv(seed: u64, text: &str) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ seed;
    text.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The places of `entries` in an order drawn by a seed: faults of one component are then not one after another, and none
/// is taken for the return of the one before.
pub(crate) fn order(entries: &[Entry], seed: u64) -> Vec<usize> {
    let mut places: Vec<usize> = (0..entries.len()).collect();
    places.sort_by_key(|place| fnv(seed, &entries[*place].name()));
    places
}

/// All, or those asked for.
pub(crate) fn select(known: &[Known], only: &[String], singles: bool) -> Result<Vec<Entry>> {
    let find = |name: &str| match known.iter().find(|fault| fault.fault == name) {
        Some(fault) => Ok(fault),
        None => bail!("no fault is called {name}: see `ordering-platform break --list`"),
    };
    let entry = |name: &str| -> Result<Entry> {
        if name == STARVED {
            let what = "the monitor gets hardly any time: it says so of itself, and nobody else is to blame";
            let truth = vec![vec!["monitor".to_owned()]];
            return Ok(Entry { faults: vec![name.to_owned()], what: what.to_owned(), truth });
        }
        let faults: Vec<&Known> = name.split('+').map(find).collect::<Result<_>>()?;
        Ok(Entry {
            faults: faults.iter().map(|fault| fault.fault.clone()).collect(),
            what: faults.iter().map(|fault| fault.what.as_str()).collect::<Vec<_>>().join("; and "),
            truth: faults.iter().map(|fault| fault.expected_root.clone()).collect(),
        })
    };
    if !only.is_empty() {
        return only.iter().map(|name| entry(name)).collect();
    }
    let mut names: Vec<String> = known.iter().map(|fault| fault.fault.clone()).collect();
    if !singles {
        names.extend(PAIRS.iter().map(|(one, other)| format!("{one}+{other}")));
        names.push(STARVED.to_owned());
    }
    names.iter().map(|name| entry(name)).collect()
}
