//! Which lane each component stands in.

use topology::graph::Graph;
use topology::model::{ComponentId, Model};

/// More rows than this make a lane divide in two.
const MAX_ROWS: usize = 16;
/// Lanes at most, before lanes grow longer again: below some 130 pixels no name fits.
const MAX_LANES: usize = 12;

/// A lane before it has a place: its tier, and its components in file order.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) tier: Option<usize>,
    pub(crate) components: Vec<ComponentId>,
}

/// One lane per tier in the file's order; components without a tier by their longest path, to the right
/// of the tiers.
pub(crate) fn columns(model: &Model, graph: &Graph) -> Vec<Column> {
    let mut columns: Vec<Column> = (0..model.tiers.len())
        .map(|tier| Column { tier: Some(tier), components: with_tier(model, Some(tier)) })
        .collect();
    let mut depths = depths(graph);
    let loose = with_tier(model, None);
    let mut used: Vec<u32> = loose.iter().map(|id| depths[id.index()]).collect();
    used.sort_unstable();
    used.dedup();
    // A long chain must not make more lanes than the wall has room for.
    let room = MAX_LANES.saturating_sub(columns.len()).max(1);
    for depth in &mut depths {
        let rank = used.partition_point(|other| *other < *depth);
        *depth = if used.len() > room { rank * room / used.len() } else { rank } as u32;
    }
    for rank in 0..used.len().min(room) {
        let components = loose.iter().copied().filter(|id| depths[id.index()] as usize == rank).collect();
        columns.push(Column { tier: None, components });
    }
    columns.retain(|column| !column.components.is_empty());
    divide(columns)
}

fn with_tier(model: &Model, tier: Option<usize>) -> Vec<ComponentId> {
    model.component_ids().filter(|id| model.component(*id).tier == tier).collect()
}

/// The longest path from a component that nobody needs, with cycles condensed.
fn depths(graph: &Graph) -> Vec<u32> {
    let mut order = graph.bottom_up();
    order.reverse();
    let mut depths = vec![0; order.len()];
    let mut start = 0;
    while start < order.len() {
        let end = (start..order.len())
            .find(|i| !graph.on_one_cycle(order[start], order[*i]))
            .unwrap_or(order.len());
        let set = &order[start..end];
        let depth = set
            .iter()
            .flat_map(|id| graph.needed_by(*id))
            .map(|dependency| graph.dependency(dependency).from)
            .filter(|from| !set.contains(from))
            .map(|from| depths[from.index()] + 1)
            .max()
            .unwrap_or(0);
        for id in set {
            depths[id.index()] = depth;
        }
        start = end;
    }
    depths
}

/// Divides lanes that are too long into neighbours of the same length, while there is room for more.
fn divide(columns: Vec<Column>) -> Vec<Column> {
    let mut spare = MAX_LANES.saturating_sub(columns.len());
    let mut out = Vec::with_capacity(MAX_LANES.max(columns.len()));
    for column in columns {
        let parts = column.components.len().div_ceil(MAX_ROWS).clamp(1, spare + 1);
        spare -= parts - 1;
        let length = column.components.len().div_ceil(parts);
        for (i, part) in column.components.chunks(length).enumerate() {
            out.push(Column { tier: column.tier.filter(|_| i == 0), components: part.to_vec() });
        }
    }
    out
}
