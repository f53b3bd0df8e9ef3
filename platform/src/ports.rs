//! Which block of ports a deployment gets. A lock file a block keeps two `up`s from choosing the same;
//! every started process inherits the lock, so it is free again exactly when the last one is gone.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::net::{SocketAddrV4, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::catalog::Scale;
use crate::plan::{BLOCK, DEFAULT_BASE_PORT, Plan};

/// What `--base-port` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BasePort {
    At(u16),
    /// The first free block from the default on.
    Auto,
}

impl std::str::FromStr for BasePort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text.parse().map(Self::At).map_err(|_| "a port number or `auto`".to_owned()),
        }
    }
}

/// A block of ports that is ours for as long as this, or a process started meanwhile, lives.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) plan: Plan,
    _lock: File,
}

enum Refusal {
    HeldByDeployment,
    Taken(SocketAddrV4),
}

impl Block {
    pub(crate) fn reserve(scale: Scale, wanted: BasePort) -> Result<Self> {
        match wanted {
            BasePort::At(base_port) => match Self::try_at(Plan::new(scale, base_port)?)? {
                Ok(block) => Ok(block),
                Err(Refusal::HeldByDeployment) => bail!(
                    "another deployment runs on ports {base_port} to {}: `ordering-platform down` it, or pass \
                     `--base-port auto`; `ss -ltnp | grep :{}` shows it",
                    base_port + BLOCK - 1,
                    base_port / 100
                ),
                Err(Refusal::Taken(address)) => bail!(
                    "port {} on {} is taken by another program: `ss -ltnp | grep :{0}` shows which; end it, or \
                     pass `--base-port auto`",
                    address.port(),
                    address.ip()
                ),
            },
            BasePort::Auto => {
                let mut base_port = DEFAULT_BASE_PORT;
                while let Ok(plan) = Plan::new(scale, base_port) {
                    if let Ok(block) = Self::try_at(plan)? {
                        return Ok(block);
                    }
                    base_port += BLOCK;
                }
                bail!(
                    "no block of {BLOCK} free ports from {DEFAULT_BASE_PORT} on: `ss -ltnp` shows what holds them"
                )
            }
        }
    }

    fn try_at(plan: Plan) -> Result<std::result::Result<Self, Refusal>> {
        let Some(lock) = lock_block(plan.base_port)? else { return Ok(Err(Refusal::HeldByDeployment)) };
        let broker =
            [plan.epmd_port(), plan.dist_port()].map(|port| SocketAddrV4::new([127, 0, 0, 1].into(), port));
        let own_pages = plan
            .instances
            .iter()
            .filter(|instance| instance.health != instance.address)
            .map(|instance| instance.health);
        let all = plan.instances.iter().map(|instance| instance.address).chain(own_pages).chain(broker);
        for address in all {
            if TcpListener::bind(address).is_err() {
                return Ok(Err(Refusal::Taken(address)));
            }
        }
        Ok(Ok(Self { plan, _lock: lock }))
    }
}

/// For `up --repair`: the processes that still live hold the block; when none does, take it again.
pub(crate) fn hold_again(base_port: u16) -> Result<Option<File>> {
    lock_block(base_port)
}

fn lock_block(base_port: u16) -> Result<Option<File>> {
    let dir = PathBuf::from("/var/tmp/ordering-platform-ports");
    if fs::create_dir(&dir).is_ok() {
        // Shared by all users of the machine, as the ports are.
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o1777)).ok();
    }
    let path = dir.join(format!("{base_port}.lock"));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .or_else(|_| {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
            file.set_permissions(fs::Permissions::from_mode(0o666))?;
            Ok::<_, std::io::Error>(file)
        })
        .with_context(|| format!("cannot open the lock {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error).context("cannot lock a block of ports"),
    }
    // Handed to every process started from here on.
    fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty())).context("cannot pass the lock on")?;
    Ok(Some(file))
}
