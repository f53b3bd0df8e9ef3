//! Asking for TLS in a protocol that begins without it.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Why there is no TLS.
#[derive(Debug)]
pub(crate) enum No {
    /// The connection failed.
    Io(io::Error),
    /// The server says no.
    Refused(&'static str),
    /// It does not speak the protocol.
    Other(&'static str),
}

impl From<io::Error> for No {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Asks; afterwards the TLS handshake is next.
pub(crate) async fn ask(protocol: &str, stream: &mut TcpStream) -> Result<(), No> {
    match protocol {
        "postgres" => postgres(stream).await,
        "mysql" => mysql(stream).await,
        "smtp" => smtp(stream).await,
        _ => Ok(()),
    }
}

/// `SSLRequest`: eight bytes, answered by one. It leaves no line in the log.
async fn postgres(stream: &mut TcpStream) -> Result<(), No> {
    stream.write_all(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]).await?;
    match stream.read_u8().await? {
        b'S' => Ok(()),
        b'N' => Err(No::Refused("the server has TLS switched off")),
        _ => Err(No::Other("the answer to SSLRequest is not PostgreSQL's")),
    }
}

/// The server greets; the answer asks for TLS and nothing else.
async fn mysql(stream: &mut TcpStream) -> Result<(), No> {
    const PROTOCOL_41: u32 = 0x200;
    const SSL: u32 = 0x800;
    const SECURE: u32 = 0x8000;
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let length = usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16;
    if !(32..=512).contains(&length) || head[3] != 0 {
        return Err(No::Other("the greeting is not MySQL's"));
    }
    let mut greeting = vec![0; length];
    stream.read_exact(&mut greeting).await?;
    // Protocol 10, the version as text, four bytes of thread, eight of salt, a zero, two of capabilities.
    let version = greeting.iter().position(|byte| *byte == 0).filter(|_| greeting.first() == Some(&10));
    let capabilities = version.and_then(|end| greeting.get(end + 14..end + 16));
    let Some([low, high]) = capabilities else { return Err(No::Other("the greeting is not MySQL's")) };
    if u32::from(u16::from_le_bytes([*low, *high])) & SSL == 0 {
        return Err(No::Refused("the server has TLS switched off"));
    }
    let mut asking = vec![32, 0, 0, 1];
    asking.extend_from_slice(&(PROTOCOL_41 | SSL | SECURE).to_le_bytes());
    asking.extend_from_slice(&(1_u32 << 24).to_le_bytes());
    asking.push(45);
    asking.resize(4 + 32, 0);
    stream.write_all(&asking).await?;
    Ok(())
}

async fn smtp(stream: &mut TcpStream) -> Result<(), No> {
    reply(stream, "220").await?;
    stream.write_all(b"EHLO topowatch\r\n").await?;
    reply(stream, "250").await?;
    stream.write_all(b"STARTTLS\r\n").await?;
    match reply(stream, "220").await {
        Err(No::Other(_)) => Err(No::Refused("the server takes no STARTTLS")),
        other => other,
    }
}

/// A reply of one line or more; the last has a space after its code.
async fn reply(stream: &mut TcpStream, code: &str) -> Result<(), No> {
    const LONGEST: usize = 4096;
    let mut line = Vec::new();
    let mut read = 0;
    while read < LONGEST {
        // Byte by byte: what follows the last line belongs to TLS.
        let byte = stream.read_u8().await?;
        read += 1;
        if byte != b'\n' {
            line.push(byte);
            continue;
        }
        if !line.starts_with(code.as_bytes()) {
            return Err(No::Other("not the reply of SMTP that was expected"));
        }
        if line.get(code.len()) != Some(&b'-') {
            return Ok(());
        }
        line.clear();
    }
    Err(No::Other("a reply of SMTP without end"))
}
