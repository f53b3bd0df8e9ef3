//! From what was seen on hosts to a draft of a topology: pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::seen::{Seen, Service};
use crate::draft::{Component, Draft, Instance, Probe, Setting, Strength, known, secret, slug};

/// The draft: services of one program at one port are one component.
pub(crate) fn assemble(seen: &Seen) -> Draft {
    let mut draft = Draft { name: "platform".to_owned(), ..Draft::default() };
    let names: Vec<&str> = seen.hosts.iter().map(|host| host.name.as_str()).collect();
    draft.heading = vec![
        format!("Made by `topowatch discover` on {}.", names.join(", ")),
        "What listens is a component, what it connects to a dependency. Which of them it can do without nobody can see from".to_owned(),
        "outside: mend the strengths (optional, async), the names and the lanes. docs/topology.md has every key.".to_owned(),
    ];
    let groups = groups(seen);
    let name_of = names_of(seen, &groups);
    for (key, members) in &groups {
        let name = &name_of[key];
        let first = &seen.hosts[members[0].0].services[members[0].1];
        let mut component = Component { name: name.clone(), ..Component::default() };
        let server = known::by_word(&first.program).or_else(|| known::by_word(&first.name));
        component.tier =
            Some(server.map_or_else(|| known::tier_of(&first.kind), |server| server.tier).to_owned());
        component.probes.push(probe(first, name));
        component.comments.extend(comments(first, members.len()));
        for (host, service) in members {
            let one = &seen.hosts[*host].services[*service];
            let Some(address) = address(seen, *host, one) else { continue };
            if address.ip().is_loopback() && seen.hosts.len() > 1 {
                let why = "it listens on loopback only: a monitor on another host cannot ask it";
                draft.note(None, format!("{name} on {}", seen.hosts[*host].name), why);
            }
            let mut instance = Instance { address: address.to_string(), ..Instance::default() };
            instance.labels.insert("host".to_owned(), seen.hosts[*host].name.clone());
            component.instances.push(instance);
        }
        draft.components.push(component);
    }
    edges(seen, &groups, &name_of, &mut draft);
    notes(seen, &mut draft);
    draft
}

/// Program, name and port, which make one component.
type Key = (String, String, u16);

type Groups = BTreeMap<Key, Vec<(usize, usize)>>;

fn groups(seen: &Seen) -> Groups {
    let mut groups = Groups::new();
    for (h, host) in seen.hosts.iter().enumerate() {
        for (s, service) in host.services.iter().enumerate() {
            let port = service.listens.first().map_or(0, SocketAddr::port);
            groups.entry((service.program.clone(), service.name.clone(), port)).or_default().push((h, s));
        }
    }
    groups
}

/// A name for each component: the service's; with its port where two would have one name.
fn names_of(_: &Seen, groups: &Groups) -> BTreeMap<Key, String> {
    let mut uses: BTreeMap<String, u32> = BTreeMap::new();
    for (_, name, _) in groups.keys() {
        *uses.entry(slug(name)).or_default() += 1;
    }
    groups
        .keys()
        .map(|key| {
            let name = slug(&key.1);
            let name = if uses[&name] > 1 { format!("{name}-{}", key.2) } else { name };
            (key.clone(), name)
        })
        .collect()
}

/// The address at which others reach a service: its own, or the host's where it listens on all.
fn address(seen: &Seen, host: usize, service: &Service) -> Option<SocketAddr> {
    let at = *service.listens.first()?;
    if !at.ip().is_unspecified() {
        return Some(at);
    }
    let network = seen.hosts[host].networks.iter().find(|network| network.id == service.network);
    let usable = |ip: &&IpAddr| match ip {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(_) => false,
    };
    let ip = network.and_then(|network| network.addresses.iter().find(usable)).copied();
    Some(SocketAddr::new(ip.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)), at.port()))
}

fn probe(service: &Service, name: &str) -> Probe {
    let server = known::by_word(&service.program)
        .or_else(|| known::by_word(&service.name))
        .filter(|server| server.kind == service.kind);
    let kinds = probes::specs();
    let Some(kind) = kinds.iter().find(|kind| kind.name == service.kind) else { return Probe::of("tcp") };
    let probe = server.map_or_else(|| Probe::of(kind.name), known::Known::probe);
    match kind.name {
        "http" if server.is_none() => probe.with("path", Setting::Text("/".to_owned())),
        "postgres" | "mysql" | "amqp" => probe
            .with("user", Setting::Text("topowatch".to_owned()))
            .with("password", secret(name, "password")),
        "redis" => probe.with("password", secret(name, "password")),
        _ => probe,
    }
}

fn comments(service: &Service, instances: usize) -> Vec<String> {
    let mut out = vec![format!("{}, {instances} found", service.program)];
    let others: Vec<String> = service.listens.iter().skip(1).map(ToString::to_string).collect();
    if !others.is_empty() {
        let more = if others.len() > 6 { ", …" } else { "" };
        out.push(format!("The first also listens on {}{more}.", others[..others.len().min(6)].join(", ")));
    }
    if matches!(service.kind.as_str(), "postgres" | "mysql" | "amqp") {
        out.push(format!("Its account: topowatch probe --grants {}", service.kind));
    }
    if service.kind == "http" {
        out.push("A health page that asks its own dependencies is better than /.".to_owned());
    }
    if let Some(greeting) = &service.greeting {
        out.push(format!("It greets with: {greeting}"));
    }
    out
}

fn edges(seen: &Seen, groups: &Groups, names: &BTreeMap<Key, String>, draft: &mut Draft) {
    let component_of: BTreeMap<(usize, usize), &String> =
        groups.iter().flat_map(|(key, members)| members.iter().map(|at| (*at, &names[key]))).collect();
    for (at, from) in &component_of {
        let service = &seen.hosts[at.0].services[at.1];
        for talk in &service.talks_to {
            let on = match seen.resolve(at.0, service.network, talk.to) {
                Some(target) => component_of.get(&target).map(|name| (*name).clone()),
                None if is_ours(seen, talk.to) => None,
                None => Some(outside(talk.to, draft)),
            };
            if let (Some(on), Some(component)) = (on, draft.get(from)) {
                component.needs(&on, Strength::Required, format!("seen: {}", talk.to));
            }
        }
    }
}

/// Whether an address belongs to a host that was looked at: what is there and not a component was left out.
fn is_ours(seen: &Seen, to: SocketAddr) -> bool {
    to.ip().is_loopback()
        || seen
            .hosts
            .iter()
            .flat_map(|host| &host.networks)
            .any(|network| network.addresses.contains(&to.ip()))
}

/// A component for an address on a host that nobody looked at.
fn outside(to: SocketAddr, draft: &mut Draft) -> String {
    let name = slug(&format!("{}-{}", to.ip(), to.port()).replace(':', "-"));
    if draft.get(&name).is_none() {
        let mut probe = known::probe_for_port(to.port());
        if matches!(probe.kind, "postgres" | "mysql" | "amqp" | "redis") {
            probe = probe.with("password", secret(&name, "password"));
        }
        let mut component = Component::at(name.clone(), to.to_string(), probe);
        component.tier = Some("external".to_owned());
        component.comments.push("On a host that was not looked at; guessed by its port.".to_owned());
        draft.components.push(component);
    }
    name
}

fn notes(seen: &Seen, draft: &mut Draft) {
    for host in &seen.hosts {
        if !host.complete {
            draft.note(None, host.name.clone(), "not every process could be looked at: run it as root");
        }
        if !host.left_out.is_empty() {
            draft.note(None, host.name.clone(), format!("left out: {}", host.left_out.join(", ")));
        }
        let clients: BTreeSet<&str> = host.clients.iter().map(|client| client.program.as_str()).collect();
        if !clients.is_empty() {
            let all: Vec<&str> = clients.into_iter().take(20).collect();
            draft.note(
                None,
                host.name.clone(),
                format!("clients, which listen nowhere and are no components: {}", all.join(", ")),
            );
        }
        if host.watched_s < 1.0 {
            draft.note(None, host.name.clone(), "one look sees no short connections: `--for 30s` watches");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::seen::{Client, Host, Network, Talk};
    use crate::draft::finish::finish;

    fn service(name: &str, kind: &str, listens: &[&str], talks: &[&str]) -> Service {
        Service {
            name: name.to_owned(),
            program: name.to_owned(),
            kind: kind.to_owned(),
            network: 1,
            processes: 1,
            listens: listens.iter().map(|at| at.parse().unwrap()).collect(),
            talks_to: talks.iter().map(|to| Talk { to: to.parse().unwrap(), connections: 2 }).collect(),
            greeting: None,
        }
    }

    fn host(name: &str, ip: &str, services: Vec<Service>) -> Host {
        let addresses = vec!["127.0.0.1".parse().unwrap(), ip.parse().unwrap()];
        let clients = vec![Client { program: "curl".to_owned(), network: 1, talks_to: Vec::new() }];
        Host {
            name: name.to_owned(),
            watched_s: 30.0,
            looks: 300,
            complete: name != "db1",
            networks: vec![Network { id: 1, addresses }],
            services,
            clients,
            left_out: vec!["sshd".to_owned()],
        }
    }

    #[test]
    fn several_hosts_become_one_topology() {
        let web = |n: u8| {
            host(
                &format!("web{n}"),
                &format!("10.0.0.{n}"),
                vec![
                    service("nginx", "http", &["0.0.0.0:80", "0.0.0.0:443"], &["127.0.0.1:8080"]),
                    service(
                        "orders",
                        "http",
                        &["127.0.0.1:8080"],
                        &["10.0.0.9:5432", "203.0.113.5:443", "10.0.0.9:22"],
                    ),
                ],
            )
        };
        let db = vec![
            service("postgres", "postgres", &["0.0.0.0:5432"], &["10.0.0.9:5432"]),
            service("redis", "redis", &["10.0.0.9:6379"], &[]),
        ];
        let seen = Seen { version: 1, hosts: vec![web(1), web(2), host("db1", "10.0.0.9", db)] };
        let finished = finish(assemble(&seen));
        let notes: Vec<String> =
            finished.draft.notes.iter().map(|note| format!("{}: {}", note.what, note.why)).collect();
        insta::assert_snapshot!(format!("{}\n--- notes\n{}", finished.text, notes.join("\n")));
    }
}
