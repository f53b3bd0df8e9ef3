//! A webhook that remembers what it was told, incident by incident.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// One message: its incident and its event.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) incident: String,
    pub(crate) event: String,
}

pub(crate) struct Messages {
    url: String,
    told: Arc<Mutex<Vec<Message>>>,
}

impl Messages {
    pub(crate) async fn receive() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let told = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&told);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(Some(message)) = take(stream).await {
                    list.lock().unwrap_or_else(PoisonError::into_inner).push(message);
                }
            }
        });
        Ok(Self { url, told })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn list(&self) -> Vec<Message> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.list().len()
    }

    pub(crate) fn since(&self, count: usize) -> Vec<Message> {
        self.list().split_off(count)
    }

    /// Waits until everything that was opened has been ended.
    pub(crate) async fn await_ends(&self, since: usize, patience: Duration) {
        let began = Instant::now();
        while began.elapsed() < patience && by_incident(&self.since(since)).values().any(|e| !is_over(e)) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The events of each incident.
pub(crate) fn by_incident(messages: &[Message]) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for message in messages {
        all.entry(message.incident.clone()).or_default().push(message.event.clone());
    }
    all
}

fn is_over(events: &[String]) -> bool {
    events.last().is_some_and(|event| event == "resolve" || event == "subsume")
}

/// One open first, one end last, updates between and nothing else.
pub(crate) fn is_one_outage(events: &[String]) -> bool {
    let [first, between @ .., _] = events else { return false };
    first == "open" && is_over(events) && between.iter().all(|event| event == "update")
}

async fn take(stream: TcpStream) -> Result<Option<Message>> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await?;
    reader
        .get_mut()
        .write_all(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .await?;
    let body: Value = serde_json::from_slice(&body)?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Ok(text(&body["event"])
        .zip(text(&body["incident"]["id"]))
        .map(|(event, incident)| Message { incident, event }))
}
