//! What one of our processes knows of the deployment it is part of.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::defect::Defect;
use super::metrics::Metrics;
use crate::catalog::{COMPONENTS, Component, Kind, Strength};
use crate::certificates::{self, Identity};
use crate::deployment::Deployment;
use crate::members::Members;
use crate::names::Resolver;
use crate::plan::Plan;

#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) instance: String,
    pub(crate) number: u8,
    pub(crate) component: &'static Component,
    pub(crate) address: SocketAddrV4,
    /// Where it answers for itself.
    pub(crate) health: SocketAddrV4,
    /// Where the stores' long connections come in.
    pub(crate) long_connections: SocketAddrV4,
    /// A directory of its own that it may write to.
    pub(crate) home: PathBuf,
    /// How often a store's POS asks for new orders.
    pub(crate) poll: Duration,
    pub(crate) plan: Plan,
    /// Who serves at present.
    pub(crate) members: Arc<Members>,
    pub(crate) redis_password: String,
    app_passwords: HashMap<&'static str, String>,
    /// What it shows to those who call it over TLS.
    pub(crate) identity: Option<Identity>,
    /// The root that signs for services of others, in PEM.
    pub(crate) root: String,
    pub(crate) resolver: Resolver,
    /// What is wrong with this process, when somebody wanted it so.
    pub(crate) defect: Option<Defect>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Context {
    pub(crate) fn load(dir: &Path, instance: &str) -> Result<Self> {
        let deployment = Deployment::require(dir)?;
        let (mut plan, defect) = (deployment.plan()?, Defect::own()?);
        if let Some(Defect::Cut(component)) = defect {
            for instance in plan.instances.iter_mut().filter(|one| one.component.name == component) {
                instance.address = nowhere(instance.address);
            }
        }
        let secrets = deployment.secrets();
        let found = plan.instance(instance)?.clone();
        let long_connections = found.long_connections(plan.base_port);
        let is_expired = defect == Some(Defect::ExpiredCertificate);
        let identity =
            found.component.speaks_tls().then(|| certificates::payment_channel(&secrets, is_expired));
        let identity = identity.transpose()?;
        let is_named =
            |component: &str| COMPONENTS.iter().any(|one| one.name == component && one.speaks_tls());
        let turn: fn(IpAddr) -> IpAddr = match defect {
            Some(Defect::Cut(component)) if is_named(component) => away,
            _ => |ip| ip,
        };
        let resolver = Resolver::new(&deployment, turn);
        let mut app_passwords = HashMap::new();
        for component in COMPONENTS {
            if matches!(component.kind, Kind::Postgres | Kind::MariaDb | Kind::RabbitMq) {
                app_passwords.insert(component.name, secrets.app(component.name)?);
            }
        }
        Ok(Self {
            instance: found.name,
            number: found.number,
            component: found.component,
            address: found.address,
            health: found.health,
            long_connections,
            home: deployment.home(instance),
            poll: Duration::from_millis(deployment.poll_ms),
            plan,
            members: Members::load(&deployment)?,
            redis_password: secrets.redis()?,
            app_passwords,
            identity,
            root: secrets.read(certificates::ROOT)?,
            resolver,
            defect,
            metrics: Arc::new(Metrics::new()?),
        })
    }

    /// `member-db` for the member service.
    pub(crate) fn own(&self, part: &str) -> String {
        format!("{}-{part}", self.component.family())
    }

    pub(crate) fn password(&self, component: &str) -> Result<String> {
        self.app_passwords
            .get(component)
            .cloned()
            .with_context(|| format!("no password is known for {component}"))
    }

    /// Makes order ids beside others: the VM group counts on after the containers.
    pub(crate) fn maker(&self) -> u8 {
        self.number + if self.component.stands_in_for().is_some() { 16 } else { 0 }
    }

    /// Is the way to that component cut for this process?
    pub(crate) fn is_cut_off(&self, component: &str) -> bool {
        self.defect.is_some_and(|defect| matches!(defect, Defect::Cut(from) if from == component))
    }

    pub(crate) fn strength(&self, on: &str) -> Strength {
        let edge = self.component.depends_on.iter().find(|dependency| dependency.on == on);
        edge.map_or(Strength::Optional, |dependency| dependency.strength)
    }
}

/// An address of the same port where nothing listens: no component has that number.
pub(crate) fn nowhere(address: SocketAddrV4) -> SocketAddrV4 {
    let [a, b, _, d] = address.ip().octets();
    SocketAddrV4::new(Ipv4Addr::new(a, b, 255, d), address.port())
}

fn away(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => IpAddr::V4(*nowhere(SocketAddrV4::new(ip, 0)).ip()),
        other @ IpAddr::V6(_) => other,
    }
}
