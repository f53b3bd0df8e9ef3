//! `topowatch health --nagios`: an answer as a monitoring plug-in gives it, for Nagios, Icinga, Naemon and the like
//! (<https://www.monitoring-plugins.org/doc/guidelines.html>). The exit statuses are the same as without it.

use serde_json::Value;

use crate::output;

/// Lines of long output at most.
const MOST_LINES: usize = 20;
const LEVELS: [&str; 5] = ["red", "yellow", "unknown", "paused", "green"];

/// The output for the whole platform (`node` false) or for one node: the status line with its performance data, then
/// who is unhealthy.
pub(crate) fn text(answer: &Value, node: bool) -> String {
    let word = answer["level"].as_str().unwrap_or("unknown");
    let said = if node { answer["words"].as_str() } else { answer["sentence"].as_str() };
    let name = answer["name"].as_str().unwrap_or_default();
    let said = match said {
        Some(said) if !said.is_empty() => format!(": {}", safe(said)),
        _ => format!(" is {word}"),
    };
    let figures = figures(answer);
    let bar = if figures.is_empty() { "" } else { " | " };
    let first = format!("TOPOWATCH {} - {}{said}{bar}{}", status(word), safe(name), figures.join(" "));
    let components = answer["components"].as_array().map(Vec::as_slice).unwrap_or_default();
    let unhealthy = LEVELS[..3]
        .iter()
        .flat_map(|level| components.iter().filter(move |component| component["level"] == **level));
    let lines = unhealthy.take(MOST_LINES).map(|component| {
        let (name, level) = (component["name"].as_str(), component["level"].as_str());
        format!("{}: {}", safe(name.unwrap_or_default()), level.unwrap_or_default())
    });
    std::iter::once(first).chain(lines).collect::<Vec<_>>().join("\n")
}

/// The output when there is no answer.
pub(crate) fn no_answer(why: &str) -> String {
    format!("TOPOWATCH UNKNOWN - {}", safe(why))
}

fn status(level: &str) -> &'static str {
    match level {
        "green" | "paused" => "OK",
        "yellow" => "WARNING",
        "red" => "CRITICAL",
        _ => "UNKNOWN",
    }
}

/// Performance data: how many there are of each level, or what was measured.
fn figures(answer: &Value) -> Vec<String> {
    let counts = LEVELS.iter().filter_map(|level| {
        let count = answer["counts"][*level].as_u64()?;
        Some(format!("{level}={count};;;0"))
    });
    let latency = answer["latency_s"].as_f64().map(|latency| format!("latency={latency}s;;;0"));
    let signals = answer["signals"].as_object().into_iter().flatten().filter_map(|(name, value)| {
        let unit = match name.rsplit(['_', '.', '[']).next() {
            Some("seconds") => "s",
            Some("bytes") => "B",
            Some("total") => "c",
            _ => "",
        };
        // A quote and an equals sign would end the label.
        let label = safe(name).replace(['\'', '='], "_");
        Some(format!("'{label}'={}{unit}", value.as_f64()?))
    });
    counts.chain(latency).chain(signals).collect()
}

/// One line, in which nothing is taken for performance data.
fn safe(text: &str) -> String {
    output::plain(text).replace('|', "/")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_platform_is_told_with_its_counts_and_who_is_unhealthy() {
        let answer = json!({
            "name": "shop", "level": "red", "sentence": "Member DB is down | 3 others\naffected",
            "counts": {"green": 1, "yellow": 0, "red": 2, "unknown": 0, "paused": 0},
            "components": [{"name": "web", "level": "green"}, {"name": "db", "level": "red"},
                           {"name": "api", "level": "red"}],
        });
        insta::assert_snapshot!(text(&answer, false), @r"
        TOPOWATCH CRITICAL - shop: Member DB is down / 3 others affected | red=2;;;0 yellow=0;;;0 unknown=0;;;0 paused=0;;;0 green=1;;;0
        db: red
        api: red
        ");
    }

    #[test]
    fn an_instance_is_told_with_what_was_measured() {
        let answer = json!({
            "name": "redis-1", "level": "yellow", "words": "memory 85 %", "latency_s": 0.0021,
            "signals": {"redis.memory_used_bytes": 1024.0, "redis.memory_used_ratio": 0.85, "it's=": 1.0},
        });
        insta::assert_snapshot!(text(&answer, true), @"TOPOWATCH WARNING - redis-1: memory 85 % | latency=0.0021s;;;0 'it_s_'=1 'redis.memory_used_bytes'=1024B 'redis.memory_used_ratio'=0.85");
        let healthy = json!({"name": "web", "level": "green", "words": ""});
        assert_eq!(text(&healthy, true), "TOPOWATCH OK - web is green");
        assert_eq!(no_answer("nobody | there\n"), "TOPOWATCH UNKNOWN - nobody / there ");
    }
}
