//! A line of a gateway's access log as it comes by syslog: what nginx writes with the `log_format` of
//! docs/probes.md. Pure.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use crate::traffic::{Hop, Request};

/// Servers that one request may have asked; nginx tries each of its upstreams once.
const MOST_HOPS: usize = 16;

/// What a line holds. nginx writes everything as text, other servers some as numbers.
#[derive(Debug, Deserialize)]
pub(crate) struct LogLine<'l> {
    /// The instance of the topology that wrote it, where the gateway knows its name.
    #[serde(borrow, default)]
    pub(crate) instance: Option<Word<'l>>,
    /// The address and port the request came in on.
    #[serde(borrow, default)]
    pub(crate) host: Option<Word<'l>>,
    #[serde(borrow, default)]
    method: Option<Word<'l>>,
    #[serde(borrow, default)]
    path: Option<Word<'l>>,
    #[serde(borrow)]
    status: Word<'l>,
    #[serde(borrow, default)]
    bytes: Option<Word<'l>>,
    #[serde(borrow)]
    time: Word<'l>,
    #[serde(borrow, default)]
    upstream: Option<Word<'l>>,
    #[serde(borrow, default)]
    upstream_status: Option<Word<'l>>,
    #[serde(borrow, default)]
    upstream_time: Option<Word<'l>>,
}

/// A text, or a number written as one.
#[derive(Debug)]
pub(crate) struct Word<'l>(Cow<'l, str>);

impl Word<'_> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de: 'l, 'l> Deserialize<'de> for Word<'l> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = Word<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text or a number")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Word<'de>, E> {
                Ok(Word(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Word<'de>, E> {
                Ok(Word(Cow::Owned(text.to_owned())))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Word<'de>, E> {
                Ok(Word(Cow::Owned(number.to_string())))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Word<'de>, E> {
                Ok(Word(Cow::Owned(number.to_string())))
            }
        }
        from.deserialize_any(Words)
    }
}

/// What was wrong with a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable(pub(crate) String);

/// Reads a datagram: a syslog head, which is skipped, and one JSON object.
pub(crate) fn read(datagram: &[u8]) -> Result<LogLine<'_>, Unreadable> {
    let text = std::str::from_utf8(datagram).map_err(|_| Unreadable("this is no UTF-8".to_owned()))?;
    let start = text.find('{').ok_or_else(|| Unreadable("there is no JSON object in it".to_owned()))?;
    serde_json::from_str(text[start..].trim_end_matches(['\n', '\0', ' ']))
        .map_err(|error| Unreadable(error.to_string()))
}

impl LogLine<'_> {
    /// The request.
    pub(crate) fn request(&self) -> Result<Request<'_>, Unreadable> {
        let text = |word: &'_ Option<Word<'_>>| word.as_ref().map(|w| w.0.to_string()).unwrap_or_default();
        let wrong = |what: &str, word: &str| Unreadable(format!("`{what}` is {word:?}"));
        let status = self.status.as_str().parse().map_err(|_| wrong("status", self.status.as_str()))?;
        let took = duration(self.time.as_str()).ok_or_else(|| wrong("time", self.time.as_str()))?;
        let bytes = text(&self.bytes).parse().unwrap_or(0);
        Ok(Request {
            method: self.method.as_ref().map_or("", Word::as_str),
            path: self.path.as_ref().map_or("", Word::as_str),
            status,
            bytes,
            took,
            hops: self.hops(),
        })
    }

    /// nginx separates the servers of one request by commas, and by a colon after an internal redirect; what
    /// is not known is a dash.
    fn hops(&self) -> Vec<Hop<'_>> {
        let parts = |word: &'_ Option<Word<'_>>| -> Vec<String> {
            let text = word.as_ref().map_or("", Word::as_str);
            text.replace(" : ", ", ").split(", ").map(str::to_owned).collect()
        };
        let statuses = parts(&self.upstream_status);
        let times = parts(&self.upstream_time);
        let addresses = self.upstream.as_ref().map_or("", Word::as_str);
        addresses
            .split(" : ")
            .flat_map(|group| group.split(", "))
            .enumerate()
            .filter(|(_, address)| address.contains(':'))
            .take(MOST_HOPS)
            .map(|(i, address)| Hop {
                address,
                status: statuses.get(i).and_then(|status| status.parse().ok()),
                took: times.get(i).and_then(|time| duration(time)),
            })
            .collect()
    }
}

fn duration(text: &str) -> Option<Duration> {
    text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_of_nginx_is_read_with_its_retries() {
        let line = br#"<190>Nov 28 12:00:00 gw topowatch: {"host":"127.0.0.1:80","method":"GET","path":"/api/\u0022x","status":"200","bytes":"512","time":"1.503","upstream":"10.0.0.1:80, 10.0.0.2:80 : unix:/x","upstream_status":"504, 200 : -","upstream_time":"1.500, 0.003 : -"}"#;
        let read = read(line).unwrap();
        assert_eq!(read.host.as_ref().unwrap().as_str(), "127.0.0.1:80");
        let request = read.request().unwrap();
        assert_eq!((request.path, request.status, request.bytes), ("/api/\"x", 200, 512));
        assert_eq!(request.took, Duration::from_millis(1503));
        let hops: Vec<_> = request.hops.iter().map(|hop| (hop.address, hop.status)).collect();
        assert_eq!(hops, [("10.0.0.1:80", Some(504)), ("10.0.0.2:80", Some(200)), ("unix:/x", None)]);
    }

    #[test]
    fn numbers_may_be_numbers_and_nobody_behind_is_a_dash() {
        let line = br#"{"status":429,"time":0.0,"bytes":10,"upstream":"-","upstream_status":"-"}"#;
        let read = read(line).unwrap();
        let request = read.request().unwrap();
        assert_eq!((request.status, request.bytes, request.hops.len()), (429, 10, 0));
    }

    #[test]
    fn what_is_no_line_is_said() {
        let words = |line: &[u8]| match read(line) {
            Err(Unreadable(words)) => words,
            Ok(line) => line.request().unwrap_err().0,
        };
        assert_eq!(words(b"<190>nginx: GET / 200"), "there is no JSON object in it");
        assert_eq!(words(br#"{"status":"abc","time":"1"}"#), "`status` is \"abc\"");
        assert_eq!(words(br#"{"status":"200","time":"-1"}"#), "`time` is \"-1\"");
        assert!(words(br#"{"status":"200"}"#).contains("missing field `time`"));
        assert_eq!(words(b"\xff{}"), "this is no UTF-8");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(line) = read(&bytes) {
                let _request = line.request();
            }
        }
    }
}
