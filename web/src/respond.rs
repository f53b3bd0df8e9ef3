//! Answers that every part gives alike: headers, errors, what a reader prefers.

use axum::Json;
use axum::extract::{Query, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use topology::text::Lang;

use crate::api::Finding;

/// What a page may load and do: its own files, nothing else, and no inline script or style.
pub(crate) const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'";

/// Adds the headers that every answer carries.
pub(crate) async fn secure(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let fixed: [(HeaderName, &'static str); 4] = [
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// An error of the API: RFC 9457 problem details.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    /// Findings in the topology file, where it is about one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    diagnostics: Vec<Finding>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self {
            r#type: "about:blank",
            title,
            status: status.as_u16(),
            detail: detail.into(),
            diagnostics: Vec::new(),
        }
    }

    /// There is only a board here, and nobody to ask something of.
    pub(crate) fn read_only() -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "this server only shows a board")
    }

    /// The collector has ended.
    pub(crate) fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping")
    }

    pub(crate) fn with_findings(self, diagnostics: Vec<Finding>) -> Self {
        Self { diagnostics, ..self }
    }

    pub(crate) fn is(&self, status: StatusCode) -> bool {
        self.status == status.as_u16()
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

/// Language and theme as asked for in the address.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Asked {
    lang: Option<String>,
    theme: Option<String>,
}

/// Language and theme in force.
#[derive(Clone, Debug)]
pub(crate) struct Prefs {
    pub(crate) lang: Lang,
    /// `dark`, `light`, or empty for what the screen prefers.
    pub(crate) theme: &'static str,
    /// To be appended to links, so that the next page keeps what was asked for.
    pub(crate) query: &'static str,
}

impl Prefs {
    /// From the address, else from what the browser accepts.
    pub(crate) fn of(asked: &Asked, headers: &HeaderMap) -> Self {
        let asked_lang = asked.lang.as_deref().and_then(|word| match word {
            "zh" => Some(Lang::Zh),
            "en" => Some(Lang::En),
            _ => None,
        });
        let theme = match asked.theme.as_deref() {
            Some("dark") => "dark",
            Some("light") => "light",
            _ => "",
        };
        let query = match (asked_lang, theme) {
            (None, "dark") => "?theme=dark",
            (None, "light") => "?theme=light",
            (None, _) => "",
            (Some(Lang::En), "dark") => "?lang=en&theme=dark",
            (Some(Lang::En), "light") => "?lang=en&theme=light",
            (Some(Lang::En), _) => "?lang=en",
            (Some(Lang::Zh), "dark") => "?lang=zh&theme=dark",
            (Some(Lang::Zh), "light") => "?lang=zh&theme=light",
            (Some(Lang::Zh), _) => "?lang=zh",
        };
        Self { lang: asked_lang.unwrap_or_else(|| accepted(headers)), theme, query }
    }

    /// From a whole request, for answers outside the handlers.
    pub(crate) fn of_request(request: &Request) -> Self {
        let asked = Query::<Asked>::try_from_uri(request.uri()).map(|query| query.0).unwrap_or_default();
        Self::of(&asked, request.headers())
    }
}

/// The first of the two languages that the browser names; its order is its preference in practice.
fn accepted(headers: &HeaderMap) -> Lang {
    let value =
        headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    for part in value.split(',').map(str::trim) {
        if part.starts_with("zh") {
            return Lang::Zh;
        }
        if part.starts_with("en") {
            return Lang::En;
        }
    }
    Lang::En
}
