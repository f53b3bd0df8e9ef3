//! What a health check in a container tells about how to ask from outside.

use topology::document::{Node, Value};

use super::super::tree::{items, text, text_at, truth};
use super::variables::interpolate;

/// A health check, as far as it can be asked from outside.
#[derive(Debug, Default)]
pub(super) struct Check {
    pub(super) is_off: bool,
    /// A page.
    pub(super) path: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) tls: bool,
    /// The server that a client program in it belongs to, such as `postgres` for `pg_isready`.
    pub(super) kind: Option<&'static str>,
    /// The check itself, for a comment.
    pub(super) words: Option<String>,
}

/// Client programs, and whose they are.
const CLIENTS: [(&str, &str); 8] = [
    ("pg_isready", "postgres"),
    ("psql", "postgres"),
    ("redis-cli", "redis"),
    ("valkey-cli", "redis"),
    ("mysqladmin", "mysql"),
    ("mariadb-admin", "mysql"),
    ("healthcheck.sh", "mysql"),
    ("rabbitmq-diagnostics", "rabbitmq"),
];

impl Check {
    /// The check of a service.
    pub(super) fn of(service: &Node) -> Self {
        let Some(check) = service.get("healthcheck") else { return Self::default() };
        let test = check.get("test");
        let words: Vec<String> = match test.map(|node| &node.value) {
            Some(Value::List(_)) => {
                items(test).iter().filter_map(text).map(|text| interpolate(&text)).collect()
            }
            Some(Value::Text(line)) => vec![interpolate(line)],
            _ => Vec::new(),
        };
        if truth(check.get("disable")) == Some(true) || words.first().is_some_and(|word| word == "NONE") {
            return Self { is_off: true, ..Self::default() };
        }
        let line =
            words.iter().filter(|word| !word.starts_with("CMD")).cloned().collect::<Vec<_>>().join(" ");
        let mut found = Self::by_command(&line);
        if !line.is_empty() {
            let every =
                text_at(check, "interval").map(|every| format!(", every {every}")).unwrap_or_default();
            // A command may hold a password: only its program is repeated.
            let program = line.split_whitespace().next().unwrap_or_default();
            found.words = Some(format!("In the container: {program} …{every}"));
        }
        found
    }

    /// What a command asks.
    pub(super) fn by_command(line: &str) -> Self {
        let mut found = Self::default();
        if let Some((scheme, rest)) =
            line.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).find_map(|word| {
                word.split_once("://")
                    .filter(|(scheme, _)| scheme.ends_with("http") || scheme.ends_with("https"))
            })
        {
            let rest = rest.trim_end_matches([')', ';', ',']);
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            let path = path.split(['#', '|', '$']).next().unwrap_or_default();
            found.tls = scheme.ends_with("https");
            found.port = Some(
                authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(if found.tls {
                    443
                } else {
                    80
                }),
            );
            found.path = Some(format!("/{path}"));
            return found;
        }
        found.kind = CLIENTS.iter().find(|(program, _)| line.contains(program)).map(|(_, kind)| *kind);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_tells_page_and_port() {
        let seen = |line: &str| {
            let check = Check::by_command(line);
            format!("{:?} {:?} {} {:?}", check.path, check.port, check.tls, check.kind)
        };
        assert_eq!(
            seen("curl -f http://localhost:8080/health || exit 1"),
            "Some(\"/health\") Some(8080) false None"
        );
        assert_eq!(seen("wget -qO- https://127.0.0.1"), "Some(\"/\") Some(443) true None");
        assert_eq!(seen("pg_isready -U shop"), "None None false Some(\"postgres\")");
        assert_eq!(seen("true"), "None None false None");
    }
}
