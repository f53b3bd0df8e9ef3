//! `dead-letters`: what the OMS could not read waits in a queue of its own until a person has looked at it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::deployment::Deployment;
use crate::output::say;
use crate::secrets::APP_USER;
use crate::servers::{DEAD, ORDERS};

const LIMIT: Duration = Duration::from_secs(10);
/// Looked at in one run.
const MOST: usize = 1000;
/// Of a message, so much is shown.
const SHOWN: usize = 120;
/// AMQP: delivery mode of messages that survive a restart of the broker.
const PERSISTENT: u8 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Show,
    /// Back onto the queue of orders: what made them unreadable was mended.
    Requeue,
    Drop,
}

pub(crate) async fn dead_letters(dir: &Path, what: What, as_json: bool) -> Result<u8> {
    let letters = timeout(LIMIT, look(dir, what)).await.context("order-mq does not answer")??;
    if as_json {
        say(json!({ "queue": DEAD, "messages": letters }));
        return Ok(0);
    }
    for letter in &letters {
        say(letter);
    }
    let done = match what {
        What::Show => "wait",
        What::Requeue => "are back on the queue of orders",
        What::Drop => "are dropped",
    };
    say(format!("{} dead letters {done}", letters.len()));
    Ok(0)
}

async fn look(dir: &Path, what: What) -> Result<Vec<Value>> {
    let deployment = Deployment::require(dir)?;
    let address = deployment.plan()?.of("order-mq").next().context("no instance of order-mq")?.address;
    let uri = format!("amqp://{APP_USER}:{}@{address}/%2f", deployment.secrets().app("order-mq")?);
    let connection = Connection::connect(&uri, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut letters = Vec::new();
    // What is not acknowledged goes back where it was when the connection ends.
    while letters.len() < MOST {
        let Some(letter) = channel.basic_get(DEAD.into(), BasicGetOptions::default()).await? else { break };
        let text: String = String::from_utf8_lossy(&letter.delivery.data)
            .chars()
            .filter(|letter| !letter.is_control())
            .take(SHOWN)
            .collect();
        letters.push(Value::String(text));
        if what == What::Requeue {
            let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
            let options = BasicPublishOptions::default();
            let sent =
                channel.basic_publish("".into(), ORDERS.into(), options, &letter.delivery.data, properties);
            sent.await?.await?;
        }
        if what != What::Show {
            letter.delivery.ack(BasicAckOptions::default()).await?;
        }
    }
    connection.close(200, "done".into()).await?;
    Ok(letters)
}
