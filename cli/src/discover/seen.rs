//! What was seen on hosts, as it is written for `--merge` and `topowatch drift`.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Hosts that were looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// The format: 1.
    pub(crate) version: u32,
    pub(crate) hosts: Vec<Host>,
}

/// One host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Host {
    pub(crate) name: String,
    /// How long it was watched, in seconds.
    pub(crate) watched_s: f64,
    /// How often it was looked at.
    #[serde(default)]
    pub(crate) looks: u32,
    /// Whether every process could be looked at.
    pub(crate) complete: bool,
    /// Networks on it: its own, and those of containers.
    pub(crate) networks: Vec<Network>,
    pub(crate) services: Vec<Service>,
    /// Processes that connect and do not listen.
    pub(crate) clients: Vec<Client>,
    /// Programs that listen and were left out: what every host has.
    pub(crate) left_out: Vec<String>,
}

/// A network namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Network {
    pub(crate) id: u64,
    pub(crate) addresses: Vec<IpAddr>,
}

/// Processes that listen together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Service {
    /// A name for it: its unit's, its script's, its program's.
    pub(crate) name: String,
    pub(crate) program: String,
    /// A guessed probe kind.
    pub(crate) kind: String,
    pub(crate) network: u64,
    pub(crate) processes: u32,
    /// The address that others use most, first.
    pub(crate) listens: Vec<SocketAddr>,
    pub(crate) talks_to: Vec<Talk>,
    /// What it said when it was greeted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) greeting: Option<String>,
}

/// Processes that only connect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Client {
    pub(crate) program: String,
    pub(crate) network: u64,
    pub(crate) talks_to: Vec<Talk>,
}

/// Connections to one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Talk {
    pub(crate) to: SocketAddr,
    /// How many were seen.
    pub(crate) connections: u32,
}

impl Seen {
    /// The services at an address, as it is reached from a network of a host: (host, service) by their numbers.
    pub(crate) fn resolve(&self, host: usize, network: u64, to: SocketAddr) -> Option<(usize, usize)> {
        let listens = |network: &Network, service: &Service| {
            service.network == network.id
                && service.listens.iter().any(|at| {
                    at.port() == to.port()
                        && (at.ip() == to.ip()
                            || at.ip().is_unspecified()
                                && (network.addresses.contains(&to.ip()) || to.ip().is_loopback()))
                })
        };
        let in_host = |at: usize, only: Option<u64>| -> Option<(usize, usize)> {
            let one = self.hosts.get(at)?;
            let networks = one.networks.iter().filter(|network| only.is_none_or(|id| id == network.id));
            networks.into_iter().find_map(|network| {
                let service = one.services.iter().position(|service| listens(network, service))?;
                Some((at, service))
            })
        };
        // A loopback address means the own network only.
        if to.ip().is_loopback() {
            return in_host(host, Some(network));
        }
        in_host(host, Some(network)).or_else(|| in_host(host, None)).or_else(|| {
            (0..self.hosts.len()).filter(|other| *other != host).find_map(|other| in_host(other, None))
        })
    }
}
