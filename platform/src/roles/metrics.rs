//! `/metrics`: requests by route and status, their times, and what dependencies failed.

use anyhow::Result;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder};

/// One registry a process.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) requests: IntCounterVec,
    pub(crate) seconds: HistogramVec,
    pub(crate) dependency_failures: IntCounterVec,
    pub(crate) orders: IntCounterVec,
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
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        registry.register(Box::new(dependency_failures.clone()))?;
        registry.register(Box::new(orders.clone()))?;
        Ok(Self { registry, requests, seconds, dependency_failures, orders })
    }

    pub(crate) fn text(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }

    pub(crate) fn failed(&self, dependency: &str) {
        self.dependency_failures.with_label_values(&[dependency]).inc();
    }
}
