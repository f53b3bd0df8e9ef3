//! A connection to an AMQP broker for one look, and what its errors mean.

use std::io;
use std::net::{Shutdown, TcpStream as StdStream};
use std::sync::Mutex;

use async_compat::CompatExt;
use async_rs::TokioRuntime;
use lapin::tcp::AsyncTcpStream;
use lapin::types::FieldTable;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Connection, ConnectionProperties, ErrorKind};
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use topology::fault::{Fault, FaultKind, Reason};

use crate::dial;
use crate::look::{Look, Stop};

/// A logged-in connection. It must be dropped before its socket's guard.
pub(crate) struct Session {
    pub(crate) connection: Connection,
    _guard: Guard,
}

/// Shuts the socket when the look ends, however it ends.
///
/// The client runs a thread for each connection, and that thread waits for bytes for ever when the broker
/// is silent; dropping the future does not end it. A shut socket does.
struct Guard(StdStream);

impl Drop for Guard {
    fn drop(&mut self) {
        // An error means that the peer was faster.
        let _shut = self.0.shutdown(Shutdown::Both);
    }
}

impl Session {
    /// Connects and logs in: the stages `resolve`, `tcp` and `handshake`.
    pub(crate) async fn open(look: &mut Look<'_>) -> Result<Self, Stop> {
        let stream = dial::connect(look).await?;
        let local = |error: io::Error| Stop::Local(error.to_string());
        let stream = stream.into_std().map_err(local)?;
        let guard = Guard(stream.try_clone().map_err(local)?);
        let slot = Mutex::new(Some(stream));
        let dial_once = async move |_uri, _runtime| {
            let stream = slot.lock().ok().and_then(|mut slot| slot.take());
            let stream = stream.ok_or_else(|| io::Error::other("one connection a look"))?;
            Ok(AsyncTcpStream::Plain(TcpStream::from_std(stream)?.compat()))
        };
        let opening =
            Connection::connector(uri(look), TokioRuntime::tokio_current(), dial_once, who_we_are());
        let until = look.deadline();
        match look.stage("handshake", until, opening).await {
            Ok(Ok(connection)) => Ok(Self { connection, _guard: guard }),
            Ok(Err(error)) => Err(stop(&error, "handshake")),
            Err(late) => Err(late.hung()),
        }
    }
}

/// No heartbeats: the connection lives for one look.
fn uri(look: &Look<'_>) -> AMQPUri {
    let probe = look.probe;
    let password = probe.secret("password").map_or("guest", |password| password.expose_secret());
    AMQPUri {
        scheme: AMQPScheme::AMQP,
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: probe.text("user").unwrap_or("guest").to_owned(),
                password: password.to_owned(),
            },
            host: look.address.host.clone(),
            port: look.address.port,
        },
        vhost: probe.text("vhost").unwrap_or("/").to_owned(),
        query: AMQPQueryString { heartbeat: Some(0), ..AMQPQueryString::default() },
    }
}

/// Never with recovery: a connection that ends is what the look is to see.
fn who_we_are() -> ConnectionProperties {
    ConnectionProperties::default()
        .with_connection_name("topowatch".into())
        .with_client_property("product".into(), "topowatch".into())
}

/// Arguments of a passive declare: none.
pub(crate) fn no_arguments() -> FieldTable {
    FieldTable::default()
}

/// The broker's reply code and words, if the error is the broker's.
pub(crate) fn broker_error(error: &lapin::Error) -> Option<(u16, &str)> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some((error.get_id(), error.get_message().as_str())),
        _ => None,
    }
}

/// What an error means.
pub(crate) fn stop(error: &lapin::Error, stage: &'static str) -> Stop {
    if let Some((code, words)) = broker_error(error) {
        return broker_fault(code, words, stage).into();
    }
    match error.kind() {
        ErrorKind::IOError(io) => dial::io_stop(dial::find_io(io.as_ref()).unwrap_or(io), stage),
        ErrorKind::ParsingError(_) => Fault::new(FaultKind::Protocol, stage, "the answer is not AMQP").into(),
        ErrorKind::InvalidProtocolVersion(version) => {
            Fault::new(FaultKind::Protocol, stage, &format!("speaks AMQP {version} only")).into()
        }
        ErrorKind::RuntimeShutdownError(_) => Stop::Local("the monitor is shutting down".to_owned()),
        ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidConnectionState(_) => {
            Fault::new(FaultKind::Dropped, stage, "connection closed before an answer").into()
        }
        _ => Fault::new(FaultKind::Protocol, stage, &error.to_string()).into(),
    }
}

/// What the broker's reply code and words mean.
fn broker_fault(code: u16, words: &str, stage: &'static str) -> Fault {
    let bad = |reason| Fault::new(FaultKind::BadAnswer, stage, words).because(reason);
    let auth = |reason| Fault::new(FaultKind::Auth, stage, words).because(reason);
    match code {
        403 if stage == "handshake" => auth(Reason::BadCredentials),
        530 if words.contains("user connection limit") => bad(Reason::AccountLimit),
        530 if words.contains("connection limit") => bad(Reason::ConnectionLimit),
        530 if words.contains("not found") => bad(Reason::WrongDatabase),
        403 | 530 => auth(Reason::NoPermission),
        320 => Fault::new(FaultKind::Dropped, stage, words).because(Reason::Killed),
        _ => Fault::new(FaultKind::BadAnswer, stage, words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_words_tell_the_reason() {
        let seen = |code, words| {
            let fault = broker_fault(code, words, "handshake");
            format!("{} {}", fault.kind, fault.reason.map_or("-", Reason::as_str))
        };
        assert_eq!(seen(403, "ACCESS_REFUSED - Login was refused"), "auth bad_credentials");
        assert_eq!(seen(530, "NOT_ALLOWED - vhost nope not found"), "bad_answer wrong_database");
        assert_eq!(seen(530, "NOT_ALLOWED - access to vhost 'v' refused for user 'm'"), "auth no_permission");
        assert_eq!(
            seen(530, "NOT_ALLOWED - access to vhost '/' refused: connection limit (0) is reached"),
            "bad_answer connection_limit"
        );
        assert_eq!(
            seen(530, "NOT_ALLOWED - user connection limit (0) is reached"),
            "bad_answer account_limit"
        );
        assert_eq!(seen(320, "CONNECTION_FORCED - bye"), "dropped killed");
        assert_eq!(seen(541, "INTERNAL_ERROR"), "bad_answer -");
    }
}
