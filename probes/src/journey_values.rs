//! The values of one journey: what it begins with, what its steps save, its cookies. Pure.

use std::collections::BTreeMap;

use hyper::header::{HeaderMap, HeaderValue, SET_COOKIE};
use secrecy::ExposeSecret;
use topology::model::{OptionValue, Probe};

/// A saved value at most: a token, not a page.
const MAX_VALUE: usize = 8 * 1024;
/// Cookies at most.
const MAX_COOKIES: usize = 32;

/// How a value is put into a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encode {
    Plain,
    Url,
    Json,
}

/// The values known so far.
pub(crate) struct Values {
    known: BTreeMap<String, String>,
    secrets: Vec<String>,
    cookies: BTreeMap<String, String>,
}

impl Values {
    pub(crate) fn new(probe: &Probe, nonce: String) -> Self {
        let mut known = BTreeMap::from([("nonce".to_owned(), nonce)]);
        let mut secrets = Vec::new();
        for (name, value) in probe.options.get("values").map(OptionValue::map).unwrap_or_default() {
            known.insert(name.clone(), value.text().unwrap_or_default().to_owned());
        }
        for (name, value) in probe.options.get("secrets").map(OptionValue::map).unwrap_or_default() {
            if let OptionValue::Secret(secret) = value {
                known.insert(name.clone(), secret.expose_secret().to_owned());
                secrets.push(secret.expose_secret().to_owned());
            }
        }
        Self { known, secrets, cookies: BTreeMap::new() }
    }

    /// Saves a value of an answer, for later steps.
    pub(crate) fn set(&mut self, name: &str, mut value: String) {
        let end =
            (0..=MAX_VALUE.min(value.len())).rev().find(|end| value.is_char_boundary(*end)).unwrap_or(0);
        value.truncate(end);
        self.known.insert(name.to_owned(), value);
    }

    /// The text with each `{{name}}` filled in.
    ///
    /// # Errors
    /// The name that nobody has saved.
    pub(crate) fn fill(&self, text: &str, encode: Encode) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            out.push_str(before);
            let Some((name, next)) = after.split_once("}}") else {
                out.push_str("{{");
                rest = after;
                continue;
            };
            let name = name.trim();
            let value = self.known.get(name).ok_or_else(|| name.to_owned())?;
            match encode {
                Encode::Plain => out.push_str(value),
                Encode::Url => {
                    let escaped: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
                    // A plus is a space in a form only.
                    out.push_str(&escaped.replace('+', "%20"));
                }
                Encode::Json => {
                    let quoted = serde_json::Value::from(value.as_str()).to_string();
                    out.push_str(quoted.trim_start_matches('"').strip_suffix('"').unwrap_or_default());
                }
            }
            rest = next;
        }
        out.push_str(rest);
        Ok(out)
    }

    /// Words without the secrets that an answer may have said back.
    pub(crate) fn redact(&self, words: &str) -> String {
        let secrets = self.secrets.iter().filter(|secret| !secret.is_empty());
        secrets.fold(words.to_owned(), |words, secret| words.replace(secret, "…"))
    }

    /// Keeps what an answer sets; all of a journey goes to one server, so only name and value count.
    pub(crate) fn keep_cookies(&mut self, headers: &HeaderMap) {
        for set in headers.get_all(SET_COOKIE) {
            let Some((name, value)) =
                set.to_str().ok().and_then(|set| set.split(';').next()?.split_once('='))
            else {
                continue;
            };
            if self.cookies.len() < MAX_COOKIES || self.cookies.contains_key(name.trim()) {
                self.cookies.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
    }

    /// The `Cookie` header, where there are any.
    pub(crate) fn cookies(&self) -> Option<HeaderValue> {
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| HeaderValue::try_from(pairs.join("; ")).ok())?
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        let known = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Values { known, secrets: vec!["s3cret".to_owned()], cookies: BTreeMap::new() }
    }

    #[test]
    fn values_are_put_in_as_their_place_needs() {
        let values = values(&[("id", "a b/\"c\""), ("n", "7")]);
        assert_eq!(
            values.fill("/orders/{{ id }}?n={{n}}", Encode::Url).unwrap(),
            "/orders/a%20b%2F%22c%22?n=7"
        );
        assert_eq!(
            values.fill(r#"{"id":"{{id}}","n":{{n}}}"#, Encode::Json).unwrap(),
            r#"{"id":"a b/\"c\"","n":7}"#
        );
        assert_eq!(values.fill("{{unknown}}", Encode::Plain), Err("unknown".to_owned()));
        assert_eq!(values.fill("{{ open", Encode::Plain).unwrap(), "{{ open");
    }

    #[test]
    fn secrets_are_not_said_back() {
        assert_eq!(values(&[]).redact("401: wrong password s3cret"), "401: wrong password …");
    }

    #[test]
    fn cookies_come_back() {
        let mut values = values(&[]);
        let mut headers = HeaderMap::new();
        headers.append(SET_COOKIE, HeaderValue::from_static("session=abc; Path=/; HttpOnly"));
        headers.append(SET_COOKIE, HeaderValue::from_static("shop=1"));
        values.keep_cookies(&headers);
        assert_eq!(values.cookies().unwrap(), "session=abc; shop=1");
    }

    proptest! {
        #[test]
        fn a_filled_json_stays_json(value in "\\PC*|(.|\n)*") {
            let text = values(&[("v", &value)]).fill(r#"{"v":"{{v}}"}"#, Encode::Json).unwrap();
            let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(parsed["v"].as_str().unwrap(), value);
        }
    }
}
