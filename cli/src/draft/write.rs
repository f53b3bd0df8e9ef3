//! A draft as the text of a topology.yaml, with comments for the person who goes on with it.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

use super::{Component, Draft, Instance, Probe, Setting, Strength};

/// Past this, a flow map is divided.
const WIDTH: usize = 110;

/// The text, and in which line each component begins (from 1).
pub(crate) fn write(draft: &Draft) -> (String, Vec<u32>) {
    let mut out = String::new();
    for line in &draft.heading {
        push(&mut out, 0, &comment(line));
    }
    push(&mut out, 0, &format!("name: {}", scalar(&draft.name)));
    push(&mut out, 0, "defaults: { interval: 3s, timeout: 1500ms }");
    let tiers: Vec<_> = super::known::TIERS
        .iter()
        .filter(|(tier, ..)| draft.components.iter().any(|c| c.tier.as_deref() == Some(*tier)))
        .collect();
    if !tiers.is_empty() {
        push(
            &mut out,
            0,
            "\ntiers:                                  # the lanes of the page, from the customer inwards",
        );
        for (tier, en, zh) in tiers {
            push(&mut out, 1, &format!("{tier}: {{ en: {en}, zh: {zh} }}"));
        }
    }
    push(&mut out, 0, if draft.components.is_empty() { "\ncomponents: {}" } else { "\ncomponents:" });
    let mut lines = Vec::new();
    for (i, one) in draft.components.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        lines.push(out.matches('\n').count() as u32 + 1);
        component(&mut out, one);
    }
    (out, lines)
}

fn push(out: &mut String, depth: usize, text: &str) {
    for _ in 0..depth {
        out.push_str("  ");
    }
    out.push_str(text);
    out.push('\n');
}

fn component(out: &mut String, one: &Component) {
    for line in &one.comments {
        push(out, 1, &comment(line));
    }
    push(out, 1, &format!("{}:", scalar(&one.name)));
    let texts =
        [("title", &one.title), ("tier", &one.tier), ("group", &one.group), ("interval", &one.interval)];
    for (key, text) in texts.into_iter().chain([("timeout", &one.timeout)]) {
        if let Some(text) = text {
            push(out, 2, &format!("{key}: {}", scalar(text)));
        }
    }
    instances(out, &one.instances);
    probes(out, &one.probes);
    if let Some(policy) = one.policy {
        push(out, 2, &format!("policy: {policy}"));
    }
    if one.depends_on.is_empty() {
        return;
    }
    push(out, 2, "depends_on:");
    for dependency in &one.depends_on {
        let on = scalar(&dependency.on);
        let entry = match dependency.strength {
            Strength::Required => format!("- {on}"),
            Strength::Optional => format!("- {{ on: {on}, strength: optional }}"),
            Strength::Async => format!("- {{ on: {on}, strength: async }}"),
        };
        let because = if dependency.because.is_empty() {
            String::new()
        } else {
            format!(
                "{}{}",
                " ".repeat(34_usize.saturating_sub(entry.width()).max(2)),
                comment(&dependency.because)
            )
        };
        push(out, 3, &format!("{entry}{because}"));
    }
}

fn instances(out: &mut String, instances: &[Instance]) {
    let plain = |one: &Instance| one.name.is_none() && one.labels.is_empty();
    if instances.iter().all(plain) {
        let all: Vec<String> = instances.iter().map(|one| quoted(&one.address)).collect();
        let flow = format!("instances: [{}]", all.join(", "));
        if flow.width() <= WIDTH {
            push(out, 2, &flow);
            return;
        }
    }
    push(out, 2, "instances:");
    for one in instances {
        if plain(one) {
            push(out, 3, &format!("- {}", quoted(&one.address)));
            continue;
        }
        let mut entry = String::from("- { ");
        if let Some(name) = &one.name {
            entry.extend(["name: ", &scalar(name), ", "]);
        }
        entry.extend(["address: ", &quoted(&one.address)]);
        if !one.labels.is_empty() {
            let labels: Vec<String> = one
                .labels
                .iter()
                .map(|(key, value)| format!("{}: {}", scalar(key), text_scalar(value)))
                .collect();
            entry.extend([", labels: { ", &labels.join(", "), " }"]);
        }
        push(out, 3, &format!("{entry} }}"));
    }
}

fn probes(out: &mut String, probes: &[Probe]) {
    let one = |probe: &Probe| format!("{}: {}", probe.kind, flow_map(&probe.options));
    let flow = format!("probe: {{ {} }}", probes.iter().map(one).collect::<Vec<_>>().join(", "));
    if flow.width() <= WIDTH {
        push(out, 2, &flow);
        return;
    }
    push(out, 2, "probe:");
    for probe in probes {
        let flow = one(probe);
        if flow.width() <= WIDTH || probe.options.is_empty() {
            push(out, 3, &flow);
            continue;
        }
        push(out, 3, &format!("{}:", probe.kind));
        for (key, setting) in &probe.options {
            push(out, 4, &format!("{}: {}", scalar(key), flow_of(setting)));
        }
    }
}

fn flow_map(entries: &[(String, Setting)]) -> String {
    if entries.is_empty() {
        return "{}".to_owned();
    }
    let all: Vec<String> =
        entries.iter().map(|(key, setting)| format!("{}: {}", scalar(key), flow_of(setting))).collect();
    format!("{{ {} }}", all.join(", "))
}

fn flow_of(setting: &Setting) -> String {
    match setting {
        Setting::Text(text) => text_scalar(text),
        Setting::Template(text) => quoted(text),
        Setting::Number(number) => number.to_string(),
        Setting::Truth(truth) => truth.to_string(),
        Setting::List(items) => format!("[{}]", items.iter().map(flow_of).collect::<Vec<_>>().join(", ")),
        Setting::Map(entries) => flow_map(entries),
    }
}

/// A comment in one line: what comes from elsewhere ends no line and starts no other.
pub(crate) fn comment(text: &str) -> String {
    const LONGEST: usize = 300;
    let mut cut: String = text.chars().take(LONGEST).map(|c| if is_odd(c) { ' ' } else { c }).collect();
    if text.chars().count() > LONGEST {
        cut.push('…');
    }
    if cut.is_empty() { "#".to_owned() } else { format!("# {}", cut.trim_end()) }
}

/// Characters that end a line, or that a YAML file may not hold, or that would turn the text around.
fn is_odd(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A key or a word: plain where it can be.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_alphabetic())
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'));
    let word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        .contains(&text.to_ascii_lowercase().as_str());
    if plain && !word || is_time(text) { text.to_owned() } else { quoted(text) }
}

/// `30s`, which no reader takes for a number.
fn is_time(text: &str) -> bool {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
    digits.len() < text.len()
        && !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !digits.starts_with('0')
        && ["ms", "s", "m", "h"].contains(&&text[digits.len()..])
}

/// A text: one that begins with `/` may stand plain, too.
fn text_scalar(text: &str) -> String {
    let path = text.starts_with('/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'));
    if path { text.to_owned() } else { scalar(text) }
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_odd(c) => {
                let written = if u32::from(c) <= 0xff {
                    write!(out, "\\x{:02x}", u32::from(c))
                } else {
                    write!(out, "\\u{:04x}", u32::from(c))
                };
                debug_assert!(written.is_ok());
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_elsewhere_ends_a_text_or_a_comment() {
        assert_eq!(comment("a\nname: b\u{2028}c"), "# a name: b c");
        assert_eq!(quoted("a\"b\\c\u{1b}\u{202e}"), "\"a\\\"b\\\\c\\x1b\\u202e\"");
        let shown = ["web-1", "on", "3", "a b", "30s", "03s", "/", "/a b", "", "门店"].map(text_scalar);
        assert_eq!(
            shown,
            ["web-1", "\"on\"", "\"3\"", "\"a b\"", "30s", "\"03s\"", "/", "\"/a b\"", "\"\"", "门店"]
        );
    }
}
