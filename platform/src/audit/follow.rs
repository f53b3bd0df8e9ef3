//! What became of every order: a pure judgement over what was read.

use std::collections::{BTreeSet, HashMap, HashSet};

/// An order as its shard has it.
#[derive(Clone, Debug)]
pub(super) struct InShard {
    pub(super) request: String,
    pub(super) is_ready: bool,
    pub(super) code: Option<String>,
    /// From acceptance to ready.
    pub(super) took_ms: Option<i64>,
}

/// An order as the OMS has it.
#[derive(Clone, Debug)]
pub(super) struct AtOms {
    pub(super) code: Option<String>,
}

/// Everything that was read in one round.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Told to a client.
    pub(super) accepted: HashSet<i64>,
    pub(super) shards: HashMap<i64, InShard>,
    pub(super) outbox: HashSet<i64>,
    pub(super) oms: HashMap<i64, AtOms>,
    /// How often a kitchen took each order.
    pub(super) takes: HashMap<i64, u32>,
    /// How often each order was paid.
    pub(super) payments: HashMap<i64, i64>,
    /// Whatever should be there once and is there more often, in words.
    pub(super) repeated: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) id: i64,
    pub(super) words: String,
}

#[derive(Debug, Default)]
pub(super) struct Judgement {
    pub(super) orders: usize,
    /// Not ready: where each was last seen.
    pub(super) waiting: Vec<Finding>,
    pub(super) doubled: Vec<Finding>,
    pub(super) late: Vec<Finding>,
}

impl Facts {
    /// Every order that there is or should be.
    pub(super) fn orders(&self) -> BTreeSet<i64> {
        self.accepted.iter().chain(self.shards.keys()).copied().collect()
    }

    /// Where an order is that is not ready.
    fn whereabouts(&self, id: i64) -> Option<String> {
        let words = match self.shards.get(&id) {
            None => "not in its shard",
            Some(order) if order.is_ready && order.code.is_some() => {
                // A client was told that it is paid.
                let unpaid = self.accepted.contains(&id) && !self.payments.contains_key(&id);
                return unpaid.then(|| "ready, and there is no payment".to_owned());
            }
            Some(_) if self.outbox.contains(&id) => "in the outbox",
            Some(_) => match (self.oms.get(&id), self.takes.get(&id)) {
                (None, _) => "on the queue, not at the OMS",
                (Some(_), None) => "at the OMS, not taken by its store",
                (Some(_), Some(_)) => "taken by its store, no pickup code at the shard",
            },
        };
        Some(words.to_owned())
    }

    /// About these orders; they were fixed when the audit began, as new ones come all the time.
    pub(super) fn judge(&self, orders: &BTreeSet<i64>, late_ms: i64) -> Judgement {
        let mut judgement = Judgement { orders: orders.len(), ..Judgement::default() };
        let mut by_request: HashMap<&str, i64> = HashMap::new();
        for &id in orders {
            if let Some(words) = self.whereabouts(id) {
                judgement.waiting.push(Finding { id, words });
            }
            let Some(order) = self.shards.get(&id) else { continue };
            let mut twice = |words: String| judgement.doubled.push(Finding { id, words });
            if let Some(first) = by_request.insert(&order.request, id) {
                twice(format!("the same request made order {first}, too"));
            }
            if let Some(takes) = self.takes.get(&id).filter(|takes| **takes > 1) {
                twice(format!("taken {takes} times by its store"));
            }
            if let Some(payments) = self.payments.get(&id).filter(|payments| **payments > 1) {
                twice(format!("paid {payments} times"));
            }
            let at_oms = self.oms.get(&id).and_then(|at_oms| at_oms.code.as_ref());
            if let (Some(one), Some(other)) = (&order.code, at_oms)
                && one != other
            {
                twice(format!("has two pickup codes, {one} and {other}"));
            }
            if let Some(took) = order.took_ms.filter(|took| *took > late_ms) {
                let words = format!("ready after {:.1} s", took as f64 / 1e3);
                judgement.late.push(Finding { id, words });
            }
        }
        for words in &self.repeated {
            judgement.doubled.push(Finding { id: 0, words: words.clone() });
        }
        judgement
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(request: &str) -> InShard {
        InShard {
            request: request.to_owned(),
            is_ready: true,
            code: Some("A0001".to_owned()),
            took_ms: Some(4000),
        }
    }

    fn sound() -> Facts {
        Facts {
            accepted: [1, 2].into(),
            shards: [(1, ready("a")), (2, ready("b"))].into(),
            oms: [1, 2].map(|id| (id, AtOms { code: Some("A0001".to_owned()) })).into(),
            takes: [(1, 1), (2, 1)].into(),
            payments: [(1, 1), (2, 1)].into(),
            ..Facts::default()
        }
    }

    fn judged(facts: &Facts) -> Judgement {
        facts.judge(&facts.orders(), 30_000)
    }

    #[test]
    fn orders_that_went_all_the_way_are_neither_waiting_nor_doubled_nor_late() {
        let judgement = judged(&sound());
        assert_eq!(judgement.orders, 2);
        assert!(judgement.waiting.is_empty() && judgement.doubled.is_empty() && judgement.late.is_empty());
    }

    #[test]
    fn an_order_that_is_missing_is_found_where_it_was_last() {
        let mut facts = sound();
        facts.accepted.insert(3);
        facts.shards.insert(4, InShard { is_ready: false, code: None, took_ms: None, ..ready("d") });
        facts.outbox.insert(4);
        facts.payments.remove(&2);
        let waiting: Vec<_> =
            judged(&facts).waiting.into_iter().map(|found| (found.id, found.words)).collect();
        assert_eq!(
            waiting,
            [
                (2, "ready, and there is no payment".to_owned()),
                (3, "not in its shard".to_owned()),
                (4, "in the outbox".to_owned()),
            ]
        );
        facts.outbox.clear();
        assert_eq!(judged(&facts).waiting[2].words, "on the queue, not at the OMS");
    }

    #[test]
    fn whatever_happened_twice_is_found() {
        let mut facts = sound();
        facts.takes.insert(1, 2);
        facts.payments.insert(1, 2);
        facts.oms.insert(1, AtOms { code: Some("B0002".to_owned()) });
        facts.shards.insert(2, InShard { took_ms: Some(31_000), ..ready("a") });
        facts.repeated.push("a coupon".to_owned());
        let judgement = judged(&facts);
        assert_eq!(judgement.doubled.len(), 5, "{:?}", judgement.doubled);
        assert_eq!(judgement.late, [Finding { id: 2, words: "ready after 31.0 s".to_owned() }]);
    }
}
