//! `/proc/net/tcp` and `/proc/net/tcp6`: the kernel's table of sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A TCP socket of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) listens: bool,
    /// The number by which a process's open files name it; 0 when no process has it any more.
    pub(crate) inode: u64,
}

/// Sockets of one table at most: a million connections are no host that is mapped by looking.
const MAX_SOCKETS: usize = 500_000;

/// The sockets of a table. Lines that are none are passed over: the kernel may add columns, not change these.
pub(crate) fn parse(table: &str) -> Vec<Socket> {
    table.lines().skip(1).take(MAX_SOCKETS).filter_map(socket).collect()
}

fn socket(line: &str) -> Option<Socket> {
    let mut words = line.split_ascii_whitespace();
    let (local, remote, state) = (words.nth(1)?, words.next()?, words.next()?);
    let inode = words.nth(5)?.parse().ok()?;
    let state = u8::from_str_radix(state, 16).ok()?;
    // Established, SYN sent, FIN wait 1 and 2, close wait, last ack; a listener is 10.
    let listens = state == 10;
    if !listens && !matches!(state, 1 | 2 | 4 | 5 | 8 | 9) {
        return None;
    }
    Some(Socket { local: address(local)?, remote: address(remote)?, listens, inode })
}

/// `0100007F:1F90`: the address in words of the host's byte order, the port in that of the net.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for part in 0..4 {
                bytes[part * 4..part * 4 + 4].copy_from_slice(&word(part * 8)?);
            }
            plain(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// An IPv4 address in its IPv6 clothes as itself.
pub(crate) fn plain(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}

/// The host's own addresses, from `fib_trie` (each stands above `/32 host LOCAL`) and `if_inet6`.
pub(crate) fn own_addresses(fib_trie: &str, if_inet6: &str) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = Vec::new();
    let mut last = None;
    for line in fib_trie.lines() {
        if let Some((_, ip)) = line.rsplit_once("-- ") {
            last = ip.trim().parse::<Ipv4Addr>().ok();
        } else if line.contains("/32 host LOCAL")
            && let Some(ip) = last
            && !found.contains(&IpAddr::V4(ip))
        {
            found.push(IpAddr::V4(ip));
        }
    }
    for line in if_inet6.lines() {
        let hexadecimal = line.split_ascii_whitespace().next().unwrap_or_default();
        if let Ok(bits) = u128::from_str_radix(hexadecimal, 16) {
            found.push(IpAddr::V6(Ipv6Addr::from(bits)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0000000000000000 100 0 0 10 0
   1: 0100007F:C350 0200000A:1538 01 00000000:00000000 00:00000000 00000000  1000        0 4243 1 0000000000000000 20 4 30 10 -1
   2: 0100007F:C351 0200000A:1538 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0000000000000000
   nonsense
";

    #[test]
    fn listeners_and_connections_are_read_and_what_waits_for_its_end_is_not() {
        // The bytes of the table are those of a machine with the little end first.
        if cfg!(target_endian = "little") {
            let shown: Vec<String> = parse(TABLE)
                .iter()
                .map(|s| format!("{} {} {} {}", s.local, s.remote, s.listens, s.inode))
                .collect();
            assert_eq!(
                shown,
                ["127.0.0.1:8080 0.0.0.0:0 true 4242", "127.0.0.1:50000 10.0.0.2:5432 false 4243"]
            );
            let six = "0000000000000000FFFF00000100007F:0050";
            assert_eq!(address(six).map(|a| a.to_string()).as_deref(), Some("127.0.0.1:80"));
            assert_eq!(address("00000000000000000000000001000000:0050").unwrap().to_string(), "[::1]:80");
        }
        assert_eq!(parse("").len(), 0);
        assert_eq!(address("xyz:1"), None);
    }

    #[test]
    fn own_addresses_come_from_the_routing_table() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.7\n        /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        let six = "00000000000000000000000000000001 01 80 10 80       lo\n";
        let shown: Vec<String> = own_addresses(trie, six).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.0.0.7", "127.0.0.1", "::1"]);
    }

    proptest::proptest! {
        #[test]
        fn no_table_makes_it_panic(table in "\\PC{0,200}") {
            let _ = (parse(&format!("head\n{table}")), own_addresses(&table, &table));
        }
    }
}
