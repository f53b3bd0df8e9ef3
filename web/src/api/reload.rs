//! `POST /api/v1/reload`: the topology file is read again.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::WebState;
use crate::respond::Problem;

/// Reads the file again; whoever owns the file brings it.
pub type Reload = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ReloadOutcome> + Send>> + Send + Sync>;

/// What came of reading the file again.
#[derive(Clone, Debug)]
pub enum ReloadOutcome {
    /// It is in force.
    Done(ReloadDone),
    /// It is broken, and nothing has changed.
    Broken(String, Vec<Finding>),
    /// It is good, and cannot be put in force all the same.
    Failed(String),
}

/// A file that is in force now.
#[derive(Clone, Debug, Serialize)]
pub struct ReloadDone {
    /// Components in force.
    pub components: usize,
    /// Instances in force.
    pub instances: usize,
    /// Nodes that are new.
    pub added: Vec<String>,
    /// Nodes that are gone.
    pub removed: Vec<String>,
    /// Instances that stay and are asked something else, or elsewhere.
    pub changed: Vec<String>,
    /// Instances that stay, with all that is known of them.
    pub kept: usize,
    /// What is probably not meant so.
    pub warnings: Vec<Finding>,
}

/// A finding in the topology file, as `topowatch check --json` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// `error` or `warning`.
    pub severity: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

/// `POST /api/v1/reload`.
pub(crate) async fn reload(State(state): State<WebState>) -> Response {
    let Some(reload) = &state.reload else { return Problem::read_only().into_response() };
    match reload().await {
        ReloadOutcome::Done(done) => Json(done).into_response(),
        ReloadOutcome::Broken(detail, findings) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).with_findings(findings).into_response()
        }
        ReloadOutcome::Failed(detail) => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail).into_response()
        }
    }
}
