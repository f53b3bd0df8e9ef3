//! The text format of Prometheus, read for a few wanted series only. Pure.

/// A wanted series: a name, and labels it must have.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Selector {
    name: String,
    labels: Vec<(String, String)>,
}

impl Selector {
    /// `name` or `name{label="value", …}`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (name, labels) = match text.split_once('{') {
            None => (text, Vec::new()),
            Some((name, rest)) => match read_labels(rest) {
                Some((labels, "")) => (name, labels),
                _ => return Err("its labels are written {name=\"value\"}".to_owned()),
            },
        };
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        if name.is_empty() || !name.chars().all(letters) || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(format!("`{name}` is no name of a metric"));
        }
        Ok(Self { name: name.to_owned(), labels })
    }

    fn matches(&self, name: &str, labels: &[(String, String)]) -> bool {
        self.name == name && self.labels.iter().all(|wanted| labels.contains(wanted))
    }
}

/// Lines longer than this are passed over.
const MAX_LINE: usize = 64 * 1024;

/// Reads a page as it comes: the sum of all series that a selector matches, for each selector.
pub(crate) struct Scan<'s> {
    wanted: &'s [Selector],
    sums: Vec<Option<f64>>,
    /// The line that has not ended yet.
    line: Vec<u8>,
    too_long: bool,
}

impl<'s> Scan<'s> {
    pub(crate) fn new(wanted: &'s [Selector]) -> Self {
        Self { wanted, sums: vec![None; wanted.len()], line: Vec::new(), too_long: false }
    }

    pub(crate) fn part(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.too_long |= self.line.len() + piece.len() > MAX_LINE;
            if !self.too_long {
                self.line.extend_from_slice(piece);
            }
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    /// None where nothing matches. `NaN` and infinities are no measurements.
    pub(crate) fn finish(mut self) -> Vec<Option<f64>> {
        self.end_line();
        self.sums
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !std::mem::take(&mut self.too_long) {
            let _sample = self.sample(String::from_utf8_lossy(&line).trim());
        }
    }

    fn sample(&mut self, line: &str) -> Option<()> {
        let end = line.find(|c: char| c == '{' || c.is_ascii_whitespace())?;
        let (name, rest) = line.split_at(end);
        // Most lines are of nobody's interest: their labels need not be read.
        if !self.wanted.iter().any(|selector| selector.name == name) {
            return None;
        }
        let (labels, rest) = match rest.strip_prefix('{') {
            None => (Vec::new(), rest),
            Some(rest) => read_labels(rest)?,
        };
        let value = rest.split_ascii_whitespace().next().and_then(number)?;
        for (selector, sum) in self.wanted.iter().zip(&mut self.sums) {
            if selector.matches(name, &labels) {
                *sum = Some(sum.unwrap_or(0.0) + value);
            }
        }
        Some(())
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

type Labels<'t> = (Vec<(String, String)>, &'t str);

/// `a="b",c="d"}`, and what follows.
fn read_labels(text: &str) -> Option<Labels<'_>> {
    let mut labels = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, quoted) = rest.split_once('=')?;
        let quoted = quoted.trim_start().strip_prefix('"')?;
        let mut value = String::new();
        let mut chars = quoted.char_indices();
        rest = loop {
            let (at, c) = chars.next()?;
            match c {
                '"' => break quoted.get(at + 1..)?,
                '\\' => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                _ => value.push(c),
            }
        };
        labels.push((name.trim().to_owned(), value));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAGE: &str = "# HELP http_requests_total The total.\n# TYPE http_requests_total counter\n\
        http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n\
        http_requests_total{method=\"post\",code=\"400\"}    3 1395066363000\n\
        msdos_file{path=\"C:\\\\DIR\\\\FILE.TXT\",error=\"Cannot find file:\\n\\\"FILE.TXT\\\"\"} 1.458255915e9\n\
        metric_without_labels 12.47\nsomething_weird{problem=\"division by zero\"} +Inf -3982045\n";

    fn sums(page: &str, wanted: &[Selector]) -> Vec<Option<f64>> {
        let mut scan = Scan::new(wanted);
        // In odd parts, as a network brings it.
        page.as_bytes().chunks(7).for_each(|part| scan.part(part));
        scan.finish()
    }

    fn found(selector: &str) -> Option<f64> {
        sums(PAGE, &[Selector::parse(selector).unwrap()])[0]
    }

    #[test]
    fn series_are_found_by_name_and_labels() {
        assert_eq!(found("metric_without_labels"), Some(12.47));
        assert_eq!(found("http_requests_total"), Some(1030.0));
        assert_eq!(found("http_requests_total{code=\"400\"}"), Some(3.0));
        assert_eq!(found("http_requests_total{code=\"500\"}"), None);
        assert_eq!(found("msdos_file{path=\"C:\\\\DIR\\\\FILE.TXT\"}"), Some(1_458_255_915.0));
        assert_eq!(found("something_weird"), None);
    }

    #[test]
    fn a_selector_is_checked() {
        for wrong in ["", "1a", "a b", "a{", "a{b}", "a{b=c}", "a{b=\"c\"} 1"] {
            assert!(Selector::parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_page_is_read(page in "(.|\n)*", selector in "\\PC*") {
            if let Ok(selector) = Selector::parse(&selector) {
                sums(&page, &[selector]);
            }
            sums(&format!("a{{{page}"), &[Selector::parse("a").unwrap()]);
        }
    }
}
