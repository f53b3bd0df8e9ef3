//! What the two databases share: the client takes no connection of ours, so it dials itself.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use topology::fault::{Fault, FaultKind};

use crate::dial;
use crate::look::Stop;

/// Kept back of the timeout for finding out whether a silent login was connected at all.
pub(crate) const TRIAGE: Duration = Duration::from_millis(300);

/// Tries the addresses of a name in the resolver's order.
pub(crate) async fn connect_any<C, F, Connecting>(addresses: &[SocketAddr], connect: F) -> sqlx::Result<C>
where
    F: Fn(SocketAddr) -> Connecting,
    Connecting: Future<Output = sqlx::Result<C>>,
{
    let mut last = sqlx::Error::Io(io::ErrorKind::AddrNotAvailable.into());
    for address in addresses {
        match connect(*address).await {
            Err(sqlx::Error::Io(error)) if never_connected(&error) => last = sqlx::Error::Io(error),
            other => return other,
        }
    }
    Err(last)
}

fn never_connected(error: &io::Error) -> bool {
    use io::ErrorKind as Io;
    matches!(error.kind(), Io::ConnectionRefused | Io::HostUnreachable | Io::NetworkUnreachable)
}

/// What an error means that the server did not send.
pub(crate) fn client_stop(error: &sqlx::Error, stage: &'static str) -> Stop {
    match error {
        sqlx::Error::Io(error) => dial::io_stop(error, stage),
        sqlx::Error::Tls(error) => match dial::find_io(error.as_ref()) {
            Some(io) => dial::io_stop(io, "tls"),
            None => Fault::new(FaultKind::Tls, "tls", &error.to_string()).into(),
        },
        sqlx::Error::WorkerCrashed => {
            Fault::new(FaultKind::Dropped, stage, "connection closed before an answer").into()
        }
        other => Fault::new(FaultKind::Protocol, stage, &other.to_string()).into(),
    }
}
