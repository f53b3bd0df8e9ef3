//! The stores' long connections to the push centre, over the line in use. When the traffic moves to another
//! line they are ended at once: the stores make new ones, over that line.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{CONNECT, Proxy};

const CONNECTIONS: usize = 4096;

pub(super) async fn start(address: SocketAddrV4, proxy: &Arc<Proxy>, stop: &CancellationToken) -> Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let (proxy, stop) = (Arc::clone(proxy), stop.clone());
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((near, _)) = accepted else {
                // Out of file descriptors: others must end first.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { continue };
            let proxy = Arc::clone(&proxy);
            tokio::spawn(async move {
                proxy.relay(near).await;
                drop(slot);
            });
        }
    });
    Ok(())
}

impl Proxy {
    async fn relay(&self, mut near: TcpStream) {
        let mut in_use = self.in_use.subscribe();
        let index = *in_use.borrow_and_update();
        let Some(line) = self.lines.get(index) else { return };
        let Ok(Ok(mut far)) = timeout(CONNECT, TcpStream::connect(line.long)).await else { return };
        near.set_nodelay(true).and_then(|()| far.set_nodelay(true)).ok();
        tokio::select! {
            // Either side may break off at any time.
            _ = copy_bidirectional(&mut near, &mut far) => {}
            _ = in_use.changed() => {}
        }
    }
}
