//! Servers that misbehave.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

/// A listener with something wrong; it ends when it is dropped.
pub(crate) struct Fake {
    pub(crate) port: u16,
    task: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    /// Does `behave` with each connection.
    pub(crate) async fn each<F, Behaving>(behave: F) -> Self
    where
        F: Fn(TcpStream) -> Behaving + Send + 'static,
        Behaving: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(behave(stream));
            }
        });
        Self { port, task }
    }

    /// Takes connections and says nothing.
    pub(crate) async fn silent() -> Self {
        Self::each(|mut stream| async move {
            let mut heard = [0; 1024];
            while matches!(stream.read(&mut heard).await, Ok(read) if read > 0) {}
        })
        .await
    }

    /// Closes each connection at once.
    pub(crate) async fn closing() -> Self {
        Self::each(|stream| async move { drop(stream) }).await
    }

    /// Says `words`, and nothing more.
    pub(crate) async fn saying(words: &'static [u8]) -> Self {
        Self::each(move |mut stream| async move {
            if stream.write_all(words).await.is_ok() {
                listen_on(&mut stream).await;
            }
        })
        .await
    }

    /// Says `first`, and then the same byte for ever; what is HTTP waits to be asked.
    pub(crate) async fn endless(first: &'static [u8], pause: Option<Duration>) -> Self {
        Self::each(move |mut stream| async move {
            if first.starts_with(b"HTTP") {
                stream.read_u8().await.ok();
            }
            let more = if pause.is_some() { &[b'x'; 1][..] } else { &[b'x'; 4096] };
            let mut next = stream.write_all(first).await;
            while next.is_ok() {
                if let Some(pause) = pause {
                    tokio::time::sleep(pause).await;
                }
                next = stream.write_all(more).await;
            }
        })
        .await
    }

    /// Answers each HTTP request with what `page` makes of its head; nothing for no answer.
    pub(crate) async fn web(page: fn(&str) -> Option<String>) -> Self {
        Self::each(move |mut stream| async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => return,
                }
            }
            match page(&String::from_utf8_lossy(&head)) {
                Some(answer) => {
                    stream.write_all(answer.as_bytes()).await.ok();
                    stream.shutdown().await.ok();
                }
                None => listen_on(&mut stream).await,
            }
        })
        .await
    }

    /// Answers request after request on one connection, with what `talk` makes of head and body; an empty
    /// answer closes it.
    pub(crate) async fn talking(talk: impl Fn(&str, &str) -> String + Clone + Send + Sync + 'static) -> Self {
        Self::each(move |mut stream| {
            let talk = talk.clone();
            async move {
                loop {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => return,
                        }
                    }
                    let head = String::from_utf8_lossy(&head).into_owned();
                    let length = head.lines().find_map(|line| {
                        line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()
                    });
                    let mut body = vec![0; length.unwrap_or(0)];
                    stream.read_exact(&mut body).await.ok();
                    let answer = talk(&head, &String::from_utf8_lossy(&body));
                    if answer.is_empty() || stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                    if answer.contains("Connection: close") {
                        return;
                    }
                }
            }
        })
        .await
    }

    /// A page served by another process, so that its CPU is not this one's; it ends with its standard input.
    pub(crate) fn apart(answer: &str) -> u16 {
        let port = crate::support::free_port();
        let script = "import socketserver,sys,os,threading\n\
            class H(socketserver.BaseRequestHandler):\n\
            \x20def handle(self):\n\
            \x20 self.request.recv(65536); self.request.sendall(sys.argv[2].encode())\n\
            class S(socketserver.TCPServer): allow_reuse_address=True; request_queue_size=64\n\
            s=S(('127.0.0.1',int(sys.argv[1])),H)\n\
            threading.Thread(target=lambda:(sys.stdin.read(),os._exit(0)),daemon=True).start()\n\
            print('up',flush=True); s.serve_forever()\n";
        let mut python = std::process::Command::new("python3");
        python.args(["-c", script, &port.to_string(), answer]);
        python.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = python.spawn().unwrap();
        let mut up = [0; 2];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut up).unwrap();
        // Its standard input closes when this process ends.
        std::mem::forget(child);
        port
    }

    /// Answers each datagram with what is no DNS.
    pub(crate) async fn garbling_datagrams() -> Self {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let mut heard = [0; 512];
            while let Ok((_, from)) = socket.recv_from(&mut heard).await {
                socket.send_to(b"not dns", from).await.ok();
            }
        });
        Self { port, task }
    }

    /// Listens, takes nothing, and is full: a SYN gets no answer.
    pub(crate) async fn full() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut kept = Vec::new();
        let limit = Duration::from_millis(500);
        while let Ok(stream) = tokio::time::timeout(limit, TcpStream::connect(address)).await {
            kept.push(stream.unwrap());
        }
        let task = tokio::spawn(async move {
            let _kept = (listener, kept);
            std::future::pending::<()>().await;
        });
        Self { port: address.port(), task }
    }
}

async fn listen_on(stream: &mut TcpStream) {
    let mut heard = [0; 1024];
    while matches!(stream.read(&mut heard).await, Ok(read) if read > 0) {}
}
