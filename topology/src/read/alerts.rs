//! Who is told, and when not: `alerts`.

use std::time::Duration;

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;

use super::Reader;
use super::common::read_labels;
use super::receivers::{list, read_receiver};
use crate::alerting::{Alerting, Escalation, Maintenance, Receiver, Route, Scope};
use crate::calendar::{self, Begins, DAYS, Hours, Window};
use crate::decode::{Context, Fields, note_duplicates, shortened};
use crate::diagnostic::Place;
use crate::level::Level;
use crate::model::{ComponentId, InstanceId};
use crate::yaml::{Key, Node, Value};

/// A maintenance window lasts no longer: what is paused for weeks is not watched.
const MAX_WINDOW: Duration = Duration::from_hours(7 * 24);

/// A name that something refers to, and where.
type Reference = (Place, String);

pub(super) fn read_alerts(node: &Node, reader: &Reader<'_>, cx: &mut Context<'_>) -> Alerting {
    let Some(mut fields) = Fields::of(node, "`alerts`", cx) else { return Alerting::default() };
    let page = fields.take("page").and_then(|node| read_page(node, cx));
    let (mut lost, mut fallbacks) = (false, Vec::new());
    let receivers: Vec<Receiver> = entries(fields.take("receivers"), "receivers", cx)
        .iter()
        .filter_map(|(key, node)| {
            let receiver = read_receiver(&key.name, node, cx);
            lost |= receiver.is_none();
            if let Some(name) = receiver.as_ref().and_then(|receiver| receiver.fallback.clone()) {
                let place = node.get("fallback").map_or(node.place, |node| node.place);
                fallbacks.push((key.name.clone(), (place, name)));
            }
            receiver
        })
        .collect();
    let mut told: Vec<Reference> = Vec::new();
    let routes_node = fields.take("routes");
    let routes: Vec<Route> = entries(routes_node, "routes", cx)
        .iter()
        .filter_map(|(key, node)| read_route(key, node, reader, &mut told, cx))
        .collect();
    let maintenance = entries(fields.take("maintenance"), "maintenance", cx)
        .iter()
        .filter_map(|(key, node)| read_maintenance(key, node, reader, cx))
        .collect();
    fields.finish("`alerts`", cx);
    let names: Vec<&str> = receivers.iter().map(|receiver| receiver.name.as_str()).collect();
    let references = told.iter().chain(fallbacks.iter().map(|(_, reference)| reference));
    for (place, name) in references.filter(|(_, name)| !lost && !names.contains(&name.as_str())) {
        cx.unknown_word(*place, "no such receiver", name, &names);
    }
    for (of, (place, to)) in &fallbacks {
        if of == to {
            cx.diagnostics.error(*place, format!("receiver `{of}` is its own fallback"));
        }
    }
    if routes_node.is_some() {
        for receiver in &receivers {
            let name = &receiver.name;
            let used =
                told.iter().any(|(_, to)| to == name) || fallbacks.iter().any(|(_, (_, to))| to == name);
            if !used {
                let place = node.get("receivers").map_or(node.place, |receivers| key_place(receivers, name));
                cx.diagnostics
                    .warning(place, format!("no route leads to receiver `{name}`: it is told nothing"))
                    .help(format!("write a route with `to: [{name}]`"));
            }
        }
    }
    Alerting { page, receivers, routes, maintenance }
}

fn key_place(map: &Node, name: &str) -> Place {
    match &map.value {
        Value::Map(entries) => {
            entries.iter().find(|(key, _)| key.name == name).map_or(map.place, |(key, _)| key.place)
        }
        _ => map.place,
    }
}

/// The entries of a map by name.
fn entries<'n>(node: Option<&'n Node>, name: &str, cx: &mut Context<'_>) -> &'n [(Key, Node)] {
    match node {
        Some(Node { value: Value::Map(entries), .. }) => {
            note_duplicates(entries, cx);
            entries
        }
        Some(node) => {
            cx.expected(node, &format!("`{name}` is a map of {name} by name"));
            &[]
        }
        None => &[],
    }
}

fn read_page(node: &Node, cx: &mut Context<'_>) -> Option<String> {
    let text = cx.text(node, "`page`")?;
    let http = text.starts_with("http://") || text.starts_with("https://");
    if !http || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        cx.diagnostics
            .error(node.place, "`page` is the address at which people reach this server")
            .help("write `https://topowatch.example`");
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}

fn read_route(
    key: &Key,
    node: &Node,
    reader: &Reader<'_>,
    told: &mut Vec<Reference>,
    cx: &mut Context<'_>,
) -> Option<Route> {
    let what = format!("route `{}`", key.name);
    let mut fields = Fields::of(node, &what, cx)?;
    let when = read_scope(&mut fields, reader, cx);
    let level = fields.take("level").and_then(|node| {
        let word = cx.text(node, "`level`")?;
        let found = [Level::Yellow, Level::Red].into_iter().find(|level| level.as_str() == word);
        if found.is_none() {
            cx.unknown_word(node.place, "an incident has no such level", &word, &["yellow", "red"]);
        }
        found
    });
    let objective_at_risk = fields
        .take("objective_at_risk")
        .and_then(|node| cx.truth(node, "`objective_at_risk`"))
        .unwrap_or_default();
    let hours = fields.take("hours").and_then(|node| read_hours(node, cx));
    let to = read_to(&mut fields, told, cx);
    let escalate = match fields.take("escalate") {
        Some(Node { value: Value::List(items), .. }) => {
            items.iter().filter_map(|node| read_escalation(node, told, cx)).collect()
        }
        Some(node) => read_escalation(node, told, cx).into_iter().collect(),
        None => Vec::new(),
    };
    let place = fields.place;
    fields.finish(&what, cx);
    if to.is_empty() {
        cx.diagnostics.error(place, format!("{what} leads to nobody")).help("write `to: [ops]`");
        return None;
    }
    Some(Route { name: key.name.clone(), when, level, objective_at_risk, hours, to, escalate })
}

fn read_to(fields: &mut Fields<'_>, told: &mut Vec<Reference>, cx: &mut Context<'_>) -> Vec<String> {
    let place = fields.key_place("to");
    let to = list(fields, "to", cx);
    told.extend(to.iter().map(|name| (place, name.clone())));
    to
}

fn read_escalation(node: &Node, told: &mut Vec<Reference>, cx: &mut Context<'_>) -> Option<Escalation> {
    let mut fields = Fields::of(node, "`escalate`", cx)?;
    let after = fields.take("after").and_then(|node| cx.duration(node, "`after`"));
    let to = read_to(&mut fields, told, cx);
    let place = fields.place;
    fields.finish("`escalate`", cx);
    let (Some(after), false) = (after, to.is_empty()) else {
        cx.diagnostics
            .error(place, "an escalation says after how long, and to whom")
            .help("write `escalate: [{ after: 15m, to: [oncall] }]`");
        return None;
    };
    Some(Escalation { after, to })
}

/// `nodes`, `tiers` and `labels` of a route or a window.
fn read_scope(fields: &mut Fields<'_>, reader: &Reader<'_>, cx: &mut Context<'_>) -> Scope {
    let mut scope = Scope::default();
    if let Some(node) = fields.take("nodes") {
        for (place, name) in listed(node, "`nodes`", cx) {
            match reader.node(&name) {
                Some(Named::Component(id)) => scope.components.push(id),
                Some(Named::Instance(id)) => scope.instances.push(id),
                None if cx.is_lost(&name) => {}
                None => {
                    let names = if cx.diagnostics.are_many() { Vec::new() } else { reader.component_names() };
                    cx.unknown_word(place, "no such node", &name, &names);
                }
            }
        }
    }
    if let Some(node) = fields.take("tiers") {
        for (place, name) in listed(node, "`tiers`", cx) {
            if let Some(tier) = reader.tier_named(&name) {
                scope.tiers.push(tier);
            } else {
                cx.unknown_word(place, "no such tier", &name, &reader.tier_names());
            }
        }
    }
    scope.labels = fields.take("labels").map(|node| read_labels(node, cx)).unwrap_or_default();
    scope
}

fn listed(node: &Node, what: &str, cx: &mut Context<'_>) -> Vec<Reference> {
    match &node.value {
        Value::List(items) => {
            items.iter().filter_map(|item| Some((item.place, cx.text(item, what)?))).collect()
        }
        _ => cx.text(node, what).map(|text| (node.place, text)).into_iter().collect(),
    }
}

fn read_zone(place: Place, node: Option<&Node>, what: &str, cx: &mut Context<'_>) -> Option<TimeZone> {
    let Some(node) = node else {
        cx.diagnostics
            .error(place, format!("{what} needs a `zone`"))
            .help("write the zone's name, such as `zone: Asia/Shanghai`: the server's own may be another");
        return None;
    };
    let name = cx.text(node, "`zone`")?;
    match calendar::zone(&name) {
        Ok(zone) => Some(zone),
        Err(message) => {
            let near = cx.diagnostics.suggest(&name, ["Asia/Shanghai", "UTC", "Europe/Berlin", "Asia/Tokyo"]);
            let help = near.map_or_else(
                || "write a name of the IANA database, such as Asia/Shanghai".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            cx.diagnostics.error(node.place, message).help(help);
            None
        }
    }
}

fn read_hours(node: &Node, cx: &mut Context<'_>) -> Option<Hours> {
    let mut fields = Fields::of(node, "`hours`", cx)?;
    let zone_node = fields.take("zone");
    let zone = read_zone(fields.place, zone_node, "`hours`", cx);
    let days = match fields.take("days") {
        Some(node) => read_days(node, cx),
        None => Some([true; 7]),
    };
    let from = fields.take("from").map(|node| read_time(node, "`from`", cx));
    let until = fields.take("until").map(|node| read_time(node, "`until`", cx));
    fields.finish("`hours`", cx);
    let (from, until) = (from.unwrap_or(Some(Time::midnight()))?, until.unwrap_or(Some(Time::midnight()))?);
    Some(Hours { zone: zone?, days: days?, from, until })
}

fn read_time(node: &Node, what: &str, cx: &mut Context<'_>) -> Option<Time> {
    let text = cx.text(node, what)?;
    let parts = text.split_once(':').and_then(|(hour, minute)| {
        let part = |text: &str| (text.len() == 2).then(|| text.parse::<i8>().ok()).flatten();
        // The end of a day is the beginning of the next.
        match (part(hour)?, part(minute)?) {
            (24, 0) => Some(Time::midnight()),
            (hour, minute) => Time::new(hour, minute, 0, 0).ok(),
        }
    });
    if parts.is_none() {
        cx.diagnostics
            .error(node.place, format!("{what} is a time of day such as \"09:00\""))
            .help("put it in quotes: without them YAML may read a number of base 60");
    }
    parts
}

/// `mon-fri`, `sat`, or a list of such.
fn read_days(node: &Node, cx: &mut Context<'_>) -> Option<[bool; 7]> {
    let place_of = |word: &str| DAYS.iter().position(|(day, _)| *day == word);
    let mut days = [false; 7];
    for (place, text) in listed(node, "`days`", cx) {
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        let (Some(first), Some(last)) = (place_of(first.trim()), place_of(last.trim())) else {
            cx.unknown_word(place, "unknown day", &text, &DAYS.map(|(day, _)| day));
            return None;
        };
        // `sat-mon` goes over the weekend.
        let mut day = first;
        loop {
            days[day] = true;
            if day == last {
                break;
            }
            day = (day + 1) % 7;
        }
    }
    Some(days)
}

fn read_maintenance(
    key: &Key,
    node: &Node,
    reader: &Reader<'_>,
    cx: &mut Context<'_>,
) -> Option<Maintenance> {
    let what = format!("maintenance `{}`", key.name);
    let mut fields = Fields::of(node, &what, cx)?;
    let place = fields.place;
    let nodes = read_scope(&mut fields, reader, cx);
    let zone_node = fields.take("zone");
    let zone = read_zone(place, zone_node, &what, cx);
    let cron = fields.take("cron").map(|node| (node, cx.text(node, "`cron`")));
    let at = fields.take("at").map(|node| (node, cx.text(node, "`at`")));
    let lasts = fields.take("for").map(|node| (node, cx.duration(node, "`for`")));
    let why = fields.take("why").and_then(|node| cx.text(node, "`why`"));
    fields.finish(&what, cx);
    let begins = match (cron, at) {
        (Some((node, text)), None) => match calendar::cron(&text?) {
            Ok(cron) => Begins::Cron(Box::new(cron)),
            Err(message) => {
                cx.diagnostics.error(node.place, message).help(
                    "five fields: minute, hour, day, month, day of week; `0 2 * * sun` is Sundays at two",
                );
                return None;
            }
        },
        (None, Some((node, text))) => {
            let text = text?;
            let Ok(at) = text.replacen(' ', "T", 1).parse::<DateTime>() else {
                let message = format!("`{}` is no date and time", shortened(&text));
                cx.diagnostics.error(node.place, message).help("write `2026-12-01 22:00`");
                return None;
            };
            Begins::Once(at)
        }
        (both, _) => {
            let several =
                if both.is_some() { "says twice when it begins" } else { "says not when it begins" };
            cx.diagnostics
                .error(place, format!("{what} {several}"))
                .help("write `cron: \"0 2 * * sun\"`, or `at: 2026-12-01 22:00` for a single one");
            return None;
        }
    };
    let Some((node, lasts)) = lasts else {
        cx.diagnostics.error(place, format!("{what} says not how long it lasts")).help("write `for: 2h`");
        return None;
    };
    let lasts = lasts?;
    if lasts > MAX_WINDOW {
        cx.diagnostics
            .error(node.place, "`for` is longer than a week")
            .help("what is paused for weeks is not watched: take it out of the file");
        return None;
    }
    if nodes.is_everything() {
        cx.diagnostics
            .error(place, format!("{what} names no nodes"))
            .help("write `nodes: [order-db]`, `tiers: [data]` or `labels: { zone: a }`");
        return None;
    }
    Some(Maintenance { name: key.name.clone(), nodes, window: Window { begins, zone: zone?, lasts }, why })
}

/// What a name means.
enum Named {
    Component(ComponentId),
    Instance(InstanceId),
}

impl Reader<'_> {
    fn node(&self, name: &str) -> Option<Named> {
        if let Some(id) = self.ids.get(name) {
            return Some(Named::Component(*id));
        }
        self.names.get(name)?.1.map(Named::Instance)
    }

    fn tier_named(&self, name: &str) -> Option<usize> {
        self.tier_ids.get(name).copied()
    }

    fn tier_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.tier_ids.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}
