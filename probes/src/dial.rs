//! Names to addresses and addresses to connections, with the system's errors told apart.

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use topology::fault::{Fault, FaultKind, Reason};

use crate::clock::now;
use crate::look::{Look, Stop, seconds, slept};

/// Lookups under way at once: each holds a thread of the blocking pool until the system's resolver gives
/// up, however long ago its probe did.
const LOOKUPS: usize = 16;
/// The second SYN leaves after 1 s; a shorter cap would make an outage of one lost packet.
const LEAST_CONNECT: Duration = Duration::from_millis(1200);

/// The bounded resolver.
pub(crate) struct Names {
    permits: Arc<Semaphore>,
}

impl Names {
    pub(crate) fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(LOOKUPS)) }
    }

    /// The addresses of a name. `getaddrinfo` cannot be cancelled: when this future is dropped the lookup
    /// goes on and keeps its permit, so that a dead resolver costs [`LOOKUPS`] threads and no more.
    async fn lookup(&self, host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(io::Error::other)?;
        let lookup = async move {
            let found = tokio::net::lookup_host((host, port)).await.map(Iterator::collect);
            drop(permit);
            found
        };
        tokio::spawn(lookup).await.map_err(io::Error::other)?
    }
}

/// Where to connect to: the stage `resolve`, which a literal address skips.
pub(crate) async fn resolve(look: &mut Look<'_>) -> Result<Vec<SocketAddr>, Stop> {
    let (host, port) = (look.address.host.as_str(), look.address.port);
    if let Ok(literal) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(literal, port)]);
    }
    let until = look.within(0.25, Duration::ZERO);
    let lookup = look.shared.names.lookup(host.to_owned(), port);
    let fault = |words: &str| Fault::new(FaultKind::Unresolvable, "resolve", words);
    match look.stage("resolve", until, lookup).await {
        Ok(Ok(found)) if found.is_empty() => Err(fault(&format!("{host} has no address")).into()),
        Ok(Ok(found)) => {
            look.put_some("net.resolve_seconds", look.stage_seconds("resolve"));
            Ok(found)
        }
        Ok(Err(error)) => Err(fault(&format!("{host}: {error}")).into()),
        Err(late) => {
            let silent = fault(&format!("{host}: the resolver did not answer"));
            Err(late.or(silent.because(Reason::DnsTimeout).into()))
        }
    }
}

/// Until when a connection may take.
pub(crate) fn connect_limit(look: &Look<'_>) -> Instant {
    look.within(0.6, LEAST_CONNECT)
}

/// A connection to the instance: the stages `resolve` and `tcp`.
pub(crate) async fn connect(look: &mut Look<'_>) -> Result<TcpStream, Stop> {
    let addresses = resolve(look).await?;
    let until = connect_limit(look);
    let stream = match look.stage("tcp", until, connect_any(&addresses, until)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {
            let late = now().saturating_duration_since(until);
            return Err(slept(late).unwrap_or_else(|| io_stop(&error, "tcp")));
        }
        Ok(Err(error)) => return Err(io_stop(&error, "tcp")),
        Err(late) => return Err(late.or(connect_timeout(look))),
    };
    look.put_some("net.connect_seconds", look.stage_seconds("tcp"));
    Ok(stream)
}

/// Tries the addresses in the resolver's order, each with its share of the time.
async fn connect_any(addresses: &[SocketAddr], until: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for (i, address) in addresses.iter().enumerate() {
        let left = until.saturating_duration_since(now());
        let share = left / u32::try_from(addresses.len() - i).unwrap_or(1);
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// The fault of a connection that was not made in time.
pub(crate) fn connect_timeout(look: &Look<'_>) -> Stop {
    let took = look.stages.last().map_or(look.probe.timeout, |stage| stage.took);
    let words = format!("no connection in {}", seconds(took));
    Fault::new(FaultKind::ConnectTimeout, "tcp", &words).into()
}

/// What an error of the system means in a stage.
pub(crate) fn io_stop(error: &io::Error, stage: &'static str) -> Stop {
    use io::ErrorKind as Io;
    let connecting = stage == "tcp";
    // EPERM, ENFILE, EMFILE, EADDRNOTAVAIL, ENOBUFS: this host's trouble.
    if matches!(error.raw_os_error(), Some(1 | 23 | 24 | 99 | 105)) {
        return Stop::Local(error.to_string());
    }
    let fault = match error.kind() {
        Io::ConnectionRefused => Fault::new(FaultKind::Refused, "tcp", "connection refused"),
        Io::HostUnreachable => {
            Fault::new(FaultKind::Unreachable, "tcp", "no route to host").because(Reason::Host)
        }
        Io::NetworkUnreachable => {
            Fault::new(FaultKind::Unreachable, "tcp", "network is unreachable").because(Reason::Network)
        }
        Io::TimedOut if connecting => Fault::new(FaultKind::ConnectTimeout, "tcp", "no connection in time"),
        Io::ConnectionReset => Fault::new(FaultKind::Dropped, stage, "connection reset"),
        Io::TimedOut => Fault::new(FaultKind::Hung, stage, "connected, no answer in time"),
        Io::UnexpectedEof | Io::BrokenPipe | Io::ConnectionAborted | Io::NotConnected => {
            Fault::new(FaultKind::Dropped, stage, "connection closed before an answer")
        }
        _ if connecting => return Stop::Local(error.to_string()),
        Io::InvalidData => Fault::new(FaultKind::Protocol, stage, &error.to_string()),
        _ => Fault::new(FaultKind::Dropped, stage, &error.to_string()),
    };
    fault.into()
}

/// The innermost error of the system in a chain of sources.
pub(crate) fn find_io<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e io::Error> {
    let mut found = None;
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            found = Some(io);
            // `io::Error` hides a wrapped error's own place in the chain.
            next = io.get_ref().map(|inner| inner as &(dyn Error + 'static));
        } else {
            next = error.source();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(errno: i32, stage: &'static str) -> String {
        match io_stop(&io::Error::from_raw_os_error(errno), stage) {
            Stop::Fault(fault) => {
                format!("{} {}", fault.kind, fault.reason.map_or("-", Reason::as_str))
            }
            Stop::Local(_) => "local".to_owned(),
        }
    }

    #[test]
    fn errors_of_the_system_map_as_seen_on_the_wire() {
        let seen: Vec<String> =
            [111, 113, 101, 110, 24, 23, 99, 105, 1].into_iter().map(|errno| kind_of(errno, "tcp")).collect();
        assert_eq!(
            seen,
            [
                "refused -",
                "unreachable host",
                "unreachable network",
                "connect_timeout -",
                "local",
                "local",
                "local",
                "local",
                "local"
            ]
        );
        assert_eq!(kind_of(104, "ask"), "dropped -");
        assert_eq!(kind_of(32, "handshake"), "dropped -");
        assert_eq!(kind_of(110, "ask"), "hung -");
        assert_eq!(kind_of(24, "ask"), "local");
    }

    #[test]
    fn the_innermost_error_is_found() {
        let inner = io::Error::from_raw_os_error(111);
        let outer = io::Error::other(io::Error::other(inner));
        assert_eq!(find_io(&outer).and_then(io::Error::raw_os_error), Some(111));
    }
}
