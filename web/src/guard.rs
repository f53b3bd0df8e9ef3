//! The one authorization layer: every request passes here, whatever its route.
//!
//! Reading is open, unless the server is private; then it needs a token or a session. Changing something needs a token
//! that may operate, or, where nobody has one, to sit at this very machine. And never does another site's page change
//! something through somebody's browser.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use collector::access::{Person, Role};
use collector::history::AuditEntry;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use topology::fault::clean_words;

use crate::WebState;
use crate::respond::Problem;

/// What a proxy leaves in a request.
const PROXIED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
/// The cookie of a session.
pub(crate) const COOKIE: &str = "topowatch_session";
/// Bytes of a path in the audit log.
const MAX_PATH: usize = 200;

/// Where instances report by themselves.
const REPORTS: &str = "/api/v1/heartbeat/";

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// Nothing: who logs in cannot be logged in, and who watches the monitor has no token.
    Nothing,
    /// Not to come from another site: a form of ours.
    OurForm,
    /// To read.
    Read,
    /// To operate.
    Operate,
}

/// By method first: a route that nobody thought of here reads or operates.
fn needs(method: &Method, path: &str) -> Needs {
    let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    match path {
        "/login" | "/healthz" if reads => Needs::Nothing,
        _ if reads && path.starts_with("/assets/") => Needs::Nothing,
        "/login" | "/logout" if *method == Method::POST => Needs::OurForm,
        // An instance may report with a token of its own, which its handler knows; else that asks here.
        _ if *method == Method::POST && path.starts_with(REPORTS) => Needs::Nothing,
        _ if reads => Needs::Read,
        _ => Needs::Operate,
    }
}

/// Lets a request pass, or not; what changes something is noted in the audit log, refused or not.
pub(crate) async fn guard(State(state): State<WebState>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    // Nobody here echoes a request, is a tunnel, or knows methods of somebody's own.
    let known = [
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ];
    if !known.contains(&method) {
        return crate::server::not_allowed(request).await;
    }
    let needs = needs(&method, &path);
    let checked = match needs {
        Needs::Nothing => Ok(None),
        Needs::OurForm => same_site(request.headers()).map(|()| None),
        Needs::Read => read(&state, request.headers()),
        Needs::Operate => operate(&state, &method, request.headers(), peer).map(Some),
    };
    let who = match &checked {
        Ok(Some(person)) => person.name.clone(),
        _ => String::new(),
    };
    let response = match checked {
        Ok(person) => {
            if let Some(person) = person {
                request.extensions_mut().insert(person);
            }
            next.run(request).await
        }
        Err(problem) => refused(problem, request.headers(), &method, request.uri()),
    };
    // A form of ours tells by its own answer who it was.
    let who = response.extensions().get::<Person>().map_or(who, |person| person.name.clone());
    // Of reports there are too many: only who was refused is noted.
    let report = method == Method::POST && path.starts_with(REPORTS);
    let refused = is_refusal(response.status());
    if matches!(needs, Needs::Operate | Needs::OurForm) || report && refused {
        note(&state, &who, peer, &method, &path, response.status());
    }
    response
}

/// The answer to a request that may change nothing; `None` when it may.
pub(crate) fn refusal(
    state: &WebState,
    method: &Method,
    headers: &HeaderMap,
    peer: Option<IpAddr>,
) -> Option<Response> {
    operate(state, method, headers, peer).err().map(unwelcome)
}

fn refused(problem: Problem, headers: &HeaderMap, method: &Method, uri: &axum::http::Uri) -> Response {
    let unauthorized = problem.is(StatusCode::UNAUTHORIZED);
    // A person gets the page on which to log in.
    let page = text(headers, "accept").is_some_and(|kinds| kinds.contains("text/html"));
    if unauthorized && page && *method == Method::GET && !uri.path().starts_with("/api/") {
        return Redirect::to("/login").into_response();
    }
    if page && !uri.path().starts_with("/api/") {
        return crate::pages::problem(&problem, headers, uri);
    }
    unwelcome(problem)
}

/// A refusal that says what it wants.
pub(crate) fn unwelcome(problem: Problem) -> Response {
    let unauthorized = problem.is(StatusCode::UNAUTHORIZED);
    let mut response = problem.into_response();
    if unauthorized {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The session in the request's cookies.
pub(crate) fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// The token that a request carries.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    text(headers, "authorization").and_then(|value| value.strip_prefix("Bearer ")).map(str::trim)
}

/// True for the right secret; a wrong one takes as long.
pub(crate) fn is_secret(given: &str, secret: &SecretString) -> bool {
    given.as_bytes().ct_eq(secret.expose_secret().as_bytes()).into()
}

/// Who it is, by token or session.
fn person(state: &WebState, headers: &HeaderMap) -> Option<Person> {
    let now = (state.clock)();
    if let Some(given) = bearer(headers) {
        return by_token(state, given);
    }
    state.access.as_ref()?.of_session(session(headers)?, now)
}

/// Whose token this is: one of the database, or the one that the server was started with.
pub(crate) fn by_token(state: &WebState, given: &str) -> Option<Person> {
    if state.token.as_ref().is_some_and(|token| is_secret(given, token)) {
        return Some(Person { name: "the server's token".to_owned(), role: Role::Operate });
    }
    state.access.as_ref()?.person(given, (state.clock)())
}

fn read(state: &WebState, headers: &HeaderMap) -> Result<Option<Person>, Problem> {
    let person = person(state, headers);
    if state.private && person.is_none() {
        let detail = "reading needs a token here: `Authorization: Bearer …`, or log in at /login";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, detail));
    }
    Ok(person)
}

/// A page of another site can send a form, and text, but says where it comes from.
fn same_site(headers: &HeaderMap) -> Result<(), Problem> {
    let other_site =
        text(headers, "sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    let host = text(headers, "host").unwrap_or_default();
    let other_origin =
        text(headers, "origin").is_some_and(|origin| origin.split_once("://").map(|(_, o)| o) != Some(host));
    if other_site || other_origin {
        return Err(Problem::new(StatusCode::FORBIDDEN, "a page of another site may change nothing here"));
    }
    Ok(())
}

fn operate(
    state: &WebState,
    method: &Method,
    headers: &HeaderMap,
    peer: Option<IpAddr>,
) -> Result<Person, Problem> {
    let refuse = |status, detail: &str| Err(Problem::new(status, detail));
    // A page of another site can send a form, and text, but JSON and DELETE only after asking, and nobody answers
    // it. A form is taken from a page of ours: browsers say with every form where it comes from.
    let kind = text(headers, "content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let form = kind.eq_ignore_ascii_case("application/x-www-form-urlencoded");
    let ours = text(headers, "sec-fetch-site") == Some("same-origin") || text(headers, "origin").is_some();
    if !(kind.eq_ignore_ascii_case("application/json")
        || form && ours
        || method == Method::DELETE && kind.is_empty())
    {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send it with `Content-Type: application/json`");
    }
    same_site(headers)?;
    operator(state, headers, peer).map_err(|why| match why {
        Barred::Reader => Problem::new(StatusCode::FORBIDDEN, "this token may read, and change nothing"),
        Barred::Nobody => Problem::new(
            StatusCode::UNAUTHORIZED,
            "this needs a token that may operate: `Authorization: Bearer …` (`topowatch token add`)",
        ),
        Barred::Elsewhere => Problem::new(
            StatusCode::FORBIDDEN,
            "without a token only this very machine may change something: make one with `topowatch token add`",
        ),
    })
}

/// Why somebody may change nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Barred {
    /// May read only.
    Reader,
    /// Is not known.
    Nobody,
    /// Does not sit at this machine, and nobody has a token.
    Elsewhere,
}

/// Who may change something, by token, session or place.
pub(crate) fn operator(
    state: &WebState,
    headers: &HeaderMap,
    peer: Option<IpAddr>,
) -> Result<Person, Barred> {
    match person(state, headers) {
        Some(person) if person.role >= Role::Operate => return Ok(person),
        Some(_) => return Err(Barred::Reader),
        None => {}
    }
    if state.token.is_some() || state.access.as_ref().is_some_and(collector::access::Access::has_operators) {
        return Err(Barred::Nobody);
    }
    // A name that leads here may be anybody's (DNS rebinding), an address not; and behind a proxy on this
    // machine everybody seems to be here.
    let local = peer.is_some_and(|ip| ip.to_canonical().is_loopback());
    let direct = PROXIED.iter().all(|name| !headers.contains_key(*name));
    if !local || !direct || !is_this_machine(text(headers, "host").unwrap_or_default()) {
        return Err(Barred::Elsewhere);
    }
    Ok(Person { name: "this machine".to_owned(), role: Role::Operate })
}

/// Somebody was refused, whatever was asked for.
fn is_refusal(status: StatusCode) -> bool {
    matches!(status.as_u16(), 401 | 403 | 415)
}

/// A line of the audit log. Of what is refused one a second is enough.
fn note(state: &WebState, who: &str, peer: Option<IpAddr>, method: &Method, path: &str, status: StatusCode) {
    let at = (state.clock)();
    if is_refusal(status) && !state.may_note_refusal(at) {
        return;
    }
    let Some(control) = &state.control else { return };
    let mut path = clean_words(path);
    while path.len() > MAX_PATH {
        path.pop();
    }
    control.audit(AuditEntry {
        at,
        who: if who.is_empty() { "nobody".to_owned() } else { who.to_owned() },
        peer: peer.map(|ip| ip.to_string()).unwrap_or_default(),
        method: method.as_str().to_owned(),
        path,
        status: status.as_u16(),
    });
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
