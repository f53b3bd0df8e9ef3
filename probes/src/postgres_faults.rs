//! Logging in to PostgreSQL, and what its errors mean.

use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgSslMode};
use sqlx::{ConnectOptions, Connection};
use topology::fault::{Fault, FaultKind, Reason};

use crate::look::{Look, Stop};
use crate::relay::{self, Relay};
use crate::tls_session::Settings;

/// A logged-in connection: the stages `resolve`, `tcp` and `handshake`.
pub(crate) async fn open(look: &mut Look<'_>) -> Result<(PgConnection, Relay), Stop> {
    let relay = Relay::open(look).await?;
    let options = options(look).socket(&relay.dir).port(relay.number);
    let until = look.deadline();
    match look.stage("handshake", until, PgConnection::connect_with(&options)).await {
        Ok(Ok(connection)) => {
            look.put_some("postgres.login_seconds", look.stage_seconds("handshake"));
            Ok((connection, relay))
        }
        Ok(Err(error)) => Err(relay.explain(stop(&error, "handshake"))),
        Err(late) => Err(relay.explain(late.hung())),
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
        .host(&look.address.host)
        .username(probe.text("user").unwrap_or("topowatch"))
        .database(probe.text("database").unwrap_or("postgres"))
        .disable_statement_logging();
    if let Some(password) = probe.secret("password") {
        options = options.password(password.expose_secret());
    }
    if let Some(tls) = Settings::of(probe) {
        options = options.ssl_mode(if tls.verifies() { PgSslMode::VerifyFull } else { PgSslMode::Require });
        if let Some(name) = tls.server_name() {
            options = options.host(name);
        }
        if let Some(ca) = tls.ca() {
            options = options.ssl_root_cert_from_pem(ca.as_bytes().to_vec());
        }
        if let Some((certificate, key)) = tls.identity() {
            options = options.ssl_client_cert_from_pem(certificate).ssl_client_key_from_pem(key);
        }
    }
    options
}

/// What an error means.
pub(crate) fn stop(error: &sqlx::Error, stage: &'static str) -> Stop {
    match database_error(error) {
        Some(error) => fault(error.code(), error.message(), stage).into(),
        None => relay::client_stop(error, stage),
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
