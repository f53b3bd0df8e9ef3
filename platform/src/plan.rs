//! Where everything runs: an address of its own for every process, a port for every component.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context as _, Result, bail};

use crate::catalog::{COMPONENTS, Component, Kind, SHARDS, Scale};

/// The block used when none is asked for. Below 32768: above it the kernel hands out client ports.
pub(crate) const DEFAULT_BASE_PORT: u16 = 18_100;
/// Ports a deployment may use, from its base port on.
pub(crate) const BLOCK: u16 = 100;
const LAST_PORT: u16 = 32_767;
/// From the base port to where lines answer for themselves, and, in plain HTTP, whoever speaks TLS otherwise.
const OWN_PAGES: u16 = 92;
/// From the base port to the long connections of the stores: at the push centre, and at the line and the
/// proxy on the way there.
const LONG_CONNECTIONS: u16 = 93;
/// Instances of the mini-program server that one machine carries.
const A_MACHINE: u8 = 10;

/// One process (with its children) of a component.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) name: String,
    pub(crate) component: &'static Component,
    /// From 1 on.
    pub(crate) number: u8,
    pub(crate) address: SocketAddrV4,
    /// Where it answers for itself: its address, but for a line, whose address answers for the far side, and for
    /// whoever speaks TLS there.
    pub(crate) health: SocketAddrV4,
}

impl Instance {
    /// Where the stores' long connections come in.
    pub(crate) fn long_connections(&self, base_port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(*self.address.ip(), base_port + LONG_CONNECTIONS)
    }

    /// The shard it holds, from 1 on, as primary or as replica.
    pub(crate) fn shard(&self) -> Option<u8> {
        self.component.is_sharded().then(|| (self.number - 1) % SHARDS + 1)
    }

    /// Was it made as a replica? After a promotion it may be the primary.
    pub(crate) fn is_made_replica(&self) -> bool {
        self.component.is_sharded() && self.number > SHARDS
    }

    /// Two zones: a second instance is always in the other one, so that either zone can be lost.
    pub(crate) fn zone(&self) -> &'static str {
        let second = match self.shard() {
            Some(shard) => shard.is_multiple_of(2) != self.is_made_replica(),
            None => self.number.is_multiple_of(2),
        };
        if second { "b" } else { "a" }
    }

    /// The machine that carries it: one for each tier and zone, for a database one of its own.
    pub(crate) fn host(&self) -> String {
        let (zone, pair) = (self.zone(), (self.number - 1) / 2);
        match self.component.kind {
            Kind::MariaDb | Kind::Postgres | Kind::RabbitMq => format!("{}-host", self.name),
            Kind::MiniApp => format!("app-{zone}{}", pair * 2 / A_MACHINE + 1),
            Kind::Outside => "elsewhere".to_owned(),
            _ if self.component.stands_in_for().is_some() => format!("vm-{zone}{}", pair + 1),
            _ => format!("{}-{zone}{}", self.component.tier, pair + 1),
        }
    }

    /// The release it runs, where it is ours: a third of the mini-program servers try the next one first.
    pub(crate) fn version(&self) -> Option<&'static str> {
        match self.component.kind {
            Kind::MiniApp if self.number.is_multiple_of(3) || self.number == 4 => Some(NEXT_RELEASE),
            Kind::MiniApp | Kind::Service | Kind::Oms | Kind::Push => Some(RELEASE),
            _ => None,
        }
    }
}

/// The release that most of our processes run.
pub(crate) const RELEASE: &str = "2.4.0";
/// The one that is tried out.
pub(crate) const NEXT_RELEASE: &str = "2.5.0";

/// Instances by component, where there are not as many as the scale says.
pub(crate) type Counts = BTreeMap<String, u8>;

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) base_port: u16,
    pub(crate) instances: Vec<Instance>,
}

impl Plan {
    pub(crate) fn new(scale: Scale, base_port: u16) -> Result<Self> {
        Self::with(scale, base_port, &Counts::new())
    }

    pub(crate) fn with(scale: Scale, base_port: u16, counts: &Counts) -> Result<Self> {
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
                let count = counts.get(component.name).copied().unwrap_or(component.count(scale));
                (1..=count).map(move |number| {
                    let ip = Ipv4Addr::new(127, 10, component.index, number);
                    let address = SocketAddrV4::new(ip, base_port + u16::from(component.index));
                    let health = match component.kind {
                        Kind::Line => SocketAddrV4::new(ip, base_port + OWN_PAGES),
                        _ if component.speaks_tls() => SocketAddrV4::new(ip, base_port + OWN_PAGES),
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
        for instance in &Plan::new(Scale::Full, DEFAULT_BASE_PORT).unwrap().instances {
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
    fn either_zone_and_any_machine_can_be_lost() {
        let plan = Plan::new(Scale::Full, DEFAULT_BASE_PORT).unwrap();
        for component in COMPONENTS.iter().filter(|component| component.full > 1) {
            let zones: HashSet<_> = plan.of(component.name).map(Instance::zone).collect();
            assert_eq!(zones.len(), 2, "{}", component.name);
        }
        for shard in 1..=SHARDS {
            let zones: HashSet<_> =
                plan.of("order-db").filter(|one| one.shard() == Some(shard)).map(Instance::zone).collect();
            assert_eq!(zones.len(), 2, "shard {shard}");
        }
        assert_eq!(plan.instance("order-db-2-replica").unwrap().host(), "order-db-2-replica-host");
        assert_eq!(plan.instance("coupon-service-2").unwrap().host(), "services-b1");
        let machines: HashSet<_> = plan.of("miniapp-server").map(Instance::host).collect();
        assert_eq!(machines.len(), 20, "{machines:?}");
    }

    #[test]
    fn a_base_port_in_the_ephemeral_range_is_refused() {
        let error = Plan::new(Scale::Small, 40_000).unwrap_err().to_string();
        assert!(error.contains("40000"), "{error}");
    }
}
