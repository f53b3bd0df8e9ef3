//! A connection to Redis for one look, and what its errors mean.

use std::net::TcpStream as StdStream;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, ErrorKind, RedisConnectionInfo, RedisError, RedisResult, Value};
use secrecy::ExposeSecret;
use tokio::io::AsyncReadExt;
use tokio::task::JoinHandle;
use topology::fault::{Fault, FaultKind, Reason};

use crate::clock::now;
use crate::dial;
use crate::look::{Late, Look, Stop};
use crate::stream::{Capped, MAX_BYTES, Overflow};
use crate::tls_session::{self, Settings};

/// How long the words of a server that turns clients away are waited for.
const TURNED_AWAY: Duration = Duration::from_millis(100);

/// A logged-in connection; its task ends with it.
pub(crate) struct Session {
    connection: MultiplexedConnection,
    driver: JoinHandle<()>,
    overflow: Overflow,
    pub(crate) socket: Option<Arc<StdStream>>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Session {
    /// Connects and logs in: the stages `resolve`, `tcp` and `handshake`.
    pub(crate) async fn open(look: &mut Look<'_>) -> Result<Self, Stop> {
        let stream = dial::connect(look).await?;
        let stream = tls_session::secure(look, stream, Settings::of(look.probe).as_ref()).await?;
        let socket = stream.second_handle();
        // The client's own parser has no limit for the length of a string.
        let (stream, overflow) = Capped::new(stream, MAX_BYTES);
        // Without credentials the client says nothing by itself; its own AUTH would lose the server's words.
        let silent = RedisConnectionInfo::default().set_skip_set_lib_name();
        // Its own limits (half a second by default) would be taken for a dropped connection: ours come first.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let made = MultiplexedConnection::new_with_config(&silent, stream, config).await;
        let (connection, driver) = made.map_err(|error| stop(&error, "handshake"))?;
        let mut session = Self { connection, driver: tokio::spawn(driver), overflow, socket };
        let login = login_command(look);
        let until = look.deadline();
        let greeted = look.stage("handshake", until, session.greet(login)).await;
        match greeted.map_err(Late::hung)? {
            Ok(()) => Ok(session),
            Err(error) if error.is_io_error() && !session.overflow.happened() => {
                Err(turned_away(look).await.unwrap_or_else(|| stop(&error, "handshake")))
            }
            Err(error) => Err(session.stop(&error, "handshake")),
        }
    }

    async fn greet(&mut self, login: Option<redis::Cmd>) -> RedisResult<()> {
        if let Some(login) = login {
            self.ask(&login).await?;
        }
        match self.ask(redis::cmd("CLIENT").arg("SETNAME").arg("topowatch")).await {
            Err(error) if error.is_io_error() || error.kind() == ErrorKind::Parse || is_full(&error) => {
                Err(error)
            }
            // Not allowed, not known, or not yet: nothing depends on the name.
            _ => Ok(()),
        }
    }

    /// Sends one command.
    pub(crate) async fn ask(&mut self, command: &redis::Cmd) -> RedisResult<Value> {
        match self.connection.req_packed_command(command).await? {
            Value::ServerError(error) => Err(error.into()),
            value => Ok(value),
        }
    }

    /// What an error of this session means.
    pub(crate) fn stop(&self, error: &RedisError, stage: &'static str) -> Stop {
        if self.overflow.happened() {
            return Overflow::stop(stage);
        }
        stop(error, stage)
    }

    /// The next look may read as much again.
    pub(crate) fn refill(&self) {
        self.overflow.refill(MAX_BYTES);
    }

    /// Waits, idle, until the other side ends the connection.
    pub(crate) async fn ended(&mut self) {
        // How it ended is no news: it ended.
        let _ended = (&mut self.driver).await;
    }
}

fn login_command(look: &Look<'_>) -> Option<redis::Cmd> {
    let password = look.probe.secret("password")?;
    let mut login = redis::cmd("AUTH");
    if let Some(user) = look.probe.text("user") {
        login.arg(user);
    }
    login.arg(password.expose_secret());
    Some(login)
}

fn is_full(error: &RedisError) -> bool {
    error.to_string().contains("max number of clients")
}

/// The server's own words, without the client's decoration.
pub(crate) fn said(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (None, Some(detail)) => detail.to_owned(),
        (Some(code), None) => code.to_owned(),
        (None, None) => error.to_string(),
    }
}

/// What an error means: the server's code first, then the client's kind.
fn stop(error: &RedisError, stage: &'static str) -> Stop {
    let fault = |kind, reason| Stop::from(Fault::new(kind, stage, &said(error)).because(reason));
    match error.code() {
        Some("NOAUTH") => return fault(FaultKind::Auth, Reason::NoCredentials),
        Some("WRONGPASS") => return fault(FaultKind::Auth, Reason::BadCredentials),
        Some("NOPERM" | "DENIED") => return fault(FaultKind::Auth, Reason::NoPermission),
        Some("LOADING") => return fault(FaultKind::BadAnswer, Reason::Starting),
        Some("ERR") if is_full(error) => return fault(FaultKind::BadAnswer, Reason::ConnectionLimit),
        // "AUTH <password> called without any password configured", "invalid password" before 6.0.
        Some("ERR") if error.detail().is_some_and(|text| text.contains("password")) => {
            return fault(FaultKind::Auth, Reason::BadCredentials);
        }
        Some(_) => return Fault::new(FaultKind::BadAnswer, stage, &said(error)).into(),
        None => {}
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed => fault(FaultKind::Auth, Reason::BadCredentials),
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => {
            Fault::new(FaultKind::Protocol, stage, "the answer is not Redis'").into()
        }
        ErrorKind::Io => match dial::find_io(error) {
            Some(io) => dial::io_stop(io, stage),
            None => Fault::new(FaultKind::Dropped, stage, "connection closed before an answer").into(),
        },
        _ => Fault::new(FaultKind::Protocol, stage, &error.to_string()).into(),
    }
}

/// A full server says so before it is asked, and closes: the client sees only the broken pipe. One raw
/// look, without a word of ours, tells.
async fn turned_away(look: &Look<'_>) -> Option<Stop> {
    let mut second = look.again();
    let mut stream = dial::connect(&mut second).await.ok()?;
    let until = (now() + TURNED_AWAY).min(look.deadline());
    let mut words = [0; 64];
    let read = tokio::time::timeout_at(until.into(), stream.read(&mut words)).await.ok()?.ok()?;
    let words = words.get(..read)?;
    if !words.is_empty() && !words.starts_with(b"-") {
        // Redis speaks first only to turn clients away.
        return Some(Fault::new(FaultKind::Protocol, "handshake", "the answer is not Redis'").into());
    }
    let words = String::from_utf8_lossy(words);
    let words = words.trim_start_matches('-');
    let full = Fault::new(FaultKind::BadAnswer, "handshake", words).because(Reason::ConnectionLimit);
    words.contains("max number of clients").then(|| full.into())
}
