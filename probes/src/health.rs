//! Deep-health answers, recognised by their shape. Pure: bytes in, checks out.
//!
//! In this order: the IETF draft (`checks`, an object), `MicroProfile` (`checks`, an array), Spring Boot
//! (`components`, or `details` before 2.2), ASP.NET (`entries`), its sample writer (`results`), Terminus
//! (`info` and `error`), flat objects, and a bare word. Keys and words compare without case.

use std::time::Duration;

use serde_json::{Map, Value};
use topology::fault::clean_words;
use topology::level::Health;

/// Checks inside checks, at most so deep.
const MAX_DEPTH: usize = 4;
/// A body nested deeper is nobody's health.
const MAX_NESTING: usize = 64;
/// More checks than this are not read.
const MAX_CHECKS: usize = 200;
/// A bare word is no longer than this.
const MAX_WORD: usize = 32;

/// What a deep-health answer says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report {
    /// The answer's own view of the whole.
    pub(crate) overall: Word,
    /// The same as it was written.
    pub(crate) said: String,
    /// Its checks, one a name.
    pub(crate) checks: Vec<Check>,
    /// It lists its checks, and there are none yet: still starting.
    pub(crate) nothing_yet: bool,
}

/// One check of a dependency, or of the instance itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Check {
    /// The name it was given.
    pub(crate) name: String,
    /// What it says.
    pub(crate) word: Word,
    /// The word as written, and the text beside it.
    pub(crate) words: String,
    /// How long it took.
    pub(crate) latency: Option<Duration>,
    /// The number it observed, where it gives one.
    pub(crate) observed: Option<f64>,
}

/// A status word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// `pass`, `ok`, `up`, `healthy`.
    Good,
    /// `warn`, `degraded`.
    Warn,
    /// `fail`, `error`, `down`, `unhealthy`.
    Bad,
    /// `out_of_service`, `shutting_down`.
    Out,
    /// `unknown`.
    Unknown,
    /// A word of the application's own.
    Custom,
}

impl Word {
    /// The level of the check.
    pub(crate) fn health(self) -> Health {
        match self {
            Self::Good => Health::Green,
            Self::Warn | Self::Custom => Health::AtRisk,
            Self::Bad | Self::Out => Health::Red,
            Self::Unknown => Health::Unknown,
        }
    }

    fn of(text: &str) -> Self {
        match text.trim().to_ascii_lowercase().as_str() {
            "pass" | "ok" | "up" | "healthy" => Self::Good,
            "warn" | "degraded" => Self::Warn,
            "fail" | "error" | "down" | "unhealthy" => Self::Bad,
            "out_of_service" | "shutting_down" => Self::Out,
            "unknown" => Self::Unknown,
            _ => Self::Custom,
        }
    }

    /// A status as text, or as ASP.NET's number.
    fn read(value: &Value) -> Option<(Self, String)> {
        let text = match value {
            Value::String(text) => text.as_str(),
            Value::Number(number) => match number.as_u64()? {
                0 => "Unhealthy",
                1 => "Degraded",
                2 => "Healthy",
                _ => return None,
            },
            _ => return None,
        };
        Some((Self::of(text), clean_words(text)))
    }
}

/// The body says that it is JSON, and is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotJson;

/// Reads a body; `None` if it is not a health answer at all, which is no fault.
///
/// # Errors
/// When `says_json` and it does not parse.
pub(crate) fn read(body: &[u8], says_json: bool) -> Result<Option<Report>, NotJson> {
    let trimmed = body.trim_ascii();
    if !says_json && trimmed.first() != Some(&b'{') {
        return Ok(bare_word(trimmed));
    }
    if says_json && depth(trimmed) > MAX_NESTING {
        return Err(NotJson);
    }
    match serde_json::from_slice::<Value>(trimmed) {
        Ok(Value::Object(object)) => Ok(from_object(&object)),
        Err(_) if says_json => Err(NotJson),
        Ok(_) | Err(_) => Ok(None),
    }
}

/// How deep the brackets go; those inside strings do not count.
fn depth(body: &[u8]) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn bare_word(text: &[u8]) -> Option<Report> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= MAX_WORD)?;
    match Word::of(text) {
        Word::Custom => None,
        overall => Some(Report { overall, said: clean_words(text), checks: Vec::new(), nothing_yet: false }),
    }
}

fn from_object(object: &Map<String, Value>) -> Option<Report> {
    let (overall, said) = Word::read(get(object, "status").or_else(|| get(object, "outcome"))?)?;
    let mut checks = Checks::default();
    let mut nothing_yet = false;
    match get(object, "checks") {
        Some(Value::Object(named)) => checks.ietf(named),
        Some(Value::Array(list)) => {
            nothing_yet = list.is_empty();
            checks.listed(list);
        }
        _ => {
            let groups = ["components", "entries", "results", "details", "info", "error"];
            let mut grouped = false;
            for group in groups {
                match get(object, group) {
                    Some(Value::Object(named)) => checks.named(named, "", 1),
                    Some(Value::Array(list)) => checks.listed(list),
                    _ => continue,
                }
                grouped = true;
            }
            if !grouped {
                checks.named(object, "", 1);
            }
        }
    }
    Some(Report { overall, said, checks: checks.0, nothing_yet })
}

#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    /// `{"db:responseTime": [{...}, ...]}`: the key names the component, each element one node of it.
    fn ietf(&mut self, named: &Map<String, Value>) {
        for (key, value) in named {
            let (component, measurement) = key.split_once(':').unwrap_or((key, ""));
            let one;
            let nodes = match value {
                Value::Array(nodes) => nodes.as_slice(),
                Value::Object(_) => {
                    one = [value.clone()];
                    &one
                }
                _ => continue,
            };
            for node in nodes.iter().filter_map(Value::as_object) {
                // An id names the instance that was asked.
                let name = text(node, "componentId").filter(|id| !id.is_empty()).unwrap_or(component);
                self.add(name, node, observed_time(node, measurement));
            }
        }
    }

    /// `[{"name": "db", "status": "UP"}, ...]`
    fn listed(&mut self, list: &[Value]) {
        for check in list.iter().filter_map(Value::as_object) {
            if let Some(name) = text(check, "name").or_else(|| text(check, "key")) {
                self.add(name, check, time_of(check));
            }
        }
    }

    /// `{"db": {"status": "UP", "components": {...}}, ...}`
    fn named(&mut self, named: &Map<String, Value>, parent: &str, depth: usize) {
        for (key, value) in named {
            let Some(check) = value.as_object() else { continue };
            let name = if parent.is_empty() { key.clone() } else { format!("{parent}.{key}") };
            self.add(&name, check, time_of(check));
            if depth < MAX_DEPTH
                && let Some(Value::Object(inner)) = get(check, "components")
            {
                self.named(inner, &name, depth + 1);
            }
        }
    }

    /// Adds a check that has a status; one of the same name keeps the worse of the two.
    fn add(&mut self, name: &str, check: &Map<String, Value>, latency: Option<Duration>) {
        let status = get(check, "status").or_else(|| get(check, "state"));
        let Some((word, said)) = status.and_then(Word::read) else { return };
        let name = clean_words(name);
        if name.is_empty() {
            return;
        }
        let words = match reason(check) {
            Some(reason) => clean_words(&format!("{said}: {reason}")),
            None => said,
        };
        if let Some(known) = self.0.iter_mut().find(|known| known.name == name) {
            known.latency = known.latency.or(latency);
            if word.health().severity() > known.word.health().severity() {
                (known.word, known.words) = (word, words);
            }
        } else if self.0.len() < MAX_CHECKS {
            let observed = get(check, "observedValue").and_then(Value::as_f64);
            self.0.push(Check { name, word, words, latency, observed });
        }
    }
}

/// What a check says beside its word.
fn reason(check: &Map<String, Value>) -> Option<&str> {
    let own = ["output", "error", "exception", "description", "message"];
    let direct = own.iter().find_map(|key| text(check, key));
    direct.or_else(|| {
        let details = get(check, "details").or_else(|| get(check, "data"))?.as_object()?;
        ["error", "message"].iter().find_map(|key| text(details, key))
    })
}

/// The observed value of the draft, where it is a time.
fn observed_time(node: &Map<String, Value>, measurement: &str) -> Option<Duration> {
    let value = get(node, "observedValue").and_then(Value::as_f64);
    let unit = text(node, "observedUnit").unwrap_or("").to_ascii_lowercase();
    let factor = match unit.as_str() {
        "us" | "µs" => 1e-6,
        "ms" | "millis" | "milliseconds" => 1e-3,
        "s" | "sec" | "seconds" => 1.0,
        _ => return time_of(node),
    };
    // An uptime is a time too, and no answer's.
    if !measurement.is_empty() && !measurement.to_ascii_lowercase().contains("time")
        || measurement.eq_ignore_ascii_case("uptime")
    {
        return None;
    }
    value.and_then(|value| Duration::try_from_secs_f64(value * factor).ok())
}

/// How long a check took, in the ways it is written elsewhere.
fn time_of(check: &Map<String, Value>) -> Option<Duration> {
    if let Some(duration) = text(check, "duration") {
        return clock_time(duration);
    }
    let number = |key: &str| get(check, key).and_then(Value::as_f64);
    let seconds = number("latency_ms")
        .or_else(|| number("duration_ms"))
        .map(|ms| ms / 1e3)
        .or_else(|| number("latency_seconds"))?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// `00:00:00.0066`
fn clock_time(text: &str) -> Option<Duration> {
    let mut parts = text.splitn(3, ':').map(str::parse::<f64>);
    let mut part = || parts.next()?.ok();
    let (hours, minutes, seconds) = (part()?, part()?, part()?);
    Duration::try_from_secs_f64(hours * 3600.0 + minutes * 60.0 + seconds).ok()
}

fn get<'v>(object: &'v Map<String, Value>, key: &str) -> Option<&'v Value> {
    object
        .get(key)
        .or_else(|| object.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value))
}

fn text<'v>(object: &'v Map<String, Value>, key: &str) -> Option<&'v str> {
    get(object, key).and_then(Value::as_str)
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
