//! Order ids carry their shard: whoever has the id knows the database, and nobody keeps a table of it.

use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

/// The order id modulo this chooses the shard.
pub(crate) const SHARDS: usize = crate::catalog::SHARDS as usize;
/// 2026-01-01, so that ids stay below 2^53 and survive JavaScript for decades.
const EPOCH_MS: u64 = 1_767_225_600_000;
/// Instances of order-service that can make ids side by side.
const MAKERS: u64 = 32;
/// Ids a maker can make in one millisecond before it runs ahead of the clock.
const A_MILLISECOND: u64 = 32;

/// Makes ids that no other instance makes and that only grow.
pub(crate) struct Ids {
    maker: u64,
    last: AtomicU64,
}

impl Ids {
    pub(crate) fn new(instance_number: u8) -> Self {
        Self { maker: u64::from(instance_number) % MAKERS, last: AtomicU64::new(0) }
    }

    pub(crate) fn next(&self, shard: usize, unix_ms: u64) -> i64 {
        let earliest = unix_ms.saturating_sub(EPOCH_MS) * A_MILLISECOND;
        let step = |last: u64| earliest.max(last + 1);
        let before = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(step(last)));
        let tick = step(before.unwrap_or_default());
        ((tick * MAKERS + self.maker) * SHARDS as u64 + shard as u64).cast_signed()
    }
}

/// Where an order is.
pub(crate) fn shard_of(order: i64) -> usize {
    order.cast_unsigned() as usize % SHARDS
}

/// Where an order goes that has no id yet: a repeated request must come to the same database, which
/// knows it by its key.
pub(crate) fn shard_for(request: Uuid) -> usize {
    (request.as_u128() % SHARDS as u128) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const NOW: u64 = EPOCH_MS + 1_000_000_000;

    #[test]
    fn an_id_leads_back_to_its_shard() {
        let ids = Ids::new(1);
        for shard in 0..SHARDS {
            assert_eq!(shard_of(ids.next(shard, NOW)), shard);
        }
    }

    #[test]
    fn ids_are_unique_across_makers_also_when_the_clock_stands_still_or_goes_back() {
        let makers = [Ids::new(1), Ids::new(2)];
        let mut seen = HashSet::new();
        for round in 0..1000_u64 {
            for maker in &makers {
                assert!(seen.insert(maker.next(round as usize % SHARDS, NOW - round)));
            }
        }
    }

    #[test]
    fn ids_stay_exact_in_javascript_for_thirty_years() {
        let thirty_years = 30 * 366 * 86_400_000;
        assert!(Ids::new(31).next(3, EPOCH_MS + thirty_years) < (1 << 53));
    }

    #[test]
    fn a_repeated_request_goes_to_the_same_shard() {
        let request = Uuid::now_v7();
        assert_eq!(shard_for(request), shard_for(request));
    }
}
