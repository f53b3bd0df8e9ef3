//! A real `RabbitMQ`.

use crate::support::{
    Server, answer, await_answer, command, fault, free_port, give, home, look, probe, program,
    stop_resume_kill, summary, with, words,
};
use crate::table::Table;

const PASSWORD: &str = "quite-secret";

/// The broker, and its name service, which would stay behind if the broker started it.
fn start() -> (Server, Server) {
    let rabbit = program("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server");
    let epmd = program("/usr/bin/epmd", "erlang-base");
    let (dir, port, epmd_port) = (home(), free_port(), free_port());
    let mut naming = command(&epmd, dir.path());
    naming.args(["-port", &epmd_port.to_string(), "-address", "127.0.0.1"]);
    let naming = Server::start(naming, epmd_port, None);

    let at = |name: &str| dir.path().join(name);
    let definitions = format!(
        r#"{{"vhosts": [{{"name": "/"}}],
            "users": [{{"name": "monitor", "password": "{PASSWORD}", "tags": []}}],
            "permissions": [{{"user": "monitor", "vhost": "/", "configure": "^$", "write": "^$", "read": "^$"}}],
            "queues": [{{"name": "orders", "vhost": "/", "durable": true, "auto_delete": false, "arguments": {{}}}}]}}"#
    );
    let config = format!("loopback_users = none\nload_definitions = {}\n", at("definitions.json").display());
    let files = [
        ("definitions.json", definitions.as_str()),
        ("rabbitmq.conf", &config),
        ("plugins", "[].\n"),
        ("env", ""),
    ];
    for (name, text) in files {
        std::fs::write(at(name), text).unwrap();
        give(&at(name));
    }
    let mut broker = command(&rabbit, dir.path());
    broker
        .env("RABBITMQ_NODENAME", format!("probed{port}@localhost"))
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODE_PORT", port.to_string())
        .env("RABBITMQ_DIST_PORT", free_port().to_string())
        .env("ERL_EPMD_PORT", epmd_port.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("ERL_CRASH_DUMP_BYTES", "0")
        .env("RABBITMQ_MNESIA_BASE", at("mnesia"))
        .env("RABBITMQ_LOG_BASE", at("log"))
        .env("RABBITMQ_LOGS", "-")
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", at("plugins"))
        .env("RABBITMQ_CONF_ENV_FILE", at("env"))
        .env("RABBITMQ_CONFIG_FILE", at("rabbitmq"))
        // Makes the start script become the broker instead of staying as its parent.
        .env("RABBITMQ_ALLOW_INPUT", "1")
        .env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "-noinput +S 1:1 -kernel inet_dist_use_interface {127,0,0,1}",
        );
    broker.args(words(&[]));
    (Server::start(broker, port, Some(dir)), naming)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_is_seen_as_it_is() {
    let mut table = Table::new("amqp");
    let (mut server, _naming) = start();
    let port = server.port;
    let monitor = || with(probe("amqp"), &[("user", "monitor"), ("password", PASSWORD)]);
    let mut watching = monitor();
    watching.labels = ["nope", "orders"].map(str::to_owned).to_vec();
    let seen = await_answer(&watching, port).await;
    let found = answer(&seen);
    assert_eq!(found.signals["amqp.queue_exists[nope]"], 0.0);
    assert_eq!(found.signals["amqp.queue_exists[orders]"], 1.0);
    assert_eq!(found.signals["amqp.queue_messages[orders]"], 0.0);
    assert_eq!(found.signals["amqp.queue_consumers[orders]"], 0.0);
    assert!(found.signals["amqp.login_seconds"] > 0.0);
    assert!(found.signals["net.connect_seconds"] > 0.0);
    assert!(found.notes[0].contains("no queue 'nope'"), "{:?}", found.notes);

    let wrong = look(&with(monitor(), &[("password", "guessed")]), port).await;
    assert_eq!(summary(&wrong), "auth handshake bad_credentials");
    assert!(fault(&wrong).words.contains("ACCESS_REFUSED"), "{}", fault(&wrong).words);
    let nowhere = look(&with(monitor(), &[("vhost", "nope")]), port).await;
    assert_eq!(summary(&nowhere), "bad_answer handshake wrong_database");

    stop_resume_kill(&mut server, &watching, "handshake", &mut table).await;
    table.finish();
}
