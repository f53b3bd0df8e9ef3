//! Why a request got no good answer, in words that name what failed.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Something this process needs does not do its part.
    Unavailable {
        dependency: String,
        reason: String,
    },
    NotFound(String),
    /// The request asks for something that cannot be.
    Refused(String),
    /// No time is left: the caller has given up by now.
    Late,
    /// Too much is under way here already.
    Overloaded,
    /// An error of this program.
    Bug(&'static str),
}

impl Failure {
    pub(crate) fn unavailable(dependency: &str, reason: impl std::fmt::Display) -> Self {
        Self::Unavailable { dependency: dependency.to_owned(), reason: reason.to_string() }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unavailable { dependency, reason } => write!(f, "{dependency}: {reason}"),
            Self::NotFound(words) | Self::Refused(words) => f.write_str(words),
            Self::Bug(words) => f.write_str(words),
            Self::Late => f.write_str("no time is left for this request"),
            Self::Overloaded => f.write_str("too many requests are under way here"),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, body) = match &self {
            Self::Unavailable { dependency, reason } => (
                StatusCode::SERVICE_UNAVAILABLE,
                json!({ "error": self.to_string(), "dependency": dependency, "reason": reason }),
            ),
            Self::NotFound(words) => (StatusCode::NOT_FOUND, json!({ "error": words })),
            Self::Refused(words) => (StatusCode::CONFLICT, json!({ "error": words })),
            Self::Bug(words) => (StatusCode::INTERNAL_SERVER_ERROR, json!({ "error": words })),
            Self::Late => (StatusCode::GATEWAY_TIMEOUT, json!({ "error": self.to_string() })),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, json!({ "error": self.to_string() })),
        };
        (status, Json(body)).into_response()
    }
}
