//! Our connection for a client that takes none.
//!
//! The SQL client dials itself, so it can tell neither a dropped SYN from a silent server, nor a megabyte
//! from a gigabyte: it reserves and reads whatever length a server names. So the probe dials, and lends the
//! client a Unix socket in a directory of the monitor's own; between the two the bytes are counted.

use std::io;
use std::net::TcpStream as StdStream;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use topology::fault::{Fault, FaultKind, Reason};

use crate::dial;
use crate::look::{Look, Stop};
use crate::stream::{self, MAX_BYTES};
use crate::tls_session;

/// The directory of the relays' sockets.
#[derive(Default)]
pub(crate) struct Relays {
    dir: OnceCell<PathBuf>,
    next: AtomicU16,
}

impl Relays {
    /// The directory, made at its first use; nobody else may enter it.
    async fn dir(&self, monitor: &str) -> io::Result<&PathBuf> {
        let making = || async {
            let dir = std::env::temp_dir().join(format!("topowatch-{monitor}"));
            std::fs::DirBuilder::new().mode(0o700).create(&dir)?;
            Ok(dir)
        };
        self.dir.get_or_try_init(making).await
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        if let Some(dir) = self.dir.get() {
            // An error leaves an empty directory behind, and nothing can be done about it here.
            let _removed = std::fs::remove_dir_all(dir);
        }
    }
}

/// One connection to the target, and the socket where the client finds it. The socket's name is the one
/// that PostgreSQL's client makes of a directory and a port.
pub(crate) struct Relay {
    pub(crate) dir: PathBuf,
    pub(crate) number: u16,
    heard: Arc<AtomicUsize>,
    task: JoinHandle<()>,
    /// A second handle of the target's socket, to see it end.
    pub(crate) socket: Option<Arc<StdStream>>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Relay {
    /// Connects: the stages `resolve` and `tcp`.
    pub(crate) async fn open(look: &mut Look<'_>) -> Result<Self, Stop> {
        let target = dial::connect(look).await?;
        let socket = stream::second_handle(&target);
        let local = |error: io::Error| Stop::Local(format!("no relay: {error}"));
        let relays = &look.shared.relays;
        let dir = relays.dir(&look.shared.monitor).await.map_err(local)?.clone();
        let number = relays.next.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(socket_name(number));
        let listener = UnixListener::bind(&path).map_err(local)?;
        let named = Named(path);
        let heard = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            let accepted = listener.accept().await;
            // One client only: the name is gone as soon as it is there, or when the look ends before.
            drop((listener, named));
            if let Ok((client, _)) = accepted {
                pass(client, target, &counter).await;
            }
        });
        Ok(Self { dir, number, heard, task, socket })
    }

    /// The path of the socket.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join(socket_name(self.number))
    }

    /// The next look may read as much again.
    pub(crate) fn refill(&self) {
        self.heard.store(0, Ordering::Relaxed);
    }

    /// What an end of the connection means if the relay made it; and what the target had said before.
    pub(crate) fn explain(&self, stop: Stop) -> Stop {
        let heard = self.heard.load(Ordering::Relaxed);
        match stop {
            Stop::Fault(fault) if heard > MAX_BYTES && fault.kind != FaultKind::Protocol => {
                let words = format!("an answer of more than {} KiB", MAX_BYTES / 1024);
                Fault::new(FaultKind::BadAnswer, fault.stage, &words).because(Reason::TooLarge).into()
            }
            Stop::Fault(mut fault)
                if fault.kind == FaultKind::Hung && fault.stage == "handshake" && heard > 0 =>
            {
                fault.words.push_str(": it greets, the login hangs");
                fault.into()
            }
            // PostgreSQL's client takes an end before the first byte for an answer of zero.
            Stop::Fault(fault) if fault.kind == FaultKind::Protocol && heard == 0 => {
                Fault::new(FaultKind::Dropped, fault.stage, "connection closed before an answer").into()
            }
            stop => stop,
        }
    }

    /// Says goodbye on the connection that goes through this, within what a polite close may take.
    pub(crate) async fn goodbye(mut self, look: &Look<'_>, connection: impl sqlx::Connection) {
        let goodbye = async {
            let closed = connection.close().await;
            // It ends with an error only when it is aborted.
            let _ended = (&mut self.task).await;
            closed
        };
        look.close(goodbye).await;
    }
}

fn socket_name(number: u16) -> String {
    format!(".s.PGSQL.{number}")
}

/// A socket's name, removed with it.
struct Named(PathBuf);

impl Drop for Named {
    fn drop(&mut self) {
        // It may be gone with its directory.
        let _removed = std::fs::remove_file(&self.0);
    }
}

/// What an error means that the server did not send.
pub(crate) fn client_stop(error: &sqlx::Error, stage: &'static str) -> Stop {
    match error {
        sqlx::Error::Io(error) if tls_session::is_tls(error) => tls_session::tls_stop(error),
        sqlx::Error::Io(error) => dial::io_stop(error, stage),
        sqlx::Error::Tls(error) => match dial::find_io(error.as_ref()) {
            Some(io) => tls_session::tls_stop(io),
            None => Fault::new(FaultKind::Tls, "tls", &error.to_string()).into(),
        },
        sqlx::Error::WorkerCrashed => {
            Fault::new(FaultKind::Dropped, stage, "connection closed before an answer").into()
        }
        other => Fault::new(FaultKind::Protocol, stage, &other.to_string()).into(),
    }
}

/// Passes bytes both ways until either side ends, or the target has said too much.
async fn pass(mut client: UnixStream, mut target: TcpStream, heard: &AtomicUsize) {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_target, mut to_target) = target.split();
    let asking = async {
        tokio::io::copy(&mut from_client, &mut to_target).await?;
        to_target.shutdown().await
    };
    let answering = async {
        let mut buffer = vec![0; 8 * 1024];
        loop {
            let read = from_target.read(&mut buffer).await?;
            if read == 0 || heard.fetch_add(read, Ordering::Relaxed) + read > MAX_BYTES {
                return Ok::<(), io::Error>(());
            }
            to_client.write_all(&buffer[..read]).await?;
        }
    };
    tokio::select! {
        _ = asking => {}
        _ = answering => {}
    }
}
