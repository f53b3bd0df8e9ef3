//! One deployment on disk: what was asked for (`deployment.json`) and what runs (`state.json`).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::catalog::{Component, Scale, VM};
use crate::plan::{Counts, Instance, Plan};
use crate::process::{Marks, Process};
use crate::secrets::Secrets;

pub(crate) const NAME: &str = "ordering-platform";

/// In `--dir`.
pub(crate) const ACCEPTED: &str = "accepted.log";

/// Who does whose part at present.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Assigned {
    /// Services whose kept VM group carries the traffic.
    pub(crate) on_vm: BTreeSet<String>,
    /// Shards whose replica was promoted: the server that was made as the primary is the replica now.
    pub(crate) promoted: BTreeSet<u8>,
}

impl Assigned {
    /// The group that carries a component's traffic: itself, or its VM group.
    pub(crate) fn active<'a>(&self, component: &'a str) -> Cow<'a, str> {
        if self.on_vm.contains(component) { format!("{component}{VM}").into() } else { component.into() }
    }

    /// Is this group kept, and another carries its traffic?
    pub(crate) fn is_kept(&self, component: &Component) -> bool {
        match component.stands_in_for() {
            Some(service) => !self.on_vm.contains(service),
            None => self.on_vm.contains(component.name),
        }
    }

    /// Is this server of a shard its replica?
    pub(crate) fn is_replica(&self, instance: &Instance) -> bool {
        instance.shard().is_some_and(|shard| instance.is_made_replica() != self.promoted.contains(&shard))
    }
}

/// What was asked for, by `up` and by the commands that change it while it runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Deployment {
    /// In the environment of every process of this deployment.
    pub(crate) id: String,
    pub(crate) scale: Scale,
    pub(crate) base_port: u16,
    /// Where the servers keep their data: a short path that an unprivileged user can reach.
    pub(crate) data: PathBuf,
    /// The absolute path of `--dir`.
    pub(crate) dir: PathBuf,
    /// How often a store's POS asks for new orders.
    pub(crate) poll_ms: u64,
    /// Past days of the order curve were made up.
    #[serde(default)]
    pub(crate) history: bool,
    /// Requests a second that the gateways let in, all together.
    pub(crate) rate_limit: u32,
    /// Where the gateways' access log goes besides its file: a syslog receiver's UDP address.
    pub(crate) access_log_to: Option<String>,
    /// Instances by component, where `scale` changed them.
    pub(crate) counts: Counts,
    pub(crate) assigned: Assigned,
}

impl Deployment {
    pub(crate) fn load(dir: &Path) -> Result<Option<Self>> {
        read_json(&dir.join("deployment.json"))
    }

    /// The one in `dir`, which must be there.
    pub(crate) fn require(dir: &Path) -> Result<Self> {
        Self::load(dir)?.with_context(|| {
            format!("nothing runs in {}: start it with `ordering-platform up --dir {0}`", dir.display())
        })
    }

    pub(crate) fn save(&self) -> Result<()> {
        write_json(&self.dir.join("deployment.json"), self)
    }

    pub(crate) fn plan(&self) -> Result<Plan> {
        Plan::with(self.scale, self.base_port, &self.counts)
    }

    pub(crate) fn secrets(&self) -> Secrets {
        Secrets::in_dir(&self.dir)
    }

    pub(crate) fn home(&self, instance: &str) -> PathBuf {
        self.data.join(instance)
    }

    pub(crate) fn log(&self, instance: &str) -> PathBuf {
        self.dir.join("logs").join(format!("{instance}.log"))
    }

    /// The orders that clients were told are accepted: one line each, its id and when.
    pub(crate) fn accepted(&self) -> PathBuf {
        self.dir.join(ACCEPTED)
    }

    pub(crate) fn marks(&self) -> Marks {
        Marks { id: self.id.clone(), data: self.data.clone(), instance: None }
    }

    pub(crate) fn marks_of(&self, instance: &str) -> Marks {
        Marks { instance: Some(instance.to_owned()), ..self.marks() }
    }
}

/// One running instance, with all that is needed to break it by hand.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Running {
    pub(crate) name: String,
    pub(crate) address: String,
    /// Where it answers for itself: a line's address answers for the far side.
    pub(crate) health: String,
    /// The main process: nginx's master, the postmaster, `beam.smp`.
    pub(crate) pid: i32,
    /// All processes of the instance when everything had started.
    pub(crate) pids: Vec<i32>,
    pub(crate) port: u16,
    pub(crate) dir: PathBuf,
    /// The main process's start time in clock ticks after boot.
    pub(crate) started: u64,
}

impl Running {
    pub(crate) fn process(&self) -> Process {
        Process { pid: self.pid, started: self.started }
    }
}

/// A process that belongs to the deployment without being part of the platform: the load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Helper {
    pub(crate) name: String,
    pub(crate) pid: i32,
    pub(crate) started: u64,
}

impl Helper {
    pub(crate) fn process(&self) -> Process {
        Process { pid: self.pid, started: self.started }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    pub(crate) base_port: u16,
    pub(crate) components: BTreeMap<String, Vec<Running>>,
    pub(crate) helpers: Vec<Helper>,
}

impl State {
    pub(crate) fn load(dir: &Path) -> Result<Option<Self>> {
        read_json(&dir.join("state.json"))
    }

    pub(crate) fn save(&self) -> Result<()> {
        write_json(&self.dir.join("state.json"), self)
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = &Running> {
        self.components.values().flatten()
    }

    pub(crate) fn find(&self, instance: &str) -> Option<&Running> {
        self.running().find(|running| running.name == instance)
    }
}

/// One command at a time works on a directory. The file names the one that does.
#[derive(Debug)]
pub(crate) struct DirLock {
    _file: File,
}

impl DirLock {
    /// Takes the lock, or tells who holds it.
    pub(crate) fn try_take(dir: &Path) -> Result<std::result::Result<Self, Option<i32>>> {
        let path = dir.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                file.rewind()?;
                write!(file, "{}", std::process::id())?;
                Ok(Ok(Self { _file: file }))
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder)?;
                Ok(Err(holder.trim().parse().ok()))
            }
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }

    pub(crate) fn take(dir: &Path) -> Result<Self> {
        match Self::try_take(dir)? {
            Ok(lock) => Ok(lock),
            Err(holder) => bail!(
                "another ordering-platform command (process {}) is at work in {}: wait for it or end it",
                holder.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string()),
                dir.display()
            ),
        }
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    serde_json::from_str(&text).map(Some).with_context(|| {
        format!("{} is not what this version writes: end that deployment and remove it", path.display())
    })
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    write_atomically(path, &text)
}

/// Readers see the old file or the new one, never half of it.
pub(crate) fn write_atomically(path: &Path, text: &str) -> Result<()> {
    let draft = path.with_extension("new");
    fs::write(&draft, text)
        .and_then(|()| fs::rename(&draft, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
