//! Logging in to PostgreSQL, and what its errors mean.

use std::net::SocketAddr;
use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgSslMode};
use sqlx::{ConnectOptions, Connection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use topology::fault::{Fault, FaultKind, Reason};

use crate::clock::now;
use crate::dial::{self, Triage};
use crate::look::{Look, Stop};
use crate::sql::{self, TRIAGE};

/// Asks whether TLS is spoken: answered by a living postmaster with one byte, before any login, without a
/// line in its log.
const SSL_REQUEST: [u8; 8] = [0x00, 0x00, 0x00, 0x08, 0x04, 0xd2, 0x16, 0x2f];

/// A logged-in connection: the stages `resolve` and `handshake`.
pub(crate) async fn open(look: &mut Look<'_>) -> Result<PgConnection, Stop> {
    let addresses = dial::resolve(look).await?;
    let options = options(look);
    let connecting = sql::connect_any(&addresses, |address| {
        let options = options.clone().host(&address.ip().to_string()).port(address.port());
        async move { PgConnection::connect_with(&options).await }
    });
    let until = look.deadline_less(TRIAGE);
    match look.stage("handshake", until, connecting).await {
        Ok(Ok(connection)) => {
            look.put_some("postgres.login_seconds", look.stage_seconds("handshake"));
            Ok(connection)
        }
        Ok(Err(error)) => Err(stop(&error, "handshake")),
        Err(late) => Err(silent(look, &addresses, late.hung()).await),
    }
}

fn options(look: &Look<'_>) -> PgConnectOptions {
    let probe = look.probe;
    // The server goes on with a query that its client gave up: it needs a limit of its own.
    let statement = probe.timeout.mul_f64(0.75).min(Duration::from_millis(1500)).as_millis();
    let limits = [
        ("statement_timeout", statement.to_string()),
        ("lock_timeout", "200".to_owned()),
        ("idle_in_transaction_session_timeout", "5000".to_owned()),
    ];
    let mut options = PgConnectOptions::new_without_pgpass()
        .application_name("topowatch")
        .ssl_mode(PgSslMode::Prefer)
        .statement_cache_capacity(0)
        .options(limits)
        .username(probe.text("user").unwrap_or("topowatch"))
        .database(probe.text("database").unwrap_or("postgres"))
        .disable_statement_logging();
    if let Some(password) = probe.secret("password") {
        options = options.password(password.expose_secret());
    }
    options
}

/// No login in time: is it the connection, the postmaster, or only the login?
async fn silent(look: &mut Look<'_>, addresses: &[SocketAddr], hung: Stop) -> Stop {
    let mut stream = match dial::triage(look, addresses, TRIAGE).await {
        Triage::Connected(stream) => stream,
        Triage::Stopped(stop) => return stop,
    };
    let until = (now() + TRIAGE).min(look.deadline());
    let answered = tokio::time::timeout_at(until.into(), ssl_request(&mut stream)).await;
    match (hung, answered) {
        (Stop::Fault(fault), Ok(Ok(b'S' | b'N'))) => {
            let words = format!("{}: the postmaster answers, the login does not", fault.words);
            Fault::new(FaultKind::Hung, "handshake", &words).into()
        }
        (hung, _) => hung,
    }
}

async fn ssl_request(stream: &mut TcpStream) -> std::io::Result<u8> {
    stream.write_all(&SSL_REQUEST).await?;
    stream.read_u8().await
}

/// What an error means.
pub(crate) fn stop(error: &sqlx::Error, stage: &'static str) -> Stop {
    match database_error(error) {
        Some(error) => fault(error.code(), error.message(), stage).into(),
        None => sql::client_stop(error, stage),
    }
}

/// The server's own error, if it is one.
pub(crate) fn database_error(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}

/// What the server's code and words mean.
fn fault(code: &str, message: &str, stage: &'static str) -> Fault {
    let bad = |reason| Fault::new(FaultKind::BadAnswer, stage, message).because(reason);
    match code {
        "57P03" if message.contains("shutting down") => bad(Reason::ShuttingDown),
        "57P03" => bad(Reason::Starting),
        "57P01" | "57P02" | "57P05" => Fault::new(FaultKind::Dropped, stage, message).because(Reason::Killed),
        // "too many connections for role" and "for database" are limits of the account, not the server's.
        "53300" if message.contains("for role") => bad(Reason::AccountLimit),
        "53300" => bad(Reason::ConnectionLimit),
        "28P01" => Fault::new(FaultKind::Auth, stage, message).because(Reason::BadCredentials),
        "28000" | "42501" => Fault::new(FaultKind::Auth, stage, message).because(Reason::NoPermission),
        "3D000" => bad(Reason::WrongDatabase),
        // PgBouncer answers; the database behind it does not.
        "08P01" if message.contains("pgbouncer") || message.contains("query_wait_timeout") => {
            bad(Reason::Gateway)
        }
        _ => Fault::new(FaultKind::BadAnswer, stage, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_words_tell_the_reason() {
        let seen = |code, message| {
            let fault = fault(code, message, "handshake");
            format!("{} {}", fault.kind, fault.reason.map_or("-", Reason::as_str))
        };
        assert_eq!(seen("57P03", "the database system is starting up"), "bad_answer starting");
        assert_eq!(seen("57P03", "the database system is shutting down"), "bad_answer shutting_down");
        assert_eq!(seen("53300", "sorry, too many clients already"), "bad_answer connection_limit");
        assert_eq!(seen("53300", "too many connections for role \"monitor\""), "bad_answer account_limit");
        assert_eq!(seen("28P01", "password authentication failed for user \"m\""), "auth bad_credentials");
        assert_eq!(seen("28000", "no pg_hba.conf entry"), "auth no_permission");
        assert_eq!(seen("3D000", "database \"nope\" does not exist"), "bad_answer wrong_database");
        assert_eq!(seen("57P01", "terminating connection"), "dropped killed");
        assert_eq!(seen("53100", "could not extend file"), "bad_answer -");
    }
}
