//! The TLS side of a process that strangers call over the open net.

use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::serve::Listener;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::certificates::Identity;

const HANDSHAKE: Duration = Duration::from_secs(2);
/// Handshakes under way. One more has to wait on the kernel's queue.
const AT_ONCE: usize = 128;

/// Hands out connections whose handshake is done: a slow one keeps nobody else waiting.
pub(super) struct TlsListener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl TlsListener {
    pub(super) async fn bind(address: SocketAddrV4, identity: &Identity) -> Result<Self> {
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        let acceptor = TlsAcceptor::from(Arc::new(config(identity)?));
        let (hand_over, ready) = mpsc::channel(AT_ONCE);
        tokio::spawn(accept_all(listener, acceptor, hand_over));
        Ok(Self { ready, address: address.into() })
    }
}

fn config(identity: &Identity) -> Result<ServerConfig> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(identity.certificate.as_bytes())
        .collect::<std::result::Result<_, _>>()
        .context("cannot read the certificate")?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).context("cannot read its key")?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    config.context("cannot speak TLS with this certificate")
}

async fn accept_all(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    hand_over: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        let Ok((stream, from)) = listener.accept().await else {
            // Out of file descriptors: others must end first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (acceptor, hand_over) = (acceptor.clone(), hand_over.clone());
        tokio::spawn(async move {
            if let Ok(Ok(stream)) = timeout(HANDSHAKE, acceptor.accept(stream)).await {
                hand_over.send((stream, from)).await.ok();
            }
            drop(slot);
        });
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // Nobody accepts any more, and nobody may be told of that here.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}
