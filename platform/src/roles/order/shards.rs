//! One of the four databases of orders: a primary that is written to, and a replica that answers what may be
//! a little late. Which of the two servers is the primary is asked of themselves, so that a promotion needs
//! nobody's restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::catalog::SHARDS;
use crate::plan::Instance;
use crate::roles::context::Context;
use crate::roles::failure::Failure;
use crate::roles::health::Ping;
use crate::roles::store::{Durability, PgStore};

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// One server of a shard.
struct Node {
    /// A commit waits until the replica has it, or until it is clear that it will not come soon.
    both: Arc<PgStore>,
    alone: Arc<PgStore>,
}

impl Node {
    fn new(context: &Context, instance: &Instance) -> Result<Self> {
        let store = |durability| PgStore::with(context, instance, &instance.name, durability);
        Ok(Self { both: store(Durability::Both)?, alone: store(Durability::Alone)? })
    }
}

pub(super) struct Shard {
    /// Of the server that was made as its primary.
    pub(super) name: String,
    nodes: [Node; 2],
    primary: AtomicUsize,
    /// The replica streams and has replayed what it got.
    replica_fits: AtomicBool,
}

/// What a server says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Primary,
    Replica { fits: bool },
    Silent,
}

impl Shard {
    pub(super) fn all(context: &Context) -> Result<Vec<Arc<Self>>> {
        (1..=SHARDS)
            .map(|number| {
                let mut of: Vec<&Instance> =
                    context.plan.of("order-db").filter(|one| one.shard() == Some(number)).collect();
                of.sort_by_key(|one| one.is_made_replica());
                let [first, second] = of[..] else {
                    anyhow::bail!("shard {number} has {} servers, not two", of.len())
                };
                Ok(Arc::new(Self {
                    name: first.name.clone(),
                    nodes: [Node::new(context, first)?, Node::new(context, second)?],
                    primary: AtomicUsize::new(0),
                    replica_fits: AtomicBool::new(false),
                }))
            })
            .collect::<Result<_>>()
            .context("cannot reach the orders")
    }

    fn node(&self, is_primary: bool) -> &Node {
        let primary = self.primary.load(Ordering::Relaxed);
        let [first, second] = &self.nodes;
        if (primary == 0) == is_primary { first } else { second }
    }

    /// For what must not be lost when the primary is: written on both servers while there are two.
    pub(super) fn writer(&self) -> &Arc<PgStore> {
        let node = self.node(true);
        if self.replica_fits.load(Ordering::Relaxed) { &node.both } else { &node.alone }
    }

    /// For what must be true now, and for what is written again when it is lost.
    pub(super) fn primary(&self) -> &Arc<PgStore> {
        &self.node(true).alone
    }

    /// For what may be a moment late. None while the replica is away or behind.
    pub(super) fn replica(&self) -> Option<&Arc<PgStore>> {
        self.replica_fits.load(Ordering::Relaxed).then(|| &self.node(false).alone)
    }

    pub(super) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => {}
            }
            let [first, second] = &self.nodes;
            let words = tokio::join!(ask(&first.alone), ask(&second.alone));
            let before = self.primary.load(Ordering::Relaxed);
            let (primary, fits) = judge(before, [words.0, words.1]);
            if primary != before {
                tracing::warn!("shard {}: {} is the primary now", self.name, self.node(false).alone.name);
            }
            self.primary.store(primary, Ordering::Relaxed);
            self.replica_fits.store(fits, Ordering::Relaxed);
        }
    }
}

/// Which is the primary, and whether the other one fits. A primary that is silent stays the primary: only
/// one that says so takes its place.
fn judge(before: usize, words: [Word; 2]) -> (usize, bool) {
    let primary = match words {
        [Word::Primary, Word::Primary] => before,
        [Word::Primary, _] => 0,
        [_, Word::Primary] => 1,
        _ => before,
    };
    let other = if primary == 0 { words[1] } else { words[0] };
    (primary, other == Word::Replica { fits: true })
}

async fn ask(store: &PgStore) -> Word {
    let answer: Result<(bool, bool), Failure> = store
        .probe(async {
            let mut connection = store.hold().await?;
            let row = sqlx::query_as(
                "SELECT pg_is_in_recovery(), pg_is_in_recovery()
                     AND EXISTS (SELECT FROM pg_stat_wal_receiver WHERE pid IS NOT NULL)
                     AND NOT pg_is_wal_replay_paused()
                     AND (pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
                         OR now() - pg_last_xact_replay_timestamp() < interval '2 seconds')",
            )
            .fetch_one(&mut *connection)
            .await?;
            connection.done();
            Ok(row)
        })
        .await;
    match answer {
        Ok((false, _)) => Word::Primary,
        Ok((true, fits)) => Word::Replica { fits },
        Err(_) => Word::Silent,
    }
}

impl Ping for Shard {
    /// Can orders be written here?
    async fn ping(&self) -> Result<(), Failure> {
        self.primary().ping().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIT: Word = Word::Replica { fits: true };
    const UNFIT: Word = Word::Replica { fits: false };

    #[test]
    fn the_primary_is_who_says_so_and_silence_changes_nothing() {
        assert_eq!(judge(0, [Word::Primary, FIT]), (0, true));
        assert_eq!(judge(0, [Word::Silent, FIT]), (0, true));
        assert_eq!(judge(0, [Word::Silent, Word::Primary]), (1, false));
        assert_eq!(judge(1, [UNFIT, Word::Primary]), (1, false));
        assert_eq!(judge(1, [FIT, Word::Primary]), (1, true));
        assert_eq!(judge(1, [Word::Primary, Word::Primary]), (1, false));
    }
}
