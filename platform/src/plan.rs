//! Where everything runs: an address of its own for every process, a port for every component.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context as _, Result, bail};

use crate::catalog::{COMPONENTS, Component, Kind, Scale};

/// The block used when none is asked for. Below 32768: above it the kernel hands out client ports.
pub(crate) const DEFAULT_BASE_PORT: u16 = 18_100;
/// Ports a deployment may use, from its base port on.
pub(crate) const BLOCK: u16 = 100;
const LAST_PORT: u16 = 32_767;
/// From the base port to where the lines answer for themselves.
const LINES_OWN_PAGES: u16 = 92;

/// One process (with its children) of a component.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) name: String,
    pub(crate) component: &'static Component,
    /// From 1 on.
    pub(crate) number: u8,
    pub(crate) address: SocketAddrV4,
    /// Where it answers for itself: its address, except a line, whose address answers for the far side.
    pub(crate) health: SocketAddrV4,
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) base_port: u16,
    pub(crate) instances: Vec<Instance>,
}

impl Plan {
    pub(crate) fn new(scale: Scale, base_port: u16) -> Result<Self> {
        if !(1024..=LAST_PORT - BLOCK).contains(&base_port) {
            bail!(
                "base port {base_port} is out of range: choose one from 1024 to {} (ports above {LAST_PORT} \
                 are given to outgoing connections)",
                LAST_PORT - BLOCK
            );
        }
        let instances = COMPONENTS
            .iter()
            .flat_map(|component| {
                (1..=component.count(scale)).map(move |number| {
                    let ip = Ipv4Addr::new(127, 10, component.index, number);
                    let address = SocketAddrV4::new(ip, base_port + u16::from(component.index));
                    let health = match component.kind {
                        Kind::Line => SocketAddrV4::new(ip, base_port + LINES_OWN_PAGES),
                        _ => address,
                    };
                    Instance { name: component.instance_name(number), component, number, address, health }
                })
            })
            .collect();
        Ok(Self { base_port, instances })
    }

    /// The instances of one component, in order.
    pub(crate) fn of<'a>(&'a self, component: &'a str) -> impl Iterator<Item = &'a Instance> {
        self.instances.iter().filter(move |instance| instance.component.name == component)
    }

    pub(crate) fn addresses(&self, component: &str) -> Vec<SocketAddrV4> {
        self.of(component).map(|instance| instance.address).collect()
    }

    pub(crate) fn instance(&self, name: &str) -> Result<&Instance> {
        self.instances
            .iter()
            .find(|instance| instance.name == name)
            .with_context(|| format!("no instance is called {name} in this deployment"))
    }

    /// RabbitMQ's name service. Its own, so that ending it harms no other Erlang node.
    pub(crate) fn epmd_port(&self) -> u16 {
        self.base_port + 90
    }

    /// RabbitMQ's port for other nodes.
    pub(crate) fn dist_port(&self) -> u16 {
        self.base_port + 91
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_process_has_an_address_of_its_own_inside_the_block() {
        let plan = Plan::new(Scale::Small, DEFAULT_BASE_PORT).unwrap();
        let addresses: HashSet<_> = plan.instances.iter().map(|i| *i.address.ip()).collect();
        assert_eq!(addresses.len(), plan.instances.len());
        for instance in &plan.instances {
            assert!(instance.address.ip().is_loopback());
            assert!((DEFAULT_BASE_PORT..DEFAULT_BASE_PORT + BLOCK).contains(&instance.address.port()));
        }
        assert_eq!(plan.instance("gateway-2").unwrap().address.to_string(), "127.10.1.2:18101");
        assert_eq!(plan.instance("member-db-1").unwrap().address.to_string(), "127.10.32.1:18132");
    }

    #[test]
    fn two_blocks_share_no_port() {
        let ports = |base| -> HashSet<u16> {
            Plan::new(Scale::Small, base).unwrap().instances.iter().map(|i| i.address.port()).collect()
        };
        assert!(ports(18_100).is_disjoint(&ports(18_200)));
    }

    #[test]
    fn a_base_port_in_the_ephemeral_range_is_refused() {
        let error = Plan::new(Scale::Small, 40_000).unwrap_err().to_string();
        assert!(error.contains("40000"), "{error}");
    }
}
