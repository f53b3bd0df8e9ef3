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

    /// A share of a limit; none where there is no limit.
    pub(crate) fn share(&self, part: &str, whole: &str) -> Option<f64> {
        let whole = self.number(whole).filter(|whole| *whole > 0.0)?;
        Some(self.number(part)? / whole)
    }
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

    proptest! {
        #[test]
        fn any_text_parses(text in "(.|\n)*") {
            Info::parse(&text).number("used_memory");
        }
    }
}
