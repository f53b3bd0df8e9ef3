//! The merchant's front proxy: all POS traffic goes through it, over the telecom line while that is good,
//! over the mobile line while it is not. What the stores send may be repeated without harm, so a request
//! that finds its line broken takes the other one at once.

mod lines;
mod relay;

use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use futures_util::future::select_ok;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use self::lines::Lines;
use super::context::Context;
use super::failure::Failure;
use super::health::{Check, Ping as _};
use super::line::Through;
use super::metrics::Metrics;
use super::peers::read_answer;
use super::server::Role;
use crate::clock;

const LINE: &str = "pos-line";
/// One request over one line. Both lines fit into what a till waits.
const ATTEMPT: Duration = Duration::from_millis(1500);
const CONNECT: Duration = Duration::from_millis(400);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// An answer at the far end that takes longer is as good as none.
const SLOW: Duration = Duration::from_millis(500);
const AT_ONCE: usize = 256;
const LARGEST_REQUEST: usize = 64 * 1024;
/// For the question whether any line leads to the OMS. Shorter than whoever asks waits.
const PING: Duration = Duration::from_millis(250);
/// Says which line an answer came over.
const BY_LINE: HeaderName = HeaderName::from_static("x-pos-line");

struct Line {
    name: String,
    base: String,
    /// Where the long connections to the push centre go in.
    long: SocketAddrV4,
    client: reqwest::Client,
    through: Arc<Through>,
}

struct Proxy {
    lines: Vec<Line>,
    choice: Mutex<Lines>,
    /// The line in use, for those who wait for a change of it.
    in_use: watch::Sender<usize>,
    slots: Semaphore,
    metrics: Arc<Metrics>,
}

pub(crate) async fn role(context: &Context, stop: &CancellationToken) -> Result<Role> {
    let mut lines = Vec::new();
    for instance in context.plan.of(LINE) {
        lines.push(Line {
            name: instance.name.clone(),
            base: format!("http://{}", instance.address),
            long: instance.long_connections(context.plan.base_port),
            client: reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(CONNECT)
                // Kept short: a connection leads to one OMS instance, and the line chooses anew for each.
                .pool_idle_timeout(Duration::from_secs(2))
                .build()
                .context("cannot make an HTTP client")?,
            through: Arc::new(Through::new(instance.address, LINE)?),
        });
    }
    let named: Vec<_> = lines.iter().map(|line| (line.name.clone(), Arc::clone(&line.through))).collect();
    let proxy = Arc::new(Proxy {
        choice: Mutex::new(Lines::new(lines.len())),
        in_use: watch::Sender::new(0),
        lines,
        slots: Semaphore::new(AT_ONCE),
        metrics: Arc::clone(&context.metrics),
    });
    proxy.show(0);
    for line in 0..proxy.lines.len() {
        tokio::spawn(Arc::clone(&proxy).watch(line, stop.clone()));
    }
    relay::start(context.long_connections, &proxy, stop).await?;
    let routes = Router::new()
        .route("/lines", get(show))
        .route("/api/ping", get(ping))
        .route("/api/{*path}", any(forward))
        .layer(DefaultBodyLimit::max(LARGEST_REQUEST))
        .with_state(proxy);
    Ok(Role { routes, checks: vec![Check::instances(context, LINE, &named)] })
}

/// One line to the OMS is enough.
async fn ping(State(proxy): State<Arc<Proxy>>) -> Result<Json<Value>, Failure> {
    let asked = proxy.lines.iter().map(|line| {
        Box::pin(async move {
            match timeout(PING, line.through.ping()).await {
                Ok(Ok(())) => Ok(&line.name),
                Ok(Err(reason)) => Err(reason),
                Err(_) => Err(Failure::unavailable(LINE, format!("{} does not answer", line.name))),
            }
        })
    });
    let (line, _) = select_ok(asked).await?;
    Ok(Json(json!({ "status": "pass", "line": line })))
}

async fn show(State(proxy): State<Arc<Proxy>>) -> Json<Value> {
    let choice = proxy.choice();
    let each = proxy.lines.iter().zip(choice.judges());
    let all: Vec<_> =
        each.map(|(line, judge)| json!({ "name": line.name, "trusted": judge.is_trusted() })).collect();
    let in_use = proxy.lines.get(choice.in_use()).map(|line| &line.name);
    Json(json!({ "in_use": in_use, "lines": all }))
}

async fn forward(
    State(proxy): State<Arc<Proxy>>,
    method: Method,
    request: Request,
) -> Result<Response, Failure> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let kind = request.headers().get(header::CONTENT_TYPE).cloned();
    let Ok(body) = axum::body::to_bytes(request.into_body(), LARGEST_REQUEST).await else {
        return Err(Failure::Refused("the request is too large".to_owned()));
    };
    let Ok(_slot) = proxy.slots.try_acquire() else {
        return Err(Failure::unavailable(LINE, format!("{AT_ONCE} requests are under way already")));
    };
    let first = proxy.choice().in_use();
    let mut failure = Failure::unavailable(LINE, "there is no line");
    for step in 0..proxy.lines.len() {
        let index = (first + step) % proxy.lines.len();
        let Some(line) = proxy.lines.get(index) else { continue };
        let mut attempt =
            line.client.request(method.clone(), format!("{}{path}", line.base)).body(body.clone());
        if let Some(kind) = &kind {
            attempt = attempt.header(header::CONTENT_TYPE, kind);
        }
        let reason = match timeout(ATTEMPT, send(attempt)).await {
            Ok(Ok((status, bytes))) => {
                proxy.metrics.lines.with_label_values(&[line.name.as_str(), "answered"]).inc();
                let words = [(header::CONTENT_TYPE, "application/json"), (BY_LINE, line.name.as_str())];
                return Ok((status, words, bytes).into_response());
            }
            Ok(Err(error)) => super::peers::innermost(&error),
            Err(_) => format!("no answer within {} ms", ATTEMPT.as_millis()),
        };
        proxy.metrics.lines.with_label_values(&[line.name.as_str(), "failed"]).inc();
        proxy.heard(index, false);
        failure = Failure::unavailable(LINE, format!("{}: {reason}", line.name));
    }
    proxy.metrics.failed(LINE);
    Err(failure)
}

async fn send(request: reqwest::RequestBuilder) -> reqwest::Result<(StatusCode, Vec<u8>)> {
    read_answer(request.send().await?).await
}

impl Proxy {
    fn choice(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.choice.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self, line: usize, good: bool) {
        let moved = self.choice().heard(line, good, clock::now());
        if let Some(to) = moved {
            self.show(to);
            self.in_use.send_replace(to);
        }
    }

    fn show(&self, in_use: usize) {
        for (index, line) in self.lines.iter().enumerate() {
            let is_in_use = index == in_use;
            self.metrics.line_in_use.with_label_values(&[line.name.as_str()]).set(i64::from(is_in_use));
            if is_in_use {
                tracing::warn!("POS traffic takes the {} line", line.name);
            }
        }
    }

    /// Asks through one line, whether there is traffic on it or not.
    async fn watch(self: Arc<Self>, index: usize, stop: CancellationToken) {
        let Some(line) = self.lines.get(index) else { return };
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => {}
            }
            let good = matches!(timeout(SLOW, line.through.ping()).await, Ok(Ok(())));
            self.heard(index, good);
        }
    }
}
