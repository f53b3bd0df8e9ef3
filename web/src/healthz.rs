//! `/healthz` for whoever watches the monitor.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use collector::control::Control;
use collector::pulse::Part;
use collector::report::time;
use serde_json::json;

use crate::WebState;

/// A board older than this means that the collector stands still.
const STALE_SECONDS: f64 = 10.0;

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
