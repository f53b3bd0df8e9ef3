//! A connection, plain or under TLS, and a limit for what is read of one.

use std::io;
use std::net::TcpStream as StdStream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use topology::fault::{Fault, FaultKind, Reason};

use crate::look::Stop;

/// All that one look may read: far more than any answer to its questions.
pub(crate) const MAX_BYTES: usize = 256 * 1024;

/// A connection to a target.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// The socket under it.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// A second handle of the socket, to see it end while this one lies idle.
    pub(crate) fn second_handle(&self) -> Option<Arc<StdStream>> {
        second_handle(self.socket())
    }
}

/// A second handle of a socket.
pub(crate) fn second_handle(socket: &TcpStream) -> Option<Arc<StdStream>> {
    let handle = socket2::SockRef::from(socket).try_clone().ok()?;
    Some(Arc::new(handle.into()))
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// A stream that ends with an error when too much has been read.
pub(crate) struct Capped<S> {
    stream: S,
    overflow: Overflow,
}

/// How much may still be read of a [`Capped`] stream, and whether it was cut.
#[derive(Clone)]
pub(crate) struct Overflow(Arc<(AtomicUsize, AtomicBool)>);

impl<S> Capped<S> {
    pub(crate) fn new(stream: S, most: usize) -> (Self, Overflow) {
        let overflow = Overflow(Arc::new((AtomicUsize::new(most), AtomicBool::new(false))));
        (Self { stream, overflow: overflow.clone() }, overflow)
    }
}

impl Overflow {
    pub(crate) fn happened(&self) -> bool {
        self.0.1.load(Ordering::Relaxed)
    }

    /// Lets so much be read from now on: a kept connection's next look.
    pub(crate) fn refill(&self, most: usize) {
        self.0.0.store(most, Ordering::Relaxed);
    }

    /// The fault of a stream that was cut.
    pub(crate) fn stop(stage: &'static str) -> Stop {
        let words = format!("an answer of more than {} KiB", MAX_BYTES / 1024);
        Fault::new(FaultKind::BadAnswer, stage, &words).because(Reason::TooLarge).into()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Capped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let read = buffer.filled().len() - before;
        let (left, cut) = &*self.overflow.0;
        // Only this reader takes from it; a refill comes while nothing is read.
        let before = left.load(Ordering::Relaxed);
        left.store(before.saturating_sub(read), Ordering::Relaxed);
        if read > before {
            cut.store(true, Ordering::Relaxed);
            return Poll::Ready(Err(io::Error::other("too many bytes")));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Capped<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
