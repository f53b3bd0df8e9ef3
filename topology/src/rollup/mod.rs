//! Roll-up: instances to component by policy, dependency to dependant by strength.
//!
//! A least fixpoint over the chain green < at risk < impaired < red. Every rule is monotone (a worse
//! input never gives a better output), so a worklist that only ever raises levels ends, also on
//! cycles, and the order of work does not matter.
//!
//! What a dependency on a part, or of a part, means:
//!
//! - A dependency **on** a part (`to_part`) feels the level of these instances: the component's policy
//!   applied to them alone (one instance: its own level; only replicas: any one of them), and what the
//!   component as a whole inherits.
//! - A dependency **of** a part (`from_part`) is inherited by these instances only. An instance's level is
//!   the worst of its own and that, and it is this level that enters the component's policy: one of four
//!   replicas whose cache is gone is one replica lost. An instance in maintenance inherits nothing.
//! - Of **alternatives** (`one_of`) the best arrives: red only when all are red. When one of them is for a
//!   part only, each instance has its own choice.
//! - A component may need a part of itself: replicas their primary.

mod plan;
mod settle;
mod state;
mod tally;
#[cfg(test)]
mod tests;

use crate::graph::{DependencyId, Graph};
use crate::level::Health;
use crate::model::{Component, ComponentId, InstanceId, Model, Policy, Strength};

pub(crate) use plan::Plan;
pub use state::RollUp;
pub(crate) use tally::needed;
use tally::{Class, Form, SetTally};

/// What roll-up says of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolledUp {
    /// A component's: from the own levels of its instances, by its policy. An instance's: as observed.
    pub own: Health,
    /// The worst of own and inherited.
    pub health: Health,
    /// The worst that dependencies do to it; a component's: also through its instances, as far as that
    /// makes it worse than its own.
    pub inherited: Health,
    /// The dependencies that carry the inherited level; never in a circle. A component's may be those of
    /// its instances. Empty where the node is as bad by itself and only its own cycle says so too.
    pub inherited_from: Vec<DependencyId>,
}

/// What of a dependency's level arrives at its dependant.
///
/// At risk stays where it is. Yellow through `optional` and `async` is at risk and ends there.
pub const fn transfer(strength: Strength, health: Health) -> Health {
    match (strength, health) {
        (Strength::Required, Health::Red) => Health::Red,
        (Strength::Required, Health::Impaired) => Health::Impaired,
        (Strength::Optional | Strength::Async, Health::Red) => Health::AtRisk,
        _ => Health::Green,
    }
}

/// The own level of a component from the levels of its instances.
///
/// `health_of` and `role_of` are asked by index of instance; a role is the one last seen, else the label.
pub fn own_health(
    model: &Model,
    component: &Component,
    health_of: impl Fn(usize) -> Health,
    role_of: impl Fn(usize) -> Option<&'static str>,
) -> Health {
    count(model, component, health_of, role_of).level()
}

/// How a component's level is felt by its dependants, where that differs from the level shown: with some
/// shards lost the component is red and its dependants are impaired; only when all are lost do they go red.
pub fn felt(
    model: &Model,
    component: &Component,
    shown: Health,
    health_of: impl Fn(usize) -> Health,
    role_of: impl Fn(usize) -> Option<&'static str>,
) -> Health {
    count(model, component, health_of, role_of).felt_as(shown)
}

fn count(
    model: &Model,
    component: &Component,
    health_of: impl Fn(usize) -> Health,
    role_of: impl Fn(usize) -> Option<&'static str>,
) -> SetTally {
    let members: Vec<InstanceId> = component.instance_ids().collect();
    let shards = plan::shards(model, component.policy, &members);
    let lost = shards.iter().max().filter(|_| component.policy == Policy::Shards);
    let mut tally = SetTally::new(component.policy, Form::Whole, lost.map_or(0, |last| *last as usize + 1));
    for (id, shard) in members.into_iter().zip(shards) {
        let labels = &model.instance(id).labels;
        let replica =
            role_of(id.index()).map_or_else(|| plan::is_replica_by_label(labels), |role| role == "replica");
        tally.add(shard, Class::of(health_of(id.index()), 0), replica);
    }
    tally
}

/// The levels of all components from the own levels of all instances; see [`RollUp::new`].
pub fn roll_up(
    graph: &Graph,
    health_of: impl Fn(usize) -> Health,
    role_of: impl Fn(usize) -> Option<&'static str>,
    broken: &[DependencyId],
) -> Vec<RolledUp> {
    let state = RollUp::new(graph, health_of, role_of, broken);
    (0..graph.component_count() as u32).map(|id| state.component(ComponentId(id))).collect()
}
