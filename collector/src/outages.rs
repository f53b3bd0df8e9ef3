//! A verdict taken apart into outages, and which incident an outage is. Pure.

use std::collections::BTreeSet;

use topology::level::{Health, Level};
use topology::model::{ComponentId, Model};
use topology::verdict::{Culprit, Suspect, Verdict};

use crate::incident::Incident;
use crate::incidents::Present;

/// The components of its roots.
pub(crate) fn root_components(model: &Model, verdict: &Verdict) -> BTreeSet<ComponentId> {
    verdict.roots.iter().filter_map(|root| root.culprit.component(model)).collect()
}

/// What it stands on.
pub(crate) fn roots_of(incident: &Incident) -> &[Suspect] {
    &incident.verdict.roots
}

/// True for a root in one of `components`.
pub(crate) fn in_components(model: &Model, root: &Suspect, components: &BTreeSet<ComponentId>) -> bool {
    root.culprit.component(model).is_some_and(|component| components.contains(&component))
}

/// The components an incident is about.
pub(crate) fn members(model: &Model, verdict: &Verdict) -> BTreeSet<ComponentId> {
    let roots = verdict.roots.iter().filter_map(|root| root.culprit.component(model));
    roots.chain(verdict.affected.iter().map(|affected| affected.component)).collect()
}

/// Splits the verdict into connected outages: roots of one component, or that share somebody affected.
pub(crate) fn groups(present: &Present<'_>) -> Vec<Verdict> {
    let verdict = present.verdict;
    let n = verdict.roots.len();
    let component = |i: usize| verdict.roots[i].culprit.component(present.model);
    // Affected components carry their nearest root only; who else reaches them shares them as well.
    let mut group: Vec<usize> = (0..n).collect();
    for i in 0..n {
        for j in 0..i {
            let shares = component(i) == component(j) || {
                let reach = |r: usize| -> BTreeSet<ComponentId> {
                    verdict.affected.iter().filter(|a| a.root == r).map(|a| a.component).collect()
                };
                let (a, b) = (reach(i), reach(j));
                verdict.affected.iter().any(|x| {
                    let from: BTreeSet<ComponentId> =
                        x.over.iter().map(|e| present.model.dependencies[e.index()].to).collect();
                    let touches = |r: usize, set: &BTreeSet<ComponentId>| {
                        x.root == r || from.iter().any(|c| set.contains(c) || Some(*c) == component(r))
                    };
                    touches(i, &a) && touches(j, &b)
                })
            };
            if shares {
                let (old, new) = (group[i].max(group[j]), group[i].min(group[j]));
                group.iter_mut().filter(|g| **g == old).for_each(|g| *g = new);
            }
        }
    }
    let mut out = Vec::new();
    for leader in 0..n {
        let roots: Vec<usize> = (0..n).filter(|i| group[*i] == leader).collect();
        if roots.is_empty() {
            continue;
        }
        let renumber = |root: usize| roots.iter().position(|r| *r == root);
        let own: Vec<Suspect> = roots.iter().map(|i| verdict.roots[*i].clone()).collect();
        let mut part = Verdict {
            affected: verdict
                .affected
                .iter()
                .filter_map(|a| {
                    renumber(a.root).map(|root| topology::verdict::Affected { root, ..a.clone() })
                })
                .collect(),
            explained: verdict.explained.iter().filter_map(|(id, r)| Some((*id, renumber(*r)?))).collect(),
            suspects: own.clone(),
            roots: own,
        };
        let inside = members(present.model, &part);
        let others = verdict.suspects.iter().skip(n).filter(|s| in_components(present.model, s, &inside));
        part.suspects.extend(others.cloned());
        out.push(part);
    }
    out
}

/// Takes roots out of a group; what they explained follows from the first that stays.
pub(crate) fn drop_roots(group: &mut Verdict, is_dropped: &dyn Fn(&Suspect) -> bool) {
    let mut kept = 0..;
    let places: Vec<usize> = group
        .roots
        .iter()
        .map(|root| if is_dropped(root) { 0 } else { kept.next().unwrap_or_default() })
        .collect();
    let place = |root: usize| places.get(root).copied().unwrap_or_default();
    group.affected.iter_mut().for_each(|affected| affected.root = place(affected.root));
    group.explained.iter_mut().for_each(|(_, root)| *root = place(*root));
    group.roots.retain(|root| !is_dropped(root));
    group.suspects.retain(|suspect| !is_dropped(suspect));
}

/// True when they have a root in common.
pub(crate) fn has_root_of(incident: &Incident, group: &Verdict) -> bool {
    group.roots.iter().any(|root| incident.verdict.roots.iter().any(|known| known.culprit == root.culprit))
}

/// The same outage: a root in common, or one's root among the other's affected.
pub(crate) fn same(present: &Present<'_>, incident: &Incident, group: &Verdict) -> bool {
    let root_components = |verdict: &Verdict| root_components(present.model, verdict);
    let (old, new) = (members(present.model, &incident.verdict), members(present.model, group));
    has_root_of(incident, group)
        || root_components(group).iter().any(|c| old.contains(c))
        || root_components(&incident.verdict).iter().any(|c| new.contains(c))
}

/// Anything red, or a component whose dependants get worse answers. A limit that comes near, or one slow
/// instance of several, is shown on the page and pages nobody.
pub(crate) fn worth_opening(present: &Present<'_>, group: &Verdict) -> bool {
    let impaired = |c: ComponentId| present.components[c.index()] == Health::Impaired;
    let way =
        |root: &Suspect| matches!(root.culprit, Culprit::Edge(_) | Culprit::Way { .. } | Culprit::Monitor);
    level_of(present, group) == Level::Red
        || members(present.model, group).into_iter().any(impaired)
        || group.roots.iter().any(way)
}

/// The worst level of its components; a single red instance makes an incident yellow or red as its
/// component is, and is red itself.
fn level_of(present: &Present<'_>, group: &Verdict) -> Level {
    let components = members(present.model, group).into_iter().map(|c| present.components[c.index()].level());
    let instances = group.roots.iter().filter_map(|root| match root.culprit {
        Culprit::Instance(id) => Some(present.instances[id.index()].level()),
        _ => None,
    });
    components.chain(instances).max_by_key(|level| level.rank()).unwrap_or(Level::Green)
}

/// The level people see: the worst component's.
pub(crate) fn shown_level(present: &Present<'_>, group: &Verdict) -> Level {
    let components = members(present.model, group).into_iter().map(|c| present.components[c.index()].level());
    components.max_by_key(|level| level.rank()).unwrap_or(Level::Yellow)
}
