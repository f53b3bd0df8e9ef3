//! Passwords: random ones for each deployment, each in a file that only its owner may read.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::catalog::{COMPONENTS, Kind};
use crate::{certificates, names};

/// The account that a monitor logs in with, on every kind of server that has accounts.
pub(crate) const MONITOR_USER: &str = "monitor";
/// The account of the services on their own database or broker.
pub(crate) const APP_USER: &str = "app";

#[derive(Clone, Debug)]
pub(crate) struct Secrets {
    dir: PathBuf,
}

impl Secrets {
    pub(crate) fn in_dir(dir: &Path) -> Self {
        Self { dir: dir.join("secrets") }
    }

    /// Makes all of them anew.
    pub(crate) fn generate(dir: &Path) -> Result<Self> {
        let secrets = Self::in_dir(dir);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&secrets.dir)
            .with_context(|| format!("cannot create {}", secrets.dir.display()))?;
        let fixed = [
            "monitor-mysql",
            "monitor-postgres",
            "monitor-amqp",
            "redis",
            "admin-mysql",
            "admin-postgres",
            "replicator-postgres",
        ];
        for name in fixed {
            secrets.write(name)?;
        }
        for component in COMPONENTS {
            if matches!(component.kind, Kind::Postgres | Kind::MariaDb | Kind::RabbitMq) {
                secrets.write(&app_secret(component.name))?;
            }
        }
        certificates::generate(&secrets, names::PAYMENT_CHANNEL)?;
        Ok(secrets)
    }

    fn write(&self, name: &str) -> Result<()> {
        self.write_text(name, &random_hex()?)
    }

    /// A secret that is not made of chance.
    pub(crate) fn write_text(&self, name: &str, text: &str) -> Result<()> {
        let path = self.dir.join(name);
        fs::remove_file(&path).ok();
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write the secret {}", path.display()))
    }

    pub(crate) fn read(&self, name: &str) -> Result<String> {
        let path = self.dir.join(name);
        fs::read_to_string(&path)
            .map(|text| text.trim().to_owned())
            .with_context(|| format!("cannot read the secret {}", path.display()))
    }

    pub(crate) fn redis(&self) -> Result<String> {
        self.read("redis")
    }

    /// The password of the services' account on one server.
    pub(crate) fn app(&self, component: &str) -> Result<String> {
        self.read(&app_secret(component))
    }
}

fn app_secret(component: &str) -> String {
    format!("app-{component}")
}

fn random_hex() -> std::io::Result<String> {
    let mut bytes = [0_u8; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}
