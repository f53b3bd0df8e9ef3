//! `/metrics` for Prometheus, and `/healthz` for whoever watches the monitor.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use collector::board::Board;
use collector::control::Control;
use collector::objectives::ObjectiveState;
use collector::pulse::Part;
use collector::report::time;
use prometheus::{Encoder, Gauge, GaugeVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};
use serde_json::json;
use topology::level::Level;

use crate::WebState;
use crate::respond::Problem;

/// A board older than this means that the collector stands still.
const STALE_SECONDS: f64 = 10.0;

/// A level as a number: what is worse is higher, except that unseen and paused stand below zero.
const fn number(level: Level) -> i64 {
    match level {
        Level::Green => 0,
        Level::Yellow => 1,
        Level::Red => 2,
        Level::Unknown => -1,
        Level::Paused => -2,
    }
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(state): State<WebState>) -> Response {
    match gather(&state.boards.current(), state.version, &state.objectives.current()) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written")
                .into_response()
        }
    }
}

fn gather(board: &Board, version: &str, objectives: &[ObjectiveState]) -> Result<Vec<u8>, prometheus::Error> {
    let registry = Registry::new();
    let levels = "(0 green, 1 yellow, 2 red, -1 unknown, -2 paused)";
    let component = IntGaugeVec::new(
        Opts::new("topowatch_component_level", format!("Level of a component {levels}.")),
        &["component"],
    )?;
    let instance = IntGaugeVec::new(
        Opts::new("topowatch_instance_level", format!("Own level of an instance {levels}.")),
        &["component", "instance"],
    )?;
    let latency = GaugeVec::new(
        Opts::new("topowatch_probe_latency_seconds", "How long the latest answer of an instance took."),
        &["component", "instance"],
    )?;
    let incidents = IntGauge::new("topowatch_open_incidents", "Incidents that are open.")?;
    let late = Gauge::new("topowatch_monitor_late_seconds", "How late the latest probes started.")?;
    let rate =
        Gauge::new("topowatch_monitor_probes_per_second", "Probes a second over the last ten seconds.")?;
    let blind = IntGauge::new("topowatch_monitor_blind", "1 when the monitor has lost its own sight.")?;
    let at = Gauge::new("topowatch_board_timestamp_seconds", "When the board was made, in Unix time.")?;
    let file = IntGauge::new(
        "topowatch_topology_file_ok",
        "0 when the topology file was changed and cannot be used; the one read before stays in force.",
    )?;
    let read = Gauge::new(
        "topowatch_topology_read_timestamp_seconds",
        "When the topology in force was read, in Unix time.",
    )?;
    let build = IntGaugeVec::new(
        Opts::new("topowatch_build_info", "Always 1; the version is a label."),
        &["version"],
    )?;

    registry.register(Box::new(component.clone()))?;
    registry.register(Box::new(instance.clone()))?;
    registry.register(Box::new(latency.clone()))?;
    registry.register(Box::new(incidents.clone()))?;
    registry.register(Box::new(late.clone()))?;
    registry.register(Box::new(rate.clone()))?;
    registry.register(Box::new(blind.clone()))?;
    registry.register(Box::new(at.clone()))?;
    registry.register(Box::new(file.clone()))?;
    registry.register(Box::new(read.clone()))?;
    registry.register(Box::new(build.clone()))?;

    for (model, state) in board.model.components.iter().zip(&board.components) {
        component.with_label_values(&[&model.name]).set(number(state.health.level()));
    }
    for (model, state) in board.model.instances.iter().zip(&board.instances) {
        let labels = [board.model.component(model.component).name.as_str(), model.name.as_str()];
        instance.with_label_values(&labels).set(number(state.health.level()));
        if let Some(seconds) = state.latency {
            latency.with_label_values(&labels).set(seconds.as_secs_f64());
        }
    }
    incidents.set(i64::try_from(board.open.len()).unwrap_or(i64::MAX));
    late.set(board.monitor.late.as_secs_f64());
    rate.set(board.monitor.probes_per_second);
    blind.set(i64::from(board.monitor.blind));
    at.set(board.at.as_millisecond() as f64 / 1e3);
    file.set(i64::from(board.monitor.file_trouble.is_none()));
    if let Some(at) = board.monitor.file_read_at {
        read.set(at.as_millisecond() as f64 / 1e3);
    }
    build.with_label_values(&[version]).set(1);
    promises(&registry, objectives)?;

    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(text)
}

/// What was promised, and what is left.
fn promises(registry: &Registry, objectives: &[ObjectiveState]) -> Result<(), prometheus::Error> {
    let gauge = |name: &str, help: &str, labels: &[&str]| -> Result<GaugeVec, prometheus::Error> {
        let gauge = GaugeVec::new(Opts::new(name, help), labels)?;
        registry.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    };
    let target = gauge("topowatch_objective_target_ratio", "Availability that is promised.", &["component"])?;
    let kept = gauge(
        "topowatch_objective_availability_ratio",
        "Share of the known time in the objective's window in which it was not red.",
        &["component"],
    )?;
    let seen =
        gauge("topowatch_objective_coverage_ratio", "Share of the window that was seen.", &["component"])?;
    let left = gauge(
        "topowatch_objective_budget_left_ratio",
        "Share of the error budget that is left; below 0 it is overdrawn.",
        &["component"],
    )?;
    let burn = gauge(
        "topowatch_objective_burn_rate",
        "How fast the budget burns; 1 just uses it up.",
        &["component", "window"],
    )?;
    for state in objectives {
        let name = [state.component.as_str()];
        target.with_label_values(&name).set(state.target);
        seen.with_label_values(&name).set(state.coverage);
        left.with_label_values(&name).set(state.budget_left());
        if let Some(availability) = state.availability() {
            kept.with_label_values(&name).set(availability);
        }
        for (rate, window) in state.burn.into_iter().flatten().zip(["1h", "5m", "6h", "30m"]) {
            if let Some(rate) = rate {
                burn.with_label_values(&[name[0], window]).set(rate);
            }
        }
    }
    Ok(())
}

/// `GET /healthz`: the monitor's own health, not the platform's.
pub(crate) async fn healthz(State(state): State<WebState>) -> Response {
    let board = state.boards.current();
    let age = (state.clock)().duration_since(board.at).as_secs_f64().max(0.0);
    let fresh = age < STALE_SECONDS;
    // Storage that stands is told, and no reason to restart the monitor: levels do not need it.
    let pulse = state.control.as_ref().map(Control::pulse);
    let advances = |part: Part| pulse.as_ref().is_none_or(|pulse| pulse.advances(part, (state.clock)()));
    let ok = fresh && advances(Part::Scheduler) && advances(Part::Verdict);
    let standing: Vec<&str> =
        Part::ALL.into_iter().filter(|part| !advances(*part)).map(Part::as_str).collect();
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ok": ok,
        "standing": standing,
        "version": state.version,
        "board_age_s": age,
        "sequence": board.sequence,
        "blind": board.monitor.blind,
        "late_s": board.monitor.late.as_secs_f64(),
        "storage": board.monitor.storage,
        "topology": {
            "ok": board.monitor.file_trouble.is_none(),
            "read_at": board.monitor.file_read_at.map(time),
            "problems": board.monitor.file_trouble.as_ref().map_or(&[][..], |trouble| &trouble.lines),
        },
    });
    (status, Json(body)).into_response()
}
