//! `icmp`: echo requests, without a privilege where the kernel allows it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use topology::fault::{Fault, FaultKind};
use topology::kind::{KindSpec, OptionForm, OptionSpec, SignalSpec};

use crate::clock::now;
use crate::dial;
use crate::look::{Look, Stop};
use crate::spec::{RATIO, SECONDS, TOTAL};

/// Between two packets.
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) static SPEC: KindSpec = KindSpec {
    name: "icmp",
    summary: "Pings a host: a canary of a line, and evidence whether a host or a process is gone. A hung host \
              often still answers: never the only probe of a service. It needs no privilege where \
              net.ipv4.ping_group_range holds the monitor's group. The port of the address is not used.",
    options: &[OptionSpec {
        name: "packets",
        form: OptionForm::Count,
        default: Some("3"),
        help: "How many, 200 ms apart as far as the timeout allows; 1 to 10.",
    }],
    signals: &[
        SignalSpec {
            name: "icmp.rtt_seconds",
            key: "rtt",
            help: "The best round trip. No default: it is the line's.",
            ..SECONDS
        },
        SignalSpec {
            name: "icmp.loss_ratio",
            key: "loss",
            yellow: Some(0.34),
            red: Some(1.0),
            help: "Packets without an answer. Our choice; all of them lost is no connection.",
            ..RATIO
        },
        TOTAL,
    ],
    ..KindSpec::EMPTY
};

pub(crate) async fn probe(look: &mut Look<'_>) -> Result<(), Stop> {
    let addresses = dial::resolve(look).await?;
    let target = *addresses.first().ok_or_else(|| Stop::Local("no address".to_owned()))?;
    let socket = open(target).map_err(|error| forbidden(&error))?;
    let packets = look.probe.count("packets").unwrap_or(3).clamp(1, 10);
    // The last packet keeps half of the time for its answer.
    let pause = PAUSE.min(look.probe.timeout / 2 / u32::try_from(packets).unwrap_or(10));
    let nonce = look.shared.nonce();
    let mut tally = Tally::default();
    let until = look.deadline();
    let pinging = ping(&socket, target.is_ipv6(), packets, pause, nonce.as_bytes(), &mut tally);
    let ended = look.stage("ask", until, pinging).await;
    if let Ok(Err(error)) = ended {
        return Err(dial::io_stop(&error, "tcp"));
    }
    if tally.received == 0 {
        let words = format!("none of {} pings was answered; they may be filtered", tally.sent.max(1));
        return Err(Fault::new(FaultKind::ConnectTimeout, "ask", &words).into());
    }
    look.put_some("icmp.rtt_seconds", tally.best.map(|best| best.as_secs_f64()));
    look.put("icmp.loss_ratio", 1.0 - f64::from(tally.received) / f64::from(tally.sent));
    Ok(())
}

/// A datagram socket like any other, once it is made.
fn open(target: SocketAddr) -> io::Result<UdpSocket> {
    let (domain, protocol) = match target.ip() {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(protocol))?;
    socket.set_nonblocking(true)?;
    socket.connect(&SocketAddr::new(target.ip(), 0).into())?;
    UdpSocket::from_std(socket.into())
}

/// The kernel forbids ping sockets by default on some systems: that is this host's setting.
fn forbidden(error: &io::Error) -> Stop {
    if error.raw_os_error() == Some(13) {
        return Stop::Local(
            "this host forbids pings without privilege: set net.ipv4.ping_group_range to hold the monitor's group, \
             as in sysctl -w net.ipv4.ping_group_range=\"0 2147483647\""
                .to_owned(),
        );
    }
    dial::io_stop(error, "tcp")
}

#[derive(Default)]
struct Tally {
    sent: u16,
    received: u16,
    best: Option<Duration>,
}

/// Sends all, and reads until all are back. The kernel sets the identifier and the checksum.
async fn ping(
    socket: &UdpSocket,
    v6: bool,
    packets: u64,
    pause: Duration,
    nonce: &[u8],
    tally: &mut Tally,
) -> io::Result<()> {
    let mut sent_at = Vec::new();
    let mut answered = vec![false; packets as usize];
    while u64::from(tally.received) < packets {
        if (sent_at.len() as u64) < packets {
            let number = tally.sent.to_be_bytes();
            let kind = if v6 { 128 } else { 8 };
            let packet = [&[kind, 0, 0, 0, 0, 0, number[0], number[1]][..], nonce].concat();
            socket.send(&packet).await?;
            sent_at.push(now());
            tally.sent += 1;
        }
        let waiting = receive(socket, nonce);
        let heard = if (sent_at.len() as u64) < packets {
            match tokio::time::timeout(pause, waiting).await {
                Ok(heard) => heard?,
                Err(_) => continue,
            }
        } else {
            waiting.await?
        };
        if let Some((at, done)) = sent_at.get(heard).zip(answered.get_mut(heard))
            && !std::mem::replace(done, true)
        {
            tally.received += 1;
            let took = now() - *at;
            tally.best = Some(tally.best.map_or(took, |best| best.min(took)));
        }
        if (sent_at.len() as u64) < packets {
            tokio::time::sleep(pause).await;
        }
    }
    Ok(())
}

/// The number of the next answer to one of ours.
async fn receive(socket: &UdpSocket, nonce: &[u8]) -> io::Result<usize> {
    loop {
        let mut buffer = [0; 256];
        let read = socket.recv(&mut buffer).await?;
        // An echo reply, of IPv4 or IPv6, with our own words in it.
        if let Some([0 | 129, _, _, _, _, _, high, low, words @ ..]) = buffer.get(..read)
            && words == nonce
        {
            return Ok(usize::from(u16::from_be_bytes([*high, *low])));
        }
    }
}
