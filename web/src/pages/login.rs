//! Logging in: a token in, a session out; and ending it.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use collector::access::SESSION;
use serde::Deserialize;

use super::{Head, render};
use crate::WebState;
use crate::ask::Query;
use crate::guard::{COOKIE, by_token, session};
use crate::respond::{Asked, Prefs};

#[derive(Template)]
#[template(path = "login.html")]
struct Login {
    head: Head,
    wrong: bool,
}

/// The form.
#[derive(Deserialize)]
pub(crate) struct Given {
    token: String,
}

/// `GET /login`.
pub(crate) async fn login(Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    render(StatusCode::OK, &Login { head: Head::of(&Prefs::of(&asked, &headers)), wrong: false })
}

/// `POST /login`: on to the wall with a session, or the form again.
pub(crate) async fn enter(
    State(state): State<WebState>,
    headers: HeaderMap,
    Form(given): Form<Given>,
) -> Response {
    let token = given.token.trim();
    let opened = by_token(&state, token)
        .zip(state.access.as_ref().and_then(|access| access.session(token, (state.clock)())));
    let Some((person, session)) = opened else {
        let head = Head::of(&Prefs::of(&Asked::default(), &headers));
        return render(StatusCode::UNAUTHORIZED, &Login { head, wrong: true });
    };
    let mut response = Redirect::to("/").into_response();
    set_cookie(&mut response, &headers, &session, SESSION.as_secs());
    response.extensions_mut().insert(person);
    response
}

/// `POST /logout`: the session is over, here and in the browser.
pub(crate) async fn leave(State(state): State<WebState>, headers: HeaderMap) -> Response {
    if let (Some(access), Some(session)) = (&state.access, session(&headers)) {
        access.end_session(session, (state.clock)());
    }
    let mut response = Redirect::to("/login").into_response();
    set_cookie(&mut response, &headers, "", 0);
    response
}

/// Out of reach of scripts and of other sites; over TLS only, where a proxy says that it speaks TLS.
fn set_cookie(response: &mut Response, headers: &HeaderMap, value: &str, seconds: u64) {
    let tls = headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes() == b"https");
    let secure = if tls { "; Secure" } else { "" };
    let text = format!("{COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
}
