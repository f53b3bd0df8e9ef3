//! The business curves: `curves`.

use std::time::Duration;

use secrecy::SecretString;

use super::Reader;
use super::common::read_title;
use crate::decode::{Context, Fields, note_duplicates};
use crate::model::{Bounds, Compare, Curve, CurveSource, DEFAULT_CURVE_INTERVAL, JsonPath, JsonStep};
use crate::text::Text;
use crate::yaml::{Key, Node, Value};

/// The shortest interval: a curve is a query, not a probe.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// Where a curve may come from.
const SOURCES: [&str; 5] = ["postgres", "mysql", "prometheus", "http", "push"];

pub(super) fn read_curves(node: &Node, reader: &Reader<'_>, cx: &mut Context<'_>) -> Vec<Curve> {
    let Value::Map(entries) = &node.value else {
        cx.expected(node, "`curves` is a map of curves by name");
        return Vec::new();
    };
    note_duplicates(entries, cx);
    entries.iter().filter_map(|(key, node)| read_curve(key, node, reader, cx)).collect()
}

fn read_curve(key: &Key, node: &Node, reader: &Reader<'_>, cx: &mut Context<'_>) -> Option<Curve> {
    let mut fields = Fields::of(node, &format!("curve `{}`", key.name), cx)?;
    let title = fields.take("title").and_then(|node| read_title(node, cx));
    let unit = fields.take("unit").and_then(|node| read_title(node, cx));
    let mut interval = DEFAULT_CURVE_INTERVAL;
    if let Some(node) = fields.take("interval")
        && let Some(value) = cx.duration(node, "`interval`")
    {
        if value < MIN_INTERVAL {
            cx.diagnostics.error(node.place, "`interval` of a curve is less than 1 s").help("60s is usual");
        }
        interval = value;
    }
    let compare = fields.take("compare").map(|node| read_compare(node, cx)).unwrap_or_default();
    let place_of_bounds = (fields.key_place("below"), fields.key_place("above"));
    let below = fields.take("below").and_then(|node| read_bounds(node, "below", cx));
    let above = fields.take("above").and_then(|node| read_bounds(node, "above", cx));
    for (bounds, place) in [(&below, place_of_bounds.0), (&above, place_of_bounds.1)] {
        if bounds.is_some() && compare.is_empty() {
            cx.diagnostics
                .error(place, "a bound, and nothing to compare with")
                .help("write `compare: [yesterday, last_week]` beside it");
        }
    }
    let sources: Vec<(&'static str, &Node)> =
        SOURCES.into_iter().filter_map(|name| Some((name, fields.take(name)?))).collect();
    fields.finish("a curve", cx);
    let [(kind, source)] = sources.as_slice() else {
        let several = sources.len() > 1;
        let message = if several { "has several sources" } else { "has no source" };
        cx.diagnostics
            .error(
                sources.get(1).map_or(key.place, |(_, node)| node.place),
                format!("curve `{}` {message}", key.name),
            )
            .help(format!("write one of {}", SOURCES.join(", ")));
        return None;
    };
    let source = match *kind {
        "prometheus" => read_prometheus(source, cx),
        "http" => read_http(source, cx),
        "push" => read_push(source, cx),
        kind => read_sql(kind, source, reader, cx),
    }?;
    Some(Curve {
        title: title.unwrap_or_else(|| Text::same(key.name.clone())),
        name: key.name.clone(),
        unit,
        source,
        interval,
        compare,
        below,
        above,
    })
}

fn read_compare(node: &Node, cx: &mut Context<'_>) -> Vec<Compare> {
    let Value::List(items) = &node.value else {
        cx.expected(node, "`compare` is a list, such as `[yesterday, last_week]`");
        return Vec::new();
    };
    let mut all = Vec::new();
    for item in items {
        let Some(word) = cx.text(item, "`compare`") else { continue };
        match [Compare::Yesterday, Compare::LastWeek].into_iter().find(|c| c.as_str() == word) {
            Some(found) if all.contains(&found) => {
                cx.diagnostics.error(item.place, format!("`{word}` stands twice in `compare`"));
            }
            Some(found) => all.push(found),
            None => cx.unknown_word(item.place, "unknown comparison", &word, &["yesterday", "last_week"]),
        }
    }
    all
}

/// `{ yellow: 70%, red: 40% }`: shares of what is compared with.
fn read_bounds(node: &Node, name: &str, cx: &mut Context<'_>) -> Option<Bounds> {
    let mut fields = Fields::of(node, &format!("`{name}`"), cx)?;
    let share = |color: &str, node: Option<&Node>, cx: &mut Context<'_>| {
        let node = node?;
        let value = cx.quantity(node, crate::kind::Unit::Ratio, &format!("`{color}` of `{name}`"))?;
        if (name == "below") == (value < 1.0) && value > 0.0 {
            return Some(value);
        }
        let (than, such) = if name == "below" { ("less", "70%") } else { ("more", "150%") };
        cx.diagnostics
            .error(node.place, format!("`{color}` of `{name}` is not {than} than 100 %"))
            .help(format!("it is a share of what is compared with, such as {such}"));
        None
    };
    let (yellow_node, red_node) = (fields.take("yellow"), fields.take("red"));
    let yellow = share("yellow", yellow_node, cx);
    let red = share("red", red_node, cx);
    let place = fields.key_place("red");
    fields.finish(&format!("`{name}`"), cx);
    if yellow_node.is_none() && red_node.is_none() {
        cx.diagnostics.error(node.place, format!("`{name}` sets neither `yellow` nor `red`"));
        return None;
    }
    if let (Some(yellow), Some(red)) = (yellow, red)
        && (if name == "below" { red > yellow } else { red < yellow })
    {
        cx.diagnostics
            .error(place, format!("red is milder than yellow in `{name}`"))
            .help("exchange the two: yellow comes first");
    }
    Some(Bounds { yellow, red })
}

fn read_sql(kind: &str, node: &Node, reader: &Reader<'_>, cx: &mut Context<'_>) -> Option<CurveSource> {
    let what = format!("`{kind}`");
    let mut fields = Fields::of(node, &what, cx)?;
    let component = fields.take("component");
    let database = fields.take("database").and_then(|node| cx.text(node, "`database`"));
    let query = fields.take("query");
    fields.finish(&what, cx);
    let query = required(query, node, kind, "query", "SELECT count(*) FROM orders …", cx)
        .and_then(|node| read_select(node, cx));
    let node = required(component, node, kind, "component", "order-db", cx)?;
    let name = cx.text(node, "`component`")?;
    let component = reader.named(&Key { place: node.place, name }, "a curve of nothing", cx)?;
    let of = &reader.components[component.index()];
    let Some(probe) = of.probes.iter().find(|probe| probe.kind.name == kind).cloned() else {
        if !reader.flawed[component.index()] {
            cx.diagnostics
                .error(
                    node.place,
                    format!("`{}` has no `{kind}` probe, whose account the curve uses", of.name),
                )
                .help(format!("give it one: `probe: {{ {kind}: {{ user: …, password: … }} }}`"));
        }
        return None;
    };
    Some(CurveSource::Sql { component, probe, database, query: query? })
}

/// One SELECT; the monitor changes nothing.
fn read_select(node: &Node, cx: &mut Context<'_>) -> Option<String> {
    let text = cx.text(node, "`query`")?;
    let query = text.trim().trim_end_matches(';').trim_end();
    let first = query.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    if !["select", "with"].iter().any(|word| first.eq_ignore_ascii_case(word)) {
        cx.diagnostics
            .error(node.place, "`query` is one SELECT that yields one number")
            .help("it begins with SELECT or WITH; the monitor changes nothing");
        return None;
    }
    Some(query.to_owned())
}

fn read_prometheus(node: &Node, cx: &mut Context<'_>) -> Option<CurveSource> {
    let mut fields = Fields::of(node, "`prometheus`", cx)?;
    let url = fields.take("url");
    let query = fields.take("query");
    fields.finish("`prometheus`", cx);
    let url = required(url, node, "prometheus", "url", "http://prometheus:9090", cx)
        .and_then(|node| read_url(node, cx));
    let query = required(query, node, "prometheus", "query", "sum(rate(orders_total[1m])) * 60", cx)?;
    let text = cx.text(query, "`query`")?.trim().to_owned();
    if text.is_empty() {
        cx.diagnostics.error(query.place, "`query` is empty");
        return None;
    }
    Some(CurveSource::Prometheus { url: url?, query: text })
}

fn read_http(node: &Node, cx: &mut Context<'_>) -> Option<CurveSource> {
    let mut fields = Fields::of(node, "`http`", cx)?;
    let url = fields.take("url");
    let value = fields.take("value");
    fields.finish("`http`", cx);
    let url = required(url, node, "http", "url", "https://stats.example/orders.json", cx)
        .and_then(|node| read_url(node, cx));
    let value = required(value, node, "http", "value", "$.orders.per_minute", cx)?;
    let text = cx.text(value, "`value`")?;
    let Some(path) = json_path(&text) else {
        cx.diagnostics
            .error(value.place, "`value` says where the number stands in the page, and this does not")
            .help("write it as `$.orders.per_minute`, `$.shops[0].count` or `$['orders per minute']`");
        return None;
    };
    Some(CurveSource::Http { url: url?, value: path })
}

fn read_push(node: &Node, cx: &mut Context<'_>) -> Option<CurveSource> {
    if matches!(node.value, Value::Null) {
        return Some(CurveSource::Push);
    }
    let fields = Fields::of(node, "`push`", cx)?;
    fields.finish("`push`", cx);
    Some(CurveSource::Push)
}

fn read_url(node: &Node, cx: &mut Context<'_>) -> Option<SecretString> {
    let text = cx.text(node, "`url`")?;
    if !text.starts_with("http://") && !text.starts_with("https://") {
        // It may hold a token and is not repeated here.
        cx.diagnostics.error(node.place, "`url` begins with `http://` or `https://`");
        return None;
    }
    Some(SecretString::from(text))
}

fn required<'a>(
    found: Option<&'a Node>,
    section: &Node,
    kind: &str,
    key: &str,
    example: &str,
    cx: &mut Context<'_>,
) -> Option<&'a Node> {
    if found.is_none() {
        cx.diagnostics
            .error(section.place, format!("`{kind}` of a curve needs `{key}`"))
            .help(format!("write `{key}: \"{example}\"`"));
    }
    found
}

/// The part of `JSONPath` (RFC 9535) that names one value: `$`, then `.name`, `['name']` and `[0]`.
pub(super) fn json_path(text: &str) -> Option<JsonPath> {
    let mut rest = text.trim().strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let name = &after[..end];
            if name.is_empty() || name.contains(|c: char| c.is_whitespace() || matches!(c, '*' | ']' | '\''))
            {
                return None;
            }
            steps.push(JsonStep::Member(name.to_owned()));
            rest = &after[end..];
        } else {
            let after = rest.strip_prefix('[')?;
            if let Some(quoted) = after.strip_prefix('\'') {
                let end = quoted.find("']")?;
                steps.push(JsonStep::Member(quoted[..end].to_owned()));
                rest = &quoted[end + 2..];
            } else {
                let end = after.find(']')?;
                steps.push(JsonStep::Index(after[..end].parse().ok()?));
                rest = &after[end + 1..];
            }
        }
    }
    Some(JsonPath { steps })
}
