//! The text of Redis' `INFO`.

use std::collections::BTreeMap;

/// `INFO`'s fields; a missing one is a version or a right that lacks it.
pub(crate) struct Info<'t>(BTreeMap<&'t str, &'t str>);

impl<'t> Info<'t> {
    pub(crate) fn parse(text: &'t str) -> Self {
        let fields = text.lines().filter(|line| !line.starts_with('#'));
        Self(fields.filter_map(|line| line.trim_end().split_once(':')).collect())
    }

    pub(crate) fn text(&self, field: &str) -> Option<&'t str> {
        self.0.get(field).copied()
    }

    pub(crate) fn number(&self, field: &str) -> Option<f64> {
        self.text(field)?.parse().ok()
    }

    /// 1 when the field is `good`, 0 when it is another word.
    pub(crate) fn is(&self, field: &str, good: &str) -> Option<f64> {
        self.text(field).map(|text| crate::spec::truth(text == good))
    }

    /// How far the last replica is behind, of the backlog; none without replicas.
    pub(crate) fn replica_lag(&self) -> Option<f64> {
        let (head, backlog) = (self.number("master_repl_offset")?, self.number("repl_backlog_size")?);
        let replicas = self.0.iter().filter(|(name, _)| numbered(name, "slave"));
        let offsets = replicas.filter_map(|(_, text)| field(text, "offset")?.parse::<f64>().ok());
        let last = offsets.reduce(f64::min)?;
        (backlog > 0.0).then(|| (head - last).max(0.0) / backlog)
    }

    /// The primaries that a sentinel watches.
    pub(crate) fn masters(&self) -> Vec<Master<'t>> {
        let named = self.0.iter().filter(|(name, _)| numbered(name, "master"));
        named
            .filter_map(|(_, text)| {
                Some(Master {
                    name: field(text, "name")?,
                    status: field(text, "status")?,
                    sentinels: field(text, "sentinels")?.parse().ok()?,
                })
            })
            .collect()
    }

    /// A share of a limit; none where there is no limit.
    pub(crate) fn share(&self, part: &str, whole: &str) -> Option<f64> {
        let whole = self.number(whole).filter(|whole| *whole > 0.0)?;
        Some(self.number(part)? / whole)
    }
}

/// One primary, as a sentinel sees it.
#[derive(Debug, PartialEq)]
pub(crate) struct Master<'t> {
    pub(crate) name: &'t str,
    pub(crate) status: &'t str,
    /// The sentinels that watch it, this one included.
    pub(crate) sentinels: f64,
}

/// `slave0`, `slave1`: the word and a number.
fn numbered(name: &str, word: &str) -> bool {
    let number = name.strip_prefix(word);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
}

/// One of `a=1,b=2`.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.split(',')
        .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_found_by_name() {
        let info =
            Info::parse("# Memory\r\nused_memory:50\r\nmaxmemory:200\r\nrole:master\r\n\r\nfree:0\r\n");
        assert_eq!(info.share("used_memory", "maxmemory"), Some(0.25));
        assert_eq!(info.share("used_memory", "free"), None);
        assert_eq!(info.is("role", "master"), Some(1.0));
        assert_eq!(info.number("role"), None);
        assert_eq!(info.text("loading"), None);
    }

    #[test]
    fn lists_of_replicas_and_primaries_are_read() {
        let info = Info::parse(
            "role:master\r\nmaster_repl_offset:1000\r\nrepl_backlog_size:500\r\n\
             slave0:ip=127.0.0.1,port=1,state=online,offset=1000,lag=0\r\n\
             slave1:ip=127.0.0.1,port=2,state=online,offset=750,lag=1\r\n\
             slave_read_only:1\r\nmaster_host:x\r\n\
             master0:name=shop,status=odown,address=127.0.0.1:3,slaves=1,sentinels=3\r\n",
        );
        assert_eq!(info.replica_lag(), Some(0.5));
        assert_eq!(info.masters(), [Master { name: "shop", status: "odown", sentinels: 3.0 }]);
        assert_eq!(Info::parse("role:master\r\n").replica_lag(), None);
    }

    proptest! {
        #[test]
        fn any_text_parses(text in "(.|\n)*") {
            Info::parse(&text).number("used_memory");
        }
    }
}
