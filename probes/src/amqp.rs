//! `amqp`: a login to a broker such as `RabbitMQ`, and passive declares of the queues that are watched.

use lapin::Connection;
use lapin::options::QueueDeclareOptions;
use topology::fault::FaultKind;
use topology::kind::{Bad, KindSpec, LabelledSpec, OptionForm, OptionSpec, SignalSpec};
use topology::level::Kind;

use crate::amqp_session::{self as session, Session};
use crate::look::{Late, Look, Stop};
use crate::spec::{CONNECT, COUNT, OUGHT, PASSWORD, SECONDS, TOTAL, USER};

pub(crate) static SPEC: KindSpec = KindSpec {
    name: "amqp",
    summary: "Logs in to an AMQP 0-9-1 broker, opens the vhost, and asks how full the watched queues are; never \
              publishes or consumes.",
    options: &[
        USER,
        PASSWORD,
        OptionSpec {
            name: "vhost",
            form: OptionForm::Text,
            default: Some("/"),
            help: "The virtual host to open.",
        },
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
        CONNECT,
        TOTAL,
    ],
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
                effect: Kind::AtRisk,
                help: "Messages ready to be consumed, the unacknowledged ones not counted. Yellow follows \
                       awesome-prometheus-alerts; red is our choice.",
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
    ..KindSpec::EMPTY
};

pub(crate) async fn probe(look: &mut Look<'_>) -> Result<(), Stop> {
    let session = Session::open(look).await?;
    look.put_some("amqp.login_seconds", look.stage_seconds("handshake"));
    queues(look, &session.connection).await?;
    // A close in reply to a channel's end may find the connection in another state: of no interest.
    look.close(session.connection.close(200, "bye".into())).await;
    Ok(())
}

/// Asks for each queue in turn. A queue that is missing ends the channel, not the look: the next one is
/// asked on a new channel.
async fn queues(look: &mut Look<'_>, connection: &Connection) -> Result<(), Stop> {
    let mut channel = None;
    for queue in &look.probe.labels {
        let until = look.deadline();
        let asking = async {
            let open = match channel.take() {
                Some(open) => open,
                None => connection.create_channel().await?,
            };
            let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let found = open.queue_declare(queue.as_str().into(), options, session::no_arguments()).await?;
            channel = Some(open);
            Ok(found)
        };
        match look.stage("ask", until, asking).await.map_err(Late::hung)? {
            Ok(found) => {
                look.put(format!("amqp.queue_exists[{queue}]"), 1.0);
                look.put(format!("amqp.queue_messages[{queue}]"), f64::from(found.message_count()));
                look.put(format!("amqp.queue_consumers[{queue}]"), f64::from(found.consumer_count()));
            }
            Err(error) => refused_queue(look, queue, &error)?,
        }
    }
    Ok(())
}

fn refused_queue(look: &mut Look<'_>, queue: &str, error: &lapin::Error) -> Result<(), Stop> {
    match session::broker_error(error) {
        Some((404, words)) => {
            look.put(format!("amqp.queue_exists[{queue}]"), 0.0);
            look.note(words);
            Ok(())
        }
        // Somebody's exclusive queue, or no right to it: nothing is known of its counts.
        Some((403 | 405, words)) => {
            look.note(words);
            Ok(())
        }
        _ => match session::stop(error, "ask") {
            Stop::Fault(mut fault) if fault.kind == FaultKind::Dropped => {
                fault.words = format!("{}, asking for the queue {queue}", fault.words);
                Err(fault.into())
            }
            stop => Err(stop),
        },
    }
}
