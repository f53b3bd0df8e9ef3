//! One HTTP/1.1 request on a connection of its own, bounded in time and bytes.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use reqwest::header;
use tokio::sync::OnceCell;
use topology::fault::{Fault, FaultKind, Reason};

use crate::clock::now;
use crate::dial;
use crate::look::{Look, Stop, seconds};

/// A health page has no business being larger.
const MAX_BODY: usize = 64 * 1024;
/// Kept back for telling a silent TLS handshake from a dropped SYN.
const TRIAGE: Duration = Duration::from_millis(300);

/// TLS settings made once: building them anew for each look would read every root certificate again.
pub(crate) struct TlsConfigs {
    bare: rustls::ClientConfig,
    trusting: OnceCell<rustls::ClientConfig>,
}

impl TlsConfigs {
    pub(crate) fn new() -> Result<Self, rustls::Error> {
        Ok(Self { bare: tls_config(rustls::RootCertStore::empty())?, trusting: OnceCell::new() })
    }

    /// The settings for a request; the system's roots are read at the first `https` one.
    async fn get(&self, tls: bool) -> Result<rustls::ClientConfig, Stop> {
        if !tls {
            return Ok(self.bare.clone());
        }
        let trusting = self.trusting.get_or_try_init(|| async {
            let mut roots = rustls::RootCertStore::empty();
            let found = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
            let found = found.map_err(|error| Stop::Local(error.to_string()))?;
            roots.add_parsable_certificates(found.certs);
            tls_config(roots).map_err(|error| Stop::Local(error.to_string()))
        });
        trusting.await.cloned()
    }
}

fn tls_config(roots: rustls::RootCertStore) -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // A resumed session skips the certificate; the probe wants what a new user meets.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// What to ask.
pub(crate) struct Request<'r> {
    pub(crate) path: &'r str,
    pub(crate) host: Option<&'r str>,
    pub(crate) tls: bool,
    pub(crate) accept: &'static str,
    pub(crate) until: Instant,
}

/// What came back, whole.
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
    /// From the request to the head.
    pub(crate) first_byte: Duration,
    /// From the request to the last byte.
    pub(crate) latency: Duration,
}

/// Asks for a page: the stages `resolve`, `tcp` (or `tls`), `ask` and `body`.
pub(crate) async fn get(look: &mut Look<'_>, request: &Request<'_>) -> Result<Page, Stop> {
    let addresses = dial::resolve(look).await?;
    let connected = Connected::default();
    let client = client(look, request, &addresses, connected.clone()).await?;
    let asking = ask(look, request, &client)?;

    let began = now();
    let sent = tokio::time::timeout_at(request.until.into(), asking.send()).await;
    let ended = now();
    let dialled = connected.at();
    let asked = dialled.unwrap_or(ended);
    let connecting = if request.tls { "tls" } else { "tcp" };
    look.record(connecting, asked - began);
    if dialled.is_some() {
        look.record("ask", ended - asked);
        if !request.tls {
            look.put("net.connect_seconds", (asked - began).as_secs_f64());
        }
    }
    let mut response = match sent {
        Ok(Ok(response)) => response,
        Ok(Err(error)) if error.is_connect() => {
            return Err(connect_stop(look, request, &addresses, &error).await);
        }
        Ok(Err(error)) => return Err(exchange_stop(&error, "ask")),
        Err(_) if dialled.is_some() => return Err(hung("ask", ended - asked, "no answer")),
        Err(_) => return Err(silent_connect(look, request, &addresses).await),
    };

    let status = response.status().as_u16();
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let encoding = text(header::CONTENT_ENCODING).to_ascii_lowercase();
    if !matches!(encoding.as_str(), "" | "identity") {
        let words = "a content encoding that was not asked for";
        return Err(Fault::new(FaultKind::Protocol, "ask", words).into());
    }
    let content_type = text(header::CONTENT_TYPE).to_ascii_lowercase();
    let body = read(look, &mut response, request.until).await?;
    Ok(Page { status, content_type, body, first_byte: ended - asked, latency: now() - asked })
}

/// A client for this one look: its own time limit for the connection, the addresses already resolved.
async fn client(
    look: &Look<'_>,
    request: &Request<'_>,
    addresses: &[SocketAddr],
    connected: Connected,
) -> Result<reqwest::Client, Stop> {
    let limit = if request.tls { request.until.checked_sub(TRIAGE) } else { Some(dial::connect_limit(look)) };
    let limit = limit.unwrap_or(request.until).min(request.until);
    let name = url_host(look, request);
    reqwest::Client::builder()
        .tls_backend_preconfigured(look.shared.tls.get(request.tls).await?)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .pool_max_idle_per_host(0)
        .http1_only()
        .user_agent(concat!("topowatch/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(limit.saturating_duration_since(now()))
        .resolve_to_addrs(&name, addresses)
        .connector_layer(connected)
        .build()
        .map_err(|error| Stop::Local(error.to_string()))
}

/// The name in the URL: with TLS it is also the one the certificate must be for.
fn url_host(look: &Look<'_>, request: &Request<'_>) -> String {
    match request.host {
        Some(host) if request.tls => host.split(':').next().unwrap_or(host).to_owned(),
        _ => look.address.host.clone(),
    }
}

fn ask(
    look: &Look<'_>,
    request: &Request<'_>,
    client: &reqwest::Client,
) -> Result<reqwest::RequestBuilder, Stop> {
    let scheme = if request.tls { "https" } else { "http" };
    let place = topology::model::Address { host: url_host(look, request), port: look.address.port };
    let url = url::Url::parse(&format!("{scheme}://{place}{}", request.path))
        .map_err(|error| Stop::Local(format!("no URL can be made of {place}: {error}")))?;
    let mut asking = client
        .get(url)
        .header(header::ACCEPT, request.accept)
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::CACHE_CONTROL, "no-cache")
        .header(header::CONNECTION, "close");
    if let Some(host) = request.host {
        asking = asking.header(header::HOST, host);
    }
    Ok(asking)
}

/// Reads the body to its end, at most [`MAX_BODY`] of it.
async fn read(
    look: &mut Look<'_>,
    response: &mut reqwest::Response,
    until: Instant,
) -> Result<Vec<u8>, Stop> {
    let reading = async {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_BODY {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(body))
    };
    let began = now();
    match look.stage("body", until, reading).await {
        Ok(Ok(Some(body))) => Ok(body),
        Ok(Ok(None)) => {
            let words = format!("a body of more than {} KiB", MAX_BODY / 1024);
            Err(Fault::new(FaultKind::BadAnswer, "body", &words).because(Reason::TooLarge).into())
        }
        Ok(Err(error)) => Err(exchange_stop(&error, "body")),
        Err(_late) => Err(hung("body", now() - began, "the body did not end")),
    }
}

fn hung(stage: &'static str, after: Duration, what: &str) -> Stop {
    Fault::new(FaultKind::Hung, stage, &format!("connected, {what} in {}", seconds(after))).into()
}

/// A connection that failed.
async fn connect_stop(
    look: &mut Look<'_>,
    request: &Request<'_>,
    addresses: &[SocketAddr],
    error: &reqwest::Error,
) -> Stop {
    if error.is_timeout() {
        return silent_connect(look, request, addresses).await;
    }
    let found = dial::find_io(error);
    if let Some(tls) = rustls_error(error) {
        return tls_stop(tls);
    }
    match found {
        Some(io) if io.raw_os_error().is_some() && !is_reset(io) => dial::io_stop(io, "tcp"),
        Some(io) if request.tls && io.kind() == io::ErrorKind::InvalidData => {
            Fault::new(FaultKind::Tls, "tls", &io.to_string()).into()
        }
        Some(io) => dial::io_stop(io, if request.tls { "tls" } else { "ask" }),
        None if request.tls => Fault::new(FaultKind::Tls, "tls", &innermost(error)).into(),
        None => Fault::new(FaultKind::Protocol, "tcp", &innermost(error)).into(),
    }
}

fn is_reset(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

/// No connection in time; with TLS it may be the handshake that is silent.
async fn silent_connect(look: &mut Look<'_>, request: &Request<'_>, addresses: &[SocketAddr]) -> Stop {
    if !request.tls {
        return dial::connect_timeout(look);
    }
    let after = Duration::from_secs_f64(look.stage_seconds("tls").unwrap_or_default());
    match dial::triage(look, addresses, TRIAGE).await {
        Ok(()) => hung("tls", after, "no TLS handshake"),
        Err(stop) => stop,
    }
}

/// An exchange that failed after the connection stood.
fn exchange_stop(error: &reqwest::Error, stage: &'static str) -> Stop {
    if let Some(io) = dial::find_io(error) {
        return dial::io_stop(io, stage);
    }
    let words = innermost(error);
    // The HTTP library keeps its kinds to itself: only the text tells them apart.
    let closed = ["closed before message", "connection closed", "operation was canceled", "end of file"];
    if closed.iter().any(|text| words.contains(text)) {
        return Fault::new(FaultKind::Dropped, stage, "connection closed before the answer was whole").into();
    }
    Fault::new(FaultKind::Protocol, stage, &format!("not HTTP: {words}")).into()
}

fn innermost(error: &reqwest::Error) -> String {
    let mut next = error.source();
    let mut words = String::new();
    while let Some(error) = next {
        words = error.to_string();
        next = error.source();
    }
    if words.is_empty() { "the request failed".to_owned() } else { words }
}

fn rustls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn tls_stop(error: &rustls::Error) -> Stop {
    use rustls::CertificateError as Bad;
    let words = error.to_string();
    // What `openssl req -x509` makes: its own issuer, so nobody this host knows.
    if words.contains("CaUsedAsEndEntity") {
        let fault = Fault::new(FaultKind::Tls, "tls", "a self-signed certificate");
        return fault.because(Reason::Untrusted).into();
    }
    let fault = Fault::new(FaultKind::Tls, "tls", &words);
    let reason = match error {
        rustls::Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => Reason::Expired,
        rustls::Error::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
            Reason::NotYetValid
        }
        rustls::Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            Reason::WrongName
        }
        rustls::Error::InvalidCertificate(Bad::UnknownIssuer) => Reason::Untrusted,
        _ => return fault.into(),
    };
    fault.because(reason).into()
}

/// Notes when the client's connection stood: the only place where that can be seen.
#[derive(Clone, Default)]
struct Connected(Arc<OnceLock<Instant>>);

impl Connected {
    fn at(&self) -> Option<Instant> {
        self.0.get().copied()
    }
}

impl<S> tower::Layer<S> for Connected {
    type Service = Timed<S>;

    fn layer(&self, inner: S) -> Timed<S> {
        Timed { inner, connected: self.clone() }
    }
}

#[derive(Clone)]
struct Timed<S> {
    inner: S,
    connected: Connected,
}

impl<S, R> tower::Service<R> for Timed<S>
where
    S: tower::Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let connecting = self.inner.call(request);
        let connected = self.connected.clone();
        Box::pin(async move {
            let connection = connecting.await?;
            connected.0.get_or_init(now);
            Ok(connection)
        })
    }
}
