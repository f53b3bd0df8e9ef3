//! A webhook receiver that remembers what it was told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

/// What was received: the idempotency key and the body.
pub(crate) type Told = (String, Value);

pub(crate) struct Receiver {
    pub(crate) url: String,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        Self::on("127.0.0.1")
    }

    pub(crate) fn on(host: &str) -> Self {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let url = format!("http://{}/hook?token=s3cret", listener.local_addr().unwrap());
        let told = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&told);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Some(one) = take(stream) {
                    list.lock().unwrap().push(one);
                }
            }
        });
        Self { url, told }
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// The events in order, as `open`, `resolve`, ...
    pub(crate) fn events(&self) -> Vec<String> {
        self.told().iter().map(|(_, body)| body["event"].as_str().unwrap().to_owned()).collect()
    }
}

fn take(stream: TcpStream) -> Option<Told> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut length, mut key) = (0, String::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "idempotency-key" => value.trim().clone_into(&mut key),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut stream = stream;
    stream.write_all(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok()?;
    Some((key, serde_json::from_slice(&body).ok()?))
}
