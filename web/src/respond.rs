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
    // The fragment for other pages says itself who may frame it.
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(CSP));
    let fixed: [(HeaderName, &'static str); 3] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: a form of our own page would come from the origin `null`, and be taken for another site's.
        (header::REFERRER_POLICY, "same-origin"),
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

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(crate) fn detail(&self) -> &str {
        &self.detail
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
        let status = self.status();
        let mut response = (status, Json(self)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

/// What a reader asked for in the address.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Asked {
    lang: Option<String>,
    theme: Option<String>,
    /// A screen that nobody touches.
    kiosk: Option<String>,
    /// `far`: larger names, no figures of the healthy.
    distance: Option<String>,
}

/// What is in force.
#[derive(Clone, Debug)]
pub(crate) struct Prefs {
    pub(crate) lang: Lang,
    /// `dark`, `light`, or empty for what the screen prefers.
    pub(crate) theme: &'static str,
    pub(crate) kiosk: bool,
    pub(crate) far: bool,
    /// To be appended to links, so that the next page keeps what was asked for.
    pub(crate) query: String,
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
        let kiosk = asked.kiosk.as_deref() == Some("1");
        let far = asked.distance.as_deref() == Some("far");
        let mut parts = Vec::new();
        parts.extend(asked_lang.map(|lang| format!("lang={}", lang.as_str())));
        parts.extend((!theme.is_empty()).then(|| format!("theme={theme}")));
        parts.extend(kiosk.then(|| "kiosk=1".to_owned()));
        parts.extend(far.then(|| "distance=far".to_owned()));
        let query = if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) };
        Self { lang: asked_lang.unwrap_or_else(|| accepted(headers)), theme, kiosk, far, query }
    }

    /// One of two words.
    pub(crate) const fn pick<'a>(&self, en: &'a str, zh: &'a str) -> &'a str {
        match self.lang {
            Lang::En => en,
            Lang::Zh => zh,
        }
    }

    /// The same address with another language or theme.
    pub(crate) fn turned(&self, name: &str, value: &str) -> String {
        let start = format!("{name}=");
        let kept = self.query.trim_start_matches('?').split('&');
        let mut parts: Vec<&str> =
            kept.filter(|part| !part.is_empty() && !part.starts_with(&start)).collect();
        let new = format!("{name}={value}");
        parts.push(&new);
        format!("?{}", parts.join("&"))
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
