//! The sentinel: a connection that lies idle beside the probes, and tells when the other side ends it.
//!
//! When a process dies its kernel ends its connections within a millisecond. The end is a hint, never a
//! verdict: servers close idle connections for good reasons. Databases are watched on the logged-in kept
//! connection, never on a bare one: `MySQL` blocks hosts that connect and do not log in.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, Interest};
use tokio::net::TcpStream;
use topology::kind::{OptionForm, OptionSpec};
use topology::model::{Address, Probe};

use crate::clock::now;
use crate::kept::Policy;
use crate::look::{Look, Stop};
use crate::prober::Prober;
use crate::registry;

/// Where the idle connection would do harm: a server with one worker for each connection.
pub(crate) const SENTINEL: OptionSpec = OptionSpec {
    name: "sentinel",
    form: OptionForm::Word(&["on", "off"]),
    default: Some("on"),
    help: "Whether an idle connection may be held, to see at once that the process ends; off for servers \
           with a worker for each connection.",
};

/// For kinds whose servers often have a worker for each connection: there an idle one would take a worker away
/// from the users, so it has to be asked for.
pub(crate) const SENTINEL_ON_WISH: OptionSpec = OptionSpec {
    default: Some("off"),
    help: "Whether an idle connection may be held, to see at once that the process ends; not for servers \
           with a worker for each connection.",
    ..SENTINEL
};

/// How a sentinel ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SentinelEnd {
    /// The other side ended the idle connection, or spoke on it unasked: the probe is due.
    Ended {
        /// How long the connection had been there.
        after: Duration,
    },
    /// No connection could be made: the probes tell why.
    NotMade,
    /// This probe has no sentinel: its kind has no connections, it is switched off, or connections are not
    /// kept.
    Unsupported,
}

/// What a kind's sentinel is.
pub(crate) enum Idle {
    /// It has none.
    Nothing,
    /// The probes' own kept connection.
    Kept,
    /// A connection of its own: made and held until it ends, which is `Ok`.
    Own(for<'l, 'a> fn(&'l mut Look<'a>) -> registry::Looking<'l>),
}

impl Prober {
    /// Waits until an idle connection to the instance ends. Cheap to hold: one socket, no timer. For a kept
    /// connection it waits for the first look to make one.
    pub async fn sentinel(&self, probe: &Probe, address: &Address, instance: &str) -> SentinelEnd {
        let Some(kind) = registry::find(probe.kind.name) else { return SentinelEnd::Unsupported };
        if probe.text("sentinel") == Some("off") {
            return SentinelEnd::Unsupported;
        }
        let began = now();
        match kind.idle {
            Idle::Nothing => SentinelEnd::Unsupported,
            Idle::Kept if Policy::of(probe, Policy::Kept) == Policy::Fresh => SentinelEnd::Unsupported,
            Idle::Kept => {
                let memory = &self.shared.memory;
                let key = memory.key(probe, address, instance);
                loop {
                    let moves = memory.moved(key, now());
                    let moved = moves.notified();
                    let Some(socket) = memory.idle_socket(key) else {
                        moved.await;
                        continue;
                    };
                    let same =
                        || memory.idle_socket(key).is_some_and(|now| std::sync::Arc::ptr_eq(&now, &socket));
                    let Ok(watched) = socket.try_clone().and_then(TcpStream::from_std) else {
                        return SentinelEnd::NotMade;
                    };
                    if let Some(end) = self.watch(&watched, same, moved).await {
                        return if end { SentinelEnd::Ended { after: now() - began } } else { continue };
                    }
                }
            }
            Idle::Own(hold) => {
                let mut look = Look::new(probe, address, instance, &self.shared);
                match hold(&mut look).await {
                    Ok(()) => SentinelEnd::Ended { after: now() - began },
                    Err(_) => SentinelEnd::NotMade,
                }
            }
        }
    }

    /// Waits for the end of a kept connection while it lies idle; `None` when it is another one by now.
    async fn watch(
        &self,
        socket: &TcpStream,
        same: impl Fn() -> bool,
        moved: impl Future<Output = ()>,
    ) -> Option<bool> {
        let mut moved = std::pin::pin!(moved);
        tokio::select! {
            () = &mut moved => None,
            ended = ended(socket) => {
                if same() {
                    return Some(ended);
                }
                // A look has it: its answers are what was seen. It comes back when the look ends.
                moved.await;
                None
            }
        }
    }
}

/// Waits until the other side has closed, or has spoken.
async fn ended(socket: &TcpStream) -> bool {
    let seen = socket
        .async_io(Interest::READABLE, || {
            let mut byte = [std::mem::MaybeUninit::uninit(); 1];
            socket2::SockRef::from(socket).peek(&mut byte)
        })
        .await;
    seen.is_ok() || seen.is_err_and(|error| error.kind() != io::ErrorKind::Interrupted)
}

/// Reads what comes, and drops it, until the other side closes.
pub(crate) async fn until_closed(mut stream: impl AsyncRead + Unpin) -> Result<(), Stop> {
    /// Bytes that an idle connection may bring.
    const CHATTER: usize = 64 * 1024;
    let mut buffer = [0; 512];
    let mut heard = 0;
    while heard < CHATTER {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return Ok(()),
            Ok(read) => heard += read,
        }
    }
    Ok(())
}
