//! Conditions such as `[STATUS] == 200`, as far as a probe can expect them.

use topology::document::Node;

use super::super::tree::text;
use crate::draft::Setting;

/// What the conditions of an endpoint say.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    status: Vec<Setting>,
    json: Vec<(String, Setting)>,
    body: Option<String>,
    pub(super) slow_ms: Option<u64>,
    pub(super) expires_hours: Option<u64>,
    /// What no probe expects.
    pub(super) lost: Vec<String>,
}

impl Conditions {
    pub(super) fn of(nodes: &[Node]) -> Self {
        let mut conditions = Self::default();
        for condition in nodes.iter().filter_map(text) {
            if conditions.take(&condition).is_none() {
                conditions.lost.push(format!("not carried over: `{condition}`"));
            }
        }
        conditions
    }

    fn take(&mut self, condition: &str) -> Option<()> {
        let (left, operator, right) = split(condition)?;
        if let Some(function) = left.strip_prefix("has(") {
            let path = json_path(function.strip_suffix(')')?)?;
            let wanted = (operator, right) == ("==", "true");
            self.json.push((path, Setting::Map(vec![("exists".to_owned(), Setting::Truth(wanted))])));
            return Some(());
        }
        match (left, operator) {
            ("[STATUS]", "==") => {
                let codes: Vec<&str> = right
                    .strip_prefix("any(")
                    .and_then(|r| r.strip_suffix(')'))
                    .map_or(vec![right], |r| r.split(',').collect());
                for code in codes {
                    self.status.push(Setting::Number(
                        code.trim().parse().ok().filter(|code| (100..600).contains(code))?,
                    ));
                }
            }
            ("[STATUS]", "<" | "<=") => {
                let limit: i64 = right.parse().ok()?;
                let last = if operator == "<" { limit - 1 } else { limit };
                self.status
                    .push(Setting::Text(format!("200-{}", (200..600).contains(&last).then_some(last)?)));
            }
            ("[RESPONSE_TIME]", "<" | "<=") => self.slow_ms = Some(right.parse().ok().filter(|ms| *ms > 0)?),
            ("[CERTIFICATE_EXPIRATION]", ">" | ">=") => self.expires_hours = Some(hours(right)?),
            // That it connects is what every probe asks.
            ("[CONNECTED]", "==") if right == "true" => {}
            ("[DNS_RCODE]", "==") if right == "NOERROR" => {}
            ("[BODY]", "==") => self.body = Some(pattern(right)?),
            (left, operator) if left.starts_with("[BODY]") => {
                let path = json_path(left)?;
                let setting = match operator {
                    "==" if right.contains('(') => {
                        Setting::Map(vec![("matches".to_owned(), Setting::Text(pattern(right)?))])
                    }
                    "==" => scalar(right),
                    ">=" => Setting::Map(vec![("at_least".to_owned(), Setting::Number(right.parse().ok()?))]),
                    ">" => Setting::Map(vec![(
                        "at_least".to_owned(),
                        Setting::Number(right.parse::<i64>().ok()?.checked_add(1)?),
                    )]),
                    "<=" => Setting::Map(vec![("at_most".to_owned(), Setting::Number(right.parse().ok()?))]),
                    "<" => Setting::Map(vec![(
                        "at_most".to_owned(),
                        Setting::Number(right.parse::<i64>().ok()?.checked_sub(1)?),
                    )]),
                    _ => return None,
                };
                self.json.push((path, setting));
            }
            _ => return None,
        }
        Some(())
    }

    /// The option `expect` of the probe `http`.
    pub(super) fn expect(&self) -> Vec<(String, Setting)> {
        let mut expect = Vec::new();
        if !self.status.is_empty() {
            expect.push(("status".to_owned(), Setting::List(self.status.clone())));
        }
        if !self.json.is_empty() {
            expect.push(("json".to_owned(), Setting::Map(self.json.clone())));
        }
        if let Some(body) = &self.body {
            expect.push(("body".to_owned(), Setting::Text(body.clone())));
        }
        expect
    }
}

fn split(condition: &str) -> Option<(&str, &str, &str)> {
    let operator =
        ["==", "!=", "<=", ">=", "<", ">"].into_iter().find(|o| condition.contains(&format!(" {o} ")))?;
    let (left, right) = condition.split_once(&format!(" {operator} "))?;
    Some((left.trim(), operator, right.trim()))
}

/// `[BODY].user.name` is `$.user.name`.
fn json_path(text: &str) -> Option<String> {
    let rest = text.strip_prefix("[BODY]")?;
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '[' | ']');
    (!rest.is_empty() && rest.chars().all(plain)).then(|| format!("${rest}"))
}

fn scalar(text: &str) -> Setting {
    match text {
        "true" => Setting::Truth(true),
        "false" => Setting::Truth(false),
        text => text.parse().map_or_else(|_| Setting::Text(text.to_owned()), Setting::Number),
    }
}

/// A text, `pat(*x*)` or `any(a, b)` as a regular expression for the whole.
fn pattern(text: &str) -> Option<String> {
    let escaped = |text: &str| {
        text.chars().fold(String::new(), |mut out, c| {
            if !c.is_alphanumeric() && c.is_ascii() && c != ' ' {
                out.push('\\');
            }
            out.push(c);
            out
        })
    };
    if let Some(inner) = text.strip_prefix("pat(").and_then(|rest| rest.strip_suffix(')')) {
        let parts: Vec<String> = inner.split('*').map(escaped).collect();
        return Some(format!("^{}$", parts.join(".*")));
    }
    if let Some(inner) = text.strip_prefix("any(").and_then(|rest| rest.strip_suffix(')')) {
        let parts: Vec<String> = inner.split(',').map(|part| escaped(part.trim())).collect();
        return Some(format!("^({})$", parts.join("|")));
    }
    (!text.contains('(')).then(|| format!("^{}$", escaped(text)))
}

/// Whole hours of a duration such as `48h`.
fn hours(text: &str) -> Option<u64> {
    let span: jiff::SignedDuration = text.parse().ok()?;
    u64::try_from(span.as_hours()).ok().filter(|hours| *hours > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_become_what_a_probe_expects() {
        let seen = |condition: &str| {
            let mut all = Conditions::default();
            match all.take(condition) {
                Some(()) => format!("{:?} {:?} {:?}", all.expect(), all.slow_ms, all.expires_hours),
                None => "lost".to_owned(),
            }
        };
        insta::assert_snapshot!(
            [
                "[STATUS] == 200",
                "[STATUS] == any(200, 204)",
                "[STATUS] < 300",
                "[RESPONSE_TIME] < 500",
                "[CERTIFICATE_EXPIRATION] > 48h",
                "[BODY].status == UP",
                "[BODY].items[0].n >= 3",
                "[BODY] == pat(*ok.*)",
                "has([BODY].errors) == false",
                "[CONNECTED] == true",
                "len([BODY].data) > 3",
                "[IP] == 10.0.0.1",
                "[STATUS] != 500",
            ]
            .map(|condition| format!("{condition}: {}", seen(condition)))
            .join("\n")
        );
    }
}
