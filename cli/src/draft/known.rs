//! What is known of servers by their image, their process or their port: how they are asked, and where they stand.

use super::Probe;

/// The lanes of the page, from the customer inwards.
pub(crate) const TIERS: [(&str, &str, &str); 6] = [
    ("access", "Access", "接入层"),
    ("app", "Application", "应用层"),
    ("cache", "Caches", "缓存"),
    ("data", "Databases", "数据库"),
    ("messaging", "Messaging", "消息"),
    ("external", "External", "外部"),
];

/// A server that is known by name.
#[derive(Debug)]
pub(crate) struct Known {
    /// Words that the name of its image holds, or its process is called.
    words: &'static [&'static str],
    /// The probe kind.
    pub(crate) kind: &'static str,
    /// Its usual port.
    pub(crate) port: u16,
    /// Its health page.
    pub(crate) path: Option<&'static str>,
    pub(crate) tier: &'static str,
}

const fn known(
    words: &'static [&'static str],
    kind: &'static str,
    port: u16,
    path: Option<&'static str>,
    tier: &'static str,
) -> Known {
    Known { words, kind, port, path, tier }
}

/// The first that fits is meant: `redis-sentinel` stands before `redis`.
const SERVERS: [Known; 36] = [
    known(&["redis-sentinel"], "tcp", 26379, None, "cache"),
    known(
        &["redis", "redis-server", "valkey", "valkey-server", "keydb", "keydb-server", "dragonfly"],
        "redis",
        6379,
        None,
        "cache",
    ),
    known(&["memcached"], "memcached", 11211, None, "cache"),
    known(&["pgbouncer"], "tcp", 6432, None, "data"),
    known(&["postgres", "postgresql", "postgis", "pgvector", "timescaledb"], "postgres", 5432, None, "data"),
    known(
        &["mysql", "mysqld", "mariadb", "mariadbd", "percona", "percona-server"],
        "mysql",
        3306,
        None,
        "data",
    ),
    known(&["rabbitmq", "lavinmq"], "amqp", 5672, None, "messaging"),
    known(&["nginx", "openresty", "nginx-unprivileged", "angie"], "http", 80, Some("/"), "access"),
    known(&["traefik", "caddy", "httpd", "apache2", "varnish", "varnishd"], "http", 80, Some("/"), "access"),
    known(&["haproxy", "envoy"], "tcp", 80, None, "access"),
    known(&["mongo", "mongod", "mongodb"], "tcp", 27017, None, "data"),
    known(&["kafka", "cp-kafka", "redpanda"], "tcp", 9092, None, "messaging"),
    known(&["zookeeper", "cp-zookeeper"], "tcp", 2181, None, "messaging"),
    known(&["nats", "nats-server"], "http", 8222, Some("/healthz"), "messaging"),
    known(&["mosquitto", "emqx"], "tcp", 1883, None, "messaging"),
    known(&["pulsar"], "tcp", 6650, None, "messaging"),
    known(&["elasticsearch", "opensearch"], "http", 9200, Some("/_cluster/health"), "data"),
    known(&["clickhouse", "clickhouse-server"], "http", 8123, Some("/ping"), "data"),
    known(&["influxdb", "influxd"], "http", 8086, Some("/health"), "data"),
    known(&["cassandra", "scylla"], "tcp", 9042, None, "data"),
    known(&["minio"], "http", 9000, Some("/minio/health/live"), "data"),
    known(&["etcd"], "http", 2379, Some("/health"), "data"),
    known(&["consul"], "http", 8500, Some("/v1/status/leader"), "data"),
    known(&["vault"], "http", 8200, Some("/v1/sys/health"), "data"),
    known(&["meilisearch"], "http", 7700, Some("/health"), "data"),
    known(&["mssql", "azure-sql-edge"], "tcp", 1433, None, "data"),
    known(&["prometheus"], "http", 9090, Some("/-/healthy"), "app"),
    known(&["grafana"], "http", 3000, Some("/api/health"), "app"),
    known(&["alertmanager"], "http", 9093, Some("/-/healthy"), "app"),
    known(&["keycloak"], "http", 8080, Some("/"), "app"),
    known(&["jaeger", "all-in-one"], "http", 16686, Some("/"), "app"),
    known(&["mailhog", "mailpit"], "http", 8025, Some("/"), "app"),
    known(&["postfix", "smtp"], "tcp", 25, None, "external"),
    known(&["coredns", "unbound", "dnsmasq"], "tcp", 53, None, "app"),
    known(&["adminer", "phpmyadmin", "pgadmin4"], "http", 8080, Some("/"), "app"),
    known(&["wordpress", "nextcloud", "ghost"], "http", 80, Some("/"), "app"),
];

/// The server behind an image such as `docker.io/bitnami/redis:7.2-alpine`.
pub(crate) fn by_image(image: &str) -> Option<&'static Known> {
    let image = image.split('@').next()?;
    let last = image.rsplit('/').next()?;
    by_word(last.split(':').next()?)
}

/// The server of this name, as an image or a process is called.
pub(crate) fn by_word(word: &str) -> Option<&'static Known> {
    let word = word.to_ascii_lowercase();
    SERVERS.iter().find(|server| server.words.contains(&word.as_str()))
}

/// The server whose name is one of the words of `name`: `orders-postgres-0`.
pub(crate) fn by_part(name: &str) -> Option<&'static Known> {
    name.split(['-', '_', '.', ' ']).find_map(by_word)
}

/// What usually answers at a port.
pub(crate) fn by_port(port: u16) -> (&'static str, Option<&'static str>) {
    // 4369 and the like have words of their own; here only what many deployments keep.
    let data = ["redis", "memcached", "postgres", "mysql", "amqp"];
    if let Some(server) = SERVERS.iter().find(|s| {
        s.port == port
            && (data.contains(&s.kind)
                || s.port > 2000 && s.kind == "http" && s.port != 3000 && s.port != 9000)
    }) {
        return (server.kind, server.path);
    }
    match port {
        15672 => ("rabbitmq", None),
        80 | 443 | 3000 | 5000 | 8000..=8099 | 8180 | 8443 | 8880..=8889 | 9000 | 9080 => ("http", Some("/")),
        _ => ("tcp", None),
    }
}

/// The probe for what usually answers at a port.
pub(crate) fn probe_for_port(port: u16) -> Probe {
    let (kind, path) = by_port(port);
    let probe = Probe::of(kind).with_text("path", path);
    if port == 443 || port == 8443 { probe.with("tls", super::Setting::Truth(true)) } else { probe }
}

impl Known {
    /// Whether it may serve `stub_status`.
    pub(crate) fn is_nginx(&self) -> bool {
        self.words.contains(&"nginx")
    }

    /// How it is asked.
    pub(crate) fn probe(&self) -> Probe {
        Probe::of(self.kind).with_text("path", self.path)
    }
}

/// Where what is asked with this kind usually stands.
pub(crate) fn tier_of(kind: &str) -> &'static str {
    match kind {
        "redis" | "memcached" => "cache",
        "postgres" | "mysql" => "data",
        "amqp" | "rabbitmq" => "messaging",
        "nginx" | "access_log" => "access",
        "icmp" | "dns" | "tls" => "external",
        _ => "app",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_known_by_image_name_and_port() {
        let kind = |image| by_image(image).map(|known| known.kind);
        assert_eq!(kind("docker.io/bitnami/redis:7.2"), Some("redis"));
        assert_eq!(kind("mariadb"), Some("mysql"));
        assert_eq!(kind("postgis/postgis@sha256:0123"), Some("postgres"));
        assert_eq!(kind("registry:5000/shop/redis-ui:1"), None);
        assert_eq!(by_part("orders-postgres-0").map(|known| known.port), Some(5432));
        assert_eq!(
            [6379, 5432, 443, 5672, 15672, 4000].map(|port| by_port(port).0),
            ["redis", "postgres", "http", "amqp", "rabbitmq", "tcp"]
        );
    }

    #[test]
    fn every_kind_and_tier_of_the_table_exists() {
        for server in &SERVERS {
            assert!(probes::specs().iter().any(|kind| kind.name == server.kind), "{server:?}");
            assert!(TIERS.iter().any(|(tier, ..)| *tier == server.tier), "{server:?}");
        }
    }
}
