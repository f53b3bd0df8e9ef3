//! What one of our processes knows of the deployment it is part of.

use std::collections::HashMap;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::metrics::Metrics;
use crate::catalog::{COMPONENTS, Component, Kind, Strength};
use crate::deployment::Deployment;
use crate::members::Members;
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
    pub(crate) metrics: Arc<Metrics>,
}

impl Context {
    pub(crate) fn load(dir: &Path, instance: &str) -> Result<Self> {
        let deployment = Deployment::require(dir)?;
        let plan = deployment.plan()?;
        let secrets = deployment.secrets();
        let found = plan.instance(instance)?.clone();
        let long_connections = found.long_connections(plan.base_port);
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

    pub(crate) fn strength(&self, on: &str) -> Strength {
        let edge = self.component.depends_on.iter().find(|dependency| dependency.on == on);
        edge.map_or(Strength::Optional, |dependency| dependency.strength)
    }
}
