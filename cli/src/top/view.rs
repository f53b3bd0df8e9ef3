//! What the live board shows, as lines: pure.

use std::collections::BTreeMap;

use serde_json::Value;

/// A line of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) level: String,
    pub(super) name: String,
    /// Nested under a component.
    pub(super) instance: bool,
    pub(super) words: String,
    /// When it became so, RFC 3339.
    pub(super) since: String,
}

/// An open incident, its cause first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outage {
    pub(super) level: String,
    pub(super) title: String,
    pub(super) since: String,
    /// `member-db-1 (97 %)`
    pub(super) roots: Vec<String>,
    pub(super) evidence: Vec<String>,
    pub(super) affected: Vec<String>,
}

/// Worst first.
const ORDER: [&str; 5] = ["red", "yellow", "unknown", "paused", "green"];

fn text(value: &Value, key: &str) -> String {
    crate::output::plain(value[key].as_str().unwrap_or_default())
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Components, worst first, each with those of its instances that are not green; only what has `filter` in its name.
pub(super) fn rows(board: &Value, filter: &str, only_bad: bool) -> Vec<Row> {
    let row = |node: &Value, instance: bool| Row {
        level: text(node, "level"),
        name: text(node, "name"),
        instance,
        words: words(node),
        since: text(node, "since"),
    };
    let mut of: BTreeMap<&str, Vec<Row>> = BTreeMap::new();
    for node in list(board, "instances") {
        of.entry(node["component"].as_str().unwrap_or_default()).or_default().push(row(node, true));
    }
    let filter = filter.to_lowercase();
    let fits = |row: &Row| filter.is_empty() || row.name.to_lowercase().contains(&filter);
    let rank = |row: &Row| ORDER.iter().position(|level| *level == row.level).unwrap_or(2);
    let mut blocks: Vec<(usize, Vec<Row>)> = Vec::new();
    for node in list(board, "components") {
        let own = row(node, false);
        let mut instances = of.remove(node["name"].as_str().unwrap_or_default()).unwrap_or_default();
        let named = fits(&own);
        instances
            .retain(|row| (row.level != "green" || !filter.is_empty() && !only_bad) && (named || fits(row)));
        // A lone instance says what its component says.
        if list(board, "instances").iter().filter(|i| i["component"] == node["name"]).count() == 1 && named {
            instances.clear();
        }
        if only_bad && own.level == "green" && instances.is_empty() || !named && instances.is_empty() {
            continue;
        }
        instances.sort_by_key(|row| rank(row));
        let worst = instances.iter().chain([&own]).map(rank).min().unwrap_or(4);
        let mut block = vec![own];
        block.extend(instances);
        blocks.push((worst, block));
    }
    blocks.sort_by_key(|(worst, _)| *worst);
    blocks.into_iter().flat_map(|(_, block)| block).collect()
}

/// Its words, or whom it suffers from.
fn words(node: &Value) -> String {
    let explained = text(node, "explained_by");
    if !explained.is_empty() {
        return format!("because of {explained}");
    }
    let own = text(node, "words");
    let inherited: Vec<String> =
        list(node, "inherited_from").iter().filter_map(Value::as_str).map(crate::output::plain).collect();
    if own.is_empty() && !inherited.is_empty() {
        return format!("inherited from {}", inherited.join(", "));
    }
    own
}

/// The open incidents, as the server orders them: the worst, then the oldest first.
pub(super) fn outages(board: &Value) -> Vec<Outage> {
    let open = list(board, "incidents").iter().filter(|incident| incident["state"] != "resolved");
    open.map(|incident| {
        let roots = list(&incident["verdict"], "roots");
        let named = |root: &Value| {
            let percent = root["confidence"].as_f64().unwrap_or_default() * 100.0;
            format!("{} ({percent:.0} %)", text(root, "node"))
        };
        Outage {
            level: text(incident, "level"),
            title: text(incident, "title"),
            since: text(incident, "opened_at"),
            roots: roots.iter().map(named).collect(),
            evidence: roots
                .iter()
                .flat_map(|root| list(root, "evidence"))
                .map(|one| text(one, "text"))
                .collect(),
            affected: list(incident, "affected").iter().map(|one| text(one, "node")).collect(),
        }
    })
    .collect()
}

/// `12 s`, `3 min`, `2 h`, `4 d`: one unit, for a narrow column.
pub(super) fn age(since: &str, now: &str) -> String {
    let (Ok(since), Ok(now)) = (since.parse::<jiff::Timestamp>(), now.parse::<jiff::Timestamp>()) else {
        return String::new();
    };
    let seconds = now.duration_since(since).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}
