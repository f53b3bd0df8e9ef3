//! The HTTP side that all our processes share: health, metrics, a clean end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::deadline;
use super::failure::Failure;
use super::health::{Check, Health};
use super::metrics::Metrics;
use super::tls::TlsListener;
use crate::clock;

/// After a stop is asked for, requests under way may still end.
const GRACE: Duration = Duration::from_secs(2);
/// Requests under way in one process. One more is refused at once: it would only make the others late.
const UNDER_WAY: usize = 256;

/// What makes one process differ from another.
pub(crate) struct Role {
    pub(crate) routes: Router,
    pub(crate) checks: Vec<Check>,
}

/// Answers until told to stop.
pub(crate) async fn serve(context: &Context, role: Role, stop: CancellationToken) -> Result<()> {
    let health = Arc::new(Health::new(context, role.checks));
    let metrics = Arc::clone(&context.metrics);
    let name = context.component.name;
    let gate = Gate { slots: Arc::new(Semaphore::new(UNDER_WAY)), metrics: Arc::clone(&context.metrics) };
    let app = role
        .routes
        // Before the health pages are added: they answer also when everything else is refused.
        .layer(middleware::from_fn_with_state(gate, admit))
        .route("/health", get(move || async move { Json(json!({ "status": "pass", "service": name })) }))
        .route("/health/deep", get(move || async move { health.deep().await }))
        .route("/metrics", get(move || async move { metrics.text() }))
        .layer(middleware::from_fn_with_state(Arc::clone(&context.metrics), measure));
    if let Some(identity) = &context.identity {
        let (listener, end) = (TlsListener::bind(context.address, identity).await?, stop.clone());
        let serving = axum::serve(listener, app.clone());
        tokio::spawn(
            async move { serving.with_graceful_shutdown(async move { end.cancelled().await }).await },
        );
    }
    let listener = TcpListener::bind(context.health)
        .await
        .with_context(|| format!("cannot listen on {}", context.health))?;
    tracing::info!("{} serves on {}", context.instance, context.health);
    let end = stop.clone();
    let serving = axum::serve(listener, app).with_graceful_shutdown(async move { end.cancelled().await });
    let give_up = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = async { serving.await } => served.context("serving failed")?,
        () = give_up => tracing::warn!("ended with requests still open"),
    }
    tracing::info!("{} ended", context.instance);
    Ok(())
}

#[derive(Clone)]
struct Gate {
    slots: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

/// Sheds what cannot be done in time, and hands the time that is left down to whatever the request needs.
async fn admit(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let Ok(_slot) = gate.slots.try_acquire() else {
        gate.metrics.shed.with_label_values(&["overloaded"]).inc();
        return Failure::Overloaded.into_response();
    };
    let left = deadline::read(request.headers());
    deadline::within(left, next.run(request)).await
}

async fn measure(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    // The route as written, not the path: ids would make a label for every order.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unknown".to_owned(), |path| path.as_str().to_owned());
    let began = clock::now();
    let response = next.run(request).await;
    metrics.requests.with_label_values(&[route.as_str(), response.status().as_str()]).inc();
    metrics.seconds.with_label_values(&[route.as_str()]).observe((clock::now() - began).as_secs_f64());
    response
}

/// A clean end, whoever asks for it.
pub(crate) fn cancel_on_signal(stop: &CancellationToken) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
    let stop = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}
