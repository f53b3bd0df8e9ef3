//! `/metrics`: requests by route and status, their times, and what dependencies failed.

use anyhow::Result;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};

/// One registry a process.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) requests: IntCounterVec,
    pub(crate) seconds: HistogramVec,
    pub(crate) dependency_failures: IntCounterVec,
    pub(crate) orders: IntCounterVec,
    pub(crate) messages: IntCounterVec,
    pub(crate) lines: IntCounterVec,
    pub(crate) line_in_use: IntGaugeVec,
    pub(crate) shed: IntCounterVec,
    pub(crate) breaker_open: IntGaugeVec,
    pub(crate) connections: IntGaugeVec,
    pub(crate) pushes: IntCounterVec,
}

impl Metrics {
    pub(crate) fn new() -> Result<Self> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new("http_requests_total", "Requests answered, by route and status"),
            &["route", "status"],
        )?;
        let buckets = vec![0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.6, 1.0, 3.0];
        let seconds = HistogramVec::new(
            HistogramOpts::new("http_request_seconds", "Time to answer, by route").buckets(buckets),
            &["route"],
        )?;
        let dependency_failures = IntCounterVec::new(
            Opts::new("dependency_failures_total", "Calls to a dependency that failed"),
            &["dependency"],
        )?;
        let orders =
            IntCounterVec::new(Opts::new("orders_total", "Orders by what happened to them here"), &["step"])?;
        let messages =
            IntCounterVec::new(Opts::new("messages_total", "Messages to outside services"), &["outcome"])?;
        let lines =
            IntCounterVec::new(Opts::new("line_requests_total", "Requests by line"), &["line", "outcome"])?;
        let line_in_use =
            IntGaugeVec::new(Opts::new("line_in_use", "1 for the line that POS traffic takes"), &["line"])?;
        let shed = IntCounterVec::new(
            Opts::new("requests_shed_total", "Requests refused before any work, by reason"),
            &["reason"],
        )?;
        let breaker_open = IntGaugeVec::new(
            Opts::new("circuit_breaker_open", "1 while nobody waits for that dependency"),
            &["dependency"],
        )?;
        let connections =
            IntGaugeVec::new(Opts::new("long_connections", "Long connections that are open"), &["kind"])?;
        let pushes = IntCounterVec::new(
            Opts::new("pushes_total", "Words pushed, by what came of them"),
            &["outcome"],
        )?;
        registry.register(Box::new(shed.clone()))?;
        registry.register(Box::new(breaker_open.clone()))?;
        registry.register(Box::new(connections.clone()))?;
        registry.register(Box::new(pushes.clone()))?;
        registry.register(Box::new(messages.clone()))?;
        registry.register(Box::new(lines.clone()))?;
        registry.register(Box::new(line_in_use.clone()))?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        registry.register(Box::new(dependency_failures.clone()))?;
        registry.register(Box::new(orders.clone()))?;
        Ok(Self {
            registry,
            requests,
            seconds,
            dependency_failures,
            orders,
            messages,
            lines,
            line_in_use,
            shed,
            breaker_open,
            connections,
            pushes,
        })
    }

    pub(crate) fn text(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }

    pub(crate) fn failed(&self, dependency: &str) {
        self.dependency_failures.with_label_values(&[dependency]).inc();
    }
}
