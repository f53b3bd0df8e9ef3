//! What one wall shows: every component; or, of a large platform, its groups; or the members of one group.
//!
//! A wall of groups is laid out like any other: each group stands in for a component whose instances are the
//! group's members. Which of the three it is depends on the topology alone, so the detail never flickers.

use std::collections::BTreeMap;
use std::sync::Arc;

use topology::graph::DependencyId;
use topology::model::{Component, ComponentId, Dependency, Instance, InstanceId, Model, Tier};
use topology::text::Text;

/// Past this many components the wall shows groups.
pub(crate) const MAX_CARDS: usize = 90;

/// Which wall.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Which {
    /// The whole platform.
    #[default]
    Whole,
    /// The members of the group with this name.
    Group(String),
}

impl Which {
    /// The group's name; empty for the whole.
    pub(crate) fn group(&self) -> &str {
        match self {
            Self::Whole => "",
            Self::Group(name) => name,
        }
    }
}

/// What a card stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// One component.
    Component(ComponentId),
    /// Several, behind a wall of their own.
    Group(Group),
}

/// Components that share one card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// For the address.
    pub(crate) name: String,
    /// For people.
    pub(crate) title: Text,
    pub(crate) members: Vec<ComponentId>,
}

/// What a cell stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// An instance.
    Instance(InstanceId),
    /// A member of a group.
    Component(ComponentId),
}

/// One wall's contents.
#[derive(Debug)]
pub(crate) struct Scene {
    /// What is laid out; the file's own model when every component has its card.
    pub(crate) model: Arc<Model>,
    /// By component of [`Self::model`].
    pub(crate) places: Vec<Place>,
    /// By instance of [`Self::model`].
    pub(crate) cells: Vec<Cell>,
    /// By dependency of [`Self::model`]: those of the file that it stands for.
    pub(crate) wires: Vec<Vec<DependencyId>>,
}

impl Scene {
    /// The scene of `which`; nothing when there is no such group.
    pub(crate) fn of(model: &Arc<Model>, which: &Which) -> Option<Self> {
        match which {
            Which::Whole if model.components.len() <= MAX_CARDS => Some(Self::every(model)),
            Which::Whole => Some(Self::made(model, groups(model))),
            Which::Group(name) => {
                let found = groups(model).into_iter().find_map(|place| match place {
                    Place::Group(group) if group.name == *name => Some(group.members),
                    _ => None,
                })?;
                Some(Self::made(model, found.into_iter().map(Place::Component).collect()))
            }
        }
    }

    fn every(model: &Arc<Model>) -> Self {
        Self {
            places: model.component_ids().map(Place::Component).collect(),
            cells: model.instance_ids().map(Cell::Instance).collect(),
            wires: (0..model.dependencies.len() as u32).map(|i| vec![DependencyId(i)]).collect(),
            model: Arc::clone(model),
        }
    }

    /// A model in which each place is a component.
    fn made(model: &Model, places: Vec<Place>) -> Self {
        let mut made = Model { name: model.name.clone(), ..Model::default() };
        made.tiers.extend(
            model.tiers.iter().map(|tier| Tier { name: tier.name.clone(), title: tier.title.clone() }),
        );
        let mut cells = Vec::new();
        let mut place_of = vec![None; model.components.len()];
        for (i, place) in places.iter().enumerate() {
            let id = ComponentId(i as u32);
            let first = cells.len() as u32;
            let component = match place {
                Place::Component(member) => {
                    let from = model.component(*member);
                    place_of[member.index()] = Some(id);
                    for instance in from.instance_ids() {
                        cells.push(Cell::Instance(instance));
                        made.instances.push(stand_in(model.instance(instance), id));
                    }
                    Component { policy: from.policy, short: from.short.clone(), ..plain(from) }
                }
                Place::Group(group) => {
                    for member in &group.members {
                        place_of[member.index()] = Some(id);
                        let first = model.component(*member).instance_ids().next();
                        if let Some(instance) = first {
                            cells.push(Cell::Component(*member));
                            made.instances.push(stand_in(model.instance(instance), id));
                        }
                    }
                    let first = model.component(group.members[0]);
                    Component { name: group.name.clone(), title: group.title.clone(), ..plain(first) }
                }
            };
            made.components.push(Component { instances: first..cells.len() as u32, ..component });
        }
        let mut wires: BTreeMap<(ComponentId, ComponentId), Vec<DependencyId>> = BTreeMap::new();
        for (i, dependency) in model.dependencies.iter().enumerate() {
            if let (Some(from), Some(to)) =
                (place_of[dependency.from.index()], place_of[dependency.to.index()])
                && from != to
            {
                wires.entry((from, to)).or_default().push(DependencyId(i as u32));
            }
        }
        made.dependencies.extend(wires.iter().map(|((from, to), of)| {
            // Of several the strongest is drawn.
            let strength = of.iter().map(|id| model.dependencies[id.index()].strength).min();
            Dependency {
                from: *from,
                to: *to,
                strength: strength.unwrap_or(topology::model::Strength::Required),
                from_part: Vec::new(),
                to_part: Vec::new(),
                one_of: None,
            }
        }));
        Self { model: Arc::new(made), places, cells, wires: wires.into_values().collect() }
    }
}

fn plain(from: &Component) -> Component {
    Component { name: from.name.clone(), title: from.title.clone(), tier: from.tier, ..Component::default() }
}

fn stand_in(from: &Instance, component: ComponentId) -> Instance {
    Instance {
        name: from.name.clone(),
        component,
        address: from.address.clone(),
        labels: from.labels.clone(),
    }
}

/// The groups in file order: by `group:`, else by tier and zone. One alone stays a component.
fn groups(model: &Model) -> Vec<Place> {
    let mut order: Vec<(String, Text)> = Vec::new();
    let mut members: BTreeMap<String, Vec<ComponentId>> = BTreeMap::new();
    for id in model.component_ids() {
        let (name, title) = group_of(model, id);
        let entry = members.entry(name.clone()).or_default();
        if entry.is_empty() {
            order.push((name, title));
        }
        entry.push(id);
    }
    let place = |(name, title): (String, Text)| {
        let members = members.remove(&name).unwrap_or_default();
        match members.as_slice() {
            [only] => Place::Component(*only),
            _ => Place::Group(Group { name, title, members }),
        }
    };
    order.into_iter().map(place).collect()
}

fn group_of(model: &Model, id: ComponentId) -> (String, Text) {
    let component = model.component(id);
    let tier = component.tier.map(|tier| &model.tiers[tier]);
    if let Some(group) = &component.group {
        // Groups stand in lanes, so one that spans two tiers is two cards.
        let name = tier.map_or_else(|| group.clone(), |tier| format!("{}-{group}", tier.name));
        return (name, Text::same(group.clone()));
    }
    let zone = |id: InstanceId| model.instance(id).labels.get("zone");
    let mut zones = component.instance_ids().map(zone);
    let first = zones.next().flatten();
    let zone = first.filter(|first| zones.all(|zone| zone == Some(*first)));
    match (tier, zone) {
        (Some(tier), Some(zone)) => (
            format!("{}-{zone}", tier.name),
            Text::new(format!("{} {zone}", tier.title.en), format!("{} {zone}", tier.title.zh)),
        ),
        (Some(tier), None) => (tier.name.clone(), tier.title.clone()),
        // Without a tier and a group there is nothing to put it with.
        (None, _) => (component.name.clone(), component.title.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(n: u32) -> Arc<Model> {
        let mut model = Model::default();
        for tier in ["web", "data"] {
            model.tiers.push(Tier { name: tier.to_owned(), title: Text::same(tier) });
        }
        for i in 0..n {
            model.components.push(Component {
                name: format!("c{i}"),
                title: Text::same(format!("C{i}")),
                tier: Some((i % 2) as usize),
                group: (i % 4 == 0).then(|| "shop".to_owned()),
                instances: i..i + 1,
                ..Component::default()
            });
            model.instances.push(Instance {
                name: format!("c{i}-1"),
                component: ComponentId(i),
                address: topology::model::Address { host: "h".to_owned(), port: 1 },
                labels: BTreeMap::new(),
            });
            model.dependencies.push(Dependency {
                from: ComponentId(i),
                to: ComponentId((i + 1) % n),
                strength: topology::model::Strength::Required,
                from_part: Vec::new(),
                to_part: Vec::new(),
                one_of: None,
            });
        }
        Arc::new(model)
    }

    #[test]
    fn up_to_ninety_components_have_a_card_each() {
        let scene = Scene::of(&model(90), &Which::Whole).unwrap();
        assert_eq!((scene.places.len(), scene.cells.len(), scene.wires.len()), (90, 90, 90));
    }

    #[test]
    fn beyond_that_groups_do_and_each_has_a_wall_of_its_own() {
        let model = model(100);
        let scene = Scene::of(&model, &Which::Whole).unwrap();
        let names: Vec<&str> = scene.model.components.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["web-shop", "data", "web"]);
        assert_eq!(scene.cells.len(), 100, "every member has a cell");
        let wires: usize = scene.wires.iter().map(Vec::len).sum();
        assert_eq!(wires, 100, "every dependency between two groups is in one of the wires");
        let inside = Scene::of(&model, &Which::Group("data".to_owned())).unwrap();
        assert_eq!((inside.places.len(), inside.wires.len()), (50, 0));
        assert!(Scene::of(&model, &Which::Group("nobody".to_owned())).is_none());
    }
}
