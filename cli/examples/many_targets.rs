//! Any number of web servers in one process, for `make bench`: it answers on every loopback address, and tells how
//! regularly each was asked. Those under 127.30.0.0/16 take connections and never answer.
//!
//! Prints its port. A line on its standard input begins the measuring; at its end it prints
//! `checks targets gaps gap_p50 gap_p99 gap_max`, the gaps being how far, in seconds, the time between two checks of one target was from
//! the median of all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\
                        Connection: close\r\n\r\n{\"status\":\"pass\"}";

#[derive(Default)]
struct Asked {
    measuring: bool,
    checks: u64,
    last: HashMap<IpAddr, Instant>,
    gaps: Vec<f64>,
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "its answer")]
async fn main() -> anyhow::Result<()> {
    let socket = TcpSocket::new_v4()?;
    // Every address of this machine's own loopback, and nobody from outside.
    socket.bind_device(Some(b"lo"))?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::UNSPECIFIED, 0).into())?;
    let listener = socket.listen(4096)?;
    println!("{}", listener.local_addr()?.port());
    let asked = Arc::new(Mutex::new(Asked::default()));
    let (told, mut lines) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if told.send(line).is_err() {
                break;
            }
        }
    });
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    tokio::spawn(answer(stream, Arc::clone(&asked)));
                }
            }
            line = lines.recv() => match line {
                Some(_) => *asked.lock().unwrap_or_else(PoisonError::into_inner) =
                    Asked { measuring: true, ..Asked::default() },
                None => break,
            }
        }
    }
    let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
    let (checks, targets) = (asked.checks, asked.last.len());
    let gaps = &mut asked.gaps;
    gaps.sort_unstable_by(f64::total_cmp);
    let Some(middle) = gaps.get(gaps.len() / 2).copied() else {
        println!("{checks} {targets} 0 0 0 0");
        return Ok(());
    };
    let mut off: Vec<f64> = gaps.iter().map(|gap| (gap - middle).abs()).collect();
    off.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| off[((off.len() as f64 * share) as usize).min(off.len() - 1)];
    println!("{checks} {targets} {} {:.4} {:.4} {:.4}", off.len(), at(0.5), at(0.99), at(1.0));
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a program of its own, and this is its clock")]
async fn answer(mut stream: TcpStream, asked: Arc<Mutex<Asked>>) {
    let now = Instant::now();
    let Ok(to) = stream.local_addr().map(|address| address.ip()) else { return };
    if matches!(to, IpAddr::V4(ip) if ip.octets()[1] == 30) {
        tokio::time::sleep(Duration::from_mins(1)).await;
        return;
    }
    let mut request = [0; 2048];
    let mut read = 0;
    while read < request.len() && !request[..read].ends_with(b"\r\n\r\n") {
        match stream.read(&mut request[read..]).await {
            Ok(0) | Err(_) => return,
            Ok(more) => read += more,
        }
    }
    {
        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.measuring {
            asked.checks += 1;
            if let Some(before) = asked.last.insert(to, now) {
                let gap = (now - before).as_secs_f64();
                asked.gaps.push(gap);
            }
        }
    }
    // Whoever has gone meanwhile needs no answer.
    let _sent = stream.write_all(ANSWER).await;
    let _closed = stream.shutdown().await;
}
