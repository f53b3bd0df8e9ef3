//! From processes and sockets to services: pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::processes::Process;
use super::seen::{Client, Service, Talk};
use crate::draft::known;

/// What was seen while a host was watched.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    pub(crate) processes: BTreeMap<u32, Process>,
    /// Network, address, and the processes that hold the socket.
    pub(crate) listeners: BTreeMap<(u64, SocketAddr), BTreeSet<u32>>,
    /// Connections that a process made, by where they go.
    pub(crate) talks: BTreeMap<(u32, SocketAddr), u32>,
    /// Connections that came, by network and own address.
    pub(crate) inbound: BTreeMap<(u64, SocketAddr), u32>,
}

/// What every host has, and nobody draws.
const HOUSEKEEPING: [&str; 22] = [
    "sshd",
    "systemd",
    "init",
    "systemd-resolve",
    "systemd-resolved",
    "systemd-network",
    "systemd-timesyncd",
    "rpcbind",
    "rpc.statd",
    "cupsd",
    "avahi-daemon",
    "chronyd",
    "ntpd",
    "containerd",
    "dockerd",
    "kubelet",
    "kube-proxy",
    "epmd",
    "master",
    "exim4",
    "dhclient",
    "snapd",
];

/// The monitor's own program: what it asks is no dependency.
const MONITOR: &str = "topowatch";

/// Programs that run something else, which has the better name.
const INTERPRETERS: [&str; 12] =
    ["java", "python", "node", "nodejs", "ruby", "perl", "php", "bash", "sh", "deno", "bun", "dotnet"];

/// Services, clients, and the names of what was left out.
pub(crate) fn services(seen: &Observed) -> (Vec<Service>, Vec<Client>, Vec<String>) {
    let owner = owners(seen);
    let mut groups: BTreeMap<u32, BTreeSet<(u64, SocketAddr)>> = BTreeMap::new();
    for ((net, at), pids) in &seen.listeners {
        if let Some(first) = pids.iter().find_map(|pid| owner.get(pid)) {
            groups.entry(*first).or_default().insert((*net, *at));
        }
    }
    let mut talks: BTreeMap<u32, BTreeMap<SocketAddr, u32>> = BTreeMap::new();
    let mut clients: BTreeMap<(String, u64), BTreeMap<SocketAddr, u32>> = BTreeMap::new();
    for ((pid, to), count) in &seen.talks {
        let Some(process) = seen.processes.get(pid) else { continue };
        if is_monitor(process) {
            continue;
        }
        let into = match owner.get(pid) {
            Some(owner) => talks.entry(*owner).or_default(),
            None => clients.entry((program(process), process.net)).or_default(),
        };
        *into.entry(*to).or_default() += count;
    }
    let (mut services, mut left_out) = (Vec::new(), BTreeSet::new());
    for (pid, listens) in groups {
        let Some(process) = seen.processes.get(&pid) else { continue };
        if is_monitor(process) {
            continue;
        }
        if HOUSEKEEPING.contains(&process.comm.as_str()) || HOUSEKEEPING.contains(&program(process).as_str())
        {
            left_out.insert(program(process));
            continue;
        }
        let server = server_of(process);
        let mut listens: Vec<(u64, SocketAddr)> = listens.into_iter().collect();
        let usual = server.map(|server| server.port);
        let inbound = |at: &(u64, SocketAddr)| seen.inbound.get(at).copied().unwrap_or_default();
        listens.sort_by_key(|at| {
            let port = at.1.port();
            (
                Some(port) != usual,
                port >= EPHEMERAL,
                std::cmp::Reverse(inbound(at)),
                at.1.ip().is_loopback(),
                port,
                at.1,
            )
        });
        let network = listens.first().map_or(0, |(net, _)| *net);
        let first = listens.first().map_or(0, |(_, at)| at.port());
        let kind = server.map_or_else(|| known::by_port(first).0, |server| server.kind);
        services.push(Service {
            name: name_of(process),
            program: program(process),
            kind: kind.to_owned(),
            network,
            processes: owner.values().filter(|owner| **owner == pid).count() as u32,
            listens: listens.into_iter().map(|(_, at)| at).collect(),
            talks_to: talks_of(talks.remove(&pid)),
            greeting: None,
        });
    }
    services.sort_by(|a, b| (&a.name, &a.listens).cmp(&(&b.name, &b.listens)));
    let clients = clients
        .into_iter()
        .map(|((program, network), talks)| Client { program, network, talks_to: talks_of(Some(talks)) })
        .collect();
    (services, clients, left_out.into_iter().collect())
}

/// From here on ports are given out by the kernel: nobody serves there on purpose.
const EPHEMERAL: u16 = 32_768;

fn talks_of(talks: Option<BTreeMap<SocketAddr, u32>>) -> Vec<Talk> {
    talks.into_iter().flatten().map(|(to, connections)| Talk { to, connections }).collect()
}

/// For each process of a service the first process of that service.
///
/// Those that hold one listening socket belong together (a server and its workers), and so does a child that runs the
/// same program as what listens above it (a database closes the listener in each backend).
fn owners(seen: &Observed) -> BTreeMap<u32, u32> {
    let mut owner: BTreeMap<u32, u32> = BTreeMap::new();
    for pids in seen.listeners.values() {
        // Who hands sockets out (socket activation) holds them as well, and serves nothing.
        let serving: Vec<u32> = match pids.iter().filter(|pid| **pid != 1).copied().collect::<Vec<_>>() {
            none if none.is_empty() => pids.iter().copied().collect(),
            some => some,
        };
        let known = serving.iter().filter_map(|pid| owner.get(pid)).min().copied();
        let Some(first) = known.or_else(|| serving.iter().min().copied()) else { continue };
        let joined: BTreeSet<u32> = serving.iter().filter_map(|pid| owner.get(pid).copied()).collect();
        for of in owner.values_mut().filter(|of| joined.contains(of)) {
            *of = first;
        }
        owner.extend(serving.into_iter().map(|pid| (pid, first)));
    }
    let children: Vec<u32> = seen.processes.keys().filter(|pid| !owner.contains_key(pid)).copied().collect();
    let mut found = Vec::new();
    for pid in children {
        let exe = &seen.processes[&pid].exe;
        let mut at = pid;
        // A family tree has no circles, but pids are used again while we look.
        for _ in 0..32 {
            let Some(process) = seen.processes.get(&at) else { break };
            at = process.parent;
            if let Some(of) = owner.get(&at) {
                if !exe.is_empty() && seen.processes.get(&at).is_some_and(|parent| parent.exe == *exe) {
                    found.push((pid, *of));
                }
                break;
            }
        }
    }
    owner.extend(found);
    owner
}

fn is_jar(word: &str) -> bool {
    std::path::Path::new(word).extension().is_some_and(|end| end.eq_ignore_ascii_case("jar"))
}

fn is_monitor(process: &Process) -> bool {
    program(process) == MONITOR || process.comm == MONITOR
}

/// The program's file name.
fn program(process: &Process) -> String {
    let file = process.exe.rsplit('/').next().unwrap_or_default();
    // One file under several names (redis-server is redis-check-rdb in Debian): the name it was called by counts.
    let called = known::by_word(file).is_none() && known::by_word(&process.comm).is_some();
    if file.is_empty() || called { process.comm.clone() } else { file.to_owned() }
}

/// A server that is known by its program, or by the words of its command line.
fn server_of(process: &Process) -> Option<&'static known::Known> {
    let by_program = known::by_word(&program(process)).or_else(|| known::by_word(&process.comm));
    by_program.or_else(|| {
        let all = process.arguments.join(" ");
        let words = [
            ("rabbit", "rabbitmq"),
            ("kafka.Kafka", "kafka"),
            ("org.elasticsearch", "elasticsearch"),
            ("QuorumPeerMain", "zookeeper"),
        ];
        words.iter().find(|(word, _)| all.contains(word)).and_then(|(_, name)| known::by_word(name))
    })
}

/// A name for people: the unit, the script or jar, the program with its first plain words.
fn name_of(process: &Process) -> String {
    if let Some(unit) = &process.unit {
        return unit.split('@').next().unwrap_or(unit).to_owned();
    }
    let program = program(process);
    let bare = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    if let Some(server) = server_of(process).and(Some(&program))
        && !INTERPRETERS.contains(&bare)
        && bare != "beam.smp"
        && bare != "beam"
    {
        // mysqld, mariadbd, mongod: people leave the d out.
        let bare = server.trim_end_matches("-server");
        return bare
            .strip_suffix('d')
            .filter(|name| name.ends_with("db") || name.ends_with("sql") || *name == "mongo")
            .unwrap_or(bare)
            .to_owned();
    }
    if program.starts_with("beam") {
        return server_of(process).map_or_else(|| "erlang".to_owned(), |_| "rabbitmq".to_owned());
    }
    let arguments = process.arguments.iter().skip(1);
    if INTERPRETERS.contains(&bare) {
        let mut module = false;
        for word in arguments {
            if module || is_jar(word) || !word.starts_with('-') && !word.contains('=') {
                let last = word.trim_end_matches('/').rsplit('/').next().unwrap_or(word);
                let stem =
                    last.rsplit_once('.').filter(|(_, end)| end.len() <= 4).map_or(last, |(stem, _)| stem);
                return stem.to_owned();
            }
            module = word == "-m" || word == "-jar";
        }
        return program;
    }
    // `shop run orders-2`: one program in several roles is called by its role.
    let mut plain =
        process.arguments.iter().skip(1).take_while(|word| !word.starts_with('-')).map(String::as_str);
    match (plain.next(), plain.next()) {
        (Some("run" | "serve" | "server" | "start" | "worker"), Some(role))
            if !role.contains(['/', '=', ':']) =>
        {
            let stem = role.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-');
            if stem.is_empty() { program } else { stem.to_owned() }
        }
        _ => program,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, parent: u32, exe: &str, line: &str) -> (u32, Process) {
        let arguments = line.split_whitespace().map(str::to_owned).collect();
        let comm = exe.rsplit('/').next().unwrap_or_default().to_owned();
        (pid, Process { pid, parent, comm, exe: exe.to_owned(), arguments, unit: None, net: 1 })
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn workers_and_backends_belong_to_their_server_and_clients_are_none() {
        let mut seen = Observed {
            processes: [
                process(1, 0, "/lib/systemd/systemd", "init"),
                process(10, 1, "/usr/sbin/nginx", "nginx: master"),
                process(11, 10, "/usr/sbin/nginx", "nginx: worker"),
                process(20, 1, "/usr/lib/postgresql/15/bin/postgres", "postgres -D /x"),
                process(21, 20, "/usr/lib/postgresql/15/bin/postgres", "postgres: walreceiver"),
                process(30, 1, "/usr/bin/java", "java -Xmx1g -jar /srv/orders-api.jar"),
                process(40, 1, "/usr/bin/curl", "curl http://x"),
                process(50, 1, "/usr/bin/topowatch", "topowatch serve"),
                process(60, 1, "/usr/sbin/sshd", "sshd -D"),
                process(70, 60, "/bin/bash", "bash"),
            ]
            .into(),
            ..Observed::default()
        };
        let listeners = [
            ("0.0.0.0:80", vec![1, 10, 11]),
            ("10.0.0.1:5432", vec![20]),
            ("[::]:8080", vec![30]),
            ("127.0.0.1:8440", vec![50]),
            ("0.0.0.0:22", vec![1, 60]),
        ];
        seen.listeners =
            listeners.into_iter().map(|(text, pids)| ((1, at(text)), pids.into_iter().collect())).collect();
        seen.talks = [
            (11, "10.0.0.1:8080"),
            (21, "10.0.0.2:5432"),
            (30, "10.0.0.1:5432"),
            (40, "10.0.0.1:80"),
            (50, "10.0.0.1:5432"),
            (70, "10.0.0.9:443"),
        ]
        .map(|(pid, to)| ((pid, at(to)), 2))
        .into();
        let (services, clients, left_out) = services(&seen);
        let shown: Vec<String> = services
            .iter()
            .map(|s| {
                format!(
                    "{} {} {} {} -> {:?}",
                    s.name,
                    s.kind,
                    s.listens[0],
                    s.processes,
                    s.talks_to.iter().map(|t| t.to.to_string()).collect::<Vec<_>>()
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "nginx http 0.0.0.0:80 2 -> [\"10.0.0.1:8080\"]",
                "orders-api http [::]:8080 1 -> [\"10.0.0.1:5432\"]",
                "postgres postgres 10.0.0.1:5432 2 -> [\"10.0.0.2:5432\"]",
            ]
        );
        let clients: Vec<&str> = clients.iter().map(|client| client.program.as_str()).collect();
        assert_eq!(clients, ["bash", "curl"]);
        assert_eq!(left_out, ["sshd"]);
    }

    #[test]
    fn a_service_is_called_as_people_call_it() {
        let name = |exe: &str, line: &str| name_of(&process(9, 1, exe, line).1);
        assert_eq!(name("/usr/bin/python3.11", "python3 -m uvicorn app:main"), "uvicorn");
        assert_eq!(name("/usr/bin/node", "node /srv/checkout/server.js"), "server");
        assert_eq!(name("/usr/bin/redis-server", "redis-server *:6379"), "redis");
        assert_eq!(name("/usr/lib/erlang/bin/beam.smp", "beam.smp -s rabbit boot"), "rabbitmq");
        assert_eq!(name("/opt/shop/orders", "orders --port 80"), "orders");
        assert_eq!(name("/opt/shop/shop", "shop run member-service-2 --dir x"), "member-service");
        assert_eq!(name("/usr/sbin/mariadbd", "mariadbd"), "mariadb");
        assert_eq!(name("/usr/sbin/mysqld", "mysqld"), "mysql");
        let unit = Process { unit: Some("postgresql@15-main".into()), ..process(9, 1, "/x/postgres", "x").1 };
        assert_eq!(name_of(&unit), "postgresql");
    }
}
