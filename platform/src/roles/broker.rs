//! The one connection of a process to RabbitMQ: made when it is needed, made again with growing pauses when
//! it is lost.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::context::Context as Role;
use super::failure::Failure;
use super::health::Ping;
use super::metrics::Metrics;
use crate::clock;
use crate::deployment::Deployment;
use crate::plan::Instance;
use crate::secrets::APP_USER;
use crate::servers::ORDERS;

const MQ: &str = "order-mq";
const BLOCKED: &str = "lets nobody publish: its memory or its disk is over the limit";
const CONNECT: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_millis(500);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// AMQP: delivery mode of messages that survive a restart of the broker.
const PERSISTENT: u8 = 2;

struct Link {
    connection: Connection,
    channel: Channel,
}

impl Link {
    /// The broker takes nothing from us, and has said so.
    fn is_blocked(&self) -> bool {
        let status = self.connection.status();
        status.connected() && status.blocked()
    }
}

struct Slot {
    link: Option<Arc<Link>>,
    retry_at: Option<Instant>,
    pause: Duration,
    reason: String,
}

pub(crate) struct Broker {
    uri: String,
    slot: Mutex<Slot>,
    /// Why this process cannot read what it consumes.
    unread: std::sync::Mutex<Option<String>>,
    metrics: Arc<Metrics>,
}

impl Broker {
    pub(crate) fn new(role: &Role) -> Result<Arc<Self>> {
        let address = role.plan.of(MQ).next().context("no instance of order-mq")?.address;
        let password = role.password(MQ)?;
        Ok(Arc::new(Self {
            uri: format!("amqp://{APP_USER}:{password}@{address}/%2f?heartbeat=10"),
            slot: Mutex::new(Slot { link: None, retry_at: None, pause: FIRST_PAUSE, reason: String::new() }),
            unread: std::sync::Mutex::default(),
            metrics: Arc::clone(&role.metrics),
        }))
    }

    /// Whether the process' consumer may read: a broker that answers everything else is of no use to it otherwise.
    pub(crate) fn reads(&self, outcome: Result<(), &lapin::Error>) {
        let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        *unread = outcome.err().map(ToString::to_string);
    }

    async fn link(&self) -> Result<Arc<Link>, Failure> {
        let mut slot = self.slot.lock().await;
        if let Some(link) = &slot.link {
            if link.connection.status().connected() && link.channel.status().connected() {
                return Ok(Arc::clone(link));
            }
            slot.link = None;
        }
        if slot.retry_at.is_some_and(|at| clock::now() < at) {
            return Err(Failure::unavailable(MQ, &slot.reason));
        }
        let reason = match timeout(CONNECT, self.connect()).await {
            Ok(Ok(link)) => {
                let link = Arc::new(link);
                slot.link = Some(Arc::clone(&link));
                slot.retry_at = None;
                slot.pause = FIRST_PAUSE;
                return Ok(link);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no connection within {} ms", CONNECT.as_millis()),
        };
        slot.retry_at = Some(clock::now() + slot.pause);
        slot.pause = (slot.pause * 2).min(LONGEST_PAUSE);
        slot.reason.clone_from(&reason);
        self.metrics.failed(MQ);
        Err(Failure::unavailable(MQ, reason))
    }

    async fn connect(&self) -> lapin::Result<Link> {
        let connection = Connection::connect(&self.uri, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Link { connection, channel })
    }

    /// The next use makes a new connection; but not where the broker blocks this one: the next would be blocked as well,
    /// and until then nobody would know.
    pub(crate) async fn drop_link(&self) {
        let mut slot = self.slot.lock().await;
        slot.link = slot.link.take().filter(|link| link.is_blocked());
    }

    /// Returns when the broker has taken the message for good.
    pub(crate) async fn publish(&self, message: &[u8]) -> Result<(), Failure> {
        let link = self.link().await?;
        if link.is_blocked() {
            return Err(Failure::unavailable(MQ, BLOCKED));
        }
        let properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type("application/json".into());
        // Mandatory: a message no queue takes comes back instead of being confirmed and gone.
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let sent = async {
            link.channel.basic_publish("".into(), ORDERS.into(), options, message, properties).await?.await
        };
        match sent.await {
            Ok(Confirmation::Ack(None)) => Ok(()),
            Ok(_) => Err(Failure::unavailable(MQ, "did not take a message")),
            Err(error) => {
                self.drop_link().await;
                Err(Failure::unavailable(MQ, error))
            }
        }
    }

    /// A channel of its own, for a consumer.
    pub(crate) async fn channel(&self) -> Result<Channel, Failure> {
        let link = self.link().await?;
        let made = timeout(CONNECT, link.connection.create_channel()).await;
        made.map_err(|_| Failure::unavailable(MQ, "gives no channel"))?
            .map_err(|error| Failure::unavailable(MQ, error))
    }
}

impl Ping for Broker {
    /// Asks for the queue of orders: the broker answers, the queue is there, and who is to read it can.
    async fn ping(&self) -> Result<(), Failure> {
        let link = self.link().await?;
        if link.is_blocked() {
            return Err(Failure::unavailable(MQ, BLOCKED));
        }
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        match timeout(ANSWER, link.channel.queue_declare(ORDERS.into(), passive, FieldTable::default())).await
        {
            Ok(Ok(_)) => {
                let unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner).clone();
                unread.map_or(Ok(()), |why| Err(Failure::unavailable(MQ, why)))
            }
            Ok(Err(error)) => {
                self.drop_link().await;
                Err(Failure::unavailable(MQ, error))
            }
            Err(_) => Err(Failure::unavailable(MQ, format!("no answer within {} ms", ANSWER.as_millis()))),
        }
    }
}

/// Messages that are no orders, onto the queue of orders.
pub(crate) async fn poison(deployment: &Deployment, instance: &Instance, count: usize) -> Result<()> {
    let password = deployment.secrets().app(MQ)?;
    let uri = format!("amqp://{APP_USER}:{password}@{}/%2f", instance.address);
    let connection = Connection::connect(&uri, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    for number in 0..count {
        let words = format!("not an order, number {number}");
        let options = BasicPublishOptions::default();
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        let sent = channel.basic_publish("".into(), ORDERS.into(), options, words.as_bytes(), properties);
        sent.await?.await?;
    }
    connection.close(200, "done".into()).await?;
    Ok(())
}
