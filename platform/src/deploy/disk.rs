//! A disk that is full: a small file system in memory, mounted where a Redis keeps what it must not lose, and
//! filled up. What was there is carried in before and carried back afterwards, with what came meanwhile.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;

use super::site::{Running, end_remains};
use super::start::{Data, enter, refresh, start_all};
use crate::clock;
use crate::plan::Instance;
use crate::ports;
use crate::process::Life;
use crate::servers::Site;

/// Where Redis writes its changes to, in its directory.
const CHANGES: &str = "appendonlydir";
/// The same, put aside while the small file system is in its place.
const ASIDE: &str = "appendonlydir.aside";
const FILLER: &str = "filler";
/// Beside what was there already.
const SIZE_MB: u64 = 8;
/// For a Redis to write down what it has and end.
const GRACE: Duration = Duration::from_secs(10);

/// Gives this Redis a small disk without a free byte.
pub(crate) async fn fill_disk(dir: &Path, name: &str) -> Result<()> {
    let mut running = Running::open(dir)?;
    let site = running.site.clone();
    let instance = site.plan.instance(name)?;
    let (changes, aside) = places(&site, instance);
    let size = size_of(&changes)? / (1 << 20) + SIZE_MB;
    end(&running, instance).await?;
    fs::rename(&changes, &aside).with_context(|| format!("cannot put {} aside", changes.display()))?;
    fs::create_dir(&changes)?;
    mount(
        Some("none"),
        &changes,
        Some("tmpfs"),
        MsFlags::empty(),
        Some(format!("size={size}m,mode=700").as_str()),
    )
    .with_context(|| format!("cannot mount a file system at {}: root may", changes.display()))?;
    give(&site, &changes)?;
    carry(&site, &aside, &changes)?;
    start(&mut running, instance).await?;
    let mut filler = File::create(changes.join(FILLER))?;
    let block = [0_u8; 4096];
    for length in [block.len(), 1] {
        while filler.write_all(block.get(..length).unwrap_or_default()).is_ok() {}
    }
    Ok(())
}

/// The usual disk again. Can be asked for at any point of the other, and twice.
pub(crate) async fn give_disk_back(dir: &Path, name: &str) -> Result<()> {
    let mut running = Running::open(dir)?;
    let site = running.site.clone();
    let instance = site.plan.instance(name)?;
    let (changes, aside) = places(&site, instance);
    if !aside.exists() {
        // It was not put aside yet, or is back already.
        return if running.is_dead(instance) { start(&mut running, instance).await } else { Ok(()) };
    }
    fs::remove_file(changes.join(FILLER)).ok();
    end(&running, instance).await?;
    if is_mounted(&changes)? {
        // What the small disk has is newer than what was put aside, unless it never got anything.
        if fs::read_dir(&changes)?.next().is_some() {
            clear(&aside)?;
            carry(&site, &changes, &aside)?;
        }
        umount2(&changes, MntFlags::empty())
            .with_context(|| format!("cannot unmount {}", changes.display()))?;
    }
    if changes.exists() {
        fs::remove_dir(&changes).with_context(|| format!("cannot remove {}", changes.display()))?;
    }
    fs::rename(&aside, &changes).with_context(|| format!("cannot put {} back", aside.display()))?;
    start(&mut running, instance).await
}

/// Ends every mount below a directory that is about to be removed.
pub(super) fn unmount_below(data: &Path) -> Result<()> {
    for place in mounts()?.into_iter().filter(|place| place.starts_with(data)) {
        umount2(&place, MntFlags::MNT_DETACH)
            .with_context(|| format!("cannot unmount {}", place.display()))?;
    }
    Ok(())
}

fn places(site: &Site, instance: &Instance) -> (PathBuf, PathBuf) {
    let home = site.deployment.home(&instance.name);
    (home.join(CHANGES), home.join(ASIDE))
}

/// A clean end, so that nothing that Redis has acknowledged is lost.
async fn end(running: &Running, instance: &Instance) -> Result<()> {
    if let Some(found) = running.state.find(&instance.name) {
        let process = found.process();
        process.signal(Signal::SIGCONT);
        process.signal(Signal::SIGTERM);
        let deadline = clock::now() + GRACE;
        while process.life() != Life::Dead && clock::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    end_remains(&running.site.deployment.marks_of(&instance.name)).await
}

async fn start(running: &mut Running, instance: &Instance) -> Result<()> {
    let _block = ports::hold_again(running.site.deployment.base_port)?;
    let site = running.site.clone();
    let started = start_all(&site, &[instance], Data::Kept).await?;
    enter(&mut running.state, &site, started);
    refresh(&mut running.state);
    running.state.save()
}

fn carry(site: &Site, from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        if entry.file_name() == FILLER {
            continue;
        }
        let target = to.join(entry.file_name());
        fs::copy(entry.path(), &target).with_context(|| format!("cannot write {}", target.display()))?;
        give(site, &target)?;
    }
    Ok(())
}

fn clear(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        fs::remove_file(entry?.path())?;
    }
    Ok(())
}

fn give(site: &Site, path: &Path) -> Result<()> {
    if let Some(account) = site.account {
        chown(path, Some(account.uid), Some(account.gid))
            .with_context(|| format!("cannot give {} to the servers' user", path.display()))?;
    }
    Ok(())
}

fn size_of(dir: &Path) -> Result<u64> {
    if !dir.exists() {
        bail!("{} is not there: this Redis writes nothing down", dir.display());
    }
    let sizes = fs::read_dir(dir)?.map(|entry| Ok(entry?.metadata()?.len()));
    sizes.sum::<std::io::Result<u64>>().with_context(|| format!("cannot read {}", dir.display()))
}

fn is_mounted(place: &Path) -> Result<bool> {
    Ok(mounts()?.iter().any(|mounted| mounted == place))
}

/// Where something is mounted. Blanks in a path are written in octal there; ours have none.
fn mounts() -> Result<Vec<PathBuf>> {
    let text = fs::read_to_string("/proc/self/mountinfo").context("cannot tell what is mounted")?;
    Ok(text.lines().filter_map(|line| line.split(' ').nth(4).map(PathBuf::from)).collect())
}
