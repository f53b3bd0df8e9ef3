//! How an unknown server greets: asked only when a person asks for it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::seen::Seen;

/// Some wait for the client to speak first: they say nothing within this.
const PATIENCE: Duration = Duration::from_millis(300);
/// So much of a greeting tells who it is.
const LENGTH: usize = 64;

/// Asks every service that is known by its port alone.
pub(super) async fn greet(seen: &mut Seen) {
    for host in &mut seen.hosts {
        for service in host.services.iter_mut().filter(|service| service.kind == "tcp") {
            let Some(at) = service.listens.first() else { continue };
            let ip = if at.ip().is_unspecified() { std::net::Ipv4Addr::LOCALHOST.into() } else { at.ip() };
            let Some(words) = hear(SocketAddr::new(ip, at.port())).await else { continue };
            if let Some(kind) = kind_of(&words) {
                kind.clone_into(&mut service.kind);
            }
            service.greeting = Some(
                String::from_utf8_lossy(&words)
                    .chars()
                    .map(|c| if c.is_control() { ' ' } else { c })
                    .collect(),
            );
        }
    }
}

async fn hear(at: SocketAddr) -> Option<Vec<u8>> {
    let mut stream = timeout(PATIENCE, TcpStream::connect(at)).await.ok()?.ok()?;
    let mut words = vec![0; LENGTH];
    let length = timeout(PATIENCE, stream.read(&mut words)).await.ok()?.ok()?;
    words.truncate(length);
    (length > 0).then_some(words)
}

/// The probe kind for a greeting, where it tells.
fn kind_of(words: &[u8]) -> Option<&'static str> {
    // MySQL: a packet number 0 and protocol 10, or an error packet.
    if words.len() > 5 && words[3] == 0 && (words[4] == 10 || words[4] == 0xff) {
        return Some("mysql");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_tells_who_it_is() {
        assert_eq!(kind_of(b"\x4a\0\0\0\x0a8.0.36\0"), Some("mysql"));
        assert_eq!(kind_of(b"220 mail ESMTP"), None);
        assert_eq!(kind_of(b""), None);
    }
}
