//! RabbitMQ with a node name, a name service (epmd), a cookie and a home of its own, so that it meets no
//! other Erlang node of the machine. Users and queues come from a definitions file at every start.

use anyhow::Result;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use serde_json::json;

use super::{Launch, Site};
use crate::plan::Instance;
use crate::secrets::{APP_USER, MONITOR_USER};

/// Orders on their way to the OMS.
pub(crate) const ORDERS: &str = "orders";
/// Messages the OMS could not read, kept for a person to look at.
pub(crate) const DEAD: &str = "orders.dead";

/// Above it, nobody may publish.
pub(crate) const MEMORY_LIMIT: &str = "256MiB";

/// The same when less of its disk is free.
pub(crate) const DISK_LIMIT: &str = "64MB";

/// One command of the broker's own tool.
pub(crate) async fn rabbitmqctl(site: &Site, instance: &Instance, words: &[String]) -> Result<()> {
    let mut command = site.tool(&site.programs.rabbitmqctl);
    // The same node name, name service and cookie as the server's.
    command.envs(launch(site, instance).env).env_remove("RABBITMQ_NODE_PORT").args(words);
    site.run_tool(command).await
}

pub(super) fn configure(site: &Site, instance: &Instance) -> Result<()> {
    let home = site.deployment.home(&instance.name);
    let definitions = json!({
        "vhosts": [{ "name": "/" }],
        "users": [
            { "name": APP_USER, "password": site.secrets.app(instance.component.name)?, "tags": [] },
            { "name": MONITOR_USER, "password": site.secrets.read("monitor-amqp")?, "tags": [] },
        ],
        "permissions": [
            { "user": APP_USER, "vhost": "/", "configure": "^$", "write": ".*", "read": ".*" },
            // May look at a queue it knows by name (a passive declare), and send itself a message by a queue of its own.
            {
                "user": MONITOR_USER, "vhost": "/",
                "configure": r"^(topowatch\..*|amq\.gen.*)$",
                "write": r"^(topowatch\..*|amq\.gen.*|amq\.default)$",
                "read": r"^(topowatch\..*|amq\.gen.*)$",
            },
        ],
        "queues": [
            {
                "name": ORDERS, "vhost": "/", "durable": true, "auto_delete": false,
                "arguments": { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": DEAD },
            },
            { "name": DEAD, "vhost": "/", "durable": true, "auto_delete": false, "arguments": {} },
        ],
    });
    site.write_file(&home.join("definitions.json"), &definitions.to_string())?;
    let config = format!(
        "loopback_users = none\nload_definitions = {}\nlog.console.level = warning\n\
         vm_memory_high_watermark.absolute = {MEMORY_LIMIT}\ndisk_free_limit.absolute = {DISK_LIMIT}\n",
        home.join("definitions.json").display()
    );
    site.write_file(&home.join("rabbitmq.conf"), &config)?;
    site.write_file(&home.join("plugins"), "[].\n")?;
    // Stands in for /etc/rabbitmq/rabbitmq-env.conf, which is about another node.
    site.write_file(&home.join("env.conf"), "")
}

pub(super) fn launch(site: &Site, instance: &Instance) -> Launch {
    let home = site.deployment.home(&instance.name);
    let mut launch = Launch::server(&site.programs.rabbitmq, Vec::new());
    let at = |name: &str| home.join(name).into_os_string();
    launch.env = vec![
        ("HOME".to_owned(), home.clone().into_os_string()),
        ("RABBITMQ_NODENAME".to_owned(), format!("ordering{}@localhost", site.plan.base_port).into()),
        ("RABBITMQ_NODE_IP_ADDRESS".to_owned(), instance.address.ip().to_string().into()),
        ("RABBITMQ_NODE_PORT".to_owned(), instance.address.port().to_string().into()),
        ("RABBITMQ_DIST_PORT".to_owned(), site.plan.dist_port().to_string().into()),
        ("ERL_EPMD_PORT".to_owned(), site.plan.epmd_port().to_string().into()),
        ("ERL_EPMD_ADDRESS".to_owned(), "127.0.0.1".into()),
        ("ERL_CRASH_DUMP_BYTES".to_owned(), "0".into()),
        ("RABBITMQ_MNESIA_BASE".to_owned(), at("mnesia")),
        ("RABBITMQ_LOG_BASE".to_owned(), at("log")),
        ("RABBITMQ_LOGS".to_owned(), "-".into()),
        ("RABBITMQ_ENABLED_PLUGINS_FILE".to_owned(), at("plugins")),
        ("RABBITMQ_CONF_ENV_FILE".to_owned(), at("env.conf")),
        // Without the extension: the server adds it.
        ("RABBITMQ_CONFIG_FILE".to_owned(), at("rabbitmq")),
        // Makes the start script become the server instead of staying as its parent.
        ("RABBITMQ_ALLOW_INPUT".to_owned(), "1".into()),
        (
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS".to_owned(),
            "-noinput +S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}".into(),
        ),
    ];
    launch
}

pub(super) async fn ask(site: &Site, instance: &Instance) -> Result<()> {
    let password = site.secrets.app(instance.component.name)?;
    let uri = format!("amqp://{APP_USER}:{password}@{}/%2f", instance.address);
    let connection = Connection::connect(&uri, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(ORDERS.into(), passive, FieldTable::default()).await?;
    connection.close(200, "ready".into()).await?;
    Ok(())
}
