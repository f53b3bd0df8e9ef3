//! What a probe kind declares about itself: its options, its signals and their default thresholds.
//!
//! The tables live beside the probes (`probes/src/<kind>.rs`); the file reader here only needs their
//! shape. One table serves the reader of topology.yaml, the default thresholds and the documentation.

use crate::level::Kind;
use crate::model::Probe;

/// A probe kind as topology.yaml knows it.
#[derive(Debug)]
pub struct KindSpec {
    /// The word in `probe: { <name>: {...} }`.
    pub name: &'static str,
    /// One sentence: what it does.
    pub summary: &'static str,
    /// The options, besides signals' thresholds.
    pub options: &'static [OptionSpec],
    /// The signals a threshold can be set for.
    pub signals: &'static [SignalSpec],
    /// A map of things watched one by one (queues), each with signals of its own.
    pub labelled: Option<&'static LabelledSpec>,
    /// The least privileges of the monitor's own account, as commands to paste; for kinds with an account.
    pub grants: Option<&'static str>,
    /// What is wrong with a probe whose options are each well formed, if anything is: two that exclude each
    /// other, one that is missing.
    pub wrong: Option<fn(&Probe) -> Option<String>>,
    /// True when a good answer proves that what lies behind the instance works too: counter-evidence
    /// for the verdict. A bare connect or a status page says nothing of the sort.
    pub exercises_dependencies: bool,
    /// The ports its servers listen on by default, where a bare connect says less than this kind does.
    pub ports: &'static [u16],
    /// True when nothing is asked and the monitor waits to be told: an answer proves no sight of its own.
    pub passive: bool,
}

impl KindSpec {
    /// A kind without options and signals: what a kind's table starts from.
    pub const EMPTY: Self = Self {
        name: "",
        summary: "",
        options: &[],
        signals: &[],
        labelled: None,
        grants: None,
        wrong: None,
        exercises_dependencies: false,
        ports: &[],
        passive: false,
    };
}

/// One option of a kind.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// Its key.
    pub name: &'static str,
    /// What may be written.
    pub form: OptionForm,
    /// What holds when it is left out, as it would be written.
    pub default: Option<&'static str>,
    /// One sentence.
    pub help: &'static str,
}

/// What an option's value may be.
#[derive(Clone, Copy, Debug)]
pub enum OptionForm {
    /// Any text.
    Text,
    /// Text that begins with `/`.
    Path,
    /// Text that is never shown; best written `${env:NAME}` or `${file:PATH}`.
    Secret,
    /// `true` or `false`.
    Truth,
    /// A whole number.
    Count,
    /// Any number.
    Number,
    /// A number of bytes, written as `64KiB`.
    Bytes,
    /// A duration, written as `300ms`.
    Duration,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Text in a little language of the kind's own: a pattern, a JSON path.
    Checked(&'static Check),
    /// A text, a number or a truth, kept as what it is.
    Scalar,
    /// A list; where there is one element, it may stand without its list.
    List(&'static OptionForm),
    /// A map from names of the user's own, which may have to be in a little language too.
    Map(Option<&'static Check>, &'static OptionForm),
    /// A map with these keys.
    Record(&'static [OptionSpec]),
    /// A short form, or a map with these keys that says more.
    Either(&'static OptionForm, &'static [OptionSpec]),
}

/// A little language that a text must be in.
#[derive(Debug)]
pub struct Check {
    /// What the text is, with its article: `a regular expression`.
    pub what: &'static str,
    /// What is wrong with a text, if anything is.
    pub wrong: fn(&str) -> Option<String>,
}

/// A group of signals repeated for each label: `queues: { orders: { messages: {...} } }`. The order in the file
/// is kept: the steps of a journey are such a group.
#[derive(Debug)]
pub struct LabelledSpec {
    /// The key of the map.
    pub key: &'static str,
    /// Options of each entry, besides its signals' thresholds.
    pub options: &'static [OptionSpec],
    /// The signals of each entry; their full name gets `[label]` appended.
    pub signals: &'static [SignalSpec],
}

/// A named measured value, and when it is bad.
#[derive(Debug)]
pub struct SignalSpec {
    /// The full name, ending in its base unit: `redis.memory_used_ratio`.
    pub name: &'static str,
    /// The key its thresholds are written under: `memory_used`.
    pub key: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// Which direction is bad.
    pub bad: Bad,
    /// Default threshold for yellow.
    pub yellow: Option<f64>,
    /// Default threshold for red.
    pub red: Option<f64>,
    /// Which yellow it makes.
    pub effect: Kind,
    /// One sentence, with the source of the default.
    pub help: &'static str,
}

/// The unit of a signal, always a base unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds; written as `300ms`, `2s`.
    Seconds,
    /// Bytes; written as `64MiB`.
    Bytes,
    /// 0 to 1; written as `85%` or `0.85`.
    Ratio,
    /// A count.
    Count,
    /// 0 or 1.
    Truth,
}

/// Which direction of a signal is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// Bad when at or above the threshold.
    Above,
    /// Bad when at or below the threshold.
    Below,
}

impl Bad {
    /// True when `value` has reached `threshold` in the bad direction.
    pub fn reached(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Above => value >= threshold,
            Self::Below => value <= threshold,
        }
    }

    /// True when `yellow` would be reached no later than `red`.
    pub fn in_order(self, yellow: f64, red: f64) -> bool {
        match self {
            Self::Above => yellow <= red,
            Self::Below => yellow >= red,
        }
    }
}

/// A value with its unit, as a person writes it: `1.2 s`, `85 %`, `12,000`.
pub fn show_value(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Seconds if value < 0.001 => format!("{:.0} µs", value * 1e6),
        Unit::Seconds if value < 0.01 => format!("{:.1} ms", value * 1e3),
        Unit::Seconds if value < 1.0 => format!("{:.0} ms", value * 1e3),
        Unit::Seconds if value < 120.0 => format!("{value:.1} s"),
        Unit::Seconds if value < 7200.0 => format!("{:.0} min", value / 60.0),
        Unit::Seconds if value < 172_800.0 => format!("{:.1} h", value / 3600.0),
        Unit::Seconds => format!("{:.0} d", value / 86_400.0),
        Unit::Ratio => format!("{} %", trim(value * 100.0, 1)),
        Unit::Bytes => {
            let (mut amount, mut name) = (value, "B");
            for next in ["KiB", "MiB", "GiB", "TiB"] {
                if amount.abs() < 1024.0 {
                    break;
                }
                amount /= 1024.0;
                name = next;
            }
            format!("{} {name}", trim(amount, 1))
        }
        Unit::Truth => if value == 0.0 { "no" } else { "yes" }.to_owned(),
        Unit::Count => group(value),
    }
}

fn trim(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.split_once('.') {
        Some((whole, rest)) if rest.bytes().all(|b| b == b'0') => whole.to_owned(),
        _ => text,
    }
}

/// Digits grouped by comma from 1,000.
fn group(value: f64) -> String {
    if value.abs() < 10.0 && value.fract() != 0.0 {
        return trim(value, 1);
    }
    let digits = format!("{:.0}", value.abs());
    let mut out = String::new();
    if value <= -0.5 {
        out.push('-');
    }
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_a_person_writes_them() {
        let shown: Vec<String> = [
            (0.000_25, Unit::Seconds),
            (0.0042, Unit::Seconds),
            (0.3, Unit::Seconds),
            (1.5, Unit::Seconds),
            (3600.0, Unit::Seconds),
            (0.85, Unit::Ratio),
            (0.999, Unit::Ratio),
            (67_108_864.0, Unit::Bytes),
            (12_345_678.0, Unit::Count),
            (12.0, Unit::Count),
            (0.0, Unit::Truth),
        ]
        .into_iter()
        .map(|(value, unit)| show_value(value, unit))
        .collect();
        assert_eq!(
            shown,
            [
                "250 µs",
                "4.2 ms",
                "300 ms",
                "1.5 s",
                "60 min",
                "85 %",
                "99.9 %",
                "64 MiB",
                "12,345,678",
                "12",
                "no"
            ]
        );
    }
}
