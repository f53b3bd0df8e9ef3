//! `/api/v1/objectives` and `/api/v1/audit`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use collector::objectives::ObjectiveState;
use collector::report::time;
use serde::Serialize;

use super::history::{AskedQuery, asked, history};
use crate::WebState;

/// An objective as it is given out.
#[derive(Debug, Serialize)]
struct Objective {
    component: String,
    target: f64,
    window_s: f64,
    /// Share of the known time in which it was not red.
    availability: Option<f64>,
    /// The same, what others did to it left out.
    own_availability: Option<f64>,
    /// Share of the window that was seen.
    coverage: f64,
    outages: u32,
    red_own_s: f64,
    red_inherited_s: f64,
    /// How long it may be red in the whole window.
    budget_s: f64,
    /// Share of that which is left; below zero when it is overdrawn.
    budget_left: f64,
    /// 1 just uses the budget up.
    burn_rate_5m: Option<f64>,
    burn_rate_30m: Option<f64>,
    burn_rate_1h: Option<f64>,
    burn_rate_6h: Option<f64>,
    /// So fast that routes with `objective_at_risk` hold.
    burning: bool,
}

impl Objective {
    fn of(state: &ObjectiveState) -> Self {
        Self {
            component: state.component.clone(),
            target: state.target,
            window_s: state.window.as_secs_f64(),
            availability: state.availability(),
            own_availability: state.own_availability(),
            coverage: state.coverage,
            outages: state.outages,
            red_own_s: state.time.red_own.as_secs_f64(),
            red_inherited_s: state.time.red_inherited.as_secs_f64(),
            budget_s: state.allowed().as_secs_f64(),
            budget_left: state.budget_left(),
            burn_rate_5m: state.burn[0][1],
            burn_rate_30m: state.burn[1][1],
            burn_rate_1h: state.burn[0][0],
            burn_rate_6h: state.burn[1][0],
            burning: state.is_burning(),
        }
    }
}

#[derive(Serialize)]
struct All {
    objectives: Vec<Objective>,
}

/// `GET /api/v1/objectives`: as they were within the last half minute.
pub(crate) async fn list(State(state): State<WebState>) -> Response {
    let current = state.objectives.current();
    Json(All { objectives: current.iter().map(Objective::of).collect() }).into_response()
}

#[derive(Serialize)]
struct Audit {
    audit: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    at: String,
    who: String,
    peer: String,
    method: String,
    path: String,
    status: u16,
}

/// `GET /api/v1/audit[?from=][&to=][&limit=]`: who changed what, newest first.
pub(crate) async fn audit(State(state): State<WebState>, query: AskedQuery) -> Response {
    let result = async {
        let asked = asked(query)?;
        let window = asked.window((state.clock)())?;
        let found = history(&state)?.audit(window, asked.lines()).await?;
        let lines = found.into_iter().map(|entry| Line {
            at: time(entry.at),
            who: entry.who,
            peer: entry.peer,
            method: entry.method,
            path: entry.path,
            status: entry.status,
        });
        Ok::<_, crate::respond::Problem>(Audit { audit: lines.collect() })
    };
    match result.await {
        Ok(audit) => Json(audit).into_response(),
        Err(problem) => problem.into_response(),
    }
}
