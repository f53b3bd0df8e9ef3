//! What simpler rules would have said of the same board: the peers' ways, given every benefit of the doubt (a
//! component or any of its bad instances counts as named).

use std::collections::{BTreeMap, BTreeSet};

use crate::board::Board;

/// One root of a simple rule: every name it may pass under.
pub(crate) type Named = BTreeSet<String>;

/// The rules, in the order of the table.
pub(crate) const NAMES: [&str; 3] = ["deepest red", "declared parent", "first red"];

/// What each of [`NAMES`] says; `first` is the instance that was bad first.
pub(crate) fn all(board: &Board, first: Option<&str>) -> [Vec<Named>; 3] {
    let bad = Bad::of(board);
    let deepest = bad.components().max_by_key(|name| (depth(board, name), std::cmp::Reverse(*name)));
    let parents = bad.components().filter(|name| !bad.parent_is_down(board, name));
    let first_red = first.and_then(|name| bad.component_of(board, name));
    [
        deepest.map(|name| bad.named(name)).into_iter().collect(),
        parents.map(|name| bad.named(name)).collect(),
        first_red.map(|name| bad.named(&name)).into_iter().collect(),
    ]
}

/// The bad instances of each component: the red ones, or where none is red the yellow ones.
struct Bad {
    of: BTreeMap<String, BTreeSet<String>>,
    counts: BTreeMap<String, usize>,
}

impl Bad {
    fn of(board: &Board) -> Self {
        let any_red = board.instances.iter().any(|one| one.level == "red");
        let wanted = if any_red { "red" } else { "yellow" };
        let mut bad = Self { of: BTreeMap::new(), counts: BTreeMap::new() };
        for one in &board.instances {
            *bad.counts.entry(one.component.clone()).or_default() += 1;
            if one.level == wanted {
                bad.of.entry(one.component.clone()).or_default().insert(one.name.clone());
            }
        }
        bad
    }

    fn components(&self) -> impl Iterator<Item = &String> {
        self.of.keys()
    }

    fn component_of(&self, board: &Board, instance: &str) -> Option<String> {
        let name = &board.instances.iter().find(|one| one.name == instance)?.component;
        self.of.contains_key(name).then(|| name.clone())
    }

    /// A parent is down when all its instances are (a redundancy group), as Icinga and Nagios have it.
    fn parent_is_down(&self, board: &Board, name: &str) -> bool {
        let Some(component) = board.components.iter().find(|one| one.name == name) else { return false };
        component.depends_on.iter().any(|dependency| {
            let down = self.of.get(&dependency.on).map_or(0, BTreeSet::len);
            down > 0 && self.counts.get(&dependency.on) == Some(&down)
        })
    }

    fn named(&self, component: &str) -> Named {
        let mut names = self.of.get(component).cloned().unwrap_or_default();
        names.insert(component.to_owned());
        names
    }
}

/// The longest way from anybody who depends on it.
fn depth(board: &Board, name: &str) -> usize {
    fn above(board: &Board, name: &str, path: &mut Vec<String>) -> usize {
        if path.iter().any(|seen| seen == name) {
            return 0;
        }
        path.push(name.to_owned());
        let callers = board.components.iter().filter(|one| one.depends_on.iter().any(|d| d.on == name));
        let longest = callers.map(|one| 1 + above(board, &one.name, path)).max().unwrap_or(0);
        path.pop();
        longest
    }
    above(board, name, &mut Vec::new())
}

/// Whether the first, and whether all of them and no other, are right.
pub(crate) fn judge(roots: &[Named], truth: &[Vec<String>]) -> (bool, bool) {
    let hit = |root: &Named, accepted: &Vec<String>| accepted.iter().any(|name| root.contains(name));
    let top1 = roots.first().is_some_and(|root| truth.iter().any(|accepted| hit(root, accepted)));
    let exact = roots.len() == truth.len()
        && truth.iter().all(|accepted| roots.iter().any(|root| hit(root, accepted)))
        && roots.iter().all(|root| truth.iter().any(|accepted| hit(root, accepted)));
    (top1, exact)
}
