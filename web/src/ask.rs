//! What an address asks for: axum's extractors, whose refusals are answered like every other error here, as problem
//! details by the API and as a page elsewhere, and never as bare text.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use crate::pages;
use crate::respond::Problem;

/// As [`axum::extract::Query`].
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(asked)) => Ok(Self(asked)),
            Err(error) => Err(refuse(parts, error.status(), error.body_text())),
        }
    }
}

/// As [`axum::extract::Path`].
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(named)) => Ok(Self(named)),
            Err(error) => Err(refuse(parts, error.status(), error.body_text())),
        }
    }
}

fn refuse(parts: &Parts, status: StatusCode, detail: String) -> Response {
    let problem = Problem::new(status, detail);
    if parts.uri.path().starts_with("/api/") {
        return problem.into_response();
    }
    pages::problem(&problem, &parts.headers, &parts.uri)
}
