//! One HTTP/1.1 request on a connection of its own, bounded in time and bytes.

use std::error::Error as _;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Response};
use hyper_util::rt::TokioIo;
use secrecy::ExposeSecret;
use topology::fault::{Fault, FaultKind, Reason};
use topology::kind::{Check, OptionForm, OptionSpec};
use topology::model::{OptionValue, Probe};

use crate::clock::now;
use crate::dial;
use crate::look::{Look, Stop, seconds};
use crate::stream::Stream;
use crate::tls_session::{self, Settings};

/// A health page has no business being larger.
pub(crate) const MAX_BODY: usize = 64 * 1024;
/// All headers of an answer.
const MAX_HEAD: usize = 64 * 1024;

/// A header's name.
pub(crate) static HEADER_NAME: Check = Check {
    what: "a header's name",
    wrong: |text| HeaderName::try_from(text).err().map(|_| format!("`{text}` cannot be one")),
};

static HEADER: Check = Check {
    what: "a header's value",
    wrong: |text| {
        HeaderValue::try_from(text).err().map(|_| "it has a character that no header can have".to_owned())
    },
};

/// `headers: {…}` of the kinds that speak HTTP.
pub(crate) const HEADERS: OptionSpec = OptionSpec {
    name: "headers",
    form: OptionForm::Map(Some(&HEADER_NAME), &OptionForm::Checked(&HEADER)),
    default: None,
    help: "Headers to send, such as Authorization; values best written ${env:NAME}.",
};

/// `max_body` of the kinds that speak HTTP.
pub(crate) const MAX_BODY_OPTION: OptionSpec = OptionSpec {
    name: "max_body",
    form: OptionForm::Bytes,
    default: None,
    help: "How large the body may be; 64 KiB where it is not set.",
};

/// The headers of an option; a name that cannot be one is left out.
pub(crate) fn headers(option: &OptionValue) -> Vec<(HeaderName, HeaderValue)> {
    let pairs = option.map().iter();
    pairs
        .filter_map(|(name, value)| {
            let mut value = HeaderValue::try_from(value.text()?).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::try_from(name).ok()?, value))
        })
        .collect()
}

/// What to ask.
pub(crate) struct Request<'r> {
    pub(crate) method: Method,
    pub(crate) path: &'r str,
    pub(crate) host: Option<&'r str>,
    pub(crate) tls: Option<Settings>,
    /// Beyond `Host`, `User-Agent` and the like; one of the same name replaces them.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
    pub(crate) accept: &'static str,
    pub(crate) max_body: usize,
    pub(crate) until: Instant,
}

impl<'r> Request<'r> {
    /// A `GET` of a page.
    pub(crate) fn get(path: &'r str, accept: &'static str, until: Instant) -> Self {
        Self {
            method: Method::GET,
            path,
            host: None,
            tls: None,
            headers: Vec::new(),
            body: Bytes::new(),
            accept,
            max_body: MAX_BODY,
            until,
        }
    }
}

/// What came back, whole.
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// From the request to the head.
    pub(crate) first_byte: Duration,
    /// From the request to the last byte.
    pub(crate) latency: Duration,
}

impl Page {
    /// The media type, in lower case.
    pub(crate) fn content_type(&self) -> String {
        let text = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        text.unwrap_or_default().to_ascii_lowercase()
    }
}

/// A connection for requests one after the other.
pub(crate) struct Exchange {
    sender: http1::SendRequest<Full<Bytes>>,
    wire: Wire,
}

/// The library's half that moves the bytes.
struct Wire {
    connection: Pin<Box<http1::Connection<TokioIo<Stream>, Full<Bytes>>>>,
    ended: bool,
}

impl Wire {
    /// Waits for `work`, and moves bytes meanwhile.
    async fn drive<F: Future>(&mut self, work: F) -> F::Output {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            if !self.ended {
                // How it ends is told to the request that waits for it.
                self.ended = self.connection.as_mut().poll(context).is_ready();
                if self.ended {
                    return work.as_mut().poll(context);
                }
            }
            // What came in may be what the request waits for.
            work.as_mut().poll(context)
        })
        .await
    }
}

/// Asks for a page: the stages `resolve`, `tcp`, `tls`, `ask` and `body`.
pub(crate) async fn get(look: &mut Look<'_>, request: &Request<'_>) -> Result<Page, Stop> {
    let mut exchange = Exchange::open(look, request.tls.as_ref(), request.host, request.until).await?;
    exchange.ask(look, request, "close").await
}

impl Exchange {
    /// Connects: the stages `resolve`, `tcp` and `tls`.
    pub(crate) async fn open(
        look: &mut Look<'_>,
        tls: Option<&Settings>,
        host: Option<&str>,
        until: Instant,
    ) -> Result<Self, Stop> {
        let stream = dial::connect(look).await?;
        let named = tls.map(|tls| {
            let name = host.map_or(look.address.host.as_str(), without_port);
            tls.clone().for_host(name)
        });
        let began = now();
        let securing = tls_session::secure(look, stream, named.as_ref());
        let stream = match tokio::time::timeout_at(until.into(), securing).await {
            Ok(stream) => stream?,
            Err(_) => return Err(hung("tls", now() - began, "no TLS handshake")),
        };
        let made = http1::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await;
        let (sender, connection) = made.map_err(|error| Stop::Local(error.to_string()))?;
        Ok(Self { sender, wire: Wire { connection: Box::pin(connection), ended: false } })
    }

    /// One request and its whole answer: the stages `ask` and `body`.
    pub(crate) async fn ask(
        &mut self,
        look: &mut Look<'_>,
        request: &Request<'_>,
        connection: &'static str,
    ) -> Result<Page, Stop> {
        let mut body = Vec::new();
        let keep = &mut |chunk: &[u8]| body.extend_from_slice(chunk);
        let mut page = self.ask_in_parts(look, request, connection, keep).await?;
        page.body = body;
        Ok(page)
    }

    /// The same for a body that is read as it comes, and not kept.
    pub(crate) async fn ask_in_parts(
        &mut self,
        look: &mut Look<'_>,
        request: &Request<'_>,
        connection: &'static str,
        part: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<Page, Stop> {
        let asking = message(look, request, connection)?;
        let until = request.until;
        let began = now();
        let sent = look.stage("ask", until, self.wire.drive(self.sender.send_request(asking))).await;
        let first_byte = look.since(began);
        let mut response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(exchange_stop(&error, "ask")),
            Err(late) => return Err(late.hung()),
        };
        let encoding = response.headers().get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
        if encoding.is_some_and(|encoding| !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity"))
        {
            let words = "a content encoding that was not asked for";
            return Err(Fault::new(FaultKind::Protocol, "ask", words).into());
        }
        let read = read(&mut response, request.max_body, part);
        match look.stage("body", until, self.wire.drive(read)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => {
                let words = format!("a body of more than {} KiB", request.max_body / 1024);
                return Err(Fault::new(FaultKind::BadAnswer, "body", &words)
                    .because(Reason::TooLarge)
                    .into());
            }
            Ok(Err(error)) => return Err(exchange_stop(&error, "body")),
            Err(late) => return Err(late.hung_without("the body did not end")),
        }
        let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
        Ok(Page { status, headers, body: Vec::new(), first_byte, latency: look.since(began) })
    }

    /// True when the next request can use this connection.
    pub(crate) async fn is_open(&mut self, until: Instant) -> bool {
        let ready = self.wire.drive(self.sender.ready());
        matches!(tokio::time::timeout_at(until.into(), ready).await, Ok(Ok(())))
    }

    /// Waits, idle, until the other side ends the connection.
    pub(crate) async fn ended(&mut self) {
        // How it ended is no news: it ended.
        let _ended = self.wire.connection.as_mut().await;
    }
}

pub(crate) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) && !name.ends_with(':') => {
            name
        }
        _ => host,
    }
}

/// The `Host` header: the one wanted, else the address without a usual port.
fn host_of(look: &Look<'_>, request: &Request<'_>) -> String {
    let usual = if request.tls.is_some() { 443 } else { 80 };
    match request.host {
        Some(host) => host.to_owned(),
        None if look.address.port == usual => {
            look.address.to_string().trim_end_matches(&format!(":{usual}")).to_owned()
        }
        None => look.address.to_string(),
    }
}

fn message(
    look: &Look<'_>,
    request: &Request<'_>,
    connection: &'static str,
) -> Result<hyper::Request<Full<Bytes>>, Stop> {
    let local = |what: &str| Stop::Local(format!("no request can be made of {what}"));
    let mut asking = hyper::Request::new(Full::new(request.body.clone()));
    *asking.method_mut() = request.method.clone();
    *asking.uri_mut() = request.path.parse().map_err(|_| local(request.path))?;
    let headers = asking.headers_mut();
    let host = host_of(look, request);
    headers.insert(header::HOST, HeaderValue::try_from(&host).map_err(|_| local(&host))?);
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    headers.insert(header::ACCEPT, HeaderValue::from_static(request.accept));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONNECTION, HeaderValue::from_static(connection));
    for (name, value) in &request.headers {
        headers.insert(name.clone(), value.clone());
    }
    Ok(asking)
}

/// Who asks.
pub(crate) const USER_AGENT: &str = concat!("topowatch/", env!("CARGO_PKG_VERSION"));

/// Reads the body to its end; false when there is more of it than `most`.
async fn read(
    response: &mut Response<Incoming>,
    most: usize,
    part: &mut (dyn FnMut(&[u8]) + Send),
) -> hyper::Result<bool> {
    let mut read = 0;
    while let Some(frame) = response.body_mut().frame().await {
        let Ok(chunk) = frame?.into_data() else { continue };
        read += chunk.len();
        if read > most {
            return Ok(false);
        }
        part(&chunk);
    }
    Ok(true)
}

fn hung(stage: &'static str, after: Duration, what: &str) -> Stop {
    Fault::new(FaultKind::Hung, stage, &format!("connected, {what} in {}", seconds(after))).into()
}

/// An exchange that failed after the connection stood.
fn exchange_stop(error: &hyper::Error, stage: &'static str) -> Stop {
    let io = dial::find_io(error);
    if let Some(tls) = io.filter(|io| tls_session::is_tls(io)) {
        return tls_session::tls_stop(tls);
    }
    if let Some(io) =
        io.filter(|io| !matches!(io.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData))
    {
        return dial::io_stop(io, stage);
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return Fault::new(FaultKind::Dropped, stage, "connection closed before the answer was whole").into();
    }
    if error.is_parse() && error.to_string().contains("too large") {
        let words = format!("headers of more than {} KiB", MAX_HEAD / 1024);
        return Fault::new(FaultKind::Protocol, stage, &words).because(Reason::TooLarge).into();
    }
    let inner = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    Fault::new(FaultKind::Protocol, stage, &format!("not HTTP: {inner}")).into()
}

/// `Authorization` by a bearer `token`, or by `user` and `password`.
pub(crate) fn authorization(probe: &Probe) -> Option<HeaderValue> {
    let text = match (probe.secret("token"), probe.text("user")) {
        (Some(token), _) => format!("Bearer {}", token.expose_secret()),
        (None, Some(user)) => {
            let password = probe.secret("password").map_or("", |password| password.expose_secret());
            format!("Basic {}", BASE64.encode(format!("{user}:{password}")))
        }
        (None, None) => return None,
    };
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
