//! Where the servers' programs are, and which package brings a missing one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) initdb: PathBuf,
    pub(crate) postgres: PathBuf,
    pub(crate) pg_basebackup: PathBuf,
    pub(crate) pg_waldump: PathBuf,
    pub(crate) mariadbd: PathBuf,
    pub(crate) mariadb_install_db: PathBuf,
    pub(crate) redis: PathBuf,
    pub(crate) nginx: PathBuf,
    pub(crate) rabbitmq: PathBuf,
    pub(crate) rabbitmqctl: PathBuf,
}

impl Programs {
    pub(crate) fn find() -> Result<Self> {
        let postgres_bin = newest_postgres();
        // Debian's /usr/sbin/rabbitmq-server insists on root or the user rabbitmq; the one below it does not.
        let rabbitmq = "/usr/lib/rabbitmq/bin/rabbitmq-server";
        Ok(Self {
            initdb: must_exist(&postgres_bin.join("initdb"), "postgresql")?,
            postgres: must_exist(&postgres_bin.join("postgres"), "postgresql")?,
            pg_basebackup: must_exist(&postgres_bin.join("pg_basebackup"), "postgresql-client")?,
            pg_waldump: must_exist(&postgres_bin.join("pg_waldump"), "postgresql")?,
            mariadbd: search("mariadbd", "mariadb-server")?,
            mariadb_install_db: search("mariadb-install-db", "mariadb-server")?,
            redis: search("redis-server", "redis-server")?,
            nginx: search("nginx", "nginx-light")?,
            rabbitmq: must_exist(Path::new(rabbitmq), "rabbitmq-server")?,
            rabbitmqctl: must_exist(Path::new("/usr/lib/rabbitmq/bin/rabbitmqctl"), "rabbitmq-server")?,
        })
    }
}

/// Several major versions may be installed side by side.
fn newest_postgres() -> PathBuf {
    let root = Path::new("/usr/lib/postgresql");
    let versions = fs::read_dir(root).into_iter().flatten().filter_map(|entry| {
        let name = entry.ok()?.file_name();
        name.to_str()?.parse::<u32>().ok()
    });
    root.join(versions.max().unwrap_or_default().to_string()).join("bin")
}

fn search(program: &str, package: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // An ordinary user's PATH often lacks the sbin directories.
    let usual = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"].map(PathBuf::from);
    match std::env::split_paths(&path).chain(usual).map(|dir| dir.join(program)).find(|file| file.is_file()) {
        Some(found) => Ok(found),
        None => bail!("{program} is not installed: apt-get install {package}"),
    }
}

fn must_exist(path: &Path, package: &str) -> Result<PathBuf> {
    if path.is_file() {
        return Ok(path.to_owned());
    }
    let program = path.file_name().unwrap_or_default().to_string_lossy();
    bail!("{program} is not installed: apt-get install {package}")
}
