//! A real `RabbitMQ`, over AMQP and over its management API.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::{
    Server, answer, await_answer, await_signal, await_summary, command, free_port, give, home, look, program,
    read, run, stop_resume_kill, words,
};
use crate::table::Table;

const PASSWORD: &str = "quite-secret";

/// The broker, and the name service, which would stay behind if the broker started it.
struct Broker {
    server: Server,
    naming: Arc<Server>,
    node: String,
    api: u16,
    dir: PathBuf,
    environment: Vec<(&'static str, String)>,
}

fn name_service(dir: &Path) -> Arc<Server> {
    let (epmd, port) = (program("/usr/bin/epmd", "erlang-base"), free_port());
    let mut naming = command(&epmd, dir);
    naming.args(["-port", &port.to_string(), "-address", "127.0.0.1"]);
    Arc::new(Server::start(naming, port, None))
}

/// A broker; with `other` it is the second member of that one's cluster.
fn start(other: Option<&Broker>) -> Broker {
    let rabbit = program("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server");
    let (dir, port, api) = (home(), free_port(), free_port());
    let naming = other.map_or_else(|| name_service(dir.path()), |other| Arc::clone(&other.naming));
    // The name service is the test's own.
    let node = if other.is_some() { "second@localhost" } else { "first@localhost" }.to_owned();
    let cookie = dir.path().join(".erlang.cookie");
    std::fs::write(&cookie, "THEIRS").unwrap();
    std::fs::set_permissions(&cookie, std::fs::Permissions::from_mode(0o400)).unwrap();
    give(&cookie);

    let at = |name: &str| dir.path().join(name);
    let user = |name: &str, tags: &str, limits: &str| {
        format!(r#"{{"name": "{name}", "password": "{PASSWORD}", "tags": [{tags}], "limits": {{{limits}}}}}"#)
    };
    let right = |vhost: &str, pattern: &str| {
        format!(
            r#"{{"user": "monitor", "vhost": "{vhost}", "configure": "{pattern}", "write": "{pattern}", "read": "{pattern}"}}"#
        )
    };
    let own = "^(topowatch\\\\..*|amq\\\\.gen.*|amq\\\\.default)$";
    let definitions = format!(
        r#"{{"vhosts": [{{"name": "/"}}, {{"name": "full"}}, {{"name": "closed"}}],
            "users": [{}, {}, {}],
            "permissions": [{}, {}],
            "parameters": [{{"vhost": "full", "component": "vhost-limits", "name": "limits", "value": {{"max-connections": 0}}}}],
            "queues": [{{"name": "orders", "vhost": "/", "durable": true, "auto_delete": false, "arguments": {{}}}}]}}"#,
        user("monitor", "\"monitoring\"", ""),
        user("limited", "", "\"max-connections\": 0"),
        user("stranger", "", ""),
        right("/", own),
        right("full", "^$"),
    );
    let mut config = format!(
        "loopback_users = none\nload_definitions = {}\nmanagement.tcp.port = {api}\nmanagement.tcp.ip = 127.0.0.1\n",
        at("definitions.json").display()
    );
    if let Some(other) = other {
        config = format!(
            "management.tcp.port = {api}\nmanagement.tcp.ip = 127.0.0.1\n\
             cluster_formation.peer_discovery_backend = classic_config\n\
             cluster_formation.classic_config.nodes.1 = {}\ncluster_formation.classic_config.nodes.2 = {node}\n",
            other.node
        );
    }
    let files = [
        ("definitions.json", definitions.as_str()),
        ("rabbitmq.conf", &config),
        ("plugins", "[rabbitmq_management].\n"),
        ("env", ""),
    ];
    for (name, text) in files {
        std::fs::write(at(name), text).unwrap();
        give(&at(name));
    }
    let environment = vec![
        ("RABBITMQ_NODENAME", node.clone()),
        ("ERL_EPMD_PORT", naming.port.to_string()),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
        ("RABBITMQ_CONF_ENV_FILE", at("env").display().to_string()),
    ];
    let mut broker = command(&rabbit, dir.path());
    broker
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODE_PORT", port.to_string())
        .env("RABBITMQ_DIST_PORT", free_port().to_string())
        .env("ERL_CRASH_DUMP_BYTES", "0")
        .env("RABBITMQ_MNESIA_BASE", at("mnesia"))
        .env("RABBITMQ_LOG_BASE", at("log"))
        .env("RABBITMQ_LOGS", "-")
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", at("plugins"))
        .env("RABBITMQ_CONFIG_FILE", at("rabbitmq"))
        // Makes the start script become the broker instead of staying as its parent.
        .env("RABBITMQ_ALLOW_INPUT", "1")
        .env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            // Members that say nothing for four seconds are taken for dead.
            "-noinput +S 1:1 -kernel inet_dist_use_interface {127,0,0,1} -kernel net_ticktime 4",
        );
    broker.args(words(&[]));
    let path = dir.path().to_owned();
    Broker { server: Server::start(broker, port, Some(dir)), naming, node, api, dir: path, environment }
}

impl Broker {
    /// Runs rabbitmqctl.
    fn control(&self, arguments: &[&str]) {
        let mut control =
            command(&program("/usr/lib/rabbitmq/bin/rabbitmqctl", "rabbitmq-server"), &self.dir);
        control.envs(self.environment.iter().map(|(name, value)| (name, value))).args(arguments);
        run(control, &self.dir);
    }
}

fn amqp(user: &str, password: &str, more: &str) -> topology::model::Probe {
    read(&format!("{{ amqp: {{ user: {user}, password: {password}, connection: fresh, {more} }} }}"))
}

fn api(user: &str, password: &str, more: &str) -> topology::model::Probe {
    read(&format!("{{ rabbitmq: {{ user: {user}, password: {password}, {more} }} }}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_is_seen_as_it_is() {
    let (mut table, mut managed) = (Table::new("amqp"), Table::new("rabbitmq"));
    let mut broker = start(None);
    let (port, management) = (broker.server.port, broker.api);
    let watching = amqp("monitor", PASSWORD, "round_trip: true, queues: { nope: {}, orders: {} }");
    let seen = await_answer(&watching, port).await;
    let found = answer(&seen);
    assert_eq!(found.signals["amqp.queue_exists[orders]"], 1.0);
    assert_eq!(found.signals["amqp.queue_messages[orders]"], 0.0);
    assert_eq!(found.signals["amqp.queue_consumers[orders]"], 0.0);
    assert!(found.signals["amqp.login_seconds"] > 0.0);
    assert!(found.signals["net.connect_seconds"] > 0.0);
    assert_eq!(found.notes.len(), 1, "{found:?}");
    assert_eq!((found.signals["amqp.round_trip_ok"], found.signals["amqp.blocked"]), (1.0, 0.0), "{found:?}");
    assert!(found.signals["amqp.round_trip_seconds"] > 0.0);
    table.signal("a queue that is not there", &seen, "amqp.queue_exists[nope]", |exists| exists == 0.0);

    let by = |user: &str, password: &str, more: &str| amqp(user, password, more);
    table.fault(
        "a wrong password",
        &look(&by("monitor", "guessed", ""), port).await,
        "auth handshake bad_credentials",
    );
    let closed = by("monitor", PASSWORD, "vhost: closed");
    table.fault("no right in this vhost", &look(&closed, port).await, "auth handshake no_permission");
    let nowhere = by("monitor", PASSWORD, "vhost: nope");
    table.fault("no such vhost", &look(&nowhere, port).await, "bad_answer handshake wrong_database");
    let full = by("monitor", PASSWORD, "vhost: full");
    table.fault(
        "`max-connections` of the vhost",
        &look(&full, port).await,
        "bad_answer handshake connection_limit",
    );
    let limited = look(&by("limited", PASSWORD, ""), port).await;
    table.fault("`max-connections` of the user", &limited, "bad_answer handshake account_limit");

    let watched = api("monitor", PASSWORD, "queues: { orders: {}, nope: {} }");
    // The first numbers are gathered some seconds after the start.
    let gathered = |value: f64| value > 0.0;
    await_signal(&watched, management, "rabbitmq.memory_ratio", gathered).await;
    let seen = await_signal(&watched, management, "rabbitmq.queue_running[orders]", gathered).await;
    let found = answer(&seen);
    for signal in ["memory_ratio", "files_ratio", "processes_ratio", "disk_free_ratio", "uptime_seconds"] {
        assert!(found.signals[&format!("rabbitmq.{signal}")] > 0.0, "{signal}: {found:?}");
    }
    for signal in ["vhosts_ok", "queue_exists[orders]", "queue_running[orders]"] {
        assert_eq!(found.signals[&format!("rabbitmq.{signal}")], 1.0, "{signal}: {found:?}");
    }
    for signal in ["alarm_memory", "alarm_disk", "partitions", "nodes_down"] {
        assert_eq!(found.signals[&format!("rabbitmq.{signal}")], 0.0, "{signal}");
    }
    managed.signal("a queue that is not there", &seen, "rabbitmq.queue_exists[nope]", |exists| exists == 0.0);
    let wrong = look(&api("monitor", "guessed", ""), management).await;
    managed.fault("a wrong password", &wrong, "auth ask bad_credentials");
    let untagged = look(&api("stranger", PASSWORD, ""), management).await;
    managed.fault("a user without the tag `monitoring`", &untagged, "auth ask no_permission");
    let other = look(&api("monitor", PASSWORD, ""), port).await;
    managed.fault("AMQP's port", &other, "protocol ask");

    broker.control(&["set_vm_memory_high_watermark", "0.0001"]);
    let alarmed = await_signal(&watching, port, "amqp.blocked", |blocked| blocked == 1.0).await;
    table.signal(
        "`set_vm_memory_high_watermark 0.0001`, with round_trip",
        &alarmed,
        "amqp.blocked",
        |blocked| blocked == 1.0,
    );
    let reads = look(&amqp("monitor", PASSWORD, "queues: { orders: {} }"), port).await;
    assert_eq!(answer(&reads).signals["amqp.queue_exists[orders]"], 1.0, "reads stay green");
    let seen = await_signal(&watched, management, "rabbitmq.alarm_memory", |alarm| alarm == 1.0).await;
    managed.signal("`set_vm_memory_high_watermark 0.0001`", &seen, "rabbitmq.alarm_memory", |alarm| {
        alarm == 1.0
    });
    broker.control(&["set_vm_memory_high_watermark", "0.6"]);
    broker.control(&["set_disk_free_limit", "900000GB"]);
    let seen = await_signal(&watched, management, "rabbitmq.alarm_disk", |alarm| alarm == 1.0).await;
    managed.signal("`set_disk_free_limit 900000GB`", &seen, "rabbitmq.alarm_disk", |alarm| alarm == 1.0);
    broker.control(&["set_disk_free_limit", "1MB"]);
    await_signal(&watching, port, "amqp.round_trip_ok", |ok| ok == 1.0).await;

    cut_and_watched(&broker, port).await;
    partitioned(&broker, &mut managed).await;

    broker.server.signal(nix::sys::signal::Signal::SIGSTOP);
    managed.fault("SIGSTOP", &await_summary(&watched, management, "hung").await, "hung ask");
    broker.server.signal(nix::sys::signal::Signal::SIGCONT);
    stop_resume_kill(&mut broker.server, &watching, "handshake", &mut table).await;
    managed.fault("SIGKILL", &await_summary(&watched, management, "refused").await, "refused tcp");
    table.finish();
    managed.finish();
}

/// Two members that lost each other for a while, as after a machine was suspended, go on apart.
async fn partitioned(first: &Broker, managed: &mut Table) {
    let members = api("monitor", PASSWORD, "");
    let second = start(Some(first));
    await_answer(&members, second.api).await;
    // Its API answers while it still starts, and a member that loses the other one then gives up.
    second.control(&["await_startup"]);
    await_signal(&members, first.api, "rabbitmq.nodes_down", |down| down == 0.0).await;
    second.server.signal(nix::sys::signal::Signal::SIGSTOP);
    let seen = await_signal(&members, first.api, "rabbitmq.nodes_down", |down| down == 1.0).await;
    managed.signal("SIGSTOP of another member", &seen, "rabbitmq.nodes_down", |down| down == 1.0);
    second.server.signal(nix::sys::signal::Signal::SIGCONT);
    // Which of them finds out depends on who was the first to dial again; both do as a rule.
    let parted = |api: u16| await_signal(&members, api, "rabbitmq.partitions", |others| others == 1.0);
    let seen = tokio::select! {
        seen = parted(first.api) => seen,
        seen = parted(second.api) => seen,
    };
    managed.signal("SIGCONT of that member: they go on apart", &seen, "rabbitmq.partitions", |n| n == 1.0);
}

/// A kept connection that the broker cuts is no outage, and the sentinel sees the cut.
async fn cut_and_watched(broker: &Broker, port: u16) {
    let kept = read(&format!("{{ amqp: {{ user: monitor, password: {PASSWORD}, connection: kept }} }}"));
    let prober = probes::Prober::new().unwrap();
    let address = topology::model::Address { host: "127.0.0.1".to_owned(), port };
    let first = prober.look(&kept, &address, "mq-1").await;
    assert!(answer(&first).signals.contains_key("amqp.login_seconds"));
    let again = prober.look(&kept, &address, "mq-1").await;
    assert!(!answer(&again).signals.contains_key("amqp.login_seconds"), "kept: {again:?}");
    let sentinel = prober.sentinel(&kept, &address, "mq-1");
    let mut sentinel = std::pin::pin!(sentinel);
    assert!(futures_util::poll!(sentinel.as_mut()).is_pending());
    prober.look(&kept, &address, "mq-1").await;
    assert!(futures_util::poll!(sentinel.as_mut()).is_pending(), "a look's own answers are no end");
    broker.control(&["close_all_connections", "bye"]);
    let end = tokio::time::timeout(std::time::Duration::from_mins(1), sentinel).await.unwrap();
    assert!(matches!(end, probes::SentinelEnd::Ended { .. }), "{end:?}");
    let after = prober.look(&kept, &address, "mq-1").await;
    assert_eq!(answer(&after).notes, ["the kept connection had been cut"]);
}
