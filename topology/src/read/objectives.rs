//! What is promised: `objectives`.

use std::time::Duration;

use super::Reader;
use crate::decode::{Context, Fields, note_duplicates};
use crate::model::{ComponentId, DEFAULT_OBJECTIVE_WINDOW, Objective};
use crate::yaml::{Key, Node, Value};

/// The shortest window: below an hour one probe more or less decides.
const MIN_WINDOW: Duration = Duration::from_hours(1);

pub(super) fn read_objectives(node: &Node, reader: &Reader<'_>, cx: &mut Context<'_>) -> Vec<Objective> {
    let Value::Map(entries) = &node.value else {
        cx.expected(node, "`objectives` is a map from a component to what is promised");
        return Vec::new();
    };
    note_duplicates(entries, cx);
    entries
        .iter()
        .filter_map(|(key, node)| {
            let component = reader.named(key, "an objective for nothing", cx);
            let (availability, window) = read_objective(&key.name, node, cx)?;
            Some(Objective { component: component?, availability, window })
        })
        .collect()
}

fn read_objective(name: &str, node: &Node, cx: &mut Context<'_>) -> Option<(f64, Duration)> {
    let mut fields = Fields::of(node, &format!("objective `{name}`"), cx)?;
    let availability = fields.take("availability");
    let window = fields.take("window");
    fields.finish("an objective", cx);
    let window = match window {
        Some(node) => {
            let window = cx.duration(node, "`window`")?;
            if window < MIN_WINDOW {
                cx.diagnostics.error(node.place, "`window` is less than an hour").help("30d is usual");
                return None;
            }
            window
        }
        None => DEFAULT_OBJECTIVE_WINDOW,
    };
    let Some(node) = availability else {
        cx.diagnostics
            .error(node.place, format!("objective `{name}` promises nothing"))
            .help("write `{ availability: 99.9%, window: 30d }`");
        return None;
    };
    let value = cx.ratio(node, "`availability`")?;
    if value <= 0.0 || value >= 1.0 {
        cx.diagnostics
            .error(node.place, "`availability` lies between 0 % and 100 %, both excluded")
            .help("100 % leaves no room for one failed look: write 99.99%");
        return None;
    }
    Some((value, window))
}

impl Reader<'_> {
    /// The names of all components, sorted.
    pub(super) fn component_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.ids.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// The component that a key names.
    pub(super) fn named(&self, key: &Key, wrong: &str, cx: &mut Context<'_>) -> Option<ComponentId> {
        let found = self.ids.get(&key.name).copied();
        if found.is_none() && !cx.is_lost(&key.name) {
            let names = if cx.diagnostics.are_many() { Vec::new() } else { self.component_names() };
            cx.unknown_word(key.place, wrong, &key.name, &names);
        }
        found
    }
}
