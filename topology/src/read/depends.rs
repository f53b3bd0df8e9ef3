//! `depends_on`: what a component, or some of its instances, needs; all of it, a part of it, or one of several.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::Reader;
use super::common::read_labels;
use crate::decode::{Context, Fields, shortened};
use crate::diagnostic::Place;
use crate::model::{ComponentId, Dependency, InstanceId, Strength};
use crate::yaml::{Node, Value};

/// Dependencies in all, and instances named in them in all, at most.
const MAX_DEPENDENCIES: usize = 100_000;
const MAX_PARTS: usize = 1_000_000;

/// Comparisons of dependencies between the same two components, at most: some 6,000 of them.
const MAX_COMPARED: usize = 20_000_000;

/// Which instances of a component are meant.
#[derive(Clone, Debug)]
pub(super) enum Selection {
    /// The component as a whole.
    All,
    /// These: what stands inside an instance's entry is meant for that one.
    These(Vec<InstanceId>),
    /// As written: numbers, ranges of numbers, names.
    Words(Vec<(String, Place)>),
    /// Those with these labels.
    Labels(BTreeMap<String, String>, Place),
}

/// A dependency as written, before its targets are known to exist.
pub(super) struct Wanted {
    from: ComponentId,
    from_part: Selection,
    targets: Vec<Target>,
    one_of: bool,
    strength: Strength,
    /// Instances need those with the same value of this label.
    matching: Option<(String, Place)>,
}

struct Target {
    name: String,
    place: Place,
    part: Selection,
}

impl Reader<'_> {
    pub(super) fn depends_on(
        &mut self,
        from: ComponentId,
        from_part: &Selection,
        node: &Node,
        cx: &mut Context<'_>,
    ) {
        let Value::List(items) = &node.value else {
            cx.expected(node, "`depends_on` is a list of components, such as `[order-db]`");
            return;
        };
        for item in items {
            if self.wanted.len() >= MAX_DEPENDENCIES {
                cx.diagnostics.error(item.place, format!("more than {MAX_DEPENDENCIES} dependencies in all"));
                return;
            }
            self.wanted.extend(read_wanted(from, from_part, item, cx));
        }
    }
}

fn read_wanted(
    from: ComponentId,
    from_part: &Selection,
    item: &Node,
    cx: &mut Context<'_>,
) -> Option<Wanted> {
    let mut wanted = Wanted {
        from,
        from_part: from_part.clone(),
        targets: Vec::new(),
        one_of: false,
        strength: Strength::Required,
        matching: None,
    };
    if !matches!(item.value, Value::Map(_)) {
        wanted.targets.extend(read_target(item, cx));
        return Some(wanted);
    }
    let mut fields = Fields::of(item, "a dependency", cx)?;
    let on = fields.take("on");
    let one_of = fields.take("one_of");
    let instances = fields.take("instances");
    if let Some(strength) = fields.take("strength").and_then(|node| read_strength(node, cx)) {
        wanted.strength = strength;
    }
    if let Some(node) = fields.take("from") {
        match (from_part, read_selection(node, "`from`", cx)) {
            (Selection::These(_), _) => {
                cx.diagnostics
                    .error(fields.key_place("from"), "`from` inside an instance's entry")
                    .help("what stands there is that instance's dependency already");
            }
            (_, Some(part)) => wanted.from_part = part,
            (_, None) => {}
        }
    }
    wanted.matching = fields.take("match").and_then(|node| Some((cx.text(node, "`match`")?, node.place)));
    let place_of_instances = fields.key_place("instances");
    fields.finish("a dependency", cx);
    match (on, one_of) {
        (Some(on), None) => {
            let part = match instances {
                Some(node) => read_selection(node, "`instances`", cx)?,
                None => Selection::All,
            };
            wanted.targets.push(Target { name: cx.text(on, "`on`")?, place: on.place, part });
        }
        (None, Some(group)) => {
            if instances.is_some() {
                cx.diagnostics
                    .error(place_of_instances, "`instances` beside `one_of`")
                    .help("write `{ one_of: [{ on: a, instances: [1] }, b] }`");
            }
            wanted.one_of = true;
            wanted.targets = read_group(group, cx)?;
        }
        (Some(_), Some(_)) => {
            cx.diagnostics
                .error(item.place, "a dependency has `on` or `one_of`, not both")
                .help("write two entries");
            return None;
        }
        (None, None) => {
            cx.diagnostics
                .error(item.place, "a dependency needs `on`")
                .help("write `{ on: order-mq, strength: async }`, or `{ one_of: [a, b] }`");
            return None;
        }
    }
    Some(wanted)
}

fn read_group(node: &Node, cx: &mut Context<'_>) -> Option<Vec<Target>> {
    let Value::List(items) = &node.value else {
        cx.expected(node, "`one_of` is a list of components, such as `[telecom, mobile]`");
        return None;
    };
    if items.is_empty() {
        cx.diagnostics.error(node.place, "`one_of` is an empty list").help("name at least two");
        return None;
    }
    if items.len() == 1 {
        cx.diagnostics.warning(node.place, "`one_of` has one member").help("name the others, or write `on`");
    }
    Some(items.iter().filter_map(|item| read_target(item, cx)).collect())
}

/// A target: a name, or `{ on, instances }`.
fn read_target(item: &Node, cx: &mut Context<'_>) -> Option<Target> {
    if !matches!(item.value, Value::Map(_)) {
        let name = cx.text(item, "a dependency")?;
        return Some(Target { name, place: item.place, part: Selection::All });
    }
    let mut fields = Fields::of(item, "a member of `one_of`", cx)?;
    let on = fields.take("on");
    let part = match fields.take("instances") {
        Some(node) => read_selection(node, "`instances`", cx).unwrap_or(Selection::All),
        None => Selection::All,
    };
    for (key, place) in ["strength", "from", "match"].map(|key| (key, fields.key_place(key))) {
        if fields.take(key).is_some() {
            cx.diagnostics
                .error(place, format!("`{key}` inside `one_of`"))
                .help(format!("it belongs to the group: `{{ one_of: […], {key}: … }}`"));
        }
    }
    fields.finish("a member of `one_of`", cx);
    let Some(on) = on else {
        cx.diagnostics.error(item.place, "a member of `one_of` needs `on`");
        return None;
    };
    Some(Target { name: cx.text(on, "`on`")?, place: on.place, part })
}

fn read_strength(node: &Node, cx: &mut Context<'_>) -> Option<Strength> {
    let word = cx.text(node, "`strength`")?;
    let found =
        [Strength::Required, Strength::Optional, Strength::Async].into_iter().find(|s| s.as_str() == word);
    if found.is_none() {
        cx.unknown_word(node.place, "unknown strength", &word, &["required", "optional", "async"]);
    }
    found
}

fn read_selection(node: &Node, what: &str, cx: &mut Context<'_>) -> Option<Selection> {
    let items = match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            return Some(Selection::Labels(read_labels(node, cx), node.place));
        }
        Value::List(items) if !items.is_empty() => items.as_slice(),
        Value::Int(_) | Value::Text(_) => std::slice::from_ref(node),
        _ => {
            cx.expected(
                node,
                &format!("{what} names instances: `[1, 3]`, `[order-db-3]` or `{{ zone: a }}`"),
            );
            return None;
        }
    };
    Some(Selection::Words(
        items.iter().filter_map(|item| Some((cx.text(item, "an instance")?, item.place))).collect(),
    ))
}

/// Whether two parts share an instance; an empty one is all of them.
fn overlap(a: &[InstanceId], b: &[InstanceId]) -> bool {
    if a.is_empty() || b.is_empty() {
        return true;
    }
    let (few, many) = if a.len() < b.len() { (a, b) } else { (b, a) };
    few.iter().any(|id| many.binary_search(id).is_ok())
}

/// A dependency with the place it was written at.
type Placed = (Dependency, Place);

/// What resolving carries along.
struct Resolving {
    done: Vec<Placed>,
    /// What was said of a place: a template's dependency is resolved once for each of its users.
    said: HashSet<Place>,
    /// By dependant and dependency: the parts, and which entry they came from.
    pairs: HashMap<(ComponentId, ComponentId), Vec<(usize, usize)>>,
    groups: u32,
    parts: usize,
    compared: usize,
}

impl Reader<'_> {
    /// Every dependency with its target, now that all components are known, and the place of each.
    pub(super) fn resolve(&mut self, cx: &mut Context<'_>) -> (Vec<Dependency>, Vec<Place>) {
        let mut state = Resolving {
            done: Vec::new(),
            said: HashSet::new(),
            pairs: HashMap::new(),
            groups: 0,
            parts: 0,
            compared: 0,
        };
        for (entry, wanted) in std::mem::take(&mut self.wanted).into_iter().enumerate() {
            self.resolve_one(entry, &wanted, &mut state, cx);
            let too_many = state.done.len() > MAX_DEPENDENCIES || state.compared > MAX_COMPARED;
            if state.parts > MAX_PARTS || too_many {
                let place = wanted.targets.first().map_or_else(Place::default, |target| target.place);
                cx.diagnostics
                    .error(place, "the dependencies up to here name too many instances one by one")
                    .help("depend on the component as a whole");
                break;
            }
        }
        state.done.into_iter().unzip()
    }

    fn resolve_one(&self, entry: usize, wanted: &Wanted, state: &mut Resolving, cx: &mut Context<'_>) {
        let Some(mut from_part) = self.select(wanted.from, &wanted.from_part, state, cx) else { return };
        if from_part.len() == self.components[wanted.from.index()].instances.len()
            && wanted.matching.is_none()
        {
            from_part.clear();
        }
        let targets: Vec<(ComponentId, Vec<InstanceId>, Place)> = wanted
            .targets
            .iter()
            .filter_map(|target| {
                let (to, part) = self.target(wanted.from, target, state, cx)?;
                Some((to, part, target.place))
            })
            .collect();
        if targets.is_empty() {
            return;
        }
        let Some((label, place)) = &wanted.matching else {
            self.add(entry, wanted, &from_part, &targets, state, cx);
            return;
        };
        // One dependency for each value of the label.
        let among: Vec<HashMap<&str, Vec<InstanceId>>> = targets
            .iter()
            .map(|(to, part, _)| {
                let mut same: HashMap<&str, Vec<InstanceId>> = HashMap::new();
                let all = self.components[to.index()].instance_ids();
                let ids: Vec<InstanceId> = if part.is_empty() { all.collect() } else { part.clone() };
                state.parts += ids.len();
                for id in ids {
                    if let Some(value) = self.instances[id.index()].labels.get(label) {
                        same.entry(value).or_default().push(id);
                    }
                }
                same
            })
            .collect();
        for (value, from_part) in self.by_label(wanted.from, &from_part, label, *place, state, cx) {
            let mut narrowed = Vec::new();
            for ((to, _, place), same) in targets.iter().zip(&among) {
                let component = &self.components[to.index()];
                let same = same.get(value.as_str()).cloned().unwrap_or_default();
                if same.is_empty() {
                    if !self.flawed[to.index()] && state.said.insert(*place) {
                        let message =
                            format!("no instance of `{}` has the label {label}={value}", component.name);
                        cx.diagnostics.error(*place, message).help(format!(
                            "`{}` has instances that do",
                            self.components[wanted.from.index()].name
                        ));
                    }
                } else {
                    narrowed.push((*to, same, *place));
                }
            }
            self.add(entry, wanted, &from_part, &narrowed, state, cx);
        }
    }

    /// The instances by their value of a label; one without is noted.
    fn by_label(
        &self,
        component: ComponentId,
        part: &[InstanceId],
        label: &str,
        place: Place,
        state: &mut Resolving,
        cx: &mut Context<'_>,
    ) -> BTreeMap<String, Vec<InstanceId>> {
        let all = &self.components[component.index()];
        let ids: Vec<InstanceId> = if part.is_empty() { all.instance_ids().collect() } else { part.to_vec() };
        state.parts += ids.len();
        let mut by_value: BTreeMap<String, Vec<InstanceId>> = BTreeMap::new();
        for id in ids {
            let instance = &self.instances[id.index()];
            match instance.labels.get(label) {
                Some(value) => by_value.entry(value.clone()).or_default().push(id),
                None if state.said.insert(place) => {
                    cx.diagnostics
                        .error(place, format!("`{}` has no label `{}`", instance.name, shortened(label)))
                        .help("give it one, or say with `from` which instances are meant");
                }
                None => {}
            }
        }
        by_value
    }

    fn target(
        &self,
        from: ComponentId,
        target: &Target,
        state: &mut Resolving,
        cx: &mut Context<'_>,
    ) -> Option<(ComponentId, Vec<InstanceId>)> {
        if let Some(to) = self.ids.get(&target.name) {
            return Some((*to, self.select(*to, &target.part, state, cx)?));
        }
        if let Some(id) = self.instance_named(&target.name) {
            if !matches!(target.part, Selection::All) && state.said.insert(target.place) {
                cx.diagnostics
                    .error(target.place, format!("`{}` is an instance already", target.name))
                    .help("write `instances` with a component only");
            }
            return Some((self.instances[id.index()].component, vec![id]));
        }
        if !cx.is_lost(&target.name) && state.said.insert(target.place) {
            let names = if cx.diagnostics.are_many() { Vec::new() } else { self.component_names() };
            let from = &self.components[from.index()].name;
            cx.unknown_word(target.place, &format!("`{from}` depends on nothing"), &target.name, &names);
        }
        None
    }

    /// The instances of `component` that `selection` means, sorted; none of them for all.
    fn select(
        &self,
        component: ComponentId,
        selection: &Selection,
        state: &mut Resolving,
        cx: &mut Context<'_>,
    ) -> Option<Vec<InstanceId>> {
        let all = &self.components[component.index()];
        let mut wrong = |place: Place, message: String, cx: &mut Context<'_>| {
            // What an instance with a mistake would have been called is not known.
            if !self.flawed[component.index()] && state.said.insert(place) {
                let (first, last) = (all.instances.start as usize, all.instances.end as usize);
                let help = match last - first {
                    0 => return,
                    1 => format!("it has one: {}", self.instances[first].name),
                    n => {
                        let (first, last) = (&self.instances[first].name, &self.instances[last - 1].name);
                        format!("it has {n}: {first} to {last}")
                    }
                };
                cx.diagnostics.error(place, message).help(help);
            }
        };
        // Each of them is looked at, whether or not a dependency comes of it.
        state.parts += match selection {
            Selection::All => 1,
            Selection::These(ids) => ids.len(),
            Selection::Words(words) => words.len(),
            Selection::Labels(..) => all.instances.len(),
        };
        match selection {
            Selection::All => Some(Vec::new()),
            Selection::These(ids) => Some(ids.clone()),
            Selection::Labels(labels, place) => {
                let found: Vec<InstanceId> = all
                    .instance_ids()
                    .filter(|id| {
                        let own = &self.instances[id.index()].labels;
                        labels.iter().all(|(key, value)| own.get(key) == Some(value))
                    })
                    .collect();
                if found.is_empty() {
                    wrong(*place, format!("no instance of `{}` has these labels", all.name), cx);
                    return None;
                }
                Some(found)
            }
            Selection::Words(words) => {
                let mut found = BTreeSet::new();
                for (word, place) in words {
                    let named = self.instance_named(word);
                    match named.filter(|id| self.instances[id.index()].component == component) {
                        Some(id) => {
                            found.insert(id);
                        }
                        None => match numbers(word) {
                            Some((first, last)) if first >= 1 && last as usize <= all.instances.len() => {
                                state.parts += (last - first) as usize;
                                found.extend((first..=last).map(|n| InstanceId(all.instances.start + n - 1)));
                            }
                            _ => wrong(
                                *place,
                                format!("`{}` has no instance `{}`", all.name, shortened(word)),
                                cx,
                            ),
                        },
                    }
                }
                (!found.is_empty()).then(|| found.into_iter().collect())
            }
        }
    }

    fn add(
        &self,
        entry: usize,
        wanted: &Wanted,
        from_part: &[InstanceId],
        targets: &[(ComponentId, Vec<InstanceId>, Place)],
        state: &mut Resolving,
        cx: &mut Context<'_>,
    ) {
        let from_name = &self.components[wanted.from.index()].name;
        let group = wanted.one_of.then_some(state.groups);
        for (to, to_part, place) in targets {
            if *to == wanted.from && overlap(from_part, to_part) {
                if state.said.insert(*place) {
                    cx.diagnostics.error(*place, format!("`{from_name}` depends on itself")).help(
                        "a replica on its primary is written `{ from: [2, 3], on: NAME, instances: [1] }`",
                    );
                }
                continue;
            }
            let earlier = state.pairs.entry((wanted.from, *to)).or_default();
            state.compared += earlier.len();
            let twice = earlier.iter().find(|(other, at)| {
                let (known, _) = &state.done[*at];
                // The values of one `match` do not overlap.
                (*other != entry || wanted.matching.is_none())
                    && overlap(&known.from_part, from_part)
                    && overlap(&known.to_part, to_part)
            });
            if let Some((_, at)) = twice {
                let first = state.done[*at].1;
                if state.said.insert(*place) {
                    let help = format!("the first is in {}", cx.at(first, *place));
                    let name = &self.components[to.index()].name;
                    cx.diagnostics
                        .error(*place, format!("`{from_name}` depends on `{name}` twice"))
                        .help(help);
                }
                continue;
            }
            earlier.push((entry, state.done.len()));
            state.done.push((
                Dependency {
                    from: wanted.from,
                    to: *to,
                    strength: wanted.strength,
                    from_part: from_part.to_vec(),
                    to_part: to_part.clone(),
                    one_of: group,
                },
                *place,
            ));
        }
        if wanted.one_of {
            state.groups += 1;
        }
    }
}

/// `3` or `1-24`.
fn numbers(word: &str) -> Option<(u32, u32)> {
    let (low, high) = word.split_once('-').unwrap_or((word, word));
    let (low, high) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
    (low <= high).then_some((low, high))
}
