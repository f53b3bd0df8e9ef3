//! Who is to know of an incident, by the routes of the file. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use topology::alerting::{Route, Scope};
use topology::level::{Health, Level};
use topology::model::{ComponentId, Model};
use topology::verdict::{Culprit, Verdict};

use crate::clock::between;

/// What the routes ask of an incident.
pub(crate) struct Facts<'a> {
    pub(crate) model: &'a Model,
    pub(crate) verdict: &'a Verdict,
    pub(crate) level: Level,
    /// Rolled-up levels by component.
    pub(crate) components: &'a [Health],
    /// When somebody was told first, while nobody has taken it on.
    pub(crate) unanswered_since: Option<Timestamp>,
    pub(crate) now: Timestamp,
}

/// The receivers that are to know of it now.
pub(crate) fn wanted(facts: &Facts<'_>) -> BTreeSet<String> {
    let alerting = &facts.model.alerting;
    if alerting.routes.is_empty() {
        let names = alerting.receivers.iter().map(|receiver| &receiver.name);
        return names.filter(|name| !alerting.is_fallback(name)).cloned().collect();
    }
    let mut wanted = BTreeSet::new();
    for route in alerting.routes.iter().filter(|route| holds(route, facts)) {
        wanted.extend(route.to.iter().cloned());
        let unanswered: Option<Duration> = facts.unanswered_since.map(|since| between(since, facts.now));
        for step in route.escalate.iter().filter(|step| unanswered.is_some_and(|for_| for_ >= step.after)) {
            wanted.extend(step.to.iter().cloned());
        }
    }
    wanted
}

fn holds(route: &Route, facts: &Facts<'_>) -> bool {
    route.level.is_none_or(|least| facts.level.rank() >= least.rank())
        && route.hours.as_ref().is_none_or(|hours| hours.covers(facts.now))
        && (!route.objective_at_risk || at_risk(facts))
        && in_scope(&route.when, facts)
}

/// A component with an objective is red: its error budget is being spent.
fn at_risk(facts: &Facts<'_>) -> bool {
    let members = members(facts);
    let spent = |c: ComponentId| members.contains(&c) && facts.components[c.index()] == Health::Red;
    facts.model.objectives.iter().any(|objective| spent(objective.component))
}

fn members(facts: &Facts<'_>) -> BTreeSet<ComponentId> {
    let roots = facts.verdict.roots.iter().filter_map(|root| root.culprit.component(facts.model));
    roots.chain(facts.verdict.affected.iter().map(|affected| affected.component)).collect()
}

/// One of its roots or of the affected is in scope. What is of no node (a blind monitor) is everybody's.
fn in_scope(scope: &Scope, facts: &Facts<'_>) -> bool {
    let model = facts.model;
    let mut of_no_node = facts.verdict.affected.is_empty();
    for root in &facts.verdict.roots {
        let inside = match root.culprit {
            Culprit::Instance(id) => scope.has_instance(model, id),
            Culprit::Label(label) => label.instances(model).any(|id| scope.has_instance(model, id)),
            culprit => match culprit.component(model) {
                Some(component) => scope.touches(model, component),
                None => continue,
            },
        };
        if inside {
            return true;
        }
        of_no_node = false;
    }
    of_no_node || facts.verdict.affected.iter().any(|affected| scope.touches(model, affected.component))
}
