//! The stores' own protocol: a length of four bytes, the most significant first, and so many bytes of JSON.

use std::io::{Error, ErrorKind};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Longer is not spoken here: whoever says so speaks another protocol.
const LARGEST: u32 = 4096;

pub(crate) async fn read(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<String> {
    let length = from.read_u32().await?;
    if length > LARGEST {
        return Err(Error::new(ErrorKind::InvalidData, format!("a frame of {length} bytes")));
    }
    let mut bytes = vec![0; length as usize];
    from.read_exact(&mut bytes).await?;
    String::from_utf8(bytes).map_err(|error| Error::new(ErrorKind::InvalidData, error))
}

pub(crate) async fn write(to: &mut (impl AsyncWrite + Unpin), text: &str) -> std::io::Result<()> {
    let mut frame = Vec::with_capacity(text.len() + 4);
    let length =
        u32::try_from(text.len()).ok().filter(|length| *length <= LARGEST).ok_or(ErrorKind::InvalidInput)?;
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(text.as_bytes());
    // One write: two would be two packets.
    to.write_all(&frame).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_is_read_and_what_is_too_long_is_refused() {
        let (mut near, mut far) = tokio::io::duplex(64);
        write(&mut near, "{\"store\":3}").await.unwrap();
        assert_eq!(read(&mut far).await.unwrap(), "{\"store\":3}");
        near.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        assert_eq!(read(&mut far).await.unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
