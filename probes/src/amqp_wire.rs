//! Frames of AMQP 0-9-1 on a stream of ours, each bounded before it is read.

use std::io;

use amq_protocol::frame::{AMQPFrame, WriteContext, gen_frame, parse_frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};

use crate::stream::Stream;

/// The largest frame that is agreed to, and read.
pub(crate) const MAX_FRAME: u32 = 128 * 1024;

/// Why a frame could not be read or written.
#[derive(Debug)]
pub(crate) enum Garbled {
    /// The connection failed.
    Io(io::Error),
    /// The bytes are not AMQP's.
    NotAmqp,
    /// A frame larger than agreed.
    TooLarge,
    /// The broker speaks another version.
    Version(String),
}

impl From<io::Error> for Garbled {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A stream of frames.
pub(crate) struct Wire {
    stream: BufReader<Stream>,
}

impl Wire {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream: BufReader::with_capacity(4 * 1024, stream) }
    }

    pub(crate) fn stream(&self) -> &Stream {
        self.stream.get_ref()
    }

    /// Writes frames, all at once.
    pub(crate) async fn send(&mut self, frames: &[AMQPFrame]) -> Result<(), Garbled> {
        let mut bytes = Vec::new();
        for frame in frames {
            let context = WriteContext { write: std::mem::take(&mut bytes), position: 0 };
            let made = gen_frame(frame)(context);
            bytes = made.map_err(|error| io::Error::other(error.to_string()))?.write;
        }
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// The next frame.
    pub(crate) async fn receive(&mut self) -> Result<AMQPFrame, Garbled> {
        let mut head = [0; 7];
        let first = self.stream.read_u8().await?;
        if first == b'A' {
            // "AMQP" and a version: the broker offers what it speaks instead, and closes.
            let mut offer = [0; 7];
            self.stream.read_exact(&mut offer).await?;
            return match offer {
                [b'M', b'Q', b'P', _, major, minor, revision] => {
                    Err(Garbled::Version(format!("{major}-{minor}-{revision}")))
                }
                _ => Err(Garbled::NotAmqp),
            };
        }
        if !matches!(first, 1..=3 | 8) {
            return Err(Garbled::NotAmqp);
        }
        self.stream.read_exact(&mut head[1..]).await?;
        head[0] = first;
        let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
        if size > MAX_FRAME {
            return Err(Garbled::TooLarge);
        }
        let mut frame = head.to_vec();
        // What has come so far is read as it comes: a size alone reserves nothing.
        let whole = (&mut self.stream).take(u64::from(size) + 1).read_to_end(&mut frame).await?;
        if whole as u64 != u64::from(size) + 1 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        match parse_frame(frame.as_slice()) {
            Ok(([], frame)) => Ok(frame),
            _ => Err(Garbled::NotAmqp),
        }
    }
}
