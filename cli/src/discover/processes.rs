//! The processes of this host, and the sockets that are theirs.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::sockets::{Socket, own_addresses, parse};

/// A process, as /proc shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    /// The name the kernel has of it, 15 bytes.
    pub(crate) comm: String,
    /// The file it runs.
    pub(crate) exe: String,
    pub(crate) arguments: Vec<String>,
    /// The systemd unit it belongs to, without `.service`.
    pub(crate) unit: Option<String>,
    /// The network namespace.
    pub(crate) net: u64,
}

/// Bytes of one file of /proc at most.
const MAX_BYTES: usize = 64 << 20;

/// /proc, or a picture of it.
pub(crate) struct Proc {
    root: PathBuf,
}

impl Proc {
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// All processes that may be looked at; those in `known` as they are known.
    pub(crate) fn processes(&self, known: Option<&BTreeMap<u32, Process>>) -> BTreeMap<u32, Process> {
        let one = |pid: u32| known.and_then(|known| known.get(&pid)).cloned().or_else(|| self.process(pid));
        self.pids().into_iter().filter_map(|pid| Some((pid, one(pid)?))).collect()
    }

    fn pids(&self) -> Vec<u32> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }

    /// One process; none when it is gone, or a thread of the kernel.
    pub(crate) fn process(&self, pid: u32) -> Option<Process> {
        let dir = self.root.join(pid.to_string());
        let stat = text(&dir.join("stat"))?;
        // The name stands in parentheses and may hold some itself.
        let (head, rest) = stat.rsplit_once(')')?;
        let comm = head.split_once('(')?.1.to_owned();
        let mut words = rest.split_ascii_whitespace();
        if words.next()? == "Z" {
            return None;
        }
        let parent = words.next()?.parse().ok()?;
        let link = |name: &str| fs::read_link(dir.join(name)).ok().map(|path| path.display().to_string());
        let line = fs::read(dir.join("cmdline")).ok()?;
        if line.is_empty() {
            return None;
        }
        let arguments = line.split(|b| *b == 0).filter(|word| !word.is_empty()).take(64);
        let unit = text(&dir.join("cgroup")).and_then(|cgroup| unit_of(&cgroup));
        Some(Process {
            pid,
            parent,
            exe: link("exe").map(|exe| exe.trim_end_matches(" (deleted)").to_owned()).unwrap_or_default(),
            arguments: arguments.map(|word| String::from_utf8_lossy(word).into_owned()).collect(),
            unit,
            // One that hides its namespace is in ours, as far as anybody can tell.
            net: link("ns/net")
                .or_else(|| self.own_net())
                .and_then(|link| inode_of(&link))
                .unwrap_or_default(),
            comm,
        })
    }

    fn own_net(&self) -> Option<String> {
        fs::read_link(self.root.join("self/ns/net")).ok().map(|path| path.display().to_string())
    }

    /// The sockets of a network namespace, through a process in it.
    pub(crate) fn sockets(&self, pid: u32) -> Vec<Socket> {
        let dir = self.root.join(pid.to_string()).join("net");
        let mut all = text(&dir.join("tcp")).map(|table| parse(&table)).unwrap_or_default();
        all.extend(text(&dir.join("tcp6")).map(|table| parse(&table)).unwrap_or_default());
        all
    }

    /// The addresses of a network namespace.
    pub(crate) fn addresses(&self, pid: u32) -> Vec<IpAddr> {
        let dir = self.root.join(pid.to_string()).join("net");
        let read = |name: &str| text(&dir.join(name)).unwrap_or_default();
        own_addresses(&read("fib_trie"), &read("if_inet6"))
    }

    /// Which processes hold which of the sockets `wanted`; `first` are asked first. Unless all holders are wanted, the
    /// search ends once each socket has one.
    pub(crate) fn owners(
        &self,
        wanted: &HashSet<u64>,
        first: &BTreeSet<u32>,
        all: bool,
    ) -> HashMap<u64, Vec<u32>> {
        let mut owners: HashMap<u64, Vec<u32>> = HashMap::new();
        let others = self.pids().into_iter().filter(|pid| !first.contains(pid));
        for pid in first.iter().copied().chain(others) {
            if !all && owners.len() == wanted.len() {
                break;
            }
            let files =
                fs::read_dir(self.root.join(pid.to_string()).join("fd")).into_iter().flatten().flatten();
            for file in files {
                let Ok(link) = fs::read_link(file.path()) else { continue };
                let Some(inode) = link.to_str().filter(|link| link.starts_with("socket:")).and_then(inode_of)
                else {
                    continue;
                };
                if wanted.contains(&inode) {
                    let all = owners.entry(inode).or_default();
                    if !all.contains(&pid) {
                        all.push(pid);
                    }
                }
            }
        }
        owners
    }

    /// The host's name.
    pub(crate) fn host(&self) -> String {
        let name = text(&self.root.join("sys/kernel/hostname")).unwrap_or_default();
        let name = name.trim();
        if name.is_empty() { "host".to_owned() } else { name.to_owned() }
    }
}

fn text(path: &Path) -> Option<String> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    fs::File::open(path).ok()?.take(MAX_BYTES as u64).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// `net:[4026531840]` and `socket:[4242]`.
fn inode_of(link: &str) -> Option<u64> {
    link.split_once('[')?.1.strip_suffix(']')?.parse().ok()
}

/// `0::/system.slice/orders.service` is `orders`. What belongs to a person's session is nobody's unit.
fn unit_of(cgroup: &str) -> Option<String> {
    cgroup.lines().find_map(|line| {
        let path = line.rsplit(':').next()?;
        if !path.contains("system.slice") {
            return None;
        }
        let unit = path.split('/').rev().find_map(|part| part.strip_suffix(".service"))?;
        // An instance of a template: postgresql@15-main.
        Some(unit.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_found_in_the_control_group() {
        assert_eq!(unit_of("0::/system.slice/orders.service\n").as_deref(), Some("orders"));
        assert_eq!(
            unit_of("1:name=systemd:/system.slice/system-postgresql.slice/postgresql@15-main.service\n")
                .as_deref(),
            Some("postgresql@15-main")
        );
        assert_eq!(unit_of("0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service\n"), None);
        assert_eq!(unit_of("0::/\n"), None);
    }

    #[test]
    fn this_process_finds_itself_and_its_listener() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let proc = Proc::new("/proc");
        let own = proc.process(std::process::id()).unwrap();
        assert!(!own.exe.is_empty() && !own.arguments.is_empty());
        let sockets = proc.sockets(own.pid);
        let socket = sockets.iter().find(|socket| socket.listens && socket.local.port() == port).unwrap();
        let owners = proc.owners(&HashSet::from([socket.inode]), &BTreeSet::new(), true);
        assert!(owners[&socket.inode].contains(&own.pid));
        assert!(proc.addresses(own.pid).iter().any(IpAddr::is_loopback));
    }
}
