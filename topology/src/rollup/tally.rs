//! Policies over counts: how many instances are at which level decides, never which ones. So a change of
//! one instance among thousands costs the same as among two.

use crate::level::Health;
use crate::model::Policy;

/// What an instance counts as.
///
/// Nobody knows how an instance out of sight is, so it is left out, and what it inherits is counted
/// separately: see [`SetTally::level`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class(u8);

const UNSEEN: usize = 4;
const PAUSED: usize = 8;
const CLASSES: usize = 9;

impl Class {
    /// The class of an instance with its own level and what it inherits. Maintenance inherits nothing.
    pub(super) const fn of(own: Health, inherited: u8) -> Self {
        Self(match own {
            Health::Paused => PAUSED as u8,
            Health::Unknown => UNSEEN as u8 + inherited,
            _ if own.severity() > inherited => own.severity(),
            _ => inherited,
        })
    }
}

/// How many instances count as what.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    all: [u32; CLASSES],
    /// Those of them that are not replicas.
    primaries: [u32; CLASSES],
}

impl Tally {
    fn shift(&mut self, class: Class, replica: bool, by: i32) {
        let i = usize::from(class.0);
        self.all[i] = self.all[i].wrapping_add_signed(by);
        if !replica {
            self.primaries[i] = self.primaries[i].wrapping_add_signed(by);
        }
    }

    fn watched(&self) -> u32 {
        self.all[..UNSEEN].iter().sum()
    }

    fn unseen(&self) -> u32 {
        self.all[UNSEEN..PAUSED].iter().sum()
    }

    /// Out of sight, and in trouble all the same, for what they need is.
    fn inheriting(&self) -> u32 {
        self.all[UNSEEN + 1..PAUSED].iter().sum()
    }
}

/// How many are at which of the four levels.
type Levels = [u32; 4];

fn seen(counts: &[u32; CLASSES]) -> Levels {
    [counts[0], counts[1], counts[2], counts[3]]
}

/// The same with those out of sight as green, but for what they inherit.
fn presumed(counts: &[u32; CLASSES]) -> Levels {
    std::array::from_fn(|i| counts[i] + counts[UNSEEN + i])
}

/// The best level that somebody has.
fn best(levels: Levels) -> Option<Health> {
    CHAIN.into_iter().zip(levels).find_map(|(health, count)| (count > 0).then_some(health))
}

/// The levels by severity.
pub(super) const CHAIN: [Health; 4] = [Health::Green, Health::AtRisk, Health::Impaired, Health::Red];

/// What a set of instances is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// All of a component.
    Whole,
    /// Some of them: the policy is applied to these alone.
    Part,
    /// One: its own level, whatever the policy.
    One,
}

/// The counts of a set of instances, and what its policy says of them.
#[derive(Clone, Debug)]
pub(super) struct SetTally {
    policy: Policy,
    form: Form,
    total: Tally,
    /// Policy `shards` only: the counts of each shard, and how many shards are how bad (the fifth: unseen).
    shards: Vec<Tally>,
    shard_levels: [u32; 5],
}

impl SetTally {
    /// An empty set with `shards` shards (0 for the other policies).
    pub(super) fn new(policy: Policy, form: Form, shards: usize) -> Self {
        let shards = vec![Tally::default(); if form == Form::One { 0 } else { shards }];
        let shard_levels = [0, 0, 0, 0, shards.len() as u32];
        Self { policy, form, total: Tally::default(), shards, shard_levels }
    }

    /// One more instance.
    pub(super) fn add(&mut self, shard: u32, class: Class, replica: bool) {
        self.shift(shard, class, replica, 1);
    }

    /// One instance less.
    pub(super) fn take(&mut self, shard: u32, class: Class, replica: bool) {
        self.shift(shard, class, replica, -1);
    }

    fn shift(&mut self, shard: u32, class: Class, replica: bool, by: i32) {
        self.total.shift(class, replica, by);
        if let Some(tally) = self.shards.get_mut(shard as usize) {
            let before = shard_level(tally);
            tally.shift(class, replica, by);
            let after = shard_level(tally);
            self.shard_levels[before] -= 1;
            self.shard_levels[after] += 1;
        }
    }

    /// The level shown.
    ///
    /// Instances out of sight do not count; but what they inherit is certain. So the policy is asked twice,
    /// without them and, where one of them inherits, with them as green but for that; the worse holds. (Once
    /// would not do: a slow instance more among known red ones would make a better level.)
    pub(super) fn level(&self) -> Health {
        let (watched, unseen) = (self.total.watched(), self.total.unseen());
        if watched == 0 && self.total.inheriting() == 0 {
            let paused = self.total.all[PAUSED] > 0 && unseen == 0;
            return if paused { Health::Paused } else { Health::Unknown };
        }
        let mut health = Health::Unknown;
        if watched > 0 {
            health = self.judge(seen(&self.total.all), seen(&self.total.primaries));
        }
        if self.total.inheriting() > 0 {
            health = health.worse(self.judge(presumed(&self.total.all), presumed(&self.total.primaries)));
        }
        // Mostly unseen and nothing wrong with the rest: that is not a green.
        if health == Health::Green && unseen > watched { Health::Unknown } else { health }
    }

    /// What the dependants feel of it: of shards, impaired while some are lost and red only when all are.
    pub(super) fn felt(&self) -> Health {
        self.felt_as(self.level())
    }

    /// The same, of a level that may be worse than the counts say.
    pub(super) fn felt_as(&self, shown: Health) -> Health {
        let shards = self.shards.len() as u32;
        if shown == Health::Red && shards > 0 && self.shard_levels[3] < shards {
            Health::Impaired
        } else {
            shown
        }
    }

    fn judge(&self, all: Levels, primaries: Levels) -> Health {
        let watched: u32 = all.iter().sum();
        let (alive, good, all_green) = (watched - all[3], all[0] + all[1], all[0] == watched);
        let at_best = if all_green { Health::Green } else { Health::AtRisk };
        if self.form == Form::One {
            return best(all).unwrap_or(Health::Unknown);
        }
        match self.policy {
            Policy::Replicas { min_healthy } => {
                let needed = needed(min_healthy, watched);
                if alive < needed {
                    Health::Red
                } else if good < needed {
                    Health::Impaired
                } else {
                    at_best
                }
            }
            // Red while any is lost; what the dependants feel of it is `felt`'s matter.
            Policy::Shards => {
                (0..4).rev().find(|i| self.shard_levels[*i] > 0).map_or(Health::Green, |i| CHAIN[i])
            }
            Policy::PrimaryReplica => match best(primaries) {
                // Who cannot be seen may be the primary.
                None if self.total.unseen() > 0 => Health::Unknown,
                // A part of replicas only: who reads from them needs any one.
                None if self.form == Form::Part && self.total.primaries.iter().all(|count| *count == 0) => {
                    any(alive, good, at_best)
                }
                None | Some(Health::Red) => Health::Red,
                Some(Health::Impaired) => Health::Impaired,
                Some(_) => at_best,
            },
            Policy::Any => any(alive, good, at_best),
            Policy::Standby => at_best,
        }
    }
}

fn any(alive: u32, good: u32, at_best: Health) -> Health {
    if alive == 0 {
        Health::Red
    } else if good == 0 {
        Health::Impaired
    } else {
        at_best
    }
}

/// How many of `watched` must be well: rounded up (60 % of 3 are 2), and one copy is always needed.
pub(crate) fn needed(min_healthy: f64, watched: u32) -> u32 {
    ((min_healthy * f64::from(watched)) - 1e-9).ceil().max(1.0) as u32
}

/// Index into [`CHAIN`]; 4 when nothing is known of the shard.
///
/// A shard is served by its primary; replicas only keep it safe.
fn shard_level(tally: &Tally) -> usize {
    let serve = |all: Levels, primaries: Levels| {
        let best = best(primaries).or(best(all))?;
        let whole = all[1..].iter().all(|count| *count == 0);
        Some(if best == Health::Green && !whole { Health::AtRisk } else { best })
    };
    let mut level = serve(seen(&tally.all), seen(&tally.primaries));
    if tally.inheriting() > 0 {
        let with = serve(presumed(&tally.all), presumed(&tally.primaries));
        level = [level, with].into_iter().flatten().reduce(Health::worse);
    }
    level.map_or(4, |health| usize::from(health.severity()))
}
