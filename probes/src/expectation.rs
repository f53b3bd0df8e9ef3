//! What an answer must be like: status, headers, JSON and body.

use hyper::header::HeaderMap;
use regex::{Regex, RegexBuilder};
use serde_json::Value;
use serde_json_path::JsonPath;
use topology::fault::{Fault, FaultKind, Reason};
use topology::kind::{Check, OptionForm, OptionSpec};
use topology::model::{OptionValue, Options};

use crate::web::{HEADER_NAME, Page};

/// Memory that a compiled pattern may take.
const MAX_PATTERN: usize = 256 * 1024;

/// A regular expression.
pub(crate) static PATTERN: Check = Check { what: "a regular expression", wrong: |text| pattern(text).err() };
/// A JSON path of RFC 9535.
pub(crate) static JSON_PATH: Check = Check {
    what: "a JSON path such as $.orders[0].id",
    wrong: |text| JsonPath::parse(text).err().map(|error| error.to_string()),
};
static STATUS: Check =
    Check { what: "a status such as 200, 2xx or 200-299", wrong: |text| range(text).err() };

/// `expect: {…}` of the kinds that speak HTTP.
pub(crate) const EXPECT: OptionSpec = OptionSpec {
    name: "expect",
    form: OptionForm::Record(&[
        OptionSpec {
            name: "status",
            form: OptionForm::List(&OptionForm::Checked(&STATUS)),
            default: None,
            help: "The statuses that are good, instead of 2xx.",
        },
        OptionSpec {
            name: "headers",
            form: OptionForm::Map(Some(&HEADER_NAME), &OptionForm::Checked(&PATTERN)),
            default: None,
            help: "Headers that must be there and match.",
        },
        OptionSpec {
            name: "json",
            form: OptionForm::Map(Some(&JSON_PATH), &OptionForm::Either(&OptionForm::Scalar, COMPARISONS)),
            default: None,
            help: "From a JSON path to the value that must be there, or to comparisons.",
        },
        OptionSpec {
            name: "body",
            form: OptionForm::Checked(&PATTERN),
            default: None,
            help: "What the body must hold.",
        },
        OptionSpec {
            name: "body_not",
            form: OptionForm::Checked(&PATTERN),
            default: None,
            help: "What the body must not hold.",
        },
    ]),
    default: None,
    help: "What the answer must be like; otherwise it is a bad answer (assertion).",
};

const COMPARISONS: &[OptionSpec] = &[
    OptionSpec { name: "is", form: OptionForm::Scalar, default: None, help: "Equal to it." },
    OptionSpec { name: "at_least", form: OptionForm::Number, default: None, help: "A number not below it." },
    OptionSpec { name: "at_most", form: OptionForm::Number, default: None, help: "A number not above it." },
    OptionSpec {
        name: "matches",
        form: OptionForm::Checked(&PATTERN),
        default: None,
        help: "A text that matches it.",
    },
    OptionSpec {
        name: "exists",
        form: OptionForm::Truth,
        default: None,
        help: "Whether it is there at all.",
    },
];

/// A compiled pattern, bounded in memory; matching is linear in the text's length.
pub(crate) fn pattern(text: &str) -> Result<Regex, String> {
    let made = RegexBuilder::new(text).size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN).build();
    made.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
        // The library draws the place over several lines; the last one says what is wrong.
        error => {
            error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
        }
    })
}

/// `200`, `2xx`, `200-299`.
fn range(text: &str) -> Result<(u16, u16), String> {
    let status = |text: &str| text.trim().parse::<u16>().ok().filter(|status| (100..600).contains(status));
    let found = match (text.strip_suffix("xx"), text.split_once('-')) {
        (Some(class), _) => {
            class.parse::<u16>().ok().filter(|class| (1..6).contains(class)).map(|c| (c * 100, c * 100 + 99))
        }
        (None, Some((from, to))) => status(from).zip(status(to)).filter(|(from, to)| from <= to),
        (None, None) => status(text).map(|status| (status, status)),
    };
    found.ok_or_else(|| format!("`{text}` is none"))
}

/// True when the options name the good statuses themselves.
pub(crate) fn names_status(expect: Option<&Options>) -> bool {
    expect.is_some_and(|expect| expect.contains_key("status"))
}

/// Compares an answer with what is expected of it.
pub(crate) fn check(expect: &Options, page: &Page) -> Result<(), Fault> {
    let failed =
        |stage, words: &str| Fault::new(FaultKind::BadAnswer, stage, words).because(Reason::Assertion);
    if let Some(statuses) = expect.get("status") {
        let good = |text: &str| range(text).is_ok_and(|(from, to)| (from..=to).contains(&page.status));
        if !statuses.list().iter().filter_map(OptionValue::text).any(good) {
            return Err(failed("ask", &format!("{}: not the status expected", page.status)));
        }
    }
    for (name, wanted) in expect.get("headers").map(OptionValue::map).unwrap_or_default() {
        header(&page.headers, name, wanted.text().unwrap_or_default())
            .map_err(|words| failed("ask", &words))?;
    }
    if let Some(paths) = expect.get("json") {
        let parsed: Value = serde_json::from_slice(&page.body)
            .map_err(|error| failed("body", &format!("the body is no JSON: {error}")))?;
        for (path, wanted) in paths.map() {
            compare(&parsed, path, wanted).map_err(|words| failed("body", &words))?;
        }
    }
    let text = String::from_utf8_lossy(&page.body);
    for (key, wanted) in [("body", true), ("body_not", false)] {
        let Some(source) = expect.get(key).and_then(OptionValue::text) else { continue };
        let found = pattern(source).map_err(|error| failed("body", &error))?.is_match(&text);
        if found != wanted {
            let verb = if wanted { "does not hold" } else { "holds" };
            return Err(failed("body", &format!("the body {verb} {source}")));
        }
    }
    Ok(())
}

fn header(headers: &HeaderMap, name: &str, wanted: &str) -> Result<(), String> {
    let values: Vec<_> =
        headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    if values.is_empty() {
        return Err(format!("no header {name}"));
    }
    let pattern = pattern(wanted)?;
    if values.iter().any(|value| pattern.is_match(value)) {
        return Ok(());
    }
    Err(format!("the header {name} is {}, not {wanted}", values.join(", ")))
}

/// The first value at a path.
pub(crate) fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    JsonPath::parse(path).ok()?.query(value).first()
}

fn compare(value: &Value, path: &str, wanted: &OptionValue) -> Result<(), String> {
    let found = at(value, path);
    let OptionValue::Record(comparisons) = wanted else {
        return equal(path, found, wanted);
    };
    for (name, wanted) in comparisons {
        match (*name, wanted) {
            ("is", wanted) => equal(path, found, wanted)?,
            ("exists", OptionValue::Truth(wanted)) if found.is_some() != *wanted => {
                return Err(format!("{path} is {}there", if *wanted { "not " } else { "" }));
            }
            ("at_least" | "at_most", OptionValue::Number(limit)) => {
                let number =
                    found.and_then(number).ok_or_else(|| format!("{path} is {}, no number", shown(found)))?;
                let good = if *name == "at_least" { number >= *limit } else { number <= *limit };
                if !good {
                    return Err(format!("{path} is {number}, not {} {limit}", name.replace('_', " ")));
                }
            }
            ("matches", OptionValue::Text(source)) => {
                let text = found.map(plain).ok_or_else(|| format!("{path} is not there"))?;
                if !pattern(source)?.is_match(&text) {
                    return Err(format!("{path} is {text}, which does not match {source}"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn equal(path: &str, found: Option<&Value>, wanted: &OptionValue) -> Result<(), String> {
    let Some(value) = found else { return Err(format!("{path} is not there")) };
    let (same, wanted) = match wanted {
        OptionValue::Text(text) => (plain(value) == *text, text.clone()),
        OptionValue::Truth(truth) => (value.as_bool() == Some(*truth), truth.to_string()),
        OptionValue::Number(wanted) => {
            (number(value).is_some_and(|number| (number - wanted).abs() < f64::EPSILON), wanted.to_string())
        }
        _ => return Ok(()),
    };
    if same { Ok(()) } else { Err(format!("{path} is {}, not {wanted}", shown(found))) }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64()
}

/// A value as text, without the quotes of a string.
pub(crate) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "not there".to_owned(), plain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn statuses_are_numbers_classes_and_ranges() {
        assert_eq!(range("200"), Ok((200, 200)));
        assert_eq!(range("3xx"), Ok((300, 399)));
        assert_eq!(range("200-204"), Ok((200, 204)));
        for wrong in ["", "xx", "9xx", "42", "300-200", "good"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_are_compared_as_what_they_are() {
        let value = json!({"status": "UP", "items": [{"id": 7}], "ready": true, "age": 3.5});
        let text = |text: &str| OptionValue::Text(text.to_owned());
        assert_eq!(compare(&value, "$.status", &text("UP")), Ok(()));
        assert_eq!(compare(&value, "$.items[0].id", &OptionValue::Number(7.0)), Ok(()));
        assert_eq!(compare(&value, "$.ready", &OptionValue::Truth(true)), Ok(()));
        assert_eq!(compare(&value, "$.status", &text("DOWN")), Err("$.status is UP, not DOWN".to_owned()));
        assert_eq!(compare(&value, "$.none", &text("x")), Err("$.none is not there".to_owned()));
        let most = |most| OptionValue::Record(Options::from([("at_most", OptionValue::Number(most))]));
        assert_eq!(compare(&value, "$.age", &most(4.0)), Ok(()));
        assert_eq!(compare(&value, "$.age", &most(3.0)), Err("$.age is 3.5, not at most 3".to_owned()));
        let absent = OptionValue::Record(Options::from([("exists", OptionValue::Truth(false))]));
        assert_eq!(compare(&value, "$.error", &absent), Ok(()));
        assert!(compare(&value, "$.age", &absent).is_err());
    }

    #[test]
    fn a_broken_pattern_says_what_is_wrong() {
        assert_eq!(pattern("a(b").unwrap_err(), "unclosed group");
        assert!(pattern("(a{1000}){1000}").unwrap_err().contains("too large"));
    }
}
