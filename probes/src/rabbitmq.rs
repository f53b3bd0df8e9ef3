//! `rabbitmq`: the management API of a `RabbitMQ` node: alarms, limits, vhosts, and what AMQP does not tell of
//! queues.

use hyper::header;
use serde_json::Value;
use topology::fault::{Fault, FaultKind, Reason};
use topology::kind::{Bad, KindSpec, LabelledSpec, OptionForm, OptionSpec, SignalSpec};
use topology::level::Kind;

use crate::amqp::unread;
use crate::http;
use crate::look::{Look, Stop};
use crate::sentinel::SENTINEL;
use crate::spec::{
    CONNECT, COUNT, EXPIRES_IN, OUGHT, PASSWORD, RATIO, SECONDS, STATE, TLS_HANDSHAKE, TOTAL, USER, truth,
};
use crate::tls_session::{Settings, TLS};
use crate::web::{self, Exchange, Page, Request};

/// One answer at most; a node's row has some 600 bytes.
const MAX_ANSWER: usize = 512 * 1024;

pub(crate) static SPEC: KindSpec = KindSpec {
    name: "rabbitmq",
    summary: "Asks the management API (port 15672) for alarms, limits and the watched queues, by a few narrow \
              questions. Not more often than every 15 s: the node gathers its statistics that slowly.",
    options: &[
        USER,
        PASSWORD,
        TLS,
        OptionSpec {
            name: "vhost",
            form: OptionForm::Text,
            default: Some("/"),
            help: "The virtual host of the queues.",
        },
        SENTINEL,
    ],
    signals: &[
        SignalSpec {
            name: "rabbitmq.alarm_memory",
            key: "alarm_memory",
            red: Some(1.0),
            help: "The node has a memory alarm: every publisher of the cluster waits. Critical in \
                   awesome-prometheus-alerts.",
            ..STATE
        },
        SignalSpec {
            name: "rabbitmq.alarm_disk",
            key: "alarm_disk",
            red: Some(1.0),
            help: "The same for its disk.",
            ..STATE
        },
        SignalSpec {
            name: "rabbitmq.vhosts_ok",
            key: "vhosts_ok",
            help: "All virtual hosts run (RabbitMQ's health check).",
            ..OUGHT
        },
        SignalSpec {
            name: "rabbitmq.nodes_down",
            key: "nodes_down",
            red: Some(1.0),
            help: "Members of the cluster that this node does not see running. Critical in \
                   awesome-prometheus-alerts.",
            ..COUNT
        },
        SignalSpec {
            name: "rabbitmq.partitions",
            key: "partitions",
            red: Some(1.0),
            help: "Members that it is partitioned from. Critical in awesome-prometheus-alerts.",
            ..COUNT
        },
        SignalSpec {
            name: "rabbitmq.memory_ratio",
            key: "memory",
            yellow: Some(0.8),
            red: Some(0.95),
            help: "mem_used of mem_limit; the alarm comes at 1. Near awesome-prometheus-alerts' 90 %.",
            ..RATIO
        },
        SignalSpec {
            name: "rabbitmq.disk_free_ratio",
            key: "disk_free",
            bad: Bad::Below,
            yellow: Some(3.0),
            red: Some(1.5),
            help: "disk_free of disk_free_limit; the alarm comes at 1. Our choice.",
            ..RATIO
        },
        SignalSpec {
            name: "rabbitmq.disk_free_bytes",
            key: "disk_free_bytes",
            unit: topology::kind::Unit::Bytes,
            bad: Bad::Below,
            yellow: Some(2.0 * 1024.0 * 1024.0 * 1024.0),
            help: "disk_free; RabbitMQ's own limit of 50 MB is far too low. Our choice.",
            ..RATIO
        },
        SignalSpec {
            name: "rabbitmq.files_ratio",
            key: "files",
            yellow: Some(0.8),
            red: Some(0.95),
            help: "fd_used of fd_total. Near awesome-prometheus-alerts' 90 %.",
            ..RATIO
        },
        SignalSpec {
            name: "rabbitmq.sockets_ratio",
            key: "sockets",
            yellow: Some(0.8),
            red: Some(0.95),
            help: "sockets_used of sockets_total. Our choice.",
            ..RATIO
        },
        SignalSpec {
            name: "rabbitmq.processes_ratio",
            key: "processes",
            yellow: Some(0.8),
            red: Some(0.95),
            help: "proc_used of proc_total. Our choice.",
            ..RATIO
        },
        SignalSpec {
            name: "rabbitmq.run_queue",
            key: "run_queue",
            yellow: Some(50.0),
            effect: Kind::AtRisk,
            help: "Erlang processes that wait for a scheduler. Our choice.",
            ..COUNT
        },
        SignalSpec {
            name: "rabbitmq.draining",
            key: "draining",
            yellow: Some(1.0),
            effect: Kind::AtRisk,
            help: "Somebody drains it for maintenance.",
            ..STATE
        },
        SignalSpec {
            name: "rabbitmq.uptime_seconds",
            key: "uptime",
            bad: Bad::Below,
            effect: Kind::AtRisk,
            help: "Since it was started. No default: a restart is seen by its probes.",
            ..SECONDS
        },
        SignalSpec {
            name: "rabbitmq.api_seconds",
            key: "slow",
            yellow: Some(0.5),
            red: Some(2.0),
            effect: Kind::AtRisk,
            help: "The slowest of the questions; 1 to 7 ms is normal. Our choice.",
            ..SECONDS
        },
        CONNECT,
        TLS_HANDSHAKE,
        EXPIRES_IN,
        TOTAL,
    ],
    labelled: Some(&LabelledSpec {
        key: "queues",
        options: &[],
        signals: &[
            SignalSpec { name: "rabbitmq.queue_exists", key: "exists", help: "The queue is there.", ..OUGHT },
            SignalSpec {
                name: "rabbitmq.queue_running",
                key: "running",
                help: "Its state is running, or slowed down for its publishers (flow); not down, crashed or stopped.",
                ..OUGHT
            },
            SignalSpec {
                name: "rabbitmq.queue_messages",
                key: "messages",
                // Impaired, as counts are: what waits here is late for somebody already.
                help: "Ready messages. No default here: the amqp probe has one.",
                ..COUNT
            },
            SignalSpec {
                name: "rabbitmq.queue_unread",
                key: "unread",
                help: "Messages that nobody reads, as for amqp.",
                ..COUNT
            },
            SignalSpec {
                name: "rabbitmq.queue_unacked",
                key: "unacked",
                yellow: Some(1000.0),
                effect: Kind::AtRisk,
                help: "Delivered and not acknowledged. Follows awesome-prometheus-alerts.",
                ..COUNT
            },
            SignalSpec {
                name: "rabbitmq.queue_consumers",
                key: "consumers",
                bad: Bad::Below,
                help: "Consumers of the queue. No default, as for amqp.",
                ..COUNT
            },
            SignalSpec {
                name: "rabbitmq.queue_deliver_per_second",
                key: "deliver",
                bad: Bad::Below,
                help: "Messages delivered a second; absent without traffic. No default.",
                ..COUNT
            },
            SignalSpec {
                name: "rabbitmq.queue_consumer_capacity_ratio",
                key: "consumer_capacity",
                bad: Bad::Below,
                help: "The share of the time in which consumers could take more; only with ready messages. No \
                       default: below a half, more consumers or a larger prefetch help.",
                ..RATIO
            },
            SignalSpec {
                name: "rabbitmq.queue_members_online_ratio",
                key: "members_online",
                bad: Bad::Below,
                yellow: Some(0.99),
                red: Some(0.5),
                help: "Of a quorum queue: members online of all. At a half there is no majority.",
                ..RATIO
            },
        ],
    }),
    grants: Some(
        "rabbitmqctl add_user topowatch 'PASSWORD'\n\
         rabbitmqctl set_user_tags topowatch monitoring\n\
         # Any permission in a vhost shows its queues' numbers; these three patterns allow nothing.\n\
         rabbitmqctl set_permissions -p / topowatch '^$' '^$' '^$'\n",
    ),
    // A management page says nothing of what the broker's clients meet.
    ports: &[15672],
    ..KindSpec::EMPTY
};

const NODE: &str = "/api/nodes?columns=name,running,mem_used,mem_limit,mem_alarm,disk_free,disk_free_limit,\
                    disk_free_alarm,fd_used,fd_total,sockets_used,sockets_total,proc_used,proc_total,partitions,\
                    being_drained,uptime,run_queue";
const QUEUE: &str = "columns=state,messages_ready,messages_unacknowledged,consumers,consumer_capacity,\
                     message_stats.deliver_get_details.rate,members,online";

pub(crate) async fn probe(look: &mut Look<'_>) -> Result<(), Stop> {
    let tls = Settings::of(look.probe);
    let mut exchange = Exchange::open(look, tls.as_ref(), None, look.deadline()).await?;
    let overview =
        json(look, &mut exchange, "/api/overview?columns=node,cluster_name,rabbitmq_version").await?;
    let this = overview.get("node").and_then(Value::as_str).unwrap_or_default().to_owned();
    if this.is_empty() {
        let words = "this is no management API of RabbitMQ";
        return Err(Fault::new(FaultKind::Protocol, "body", words).into());
    }
    let nodes = json(look, &mut exchange, NODE).await?;
    cluster(look, &nodes, &this);
    let vhosts = ask(look, &mut exchange, "/api/health/checks/virtual-hosts").await?;
    match vhosts.status {
        200 => look.put("rabbitmq.vhosts_ok", 1.0),
        503 => {
            look.put("rabbitmq.vhosts_ok", 0.0);
            look.note(&format!("virtual hosts: {}", reason(&vhosts)));
        }
        // A version without this check.
        404 => {}
        _ => return Err(fault(&vhosts).into()),
    }
    for queue in &look.probe.labels {
        ask_queue(look, &mut exchange, queue).await?;
    }
    Ok(())
}

async fn ask(look: &mut Look<'_>, exchange: &mut Exchange, path: &str) -> Result<Page, Stop> {
    if !exchange.is_open(look.deadline()).await {
        let tls = Settings::of(look.probe);
        *exchange = Exchange::open(look, tls.as_ref(), None, look.deadline()).await?;
    }
    let authorization = web::authorization(look.probe).map(|value| (header::AUTHORIZATION, value));
    let request = Request {
        tls: Settings::of(look.probe),
        headers: authorization.into_iter().collect(),
        max_body: MAX_ANSWER,
        ..Request::get(path, "application/json", look.deadline())
    };
    let page = exchange.ask(look, &request, "keep-alive").await?;
    let slowest = look.answer.signals.get("rabbitmq.api_seconds").copied().unwrap_or(0.0);
    look.put("rabbitmq.api_seconds", slowest.max(page.latency.as_secs_f64()));
    Ok(page)
}

async fn json(look: &mut Look<'_>, exchange: &mut Exchange, path: &str) -> Result<Value, Stop> {
    let page = ask(look, exchange, path).await?;
    if page.status != 200 {
        return Err(fault(&page).into());
    }
    serde_json::from_slice(&page.body)
        .map_err(|_| Fault::new(FaultKind::Protocol, "body", "the answer is not JSON").into())
}

fn reason(page: &Page) -> String {
    let body: Value = serde_json::from_slice(&page.body).unwrap_or_default();
    body.get("reason").and_then(Value::as_str).unwrap_or("no reason given").to_owned()
}

/// 401 has its cause in the body: a wrong password, or a tag that is missing.
fn fault(page: &Page) -> Fault {
    let said = reason(page);
    match page.status {
        401 => {
            let cause =
                if said.contains("Login failed") { Reason::BadCredentials } else { Reason::NoPermission };
            Fault::new(FaultKind::Auth, "ask", &format!("401: {said}")).because(cause)
        }
        status => http::status_fault(status)
            .unwrap_or_else(|| Fault::new(FaultKind::BadAnswer, "ask", &format!("{status}: {said}"))),
    }
}

/// The whole cluster's rows come from any node; the limits are this node's own.
fn cluster(look: &mut Look<'_>, nodes: &Value, this: &str) {
    let rows = nodes.as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |row: &Value| row.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let runs = |row: &&Value| row.get("running").and_then(Value::as_bool).unwrap_or(false);
    let down: Vec<String> = rows.iter().filter(|row| !runs(row)).map(name).collect();
    look.put("rabbitmq.nodes_down", down.len() as f64);
    let own = rows.iter().find(|row| name(row) == this);
    let apart = own.and_then(|row| row.get("partitions")).and_then(Value::as_array);
    look.put_some("rabbitmq.partitions", apart.map(|members| members.len() as f64));
    // Who is apart often counts as not running, too: the worse word first.
    let apart: Vec<&str> = apart.into_iter().flatten().filter_map(Value::as_str).collect();
    if !apart.is_empty() {
        look.note(&format!("partitioned from: {}", apart.join(", ")));
    }
    if !down.is_empty() {
        look.note(&format!("not running: {}", down.join(", ")));
    }
    let Some(row) = own else { return };
    let number = |key: &str| row.get(key).and_then(Value::as_f64);
    let share = |part: &str, whole: &str| Some(number(part)? / number(whole).filter(|whole| *whole > 0.0)?);
    let flag = |key: &str| row.get(key).and_then(Value::as_bool).map(truth);
    look.put_some("rabbitmq.alarm_memory", flag("mem_alarm"));
    look.put_some("rabbitmq.alarm_disk", flag("disk_free_alarm"));
    look.put_some("rabbitmq.draining", flag("being_drained"));
    look.put_some("rabbitmq.memory_ratio", share("mem_used", "mem_limit"));
    look.put_some("rabbitmq.disk_free_ratio", share("disk_free", "disk_free_limit"));
    look.put_some("rabbitmq.disk_free_bytes", number("disk_free"));
    look.put_some("rabbitmq.files_ratio", share("fd_used", "fd_total"));
    look.put_some("rabbitmq.sockets_ratio", share("sockets_used", "sockets_total"));
    look.put_some("rabbitmq.processes_ratio", share("proc_used", "proc_total"));
    look.put_some("rabbitmq.run_queue", number("run_queue"));
    look.put_some("rabbitmq.uptime_seconds", number("uptime").map(|millis| millis / 1e3));
}

async fn ask_queue(look: &mut Look<'_>, exchange: &mut Exchange, queue: &str) -> Result<(), Stop> {
    let escape = |text: &str| {
        let escaped: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        escaped.replace('+', "%20")
    };
    let vhost = look.probe.text("vhost").unwrap_or("/");
    let path = format!("/api/queues/{}/{}?{QUEUE}", escape(vhost), escape(queue));
    let page = ask(look, exchange, &path).await?;
    let named = |signal: &str| format!("rabbitmq.queue_{signal}[{queue}]");
    if page.status == 404 {
        look.put(named("exists"), 0.0);
        return Ok(());
    }
    if page.status != 200 {
        return Err(fault(&page).into());
    }
    let row: Value = serde_json::from_slice(&page.body).unwrap_or_default();
    let number = |key: &str| row.get(key).and_then(Value::as_f64);
    let count = |key: &str| row.get(key).and_then(Value::as_array).map(Vec::len);
    let (ready, consumers) = (number("messages_ready"), number("consumers"));
    look.put(named("exists"), 1.0);
    if let Some(state) = row.get("state").and_then(Value::as_str) {
        look.put(named("running"), truth(matches!(state, "running" | "flow" | "idle")));
        if state != "running" {
            look.note(&format!("{queue} is in the state {state}"));
        }
    }
    look.put_some(&named("messages"), ready);
    look.put_some(&named("unacked"), number("messages_unacknowledged"));
    look.put_some(&named("consumers"), consumers);
    look.put_some(&named("unread"), ready.zip(consumers).map(|(ready, readers)| unread(ready, readers)));
    let delivered = row.pointer("/message_stats/deliver_get_details/rate").and_then(Value::as_f64);
    look.put_some(&named("deliver_per_second"), delivered);
    if ready > Some(100.0) && consumers > Some(0.0) {
        look.put_some(&named("consumer_capacity_ratio"), number("consumer_capacity"));
    }
    if let (Some(online), Some(members @ 1..)) = (count("online"), count("members")) {
        look.put(named("members_online_ratio"), online as f64 / members as f64);
    }
    Ok(())
}
