//! Watching this host: every look at /proc adds what is new to what was seen.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::group::{Observed, services};
use super::processes::Proc;
use super::seen::{Host, Network};
use super::sockets::Socket;

/// From one look to the next, at least: a call without keep-alive lasts some milliseconds.
const PAUSE: Duration = Duration::from_millis(10);
/// How often what is not known is looked for, and all processes are read anew: in looks.
const OFTEN: u32 = 20;

/// A watch that goes on.
pub(crate) struct Watch {
    proc: Proc,
    seen: Observed,
    networks: BTreeMap<u64, Network>,
    /// Sockets whose process is known: each is counted once.
    known: HashSet<u64>,
    /// Sockets that nobody was seen to hold, and how often they were looked for: not for ever.
    missed: HashMap<u64, u8>,
    looks: u32,
    /// Listeners of the last look that nobody was seen to hold.
    foreign: Vec<SocketAddr>,
}

impl Watch {
    pub(crate) fn new(proc: Proc) -> Self {
        Self {
            proc,
            seen: Observed::default(),
            networks: BTreeMap::new(),
            known: HashSet::new(),
            missed: HashMap::new(),
            looks: 0,
            foreign: Vec::new(),
        }
    }

    /// One look.
    pub(crate) fn look(&mut self) {
        // What a process runs changes only while it starts: all are read anew once in a while.
        let known = if self.looks.is_multiple_of(OFTEN) { None } else { Some(&self.seen.processes) };
        let processes = self.proc.processes(known);
        self.looks += 1;
        self.foreign.clear();
        let mut through: BTreeMap<u64, u32> = BTreeMap::new();
        for process in processes.values() {
            through.entry(process.net).or_insert(process.pid);
        }
        let tables: Vec<(u64, Vec<Socket>)> = through
            .iter()
            .map(|(net, pid)| {
                let known =
                    self.networks.entry(*net).or_insert_with(|| Network { id: *net, addresses: Vec::new() });
                if known.addresses.is_empty() {
                    known.addresses = self.proc.addresses(*pid);
                }
                (*net, self.proc.sockets(*pid))
            })
            .collect();
        self.seen.processes.extend(processes);
        let wanted: HashSet<u64> = tables
            .iter()
            .flat_map(|(_, sockets)| sockets)
            .map(|socket| socket.inode)
            .filter(|inode| *inode != 0 && !self.known.contains(inode))
            .filter(|inode| self.missed.get(inode).is_none_or(|times| *times < 3))
            .collect();
        let owners = self.owners(&wanted);
        for (net, sockets) in &tables {
            let listening: HashSet<SocketAddr> =
                sockets.iter().filter(|s| s.listens).map(|s| s.local).collect();
            for socket in sockets {
                self.take(*net, socket, &listening, &owners);
            }
        }
    }

    /// Who holds the sockets `wanted`: those that serve are asked first, since their calls are short.
    fn owners(&self, wanted: &HashSet<u64>) -> HashMap<u64, Vec<u32>> {
        if wanted.is_empty() {
            return HashMap::new();
        }
        let serving: BTreeSet<u32> = self.seen.listeners.values().flatten().copied().collect();
        // A listener is held by several; a connection is found once one is.
        let whole = self.looks % OFTEN == 1;
        self.proc.owners(wanted, &serving, whole)
    }

    fn take(
        &mut self,
        net: u64,
        socket: &Socket,
        listening: &HashSet<SocketAddr>,
        owners: &HashMap<u64, Vec<u32>>,
    ) {
        let Some(pids) = owners.get(&socket.inode) else {
            // A listener that nobody is seen to hold belongs to somebody whose files may not be read.
            let known = socket.inode == 0 || self.known.contains(&socket.inode);
            if !known {
                let times = self.missed.entry(socket.inode).or_default();
                *times = times.saturating_add(1);
                if socket.listens {
                    self.foreign.push(socket.local);
                }
            }
            return;
        };
        self.known.insert(socket.inode);
        if socket.listens {
            self.seen.listeners.entry((net, socket.local)).or_default().extend(pids.iter().copied());
            return;
        }
        let port = socket.local.port();
        let came_to = [
            socket.local,
            SocketAddr::new(unspecified(socket.local, false), port),
            SocketAddr::new(unspecified(socket.local, true), port),
        ]
        .into_iter()
        .find(|at| listening.contains(at));
        if let Some(at) = came_to {
            *self.seen.inbound.entry((net, at)).or_default() += 1;
            return;
        }
        // A socket that several hold was made by the first of them.
        if let Some(pid) = pids.iter().min() {
            *self.seen.talks.entry((*pid, socket.remote)).or_default() += 1;
        }
    }

    /// Looks again and again for `length`, less often where a look takes long.
    pub(crate) async fn run(&mut self, length: Duration) {
        let start = collector::clock::now();
        let passed = |since: jiff::Timestamp| {
            Duration::try_from(collector::clock::now().duration_since(since)).unwrap_or_default()
        };
        loop {
            let before = collector::clock::now();
            self.look();
            let took = passed(before);
            if passed(start) >= length {
                return;
            }
            // A third of one core at most.
            tokio::time::sleep(PAUSE.max(took * 2)).await;
        }
    }

    /// What was seen.
    pub(crate) fn into_host(self, name: Option<String>, length: Duration) -> Host {
        let (services, clients, left_out) = services(&self.seen);
        let used: BTreeSet<u64> = services.iter().map(|service| service.network).collect();
        Host {
            name: name.unwrap_or_else(|| self.proc.host()),
            watched_s: length.as_secs_f64(),
            looks: self.looks,
            complete: self.foreign.is_empty(),
            networks: self.networks.into_values().filter(|network| used.contains(&network.id)).collect(),
            services,
            clients,
            left_out,
        }
    }
}

/// The address that stands for all of a host: of the family of `like`, or of the other one.
fn unspecified(like: SocketAddr, other: bool) -> std::net::IpAddr {
    if like.is_ipv4() == other {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv4Addr::UNSPECIFIED.into()
    }
}
