//! Who may change something: whoever has the token, or, where none is set, people on this very machine. And
//! never another site's page through somebody's browser.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;

use crate::WebState;
use crate::respond::Problem;

/// What a proxy leaves in a request.
const PROXIED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// Lets a request pass that may change something.
pub(crate) async fn guard(State(state): State<WebState>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    match refusal(&state, request.method(), request.headers(), peer) {
        None => next.run(request).await,
        Some(refusal) => refusal,
    }
}

/// The answer to a request that may change nothing; `None` when it may.
pub(crate) fn refusal(
    state: &WebState,
    method: &Method,
    headers: &HeaderMap,
    peer: Option<IpAddr>,
) -> Option<Response> {
    let problem = refuse(state, method, headers, peer)?;
    let unauthorized = problem.is(StatusCode::UNAUTHORIZED);
    let mut response = problem.into_response();
    if unauthorized {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    Some(response)
}

fn refuse(state: &WebState, method: &Method, headers: &HeaderMap, peer: Option<IpAddr>) -> Option<Problem> {
    let problem = |status, detail: &str| Some(Problem::new(status, detail));
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // A page of another site can send a form, and text, but JSON and DELETE only after asking, and nobody answers
    // it. A form is taken from a page of ours: browsers say with every form where it comes from.
    let kind = text("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let form = kind.eq_ignore_ascii_case("application/x-www-form-urlencoded");
    let ours = text("sec-fetch-site") == Some("same-origin") || text("origin").is_some();
    if !(kind.eq_ignore_ascii_case("application/json") || form && ours || method == Method::DELETE) {
        return problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send it with `Content-Type: application/json`");
    }
    let other_site = text("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    let host = text("host").unwrap_or_default();
    let other_origin =
        text("origin").is_some_and(|origin| origin.split_once("://").map(|(_, o)| o) != Some(host));
    if other_site || other_origin {
        return problem(StatusCode::FORBIDDEN, "a page of another site may change nothing here");
    }
    if let Some(token) = &state.token {
        let given = text("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let right = given.trim().as_bytes().ct_eq(token.expose_secret().as_bytes());
        return (!bool::from(right)).then(|| {
            Problem::new(
                StatusCode::UNAUTHORIZED,
                "this needs the token that the server was started with: `Authorization: Bearer …`",
            )
        });
    }
    // A name that leads here may be anybody's (DNS rebinding), an address not; and behind a proxy on this
    // machine everybody seems to be here.
    let local = peer.is_some_and(|ip| ip.to_canonical().is_loopback());
    let direct = PROXIED.iter().all(|name| !headers.contains_key(*name));
    if !local || !direct || !is_this_machine(host) {
        return problem(
            StatusCode::FORBIDDEN,
            "without a token only this very machine may change something: start the server with --token-file",
        );
    }
    None
}

/// True for `localhost` and loopback addresses, with or without a port.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_few_names() {
        for host in ["localhost", "LOCALHOST:8440", "127.0.0.1:8440", "127.8.9.1", "[::1]:8440", "[::1]"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in
            ["", "evil.example:8440", "localhost.evil.example", "10.0.0.1:8440", "127.0.0.1.evil.example"]
        {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
