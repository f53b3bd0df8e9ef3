//! Address ranges: `10.0.1.[1-100]:8080` is a hundred addresses.

use crate::model::Address;

/// One address text at most stands for this many instances.
pub(crate) const MAX_EXPANSION: usize = 10_000;

/// Bytes of one address text at most: a name of 253, a port, and ranges.
const MAX_LENGTH: usize = 400;

/// Expands `text` into addresses, in order; the last range counts fastest.
///
/// A range is `[1-24]`, `[1,3,7-9]` or, with leading zeros kept, `[01-24]`. Brackets around an IPv6
/// address (they hold a colon) are no range.
pub(crate) fn expand(text: &str) -> Result<Vec<Address>, String> {
    if text.len() > MAX_LENGTH {
        return Err(format!(
            "an address has at most {MAX_LENGTH} characters, and this one has {}",
            text.len()
        ));
    }
    let mut texts = vec![String::new()];
    let mut rest = text;
    while let Some(open) = rest.find('[') {
        let (before, after) = rest.split_at(open);
        let Some(close) = after.find(']') else {
            return Err(format!("`[` without `]` in `{text}`"));
        };
        let inside = &after[1..close];
        append(&mut texts, before);
        if inside.contains(':') {
            append(&mut texts, &after[..=close]);
        } else {
            let numbers = numbers(inside)?;
            if texts.len().saturating_mul(numbers.len()) > MAX_EXPANSION {
                return Err(format!("`{text}` stands for more than {MAX_EXPANSION} instances"));
            }
            texts = texts.iter().flat_map(|t| numbers.iter().map(move |n| format!("{t}{n}"))).collect();
        }
        rest = &after[close + 1..];
    }
    append(&mut texts, rest);
    texts.iter().map(|t| address(t)).collect()
}

fn append(texts: &mut [String], part: &str) {
    for text in texts {
        text.push_str(part);
    }
}

fn numbers(inside: &str) -> Result<Vec<String>, String> {
    let mut out = Vec::new();
    for part in inside.split(',') {
        let part = part.trim();
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let (low, high) = (low.trim(), high.trim());
        let width = if low.starts_with('0') { low.len() } else { 0 };
        let number = |s: &str| {
            s.parse::<u32>().map_err(|_| format!("`[{inside}]` is not a range of numbers such as `[1-24]`"))
        };
        let (from, to) = (number(low)?, number(high)?);
        if from > to {
            return Err(format!("the range `[{inside}]` is empty: {from} is greater than {to}"));
        }
        if (to - from) as usize >= MAX_EXPANSION || out.len() + (to - from) as usize >= MAX_EXPANSION {
            return Err(format!("the range `[{inside}]` stands for more than {MAX_EXPANSION} instances"));
        }
        out.extend((from..=to).map(|n| format!("{n:0width$}")));
    }
    Ok(out)
}

/// Reads `host:port` or `[ipv6]:port`.
pub(crate) fn address(text: &str) -> Result<Address, String> {
    if text.contains(['"', '\'']) {
        return Err(format!("a quote is missing in front of `{text}`, or one too many behind it"));
    }
    let wrong = || format!("`{text}` is not `host:port`");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').ok_or_else(wrong)?,
        None if host.contains(':') => {
            return Err(format!("`{text}` is ambiguous: write an IPv6 address as `[{host}]:{port}`"));
        }
        None => host,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    if host.is_empty() || host.len() > 253 || !host.chars().all(plain) {
        return Err(wrong());
    }
    let port = port
        .parse::<u16>()
        .ok()
        .filter(|p| *p > 0)
        .ok_or_else(|| format!("`{port}` in `{text}` is not a port: a number from 1 to 65535"))?;
    Ok(Address { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> Vec<String> {
        expand(text).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn ranges_expand_in_order() {
        assert_eq!(shown("10.0.0.[8-10]:80"), ["10.0.0.8:80", "10.0.0.9:80", "10.0.0.10:80"]);
        assert_eq!(
            shown("web-[09-10].x:[80,82]"),
            ["web-09.x:80", "web-09.x:82", "web-10.x:80", "web-10.x:82"]
        );
        assert_eq!(shown("[::1]:6379"), ["[::1]:6379"]);
        assert_eq!(shown("db:5432"), ["db:5432"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, says) in [
            ("10.0.0.[9-3]:80", "empty"),
            ("10.0.0.[1-3:80", "without `]`"),
            ("10.0.0.[a-b]:80", "not a range"),
            ("10.[1-999999].0.1:80", "more than"),
            ("[1-200].[1-200]:80", "more than"),
            ("10.0.0.1", "not `host:port`"),
            ("10.0.0.1:0", "not a port"),
            ("10.0.0.1:99999", "not a port"),
            ("::1:80", "ambiguous"),
            ("a b:80", "not `host:port`"),
            ("db:80\"", "a quote is missing"),
        ] {
            let error = expand(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_or_grow(text in "[\\[\\]0-9,:.a-]{0,24}") {
            if let Ok(list) = expand(&text) {
                prop_assert!(list.len() <= MAX_EXPANSION);
            }
        }

        #[test]
        fn an_address_reads_back(host in "[a-z][a-z0-9.-]{0,20}", port in 1u16..) {
            let shown = Address { host, port }.to_string();
            prop_assert_eq!(address(&shown).unwrap().to_string(), shown);
        }
    }
}
