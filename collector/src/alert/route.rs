//! Who is to know of an incident, by the routes of the file. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use topology::alerting::{Route, Scope};
use topology::level::{Health, Level};
use topology::model::{ComponentId, Model};
use topology::verdict::{Culprit, Verdict};

use crate::board::Board;
use crate::clock::between;
use crate::incident::Incident;

/// What the routes ask of an incident.
pub(crate) struct Facts<'a> {
    pub(crate) model: &'a Model,
    pub(crate) verdict: &'a Verdict,
    pub(crate) level: Level,
    /// Rolled-up levels by component.
    pub(crate) components: &'a [Health],
    /// The components whose error budget burns; none when nobody knows.
    pub(crate) burning: Option<&'a BTreeSet<String>>,
    /// When somebody was told first, while nobody has taken it on.
    pub(crate) unanswered_since: Option<Timestamp>,
    pub(crate) now: Timestamp,
}

/// A step that is taken unless somebody takes an incident on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalating {
    /// When.
    pub at: Timestamp,
    /// Who is told then.
    pub to: Vec<String>,
}

/// The steps that `incident` takes by the routes that hold at `now`, earliest first; `first_at` is when somebody was
/// told first.
pub fn escalations(
    board: &Board,
    incident: &Incident,
    burning: Option<&BTreeSet<String>>,
    first_at: Timestamp,
    now: Timestamp,
) -> Vec<Escalating> {
    let components: Vec<Health> = board.components.iter().map(|component| component.health).collect();
    let facts = Facts {
        model: &board.model,
        verdict: &incident.verdict,
        level: incident.level,
        components: &components,
        burning,
        unanswered_since: None,
        now,
    };
    let routes = board.model.alerting.routes.iter().filter(|route| holds(route, &facts));
    let steps = routes.flat_map(|route| &route.escalate).filter_map(|step| {
        let after = jiff::SignedDuration::try_from(step.after).ok()?;
        Some(Escalating { at: first_at.checked_add(after).ok()?, to: step.to.clone() })
    });
    let mut steps: Vec<Escalating> = steps.collect();
    steps.sort_by_key(|step| step.at);
    steps
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

/// The error budget of one of its components burns. When nobody knows that, a red component with an objective is enough:
/// better one call too many.
fn at_risk(facts: &Facts<'_>) -> bool {
    let members = members(facts);
    let spent = |c: ComponentId| {
        let burns = match facts.burning {
            Some(burning) => burning.contains(&facts.model.component(c).name),
            None => facts.components.get(c.index()) == Some(&Health::Red),
        };
        members.contains(&c) && burns
    };
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
