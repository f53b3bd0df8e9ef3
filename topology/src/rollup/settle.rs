//! The work of the roll-up: what changed is brought to the least fixpoint again.
//!
//! Nodes are worked off by rank, what is needed first, so that outside cycles each is computed once and a
//! change that makes no difference stops there. On a cycle a level may hold itself up (a is red for b is,
//! and b for a is), so each node keeps *since when* it has been at least at risk, impaired and red. When
//! something gets better, every such level is asked again what held it up **at that time**; what came
//! later does not count. What nothing holds up falls, and takes along what came after it. Then levels rise
//! again from what is left. The same times say whom a level was inherited from, never in a circle.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::plan::NodeNo;
use super::state::{NEVER, RollUp};

impl RollUp {
    pub(super) fn run(&mut self) {
        while let Some(Reverse((rank, _))) = self.queue.peek() {
            let rank = *rank;
            let mut dirty = Vec::new();
            while let Some(Reverse((_, node))) = self.queue.peek().copied().filter(|next| next.0.0 == rank) {
                self.queue.pop();
                self.queued[node as usize] = false;
                dirty.push(node);
            }
            self.settle(rank, dirty);
        }
    }

    /// Brings the nodes of one rank to their least fixpoint; the inputs of `dirty` have changed.
    fn settle(&mut self, rank: u32, dirty: Vec<NodeNo>) {
        self.settling = Some(rank);
        let fallen = self.fall(rank, &dirty);
        let mut work: VecDeque<NodeNo> = dirty.into_iter().chain(fallen).collect();
        while let Some(node) = work.pop_front() {
            let level = self.evaluate(node, NEVER);
            if level > self.level(node) {
                self.rise(node, level);
                self.each_dependant(node, |state, dependant| {
                    if state.plan.rank[dependant as usize] == rank {
                        work.push_back(dependant);
                    }
                });
            }
        }
        self.settling = None;
    }

    fn rise(&mut self, node: NodeNo, level: u8) {
        self.clock += 1;
        let mut since = self.since[node as usize];
        for at in since.iter_mut().take(usize::from(level)).filter(|at| **at == NEVER) {
            *at = self.clock;
        }
        self.set_since(node, since);
    }

    /// Takes away every level that nothing held up when it was reached; oldest first, so that what holds
    /// another up is judged before it.
    fn fall(&mut self, rank: u32, dirty: &[NodeNo]) -> Vec<NodeNo> {
        // Of levels reached at once the worst is judged first.
        let mut asked: BinaryHeap<Reverse<(u64, NodeNo, Reverse<usize>)>> = BinaryHeap::new();
        let ask = |state: &Self, node: NodeNo, after: u64, asked: &mut BinaryHeap<_>| {
            for (i, since) in state.since[node as usize].into_iter().enumerate() {
                if since != NEVER && since > after {
                    asked.push(Reverse((since, node, Reverse(i))));
                }
            }
        };
        for node in dirty {
            ask(self, *node, 0, &mut asked);
        }
        let mut fallen = Vec::new();
        while let Some(question) = asked.pop() {
            let Reverse((time, node, Reverse(i))) = question;
            // Taken away meanwhile, or asked twice: equal ones come one after the other.
            if self.since[node as usize][i] != time || asked.peek() == Some(&question) {
                continue;
            }
            if usize::from(self.evaluate(node, time)) > i {
                continue;
            }
            // It may have been held up since it got even worse.
            let mut since = self.since[node as usize];
            since[i] = since.get(i + 1).copied().unwrap_or(NEVER);
            let later = since[i];
            self.set_since(node, since);
            if later != NEVER {
                asked.push(Reverse((later, node, Reverse(i))));
            }
            fallen.push(node);
            self.each_dependant(node, |state, dependant| {
                if state.plan.rank[dependant as usize] == rank {
                    ask(state, dependant, time, &mut asked);
                }
            });
        }
        fallen
    }
}
