//! `${NAME:-default}` of compose, with what is known without its environment.

/// Fills defaults in. What has none becomes `${env:NAME:-}`, which topology.yaml looks up by itself; `$$` is a `$`.
/// Nothing else that looks like a reference of topology.yaml is left.
pub(super) fn interpolate(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(escaped) = after.strip_prefix('$') {
            // `$${X}` is a text for a shell in the container.
            out.push_str(if escaped.starts_with('{') { "$ " } else { "$" });
            rest = escaped;
        } else if let Some(inner) = after.strip_prefix('{') {
            let Some(end) = closing(inner) else {
                out.push_str("$ ");
                rest = after;
                continue;
            };
            out.push_str(&value(&inner[..end]));
            rest = &inner[end + 1..];
        } else {
            let length =
                after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
            if length == 0 || after.starts_with(|c: char| c.is_ascii_digit()) {
                out.push('$');
                rest = after;
            } else {
                out.push_str(&value(&after[..length]));
                rest = &after[length..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// Where the brace that is open here closes.
fn closing(inner: &str) -> Option<usize> {
    let mut depth = 0_u32;
    for (i, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(i),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn value(reference: &str) -> String {
    let end = reference.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(reference.len());
    let (name, rest) = reference.split_at(end);
    if name.is_empty() {
        return String::new();
    }
    match rest.strip_prefix(":-").or_else(|| rest.strip_prefix('-')) {
        // A default may hold another variable; one level of it is enough for honest files.
        Some(default) if default.contains('$') => default.split('$').next().unwrap_or_default().to_owned(),
        Some(default) => default.to_owned(),
        None => format!("${{env:{name}:-}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_filled_in_and_the_rest_stays_a_variable() {
        for (text, gives) in [
            ("${PORT:-8080}:80", "8080:80"),
            ("redis:${TAG-7}", "redis:7"),
            ("$USER", "${env:USER:-}"),
            ("${DB?needed}", "${env:DB:-}"),
            ("a$$b $1 $", "a$b $1 $"),
            ("$${file:/etc/shadow}", "$ {file:/etc/shadow}"),
            ("${file:/etc/shadow}", "${env:file:-}"),
            ("${env:X", "$ {env:X"),
            ("${A:-${B}}", ""),
        ] {
            assert_eq!(interpolate(text), gives, "{text}");
        }
    }
}
