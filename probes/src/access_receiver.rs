//! The receiving end of gateways' access logs: syslog over UDP, one datagram a line. A lost one is a request that
//! is not counted; nothing waits for it, least of all the gateway.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::UdpSocket;

use crate::clock::now;
use crate::ears::Ears;
use crate::log_line;
use crate::prober::{Prober, Shared};

/// The longest line; what is cut is not readable and counted so.
const LONGEST: usize = 8 << 10;
/// What the kernel keeps while this process is busy: some ten thousand lines.
const BACKLOG: usize = 4 << 20;

/// Takes access logs; made before anything is looked at, so that no gateway is told that nobody listens.
#[derive(Debug)]
pub struct AccessLogs {
    socket: UdpSocket,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("monitor", &self.monitor).finish_non_exhaustive()
    }
}

impl AccessLogs {
    /// Listens on `address` for what `prober` is to know.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn bind(prober: &Prober, address: SocketAddr) -> std::io::Result<Self> {
        use socket2::{Domain, Protocol, Socket, Type};
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        // The kernel gives what it allows (net.core.rmem_max); less is no reason to stop.
        if let Err(error) = socket.set_recv_buffer_size(BACKLOG) {
            tracing::debug!(%error, "the receive buffer stays as it is");
        }
        socket.bind(&address.into())?;
        prober.shared.ears.receives();
        Ok(Self { socket: UdpSocket::from_std(socket.into())?, shared: Arc::clone(&prober.shared) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Takes lines until the future is dropped.
    pub async fn run(self) {
        let mut buffer = vec![0; LONGEST];
        loop {
            match self.socket.recv_from(&mut buffer).await {
                Ok((length, peer)) => take(&self.shared.ears, &buffer[..length], peer),
                // An answer to a datagram of ours there is none; of what else goes wrong nothing stays.
                Err(error) => {
                    tracing::warn!(%error, "the access log cannot be received");
                    tokio::time::sleep(crate::ears::PULSE).await;
                }
            }
        }
    }
}

fn take(ears: &Ears, datagram: &[u8], peer: SocketAddr) {
    match log_line::read(datagram) {
        Ok(line) => ears.line(now(), &peer.ip().to_canonical().to_string(), &line),
        Err(unreadable) => {
            ears.unreadable();
            // The first of each power of two: said, and no flood.
            if ears.lines().unreadable.is_power_of_two() {
                tracing::warn!(%peer, "an access log line is not readable: {}", unreadable.0);
            }
        }
    }
}
