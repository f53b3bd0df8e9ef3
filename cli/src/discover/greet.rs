//! How an unknown server greets: asked only when a person asks for it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
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
            let Some(words) = hear(SocketAddr::new(ip, at.port()), PATIENCE, PATIENCE).await else {
                continue;
            };
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

/// What a server says by itself within `unasked`, else what it answers to a question within `patience`.
async fn hear(at: SocketAddr, unasked: Duration, patience: Duration) -> Option<Vec<u8>> {
    let mut stream = timeout(patience, TcpStream::connect(at)).await.ok()?.ok()?;
    let mut words = vec![0; LENGTH];
    let mut length = timeout(unasked, stream.read(&mut words)).await;
    if length.is_err() {
        // It waits for us to speak first, as HTTP does.
        let question = format!("HEAD / HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
        timeout(patience, stream.write_all(question.as_bytes())).await.ok()?.ok()?;
        length = timeout(patience, stream.read(&mut words)).await;
    }
    let length = length.ok()?.ok()?;
    words.truncate(length);
    (length > 0).then_some(words)
}

/// The probe kind for a greeting, where it tells.
fn kind_of(words: &[u8]) -> Option<&'static str> {
    if words.starts_with(b"HTTP/1.") {
        return Some("http");
    }
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

    #[tokio::test]
    async fn who_waits_for_a_question_is_asked_one() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let serve = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 4];
            stream.read_exact(&mut asked).await.unwrap();
            stream.write_all(b"HTTP/1.1 404 Not Found\r\n\r\n").await.unwrap();
            asked
        });
        assert_eq!(
            kind_of(&hear(at, Duration::from_millis(20), Duration::from_mins(1)).await.unwrap()),
            Some("http")
        );
        assert_eq!(&serve.await.unwrap(), b"HEAD");
    }
}
