//! Names of services of others, as the processes here resolve them: a file in the place of a name server, read
//! for each new connection. A name can be taken out of it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use anyhow::Result;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::deployment::{Deployment, write_atomically};
use crate::plan::Plan;

/// What the payment channel is called by those who call it, and in its certificate.
pub(crate) const PAYMENT_CHANNEL: &str = "payment-channel.example";

type Zone = BTreeMap<String, Vec<IpAddr>>;

fn path(deployment: &Deployment) -> PathBuf {
    deployment.data.join("names.json")
}

/// Every name that there should be.
pub(crate) fn write(deployment: &Deployment, plan: &Plan) -> Result<()> {
    let addresses = plan.addresses("payment-channel").iter().map(|one| IpAddr::V4(*one.ip())).collect();
    save(deployment, &Zone::from([(PAYMENT_CHANNEL.to_owned(), addresses)]))
}

/// The zone without any name.
pub(crate) fn forget(deployment: &Deployment) -> Result<()> {
    save(deployment, &Zone::new())
}

fn save(deployment: &Deployment, zone: &Zone) -> Result<()> {
    write_atomically(&path(deployment), &serde_json::to_string_pretty(zone)?)
}

/// Asks that file.
#[derive(Clone)]
pub(crate) struct Resolver {
    path: PathBuf,
    /// What is found is turned into this, where the way is cut.
    turn: fn(IpAddr) -> IpAddr,
}

impl Resolver {
    pub(crate) fn new(deployment: &Deployment, turn: fn(IpAddr) -> IpAddr) -> Self {
        Self { path: path(deployment), turn }
    }

    fn look_up(&self, name: &str) -> std::result::Result<Vec<SocketAddr>, String> {
        let text = std::fs::read_to_string(&self.path).map_err(|error| format!("no name server: {error}"))?;
        let zone: Zone = serde_json::from_str(&text).map_err(|error| format!("bad name server: {error}"))?;
        let found = zone.get(name).ok_or_else(|| format!("cannot resolve {name}: no such name"))?;
        // The port is the URL's.
        Ok(found.iter().map(|ip| SocketAddr::new((self.turn)(*ip), 0)).collect())
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.look_up(name.as_str());
        Box::pin(async move {
            match found {
                Ok(addresses) => Ok(Box::new(addresses.into_iter()) as Addrs),
                Err(words) => Err(words.into()),
            }
        })
    }
}
