//! `amqp`: a login to a broker such as `RabbitMQ`, and passive declares of the queues that are watched.

use std::net::TcpStream as StdStream;
use std::sync::Arc;
use std::time::Duration;

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame};
use amq_protocol::protocol::{AMQPClass, basic, confirm, queue};
use amq_protocol::types::{AMQPValue, FieldTable, ShortString};
use topology::kind::{Bad, KindSpec, LabelledSpec, OptionForm, OptionSpec, SignalSpec};
use topology::level::Kind;

use crate::amqp_session::{self as session, No, Session, short};
use crate::amqp_wire::Garbled;
use crate::clock::now;
use crate::kept::{self, KEPT, Keep, Policy};
use crate::look::{Late, Look, Stop};
use crate::sentinel::SENTINEL;
use crate::spec::{
    CONNECT, COUNT, EXPIRES_IN, OUGHT, PASSWORD, SECONDS, STATE, TLS_HANDSHAKE, TOTAL, USER, truth,
};
use crate::tls_session::TLS;

pub(crate) static SPEC: KindSpec = KindSpec {
    name: "amqp",
    summary: "Logs in to an AMQP 0-9-1 broker, opens the vhost, and asks how full the watched queues are. With \
              round_trip it also sends a message to a private queue of its own and fetches it. It never \
              consumes from a queue of others.",
    options: &[
        USER,
        PASSWORD,
        OptionSpec {
            name: "vhost",
            form: OptionForm::Text,
            default: Some("/"),
            help: "The virtual host to open.",
        },
        TLS,
        OptionSpec {
            name: "round_trip",
            form: OptionForm::Truth,
            default: Some("false"),
            help: "Whether to send a message to a private queue and fetch it, every 30 s, and at each look while \
                   that fails; it finds memory and disk alarms, which a login does not show.",
        },
        KEPT,
        SENTINEL,
    ],
    signals: &[
        SignalSpec {
            name: "amqp.login_seconds",
            key: "login",
            yellow: Some(0.5),
            red: Some(1.5),
            help: "From the TCP connection to the opened vhost; 5 to 15 ms is normal. Our choice.",
            // Users come through pools: a slow login is the first sign, and they do not feel it yet.
            effect: Kind::AtRisk,
            ..SECONDS
        },
        SignalSpec {
            name: "amqp.blocked",
            key: "blocked",
            red: Some(1.0),
            help: "The broker takes no messages: a memory or disk alarm. Critical in awesome-prometheus-alerts. \
                   Only with round_trip.",
            ..STATE
        },
        SignalSpec {
            name: "amqp.round_trip_ok",
            key: "round_trip_ok",
            help: "The message came back; only with round_trip.",
            ..OUGHT
        },
        SignalSpec {
            name: "amqp.round_trip_seconds",
            key: "round_trip_time",
            yellow: Some(0.1),
            red: Some(1.0),
            help: "From the private queue's declaration to the fetched message; 5 ms is normal. Our choice.",
            ..SECONDS
        },
        CONNECT,
        TLS_HANDSHAKE,
        EXPIRES_IN,
        TOTAL,
    ],
    grants: Some(
        "rabbitmqctl add_user topowatch 'PASSWORD'\n\
         # Enough for passive declares before RabbitMQ 4.3.1, and for round_trip. From 4.3.1 on, add the watched\n\
         # queues to the second pattern: writing to a queue only allows to bind it.\n\
         rabbitmqctl set_permissions -p / topowatch '^(topowatch\\..*|amq\\.gen.*)$' \\\n    \
         '^(topowatch\\..*|amq\\.gen.*|amq\\.default)$' '^(topowatch\\..*|amq\\.gen.*)$'\n",
    ),
    labelled: Some(&LabelledSpec {
        key: "queues",
        options: &[],
        signals: &[
            SignalSpec {
                name: "amqp.queue_exists",
                key: "exists",
                help: "The queue is there, and its node is up.",
                ..OUGHT
            },
            SignalSpec {
                name: "amqp.queue_messages",
                key: "messages",
                yellow: Some(1000.0),
                red: Some(10_000.0),
                // Impaired, as counts are: what waits here is late for somebody already.
                help: "Messages ready to be consumed, the unacknowledged ones not counted. Yellow follows \
                       awesome-prometheus-alerts; red is our choice.",
                ..COUNT
            },
            SignalSpec {
                name: "amqp.queue_unread",
                key: "unread",
                help: "Messages that nobody reads, for the queue has no consumer: what a dead-letter queue holds, \
                       which is no backlog of anybody's. No default; yellow: 1 for a dead-letter queue.",
                ..COUNT
            },
            SignalSpec {
                name: "amqp.queue_consumers",
                key: "consumers",
                bad: Bad::Below,
                help: "Consumers of the queue. No default, for some queues have none on purpose; red: 0 is what \
                       awesome-prometheus-alerts calls critical.",
                ..COUNT
            },
        ],
    }),
    exercises_dependencies: true,
    ports: &[5672],
    ..KindSpec::EMPTY
};

/// Two to four lines in the broker's log, and three processes, for each login.
const FRESH_EVERY: Duration = Duration::from_secs(30);
/// The private queue is metadata for the whole cluster: made and gone in this interval.
const ROUND_TRIP_EVERY: Duration = Duration::from_secs(30);

pub(crate) async fn probe(look: &mut Look<'_>) -> Result<(), Stop> {
    kept::look::<Session>(look).await
}

impl Keep for Session {
    const POLICY: Policy = Policy::Every(FRESH_EVERY);

    async fn open(look: &mut Look<'_>) -> Result<Self, Stop> {
        let session = Self::open(look).await?;
        look.put_some("amqp.login_seconds", look.stage_seconds("handshake"));
        Ok(session)
    }

    /// The queues come first: after a message under an alarm the broker reads nothing more of this connection.
    async fn ask(&mut self, look: &mut Look<'_>) -> Result<(), Stop> {
        queues(look, self).await?;
        if look.probe.truth("round_trip") && !look.replay("round_trip", ROUND_TRIP_EVERY) {
            round_trip(look, self).await;
        }
        Ok(())
    }

    async fn close(self, look: &Look<'_>) {
        look.close(Self::close(self)).await;
    }

    fn socket(&self) -> Option<Arc<StdStream>> {
        self.wire().stream().second_handle()
    }
}

/// What waits where nobody is meant to read, or nobody does.
pub(crate) fn unread(messages: f64, consumers: f64) -> f64 {
    if consumers > 0.0 { 0.0 } else { messages }
}

/// Asks for each queue in turn. A queue that is missing ends the channel, not the look: the next one is
/// asked on a new channel.
async fn queues(look: &mut Look<'_>, session: &mut Session) -> Result<(), Stop> {
    let mut open = None;
    for name in &look.probe.labels {
        let until = look.deadline();
        let asking = async {
            let channel = match open.take() {
                Some(channel) => channel,
                None => session.channel().await?,
            };
            let declare = queue::Declare { queue: short(name), passive: true, ..queue::Declare::default() };
            let answer = session.call(channel, AMQPClass::Queue(queue::AMQPMethod::Declare(declare))).await?;
            open = Some(channel);
            match answer {
                AMQPClass::Queue(queue::AMQPMethod::DeclareOk(found)) => Ok(found),
                _ => Err(No::Wire(Garbled::NotAmqp)),
            }
        };
        match look.stage("ask", until, asking).await.map_err(Late::hung)? {
            Ok(found) => {
                look.put(format!("amqp.queue_exists[{name}]"), 1.0);
                let (messages, consumers) = (f64::from(found.message_count), f64::from(found.consumer_count));
                look.put(format!("amqp.queue_messages[{name}]"), messages);
                look.put(format!("amqp.queue_consumers[{name}]"), consumers);
                look.put(format!("amqp.queue_unread[{name}]"), unread(messages, consumers));
            }
            Err(No::Channel(404, words)) => {
                look.put(format!("amqp.queue_exists[{name}]"), 0.0);
                look.note(&words);
            }
            // Somebody's exclusive queue, or no right to it: nothing is known of its counts.
            Err(No::Channel(403 | 405, words)) => look.note(&words),
            Err(no) => return Err(session::stop(no, "ask")),
        }
    }
    if let Some(channel) = open {
        let until = look.deadline();
        let closing = look.stage("ask", until, session.close_channel(channel)).await.map_err(Late::hung)?;
        closing.map_err(|no| session::stop(no, "ask"))?;
    } else if look.probe.labels.is_empty() {
        // Something must be asked: a login that is remembered proves nothing.
        let until = look.deadline();
        let asking = async {
            let channel = session.channel().await?;
            session.close_channel(channel).await
        };
        let asked = look.stage("ask", until, asking).await.map_err(Late::hung)?;
        asked.map_err(|no| session::stop(no, "ask"))?;
    }
    Ok(())
}

/// A message to a private queue and back: finds alarms and stuck disks, which a login never shows. The question
/// is answered already, so a failure is a signal, no fault.
async fn round_trip(look: &mut Look<'_>, session: &mut Session) {
    let nonce = look.shared.nonce();
    let (until, began) = (look.within(0.5, Duration::ZERO), now());
    let gone = look.stage("deep", until, there_and_back(session, nonce.as_bytes())).await;
    look.put("amqp.blocked", truth(session.blocked.is_some()));
    let why = match (gone, &session.blocked) {
        (_, Some(reason)) => format!("the broker takes no messages: {reason}"),
        (Ok(Ok(true)), None) => {
            look.put("amqp.round_trip_ok", 1.0);
            look.put("amqp.round_trip_seconds", look.since(began).as_secs_f64());
            look.remember("round_trip", &["amqp.blocked", "amqp.round_trip"]);
            return;
        }
        (Ok(Ok(false)), None) => "another message came back, or none".to_owned(),
        (Ok(Err(No::Channel(403, words) | No::Connection(403, words))), None) => {
            look.note(&format!("round trip: {words}"));
            return;
        }
        (Ok(Err(no)), None) => match session::stop(no, "deep") {
            Stop::Fault(fault) => fault.words,
            Stop::Local(why) => why,
        },
        (Err(_late), None) => "the message did not come back in time".to_owned(),
    };
    look.put("amqp.round_trip_ok", 0.0);
    look.note(&why);
    // What is half said cannot be taken up again.
    look.spoiled = true;
}

/// False when another message came back, or the broker is blocked.
async fn there_and_back(session: &mut Session, nonce: &[u8]) -> Result<bool, No> {
    let channel = session.channel().await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-expires".into(), AMQPValue::LongInt(60_000));
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(10));
    let declare =
        queue::Declare { exclusive: true, auto_delete: true, arguments, ..queue::Declare::default() };
    let declared = session.call(channel, AMQPClass::Queue(queue::AMQPMethod::Declare(declare))).await?;
    let AMQPClass::Queue(queue::AMQPMethod::DeclareOk(declared)) = declared else {
        return Err(No::Wire(Garbled::NotAmqp));
    };
    let select = AMQPClass::Confirm(confirm::AMQPMethod::Select(confirm::Select { nowait: false }));
    session.call(channel, select).await?;
    let publish = basic::Publish {
        exchange: ShortString::default(),
        routing_key: declared.queue.clone(),
        mandatory: true,
        immediate: false,
    };
    let header = AMQPContentHeader {
        class_id: 60,
        body_size: nonce.len() as u64,
        properties: basic::AMQPProperties::default(),
    };
    session
        .send(&[
            AMQPFrame::Method(channel, AMQPClass::Basic(basic::AMQPMethod::Publish(publish))),
            AMQPFrame::Header(channel, header),
            AMQPFrame::Body(channel, nonce.to_vec()),
        ])
        .await?;
    loop {
        match session.next().await? {
            Some(AMQPFrame::Method(_, AMQPClass::Basic(basic::AMQPMethod::Ack(_)))) => break,
            None | Some(AMQPFrame::Method(_, AMQPClass::Basic(basic::AMQPMethod::Nack(_)))) => {
                return Ok(false);
            }
            Some(_) => {}
        }
    }
    let get = basic::Get { queue: declared.queue, no_ack: true };
    session.say(channel, AMQPClass::Basic(basic::AMQPMethod::Get(get))).await?;
    let mut came = Vec::new();
    loop {
        match session.next().await? {
            None | Some(AMQPFrame::Method(_, AMQPClass::Basic(basic::AMQPMethod::GetEmpty(_)))) => {
                return Ok(false);
            }
            Some(AMQPFrame::Body(_, body)) => {
                came.extend_from_slice(&body);
                if came.len() >= nonce.len() {
                    break;
                }
            }
            Some(_) => {}
        }
    }
    session.close_channel(channel).await?;
    Ok(came == nonce)
}
