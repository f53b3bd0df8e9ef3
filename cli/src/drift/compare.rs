//! A topology against what was seen on hosts: pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use serde::Serialize;
use topology::model::{ComponentId, InstanceId, Model, Strength};

use crate::discover::seen::{Seen, Service};

/// What the file and the hosts do not agree on.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Drift {
    /// Whether there is any.
    #[serde(rename = "drift")]
    pub(crate) found: bool,
    pub(crate) dependencies: Dependencies,
    pub(crate) instances: Instances,
    /// Services that have nothing to do with what is in the file.
    pub(crate) unrelated: Vec<String>,
}

/// Dependencies, in both directions.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Dependencies {
    pub(crate) declared: usize,
    /// Declared ones that were seen.
    pub(crate) seen: usize,
    /// The file lacks these.
    pub(crate) lacking: Vec<Edge>,
    /// Declared, and seen as a connection of a line or a proxy on the way.
    pub(crate) carried: Vec<Edge>,
    /// Declared, and not seen although the dependant was watched.
    pub(crate) not_seen: Vec<Edge>,
    /// Declared, and the dependant was not watched.
    pub(crate) not_watched: usize,
}

/// Instances, in both directions.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Instances {
    pub(crate) declared: usize,
    pub(crate) seen: usize,
    pub(crate) lacking: Vec<At>,
    /// Declared on a host that was looked at, where nothing listens.
    pub(crate) not_seen: Vec<At>,
    pub(crate) not_watched: usize,
}

/// A dependency by names; what is in no file by its address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Edge {
    pub(crate) from: String,
    pub(crate) on: String,
    /// How it was seen, or how it is declared.
    pub(crate) words: String,
}

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct At {
    pub(crate) name: String,
    pub(crate) address: String,
}

/// Who serves in a network of a host.
type Who = (usize, usize);

/// Compares the two. `resolve` gives the addresses of a host's name.
pub(crate) fn compare(model: &Model, seen: &Seen, resolve: &dyn Fn(&str) -> Vec<IpAddr>) -> Drift {
    let matching = Matching::of(model, seen, resolve);
    let mut drift = Drift::default();
    let found = matching.edges();
    dependencies(model, &matching, &found, &mut drift);
    instances(model, &matching, &found, &mut drift);
    drift.found = !(drift.dependencies.lacking.is_empty()
        && drift.dependencies.not_seen.is_empty()
        && drift.instances.lacking.is_empty()
        && drift.instances.not_seen.is_empty());
    drift
}

struct Matching<'a> {
    model: &'a Model,
    seen: &'a Seen,
    /// The addresses of each instance.
    addresses: Vec<Vec<SocketAddr>>,
    /// Which instances each service is.
    instances: BTreeMap<Who, Vec<InstanceId>>,
}

/// A connection's end: a component of the file, a service that is in none, or an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Known(ComponentId),
    Service(Who),
    Address(SocketAddr),
}

impl<'a> Matching<'a> {
    fn of(model: &'a Model, seen: &'a Seen, resolve: &dyn Fn(&str) -> Vec<IpAddr>) -> Self {
        let mut by_host: BTreeMap<&str, Vec<IpAddr>> = BTreeMap::new();
        let addresses: Vec<Vec<SocketAddr>> = model
            .instances
            .iter()
            .map(|instance| {
                let host = instance.address.host.as_str();
                let ips = by_host.entry(host).or_insert_with(|| match host.parse() {
                    Ok(ip) => vec![ip],
                    Err(_) => resolve(host),
                });
                ips.iter().map(|ip| SocketAddr::new(*ip, instance.address.port)).collect()
            })
            .collect();
        let mut instances: BTreeMap<Who, Vec<InstanceId>> = BTreeMap::new();
        for (id, of) in model.instance_ids().zip(&addresses) {
            for at in of {
                // A loopback address means this host, which is one of those that were looked at.
                let who = (0..seen.hosts.len()).find_map(|host| {
                    let networks = seen.hosts[host].networks.iter().map(|network| network.id);
                    let mut all: Vec<u64> = networks.collect();
                    all.sort_unstable();
                    all.into_iter().find_map(|network| seen.resolve(host, network, *at))
                });
                if let Some(who) = who {
                    let all = instances.entry(who).or_default();
                    if !all.contains(&id) {
                        all.push(id);
                    }
                }
            }
        }
        Self { model, seen, addresses, instances }
    }

    fn service(&self, who: Who) -> &Service {
        &self.seen.hosts[who.0].services[who.1]
    }

    fn components_of(&self, who: Who) -> BTreeSet<ComponentId> {
        self.instances.get(&who).into_iter().flatten().map(|id| self.model.instance(*id).component).collect()
    }

    /// Every connection between ends of which one at least is in the file, and an address of it.
    fn edges(&self) -> BTreeMap<(End, End), SocketAddr> {
        let mut found = BTreeMap::new();
        for (h, host) in self.seen.hosts.iter().enumerate() {
            for (s, service) in host.services.iter().enumerate() {
                let from = self.ends((h, s));
                for talk in &service.talks_to {
                    let to = match self.seen.resolve(h, service.network, talk.to) {
                        Some(who) => self.ends(who),
                        None => self.outside(talk.to),
                    };
                    for (from, to) in from.iter().flat_map(|from| to.iter().map(move |to| (from, to))) {
                        let known = matches!(from, End::Known(_)) || matches!(to, End::Known(_));
                        if known && from != to {
                            found.entry((from.clone(), to.clone())).or_insert(talk.to);
                        }
                    }
                }
            }
        }
        found
    }

    fn ends(&self, who: Who) -> Vec<End> {
        let known: Vec<End> = self.components_of(who).into_iter().map(End::Known).collect();
        if known.is_empty() { vec![End::Service(who)] } else { known }
    }

    /// An address that no service was seen at: in the file all the same, on a host that was not looked at, or on one
    /// that was, where what listens was left out.
    fn outside(&self, to: SocketAddr) -> Vec<End> {
        let known: BTreeSet<ComponentId> = self
            .model
            .instance_ids()
            .filter(|id| self.addresses[id.index()].contains(&to))
            .map(|id| self.model.instance(id).component)
            .collect();
        if !known.is_empty() {
            return known.into_iter().map(End::Known).collect();
        }
        if self.is_watched(to.ip()) { Vec::new() } else { vec![End::Address(to)] }
    }

    fn is_watched(&self, ip: IpAddr) -> bool {
        let networks = self.seen.hosts.iter().flat_map(|host| &host.networks);
        ip.is_loopback() || networks.into_iter().any(|network| network.addresses.contains(&ip))
    }

    fn name(&self, end: &End) -> String {
        match end {
            End::Known(id) => self.model.component(*id).name.clone(),
            End::Service(who) => {
                let service = self.service(*who);
                let at = service.listens.first().map(ToString::to_string).unwrap_or_default();
                format!("{} ({at})", service.name)
            }
            End::Address(at) => at.to_string(),
        }
    }
}

fn dependencies(
    model: &Model,
    matching: &Matching<'_>,
    found: &BTreeMap<(End, End), SocketAddr>,
    drift: &mut Drift,
) {
    let mut declared: BTreeMap<(ComponentId, ComponentId), Strength> = BTreeMap::new();
    // The alternatives of a dependant: one of them seen is all of them.
    let mut groups: BTreeMap<(ComponentId, u32), Vec<ComponentId>> = BTreeMap::new();
    for one in model.dependencies.iter().filter(|one| one.from != one.to) {
        declared.entry((one.from, one.to)).or_insert(one.strength);
        if let Some(group) = one.one_of {
            groups.entry((one.from, group)).or_default().push(one.to);
        }
    }
    let watched: BTreeSet<ComponentId> =
        matching.instances.keys().flat_map(|who| matching.components_of(*who)).collect();
    let is_found =
        |from: ComponentId, to: ComponentId| found.contains_key(&(End::Known(from), End::Known(to)));
    let alternative = |from: ComponentId, to: ComponentId| {
        groups.iter().any(|((of, _), all)| {
            *of == from && all.contains(&to) && all.iter().any(|one| is_found(from, *one))
        })
    };
    let relayed = relayed(found, &declared);
    let out = &mut drift.dependencies;
    out.declared = declared.len();
    for ((from, to), strength) in &declared {
        // A queue depends on who takes from it, and yet it is called by it.
        let other_way = *strength == Strength::Async && is_found(*to, *from);
        let edge = |words: String| Edge {
            from: model.component(*from).name.clone(),
            on: model.component(*to).name.clone(),
            words,
        };
        if is_found(*from, *to) || other_way || alternative(*from, *to) {
            out.seen += 1;
        } else if let Some(((relay, _), _)) = relayed.iter().find(|(_, pairs)| pairs.contains(&(*from, *to)))
        {
            out.seen += 1;
            out.carried.push(edge(format!("carried by {}", matching.name(relay))));
        } else if watched.contains(from) {
            out.not_seen.push(edge(format!("{}, and no connection was seen", strength.as_str())));
        } else {
            out.not_watched += 1;
        }
    }
    for ((from, to), at) in found {
        if let (End::Known(from), End::Known(to)) = (from, to)
            && declared.contains_key(&(*from, *to))
        {
            continue;
        }
        let reverse = match (from, to) {
            (End::Known(from), End::Known(to)) => declared.get(&(*to, *from)) == Some(&Strength::Async),
            _ => false,
        };
        let carries = relayed.contains_key(&(from, to));
        if !reverse && !carries {
            out.lacking.push(Edge {
                from: matching.name(from),
                on: matching.name(to),
                words: format!("seen: a connection to {at}"),
            });
        }
    }
    out.lacking.sort();
}

/// Connections that a line or a proxy makes for somebody else, and whose dependencies they are.
///
/// Who declares a dependency and is not seen to connect to it may reach it through others: then the last of them makes
/// the connection, which is no dependency of its own.
fn relayed<'a>(
    found: &'a BTreeMap<(End, End), SocketAddr>,
    declared: &BTreeMap<(ComponentId, ComponentId), Strength>,
) -> BTreeMap<(&'a End, &'a End), Vec<(ComponentId, ComponentId)>> {
    let mut next: BTreeMap<&End, Vec<&End>> = BTreeMap::new();
    for (from, to) in found.keys() {
        next.entry(from).or_default().push(to);
    }
    let reaches = |from: ComponentId, to: &End| {
        let start = End::Known(from);
        let Some((start, _)) = next.get_key_value(&start) else { return false };
        let (mut known, mut at) = (vec![*start], 0);
        while at < known.len() {
            for end in next.get(known[at]).into_iter().flatten().copied() {
                if end == to {
                    return true;
                }
                if !known.contains(&end) && known.len() < 64 {
                    known.push(end);
                }
            }
            at += 1;
        }
        false
    };
    let mut relayed: BTreeMap<(&End, &End), Vec<(ComponentId, ComponentId)>> = BTreeMap::new();
    for (from, to) in found.keys() {
        let (End::Known(relay), End::Known(on)) = (from, to) else { continue };
        if declared.contains_key(&(*relay, *on)) {
            continue;
        }
        for (dependant, target) in declared.keys().filter(|(_, target)| target == on) {
            let direct = found.contains_key(&(End::Known(*dependant), End::Known(*target)));
            if !direct && reaches(*dependant, from) {
                relayed.entry((from, to)).or_default().push((*dependant, *target));
            }
        }
    }
    relayed
}

fn instances(
    model: &Model,
    matching: &Matching<'_>,
    found: &BTreeMap<(End, End), SocketAddr>,
    drift: &mut Drift,
) {
    let there: BTreeSet<InstanceId> = matching.instances.values().flatten().copied().collect();
    let out = &mut drift.instances;
    out.declared = model.instances.len();
    for id in model.instance_ids() {
        let addresses = &matching.addresses[id.index()];
        if there.contains(&id) {
            out.seen += 1;
        } else if addresses.iter().any(|at| matching.is_watched(at.ip())) {
            let instance = model.instance(id);
            out.not_seen.push(At { name: instance.name.clone(), address: instance.address.to_string() });
        } else {
            out.not_watched += 1;
        }
    }
    let linked: BTreeSet<Who> = found
        .keys()
        .flat_map(|(from, to)| [from, to])
        .filter_map(|end| if let End::Service(who) = end { Some(*who) } else { None })
        .collect();
    for (h, host) in matching.seen.hosts.iter().enumerate() {
        for (s, service) in host.services.iter().enumerate() {
            if matching.instances.contains_key(&(h, s)) {
                continue;
            }
            let address = service.listens.first().map(ToString::to_string).unwrap_or_default();
            if linked.contains(&(h, s)) {
                drift.instances.lacking.push(At { name: service.name.clone(), address });
            } else {
                drift.unrelated.push(format!("{} ({address})", service.name));
            }
        }
    }
}

#[cfg(test)]
mod tests;
