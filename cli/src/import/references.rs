//! Who is meant by a text of an environment: `postgres://shop:secret@orders-db:5432/orders` means `orders-db`.

use crate::draft::{Probe, Setting, known, secret};

/// An address in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

/// So much of one value is looked at.
const MAX_LENGTH: usize = 4096;

/// Every host that a variable's value may name. `key` tells whether a bare word is one: `REDIS_HOST=cache`.
pub(super) fn references(key: &str, value: &str) -> Vec<Reference> {
    let value = value.get(..MAX_LENGTH).unwrap_or(value);
    let mut found = Vec::new();
    for part in
        value.split([',', ' ', ';', '|', '\n', '\t', '"', '\'', '(', ')']).filter(|part| !part.is_empty())
    {
        let is_url = part.contains("://");
        let rest = part.split_once("://").map_or(part, |(_, rest)| rest);
        // What stands before an @ is an account, and may hold a password.
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = authority.rsplit('@').next().unwrap_or_default();
        for one in authority.split(',') {
            let (host, port) = match one.rsplit_once(':') {
                Some((host, port)) if port.parse::<u16>().is_ok() => (host, port.parse().ok()),
                _ => (one, None),
            };
            let host = host.trim_end_matches('.');
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if host.is_empty() || host.len() > 253 || !host.chars().all(plain) {
                continue;
            }
            if is_url || port.is_some() || names_a_host(key) {
                found.push(Reference { host: host.to_owned(), port });
            }
        }
    }
    found
}

fn names_a_host(key: &str) -> bool {
    let key = key.to_ascii_uppercase();
    [
        "HOST", "SERVER", "ADDR", "ENDPOINT", "BROKER", "URL", "URI", "UPSTREAM", "BACKEND", "SERVICE",
        "NODES", "DSN",
    ]
    .iter()
    .any(|word| key.contains(word))
}

/// True when a value under this key must not be copied.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["pass", "secret", "token", "key", "credential", "auth", "cookie", "pwd"]
        .iter()
        .any(|word| key.contains(word))
}

/// Path and query of a URL, as the probe `http` takes them; what is secret in the query becomes a variable.
pub(super) fn page_of(url: &url::Url, owner: &str) -> Setting {
    let Some(query) = url.query() else { return Setting::Text(url.path().to_owned()) };
    if !url.query_pairs().any(|(key, _)| is_secret(&key)) || query.contains("${") || url.path().contains("${")
    {
        return Setting::Text(format!("{}?{query}", url.path()));
    }
    let part = |part: &str| match part.split_once('=') {
        Some((key, _)) if is_secret(key) => match secret(owner, key) {
            Setting::Template(variable) => format!("{key}={variable}"),
            _ => key.to_owned(),
        },
        _ => part.to_owned(),
    };
    Setting::Template(format!("{}?{}", url.path(), query.split('&').map(part).collect::<Vec<_>>().join("&")))
}

/// The account of a database or broker in its own environment: user, database or vhost, and whether there is a
/// password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) user: Option<String>,
    pub(super) database: Option<String>,
    pub(super) has_password: bool,
}

/// Reads it from the variables that the official images know.
pub(super) fn account(variables: &[(String, String)]) -> Account {
    let mut account = Account::default();
    for (key, value) in variables {
        match key.as_str() {
            "POSTGRES_USER"
            | "POSTGRESQL_USERNAME"
            | "POSTGRESQL_USER"
            | "MYSQL_USER"
            | "MARIADB_USER"
            | "RABBITMQ_DEFAULT_USER"
            | "RABBITMQ_USERNAME" => account.user = Some(value.clone()),
            "POSTGRES_DB"
            | "POSTGRESQL_DATABASE"
            | "MYSQL_DATABASE"
            | "MARIADB_DATABASE"
            | "RABBITMQ_DEFAULT_VHOST" => account.database = Some(value.clone()),
            key if key.contains("PASS") => account.has_password = true,
            _ => {}
        }
    }
    account
}

/// The probe of a known server with what its environment says of its account; secrets become variables.
pub(super) fn probe_with_account(server: &known::Known, owner: &str, account: &Account) -> Probe {
    let probe = server.probe();
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let template = |text: String| {
        if text.starts_with("${env:") { Setting::Template(text) } else { Setting::Text(text) }
    };
    let with = |probe: Probe, key: &str, value: Option<String>| match value {
        Some(value) => probe.with(key, template(value)),
        None => probe,
    };
    match server.kind {
        "postgres" | "mysql" => {
            let user = text(&account.user).or_else(|| {
                account
                    .has_password
                    .then(|| if server.kind == "postgres" { "postgres" } else { "root" }.to_owned())
            });
            let named = user.is_some();
            let probe = with(
                probe,
                "database",
                text(&account.database)
                    .or_else(|| (server.kind == "postgres").then(|| text(&account.user)).flatten()),
            );
            let probe = with(probe, "user", user);
            if named || account.has_password {
                return probe.with("password", secret(owner, "password"));
            }
            probe
        }
        "amqp" => {
            let probe = with(probe, "vhost", text(&account.database));
            let probe = with(probe, "user", text(&account.user));
            if account.has_password || account.user.is_some() {
                return probe.with("password", secret(owner, "password"));
            }
            probe
        }
        "redis" if account.has_password => probe.with("password", secret(owner, "password")),
        _ => probe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_in_urls_pairs_and_named_variables() {
        let hosts = |key: &str, value: &str| -> Vec<String> {
            references(key, value)
                .into_iter()
                .map(|r| format!("{}{}", r.host, r.port.map(|p| format!(":{p}")).unwrap_or_default()))
                .collect()
        };
        assert_eq!(
            hosts("DATABASE_URL", "postgres://shop:se@cret@orders-db:5432/orders"),
            ["orders-db:5432"]
        );
        assert_eq!(hosts("REDIS_HOST", "cache"), ["cache"]);
        assert_eq!(hosts("KAFKA", "k1:9092,k2:9092"), ["k1:9092", "k2:9092"]);
        assert_eq!(hosts("JDBC", "jdbc:mysql://db/shop"), ["db"]);
        assert_eq!(hosts("LOG_LEVEL", "debug"), Vec::<String>::new());
        assert_eq!(hosts("GREETING", "hello web"), Vec::<String>::new());
    }

    #[test]
    fn an_account_comes_without_its_password() {
        let variables = [("POSTGRES_USER", "shop"), ("POSTGRES_PASSWORD", "hunter2")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let probe =
            probe_with_account(known::by_word("postgres").unwrap(), "orders-db", &account(&variables));
        assert!(!format!("{probe:?}").contains("hunter2"));
        assert!(format!("{probe:?}").contains("${env:ORDERS_DB_PASSWORD:-}"));
        assert!(is_secret("X-API-Key") && is_secret("Authorization") && !is_secret("Accept"));
    }
}
