//! Logging in to MySQL or MariaDB, and what their errors mean.

use secrecy::ExposeSecret;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlSslMode};
use sqlx::{ConnectOptions, Connection};
use topology::fault::{Fault, FaultKind, Reason};

use crate::look::{Look, Stop};
use crate::relay::{self, Relay};
use crate::tls_session::Settings;

/// A logged-in connection: the stages `resolve`, `tcp` and `handshake`.
pub(crate) async fn open(look: &mut Look<'_>) -> Result<(MySqlConnection, Relay), Stop> {
    let relay = Relay::open(look).await?;
    let options = options(look).socket(relay.path());
    let until = look.deadline();
    match look.stage("handshake", until, MySqlConnection::connect_with(&options)).await {
        Ok(Ok(connection)) => {
            look.put_some("mysql.login_seconds", look.stage_seconds("handshake"));
            Ok((connection, relay))
        }
        Ok(Err(error)) => Err(relay.explain(stop(&error, "handshake"))),
        Err(late) => Err(relay.explain(late.hung())),
    }
}

fn options(look: &Look<'_>) -> MySqlConnectOptions {
    let probe = look.probe;
    let mut options = MySqlConnectOptions::new()
        .ssl_mode(MySqlSslMode::Preferred)
        .statement_cache_capacity(0)
        .host(&look.address.host)
        .username(probe.text("user").unwrap_or("topowatch"))
        .disable_statement_logging();
    if let Some(database) = probe.text("database") {
        options = options.database(database);
    }
    if let Some(password) = probe.secret("password") {
        options = options.password(password.expose_secret());
    }
    if let Some(tls) = Settings::of(probe) {
        let mode = if tls.verifies() { MySqlSslMode::VerifyIdentity } else { MySqlSslMode::Required };
        options = options.ssl_mode(mode);
        if let Some(name) = tls.server_name() {
            options = options.host(name);
        }
        if let Some(ca) = tls.ca() {
            options = options.ssl_ca_from_pem(ca.as_bytes().to_vec());
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
        Some(error) => fault(error.number(), error.message(), stage).into(),
        None => relay::client_stop(error, stage),
    }
}

/// The server's own error, if it is one.
pub(crate) fn database_error(error: &sqlx::Error) -> Option<&MySqlDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}

/// What the server's number means; some of them (1129) have no SQLSTATE.
fn fault(number: u16, message: &str, stage: &'static str) -> Fault {
    let bad = |reason| Fault::new(FaultKind::BadAnswer, stage, message).because(reason);
    let auth = |reason| Fault::new(FaultKind::Auth, stage, message).because(reason);
    match number {
        1040 => bad(Reason::ConnectionLimit),
        1203 | 1226 => bad(Reason::AccountLimit),
        1129 => bad(Reason::HostBlocked),
        1045 | 1698 | 1820 | 1862 | 3118 | 4151 => auth(Reason::BadCredentials),
        1130 => auth(Reason::NoPermission),
        1044 | 1049 => bad(Reason::WrongDatabase),
        1053 => bad(Reason::ShuttingDown),
        3032 => bad(Reason::Maintenance),
        1317 | 1927 => Fault::new(FaultKind::Dropped, stage, message).because(Reason::Killed),
        1290 | 1836 | 1792 => bad(Reason::ReadOnly),
        _ => Fault::new(FaultKind::BadAnswer, stage, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_tell_the_reason() {
        let seen: Vec<String> = [1040, 1226, 1129, 1045, 1049, 1053, 1927, 1021]
            .into_iter()
            .map(|number| {
                let fault = fault(number, "words", "handshake");
                format!("{} {}", fault.kind, fault.reason.map_or("-", Reason::as_str))
            })
            .collect();
        assert_eq!(
            seen,
            [
                "bad_answer connection_limit",
                "bad_answer account_limit",
                "bad_answer host_blocked",
                "auth bad_credentials",
                "bad_answer wrong_database",
                "bad_answer shutting_down",
                "dropped killed",
                "bad_answer -",
            ]
        );
    }
}
