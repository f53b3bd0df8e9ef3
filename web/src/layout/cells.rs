//! The grid of cells in a card: the largest size that fits, shards as columns.

use std::collections::BTreeMap;

use topology::model::{Component, InstanceId, Model, Policy};

use super::Cells;

/// Cell and step, from roomy to crowded.
const SIZES: [(i32, i32); 8] = [(18, 24), (14, 18), (12, 15), (10, 13), (9, 11), (8, 10), (7, 9), (6, 8)];

/// The cells of `component` in a box of `width` by `height`, cells no larger than `largest`.
pub(crate) fn fit(model: &Model, component: &Component, width: i32, height: i32, largest: i32) -> Cells {
    let (order, fixed_columns) = order(model, component);
    let count = order.len().max(1);
    let sizes = || SIZES.into_iter().filter(|(size, _)| *size <= largest);
    for (size, step) in sizes() {
        let most = |room: i32| (((room - size) / step) + 1).max(1) as usize;
        let columns = match fixed_columns {
            Some(columns) => columns,
            None => balanced(count, most(width), most(height)),
        };
        let rows = count.div_ceil(columns);
        if columns <= most(width) && rows <= most(height) && height >= size {
            return Cells { order, columns, rows, size, step, listed: false, most: 0 };
        }
    }
    // Too many for the smallest: a bar, and under it a few cells for the unhealthy.
    let columns = ((width / BAR_STEP) as usize).clamp(1, MOST_CELLS);
    let rows = (((height - BAR) / BAR_STEP).max(1) as usize).min(MOST_CELLS.div_ceil(columns));
    Cells {
        most: (columns * rows).min(MOST_CELLS),
        columns,
        rows,
        order,
        size: BAR_STEP - 2,
        step: BAR_STEP,
        listed: false,
    }
}

/// Unhealthy instances that are drawn beside a bar.
const MOST_CELLS: usize = 24;
/// From one of those to the next.
const BAR_STEP: i32 = 12;
/// What the bar takes of the height.
const BAR: i32 = 12;

/// One row an instance.
pub(crate) fn list(model: &Model, component: &Component) -> Cells {
    let (order, _) = order(model, component);
    Cells { columns: 1, rows: order.len(), order, size: 18, step: 30, listed: true, most: 0 }
}

/// The fewest rows that the width allows, filled evenly: 7 in room for 4 are 4 and 3.
fn balanced(count: usize, across: usize, down: usize) -> usize {
    let rows = count.div_ceil(across).max(1);
    if rows > down { across } else { count.div_ceil(rows) }
}

/// The order of drawing, and the columns where the order wants them: one a shard, the primary on top.
fn order(model: &Model, component: &Component) -> (Vec<InstanceId>, Option<usize>) {
    let ids: Vec<InstanceId> = component.instance_ids().collect();
    let label = |id: &InstanceId, name: &str| model.instance(*id).labels.get(name).cloned();
    let replica = |id: &InstanceId| label(id, "role").as_deref() == Some("replica");
    if component.policy != Policy::Shards {
        let mut order = ids;
        if component.policy == Policy::PrimaryReplica {
            order.sort_by_key(replica);
        }
        return (order, None);
    }
    let mut shards: BTreeMap<String, Vec<InstanceId>> = BTreeMap::new();
    let mut names: Vec<String> = Vec::new();
    for id in &ids {
        let Some(shard) = label(id, "shard") else { return (ids, None) };
        if !shards.contains_key(&shard) {
            names.push(shard.clone());
        }
        shards.entry(shard).or_default().push(*id);
    }
    let depth = shards.values().map(Vec::len).max().unwrap_or(1);
    if depth < 2 || shards.values().any(|members| members.len() != depth) {
        return (ids, None);
    }
    for members in shards.values_mut() {
        members.sort_by_key(replica);
    }
    let order = (0..depth).flat_map(|row| names.iter().map(|name| shards[name][row]).collect::<Vec<_>>());
    (order.collect(), Some(names.len()))
}
