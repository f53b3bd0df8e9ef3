//! The real servers: how each is prepared, started and asked whether it is ready.

mod mariadb;
mod nginx;
mod postgres;
mod programs;
mod rabbitmq;
mod redis;
mod roles;
mod schema;

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

pub(crate) use self::mariadb::ADMIN as MYSQL_ADMIN;
pub(crate) use self::nginx::{ACCESS_LOG, configure as configure_nginx};
pub(crate) use self::postgres::ADMIN as POSTGRES_ADMIN;
pub(crate) use self::programs::Programs;
pub(crate) use self::rabbitmq::{DEAD, DISK_LIMIT, MEMORY_LIMIT, ORDERS, rabbitmqctl};
pub(crate) use self::schema::{key_of, table_of};
use crate::catalog::Kind;
use crate::deployment::Deployment;
use crate::plan::{Instance, Plan};
use crate::privileges::Account;
use crate::process::MARKER;
use crate::secrets::Secrets;

/// The part of the menu that is the same for everybody.
pub(crate) const STATIC_MENU: &str = "/static/menu.json";

/// All that preparing and starting an instance needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) deployment: Deployment,
    pub(crate) plan: Plan,
    pub(crate) secrets: Secrets,
    /// Whom the servers run as when root starts them.
    pub(crate) account: Option<Account>,
    pub(crate) programs: Programs,
}

/// A command line, not yet run.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(String, OsString)>,
    /// Our own processes read their secrets first and then change the user themselves.
    pub(crate) as_account: bool,
}

impl Launch {
    fn server(program: &Path, args: Vec<OsString>) -> Self {
        Self { program: program.to_owned(), args, env: Vec::new(), as_account: true }
    }
}

/// Empty data directories that are copied for every server of their kind: making one takes longer than
/// copying it.
pub(crate) async fn make_templates(site: &Site) -> Result<()> {
    for template in [postgres::TEMPLATE, mariadb::TEMPLATE] {
        site.make_dir(&site.deployment.data.join(template))?;
    }
    let postgres = async {
        postgres::make_template(site).await?;
        postgres::make_orders_template(site).await
    };
    tokio::try_join!(postgres, mariadb::make_template(site))?;
    Ok(())
}

/// Everything an instance needs on disk before its first start.
pub(crate) async fn prepare(site: &Site, instance: &Instance) -> Result<()> {
    let home = site.deployment.home(&instance.name);
    site.make_dir(&home)?;
    match instance.component.kind {
        Kind::Postgres => postgres::prepare(site, instance, &home).await,
        Kind::MariaDb => site.copy_template(mariadb::TEMPLATE, &home).await,
        Kind::Redis => redis::configure(site, instance),
        Kind::RabbitMq => rabbitmq::configure(site, instance),
        Kind::Nginx | Kind::Cdn => nginx::configure(site, instance),
        _ => Ok(()),
    }
}

/// What an instance needs before it is started again on the data it left.
pub(crate) async fn renew(site: &Site, instance: &Instance) -> Result<()> {
    match instance.component.kind {
        Kind::Postgres => postgres::renew(site, instance).await,
        Kind::Nginx | Kind::Cdn => nginx::configure(site, instance),
        _ => Ok(()),
    }
}

pub(crate) fn launch(site: &Site, instance: &Instance) -> Result<Launch> {
    Ok(match instance.component.kind {
        Kind::Postgres => postgres::launch(site, instance),
        Kind::MariaDb => mariadb::launch(site, instance),
        Kind::Redis => redis::launch(site, instance),
        Kind::RabbitMq => rabbitmq::launch(site, instance),
        Kind::Nginx | Kind::Cdn => nginx::launch(site, instance),
        _ => roles::launch(site, &["run", &instance.name])?,
    })
}

/// The process that keeps a light load on the platform.
pub(crate) fn launch_traffic(site: &Site) -> Result<Launch> {
    roles::launch(site, &["traffic"])
}

/// One question whether the instance serves. Ask again until it does.
pub(crate) async fn ask(site: &Site, instance: &Instance) -> Result<()> {
    match instance.component.kind {
        Kind::Postgres => postgres::ask(site, instance).await,
        Kind::MariaDb => mariadb::ask(site, instance).await,
        Kind::Redis => redis::ask(site, instance).await,
        Kind::RabbitMq => rabbitmq::ask(site, instance).await,
        Kind::Nginx | Kind::Cdn => roles::ask(instance, "/stub_status").await,
        _ => roles::ask(instance, "/health").await,
    }
}

/// Is the instance well, with everything behind it? For a gateway: does it serve the home page?
pub(crate) async fn ask_deep(instance: &Instance) -> Result<()> {
    match instance.component.kind {
        Kind::Nginx => roles::ask(instance, "/probe/home").await,
        Kind::Cdn => roles::ask(instance, STATIC_MENU).await,
        Kind::Postgres | Kind::MariaDb | Kind::Redis | Kind::RabbitMq => Ok(()),
        _ => roles::ask_deep(instance).await,
    }
}

/// Accounts, databases and first rows, once, after the first start.
pub(crate) async fn provision(site: &Site, instance: &Instance) -> Result<()> {
    match instance.component.kind {
        Kind::Postgres => postgres::provision(site, instance).await,
        Kind::MariaDb => mariadb::provision(site, instance).await,
        _ => Ok(()),
    }
}

impl Site {
    /// A directory for the servers' user alone.
    fn make_dir(&self, path: &Path) -> Result<()> {
        fs::DirBuilder::new()
            .mode(0o700)
            .create(path)
            .and_then(|()| self.give(path))
            .with_context(|| format!("cannot create {}", path.display()))
    }

    /// A file for the servers' user alone: it may hold a password.
    fn write_file(&self, path: &Path, text: &str) -> Result<()> {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .and_then(|()| self.give(path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    fn give(&self, path: &Path) -> std::io::Result<()> {
        self.account.map_or(Ok(()), |account| chown(path, Some(account.uid), Some(account.gid)))
    }

    async fn copy_template(&self, template: &str, home: &Path) -> Result<()> {
        let from = self.deployment.data.join(template).join(".");
        // cp keeps owner and modes and uses the file system's own cheap copies where it has them.
        let mut command = tokio::process::Command::new("cp");
        command.arg("-a").arg("--reflink=auto").arg(from).arg(home);
        self.run_tool(command).await
    }

    /// Runs a short-lived tool to its end; what it printed is shown when it fails.
    async fn run_tool(&self, mut command: tokio::process::Command) -> Result<()> {
        command.env(MARKER, &self.deployment.id).stdin(Stdio::null()).kill_on_drop(true);
        let shown = command.as_std().get_program().display().to_string();
        let output = command.output().await.with_context(|| format!("cannot run {shown}"))?;
        if !output.status.success() {
            bail!(
                "{shown} ended with {}:\n{}{}",
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(())
    }

    /// A tool run as the servers' user.
    fn tool(&self, program: &Path) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(program);
        command.current_dir(&self.deployment.data);
        if let Some(account) = self.account {
            command.uid(account.uid).gid(account.gid);
        }
        command
    }
}

/// `name=value` options and plain flags alike.
fn words<const N: usize>(words: [String; N]) -> Vec<OsString> {
    words.into_iter().map(OsString::from).collect()
}
