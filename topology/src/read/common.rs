//! Parts that stand in several places: titles, timing, confirmation, policies, labels.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::decode::{Context, Fields};
use crate::model::{Confirm, Policy};
use crate::text::Text;
use crate::yaml::{Node, Value};

/// Labels of one node, at most: each instance carries its own copy.
const MAX_LABELS: usize = 64;

/// The shortest interval: below it a monitor is a load test.
const MIN_INTERVAL: Duration = Duration::from_millis(200);

pub(super) fn read_title(node: &Node, cx: &mut Context<'_>) -> Option<Text> {
    if let Value::Map(_) = node.value {
        let mut fields = Fields::of(node, "a title", cx)?;
        let en = fields.take("en").and_then(|node| cx.text(node, "a title"));
        let zh = fields.take("zh").and_then(|node| cx.text(node, "a title"));
        fields.finish("a title", cx);
        let any = en.clone().or_else(|| zh.clone())?;
        return Some(Text { en: en.unwrap_or_else(|| any.clone()), zh: zh.unwrap_or(any) });
    }
    cx.text(node, "a title").map(Text::same)
}

/// Reads `interval` and `timeout` over what holds so far.
pub(super) fn read_timing(
    fields: &mut Fields<'_>,
    interval: &mut Duration,
    timeout: &mut Duration,
    cx: &mut Context<'_>,
) {
    if let Some(node) = fields.take("interval")
        && let Some(value) = cx.duration(node, "`interval`")
    {
        if value < MIN_INTERVAL {
            cx.diagnostics
                .error(node.place, format!("`interval` is less than {} ms", MIN_INTERVAL.as_millis()))
                .help("a target is looked at again at once when something is wrong; 3s or 5s is usual");
        }
        *interval = value;
    }
    if let Some(node) = fields.take("timeout")
        && let Some(value) = cx.duration(node, "`timeout`")
    {
        if value > *interval {
            cx.diagnostics
                .error(node.place, "`timeout` is longer than `interval`")
                .help("a look must be over before the next one is due");
        }
        *timeout = value;
    }
}

pub(super) fn read_confirm(fields: &mut Fields<'_>, confirm: &mut Confirm, cx: &mut Context<'_>) {
    let Some(mut inner) = fields.take("confirm").and_then(|node| Fields::of(node, "`confirm`", cx)) else {
        return;
    };
    for (name, target) in [("red_after", &mut confirm.red_after), ("green_after", &mut confirm.green_after)] {
        if let Some(count) = inner.take(name).and_then(|node| cx.count(node, &format!("`{name}`"), 1)) {
            *target = u32::try_from(count).unwrap_or(u32::MAX);
        }
    }
    inner.finish("`confirm`", cx);
}

pub(super) fn read_policy(node: &Node, cx: &mut Context<'_>) -> Option<Policy> {
    const WORDS: [&str; 5] = ["replicas", "shards", "primary_replica", "any", "standby"];
    let plain = |word: &str| match word {
        "replicas" => Some(Policy::DEFAULT),
        "shards" => Some(Policy::Shards),
        "primary_replica" => Some(Policy::PrimaryReplica),
        "any" => Some(Policy::Any),
        "standby" => Some(Policy::Standby),
        _ => None,
    };
    match &node.value {
        Value::Text(word) => {
            let policy = plain(word);
            if policy.is_none() {
                cx.unknown_word(node.place, "unknown policy", word, &WORDS);
            }
            policy
        }
        Value::Map(entries) if entries.len() == 1 && entries[0].0.name == "replicas" => {
            let mut inner = Fields::of(&entries[0].1, "`replicas`", cx)?;
            let min_healthy = match inner.take("min_healthy") {
                Some(node) => cx.ratio(node, "`min_healthy`")?,
                None => 0.5,
            };
            inner.finish("`replicas`", cx);
            Some(Policy::Replicas { min_healthy })
        }
        _ => {
            cx.diagnostics
                .error(node.place, "`policy` is one word, or `{ replicas: { min_healthy: 60% } }`")
                .help(format!("the words are {}", WORDS.join(", ")));
            None
        }
    }
}

pub(super) fn read_labels(node: &Node, cx: &mut Context<'_>) -> BTreeMap<String, String> {
    let Value::Map(entries) = &node.value else {
        cx.expected(node, "`labels` is a map of texts");
        return BTreeMap::new();
    };
    if entries.len() > MAX_LABELS {
        cx.diagnostics.error(node.place, format!("more than {MAX_LABELS} labels"));
        return BTreeMap::new();
    }
    entries
        .iter()
        .filter_map(|(key, value)| {
            Some((key.name.clone(), cx.text(value, &format!("label `{}`", key.name))?))
        })
        .collect()
}
