//! `/metrics` for Prometheus.

mod process;
mod sheet;
mod table;

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use collector::board::{Board, Counts};
use collector::objectives::ObjectiveState;
use collector::pulse::{Part, Pulse};
use jiff::Timestamp;
use topology::level::{Health, Kind, Level};

use self::sheet::Sheet;
use self::table as of;
pub use self::table::{METRICS, Metric, Type};
use crate::WebState;
use crate::respond::Problem;

/// Root causes that are written at most: names come from the file, so that there are never many, and a label
/// must not grow without bound whatever happens.
const MOST_ROOTS: usize = 50;

/// A level as a number: what is worse is higher, except that unseen and paused stand below zero.
const fn number(level: Level) -> f64 {
    match level {
        Level::Green => 0.0,
        Level::Yellow => 1.0,
        Level::Red => 2.0,
        Level::Unknown => -1.0,
        Level::Paused => -2.0,
    }
}

const fn truth(it: bool) -> f64 {
    if it { 1.0 } else { 0.0 }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1e3
}

/// `GET /metrics`.
pub(crate) async fn metrics(State(state): State<WebState>) -> Response {
    let mut sheet = Sheet::new();
    let board = state.boards.current();
    levels(&mut sheet, &board);
    verdicts(&mut sheet, &board);
    probes(&mut sheet, &board);
    promises(&mut sheet, &state.objectives.current());
    monitor(&mut sheet, &board, state.version);
    if let Some(control) = &state.control {
        parts(&mut sheet, &control.pulse(), (state.clock)());
    }
    process::write(&mut sheet);
    match sheet.text() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written")
                .into_response()
        }
    }
}

fn levels(sheet: &mut Sheet, board: &Board) {
    sheet.add(&of::PLATFORM_LEVEL, &[], number(board.level));
    let affected: Vec<_> =
        board.open.iter().flat_map(|incident| &incident.verdict.affected).map(|one| one.component).collect();
    for (id, model) in board.model.component_ids().zip(&board.model.components) {
        let (name, state) = ([model.name.as_str()], board.component(id));
        sheet.add(&of::COMPONENT_LEVEL, &name, number(state.health.level()));
        sheet.add(&of::COMPONENT_OWN_LEVEL, &name, number(state.own.level()));
        sheet.add(&of::COMPONENT_AT_RISK, &name, truth(state.health == Health::from(Kind::AtRisk)));
        sheet.add(&of::COMPONENT_AFFECTED, &name, truth(affected.contains(&id)));
        let Counts { green, yellow, red, unknown, paused } = state.counts;
        let counts =
            [("green", green), ("yellow", yellow), ("red", red), ("unknown", unknown), ("paused", paused)];
        for (level, count) in counts {
            sheet.add(&of::COMPONENT_INSTANCES, &[name[0], level], count as f64);
        }
    }
    for (model, state) in board.model.instances.iter().zip(&board.instances) {
        let labels = [board.model.component(model.component).name.as_str(), model.name.as_str()];
        sheet.add(&of::INSTANCE_LEVEL, &labels, number(state.health.level()));
        if let Some(fault) = &state.fault {
            sheet.add(&of::INSTANCE_FAULT, &[labels[0], labels[1], fault.kind.as_str()], 1.0);
        }
    }
}

/// One root cause: the incident's level, the confidence, how many suffer.
type Root = (Level, f64, usize);

fn verdicts(sheet: &mut Sheet, board: &Board) {
    sheet.add(&of::OPEN_INCIDENTS, &[], board.open.len() as f64);
    let nobodys = board.open.iter().filter(|incident| incident.acknowledged.is_none()).count();
    sheet.add(&of::UNACKNOWLEDGED_INCIDENTS, &[], nobodys as f64);
    // Two incidents may blame the same: one line each.
    let mut roots: BTreeMap<(String, &str), Root> = BTreeMap::new();
    for incident in &board.open {
        for (i, root) in incident.verdict.roots.iter().enumerate() {
            let affected = incident.verdict.affected.iter().filter(|one| one.root == i).count();
            let known = roots.entry((root.culprit.name(&board.model), root.culprit.kind())).or_insert((
                incident.level,
                root.confidence,
                0,
            ));
            if incident.level.rank() > known.0.rank() {
                known.0 = incident.level;
            }
            known.1 = known.1.max(root.confidence);
            known.2 += affected;
        }
    }
    for ((name, kind), (level, confidence, affected)) in roots.into_iter().take(MOST_ROOTS) {
        let labels = [name.as_str(), kind];
        sheet.add(&of::ROOT_CAUSE_LEVEL, &labels, number(level));
        sheet.add(&of::ROOT_CAUSE_CONFIDENCE, &labels, confidence);
        sheet.add(&of::ROOT_CAUSE_AFFECTED, &labels, affected as f64);
    }
    for curve in board.curves.iter() {
        sheet.add(&of::CURVE_LEVEL, &[&curve.name], number(curve.level));
    }
}

fn probes(sheet: &mut Sheet, board: &Board) {
    for (model, state) in board.model.instances.iter().zip(&board.instances) {
        if let Some(latency) = state.latency {
            let component = board.model.component(model.component).name.as_str();
            sheet.add(&of::PROBE_LATENCY, &[component, model.name.as_str()], latency.as_secs_f64());
        }
    }
    for (kind, tally) in board.monitor.looked.kinds() {
        sheet.durations(&of::PROBE_DURATION, &[kind], tally);
        for (fault, count) in &tally.faults {
            sheet.add(&of::PROBE_FAULTS, &[kind, fault], *count as f64);
        }
    }
}

/// What was promised, and what is left.
fn promises(sheet: &mut Sheet, objectives: &[ObjectiveState]) {
    for state in objectives {
        let name = [state.component.as_str()];
        sheet.add(&of::OBJECTIVE_TARGET, &name, state.target);
        sheet.add(&of::OBJECTIVE_COVERAGE, &name, state.coverage);
        sheet.add(&of::OBJECTIVE_BUDGET_LEFT, &name, state.budget_left());
        if let Some(availability) = state.availability() {
            sheet.add(&of::OBJECTIVE_AVAILABILITY, &name, availability);
        }
        for (rate, window) in state.burn.into_iter().flatten().zip(["1h", "5m", "6h", "30m"]) {
            if let Some(rate) = rate {
                sheet.add(&of::OBJECTIVE_BURN_RATE, &[name[0], window], rate);
            }
        }
    }
}

fn monitor(sheet: &mut Sheet, board: &Board, version: &str) {
    let monitor = &board.monitor;
    sheet.add(&of::MONITOR_BLIND, &[], truth(monitor.blind));
    sheet.add(&of::MONITOR_LATE, &[], monitor.late.as_secs_f64());
    sheet.add(&of::MONITOR_RATE, &[], monitor.probes_per_second);
    let unseen = board.instances.len().saturating_sub(monitor.seen);
    sheet.add(&of::MONITOR_INSTANCES, &["yes"], monitor.seen as f64);
    sheet.add(&of::MONITOR_INSTANCES, &["no"], unseen as f64);
    sheet.add(&of::MONITOR_STORAGE_OK, &[], truth(monitor.storage.is_none()));
    sheet.add(&of::BOARD_TIMESTAMP, &[], seconds(board.at));
    sheet.add(&of::FILE_OK, &[], truth(monitor.file_trouble.is_none()));
    if let Some(at) = monitor.file_read_at {
        sheet.add(&of::FILE_READ, &[], seconds(at));
    }
    sheet.add(&of::BUILD_INFO, &[version], 1.0);
}

fn parts(sheet: &mut Sheet, pulse: &Pulse, now: Timestamp) {
    for part in Part::ALL {
        if let Some(age) = pulse.age(part, now) {
            sheet.add(&of::MONITOR_ADVANCED, &[part.as_str()], seconds(now) - age.as_secs_f64());
        }
    }
}
