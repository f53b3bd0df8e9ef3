//! The commands that start, show, mend and stop a deployment.

mod disk;
mod down;
mod promote;
mod repair;
mod scale;
mod site;
mod start;
mod status;
mod up;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::deployment::Deployment;
use crate::names;

pub(crate) use self::disk::{fill_disk, give_disk_back};
pub(crate) use self::down::{down, down_when_gone};
pub(crate) use self::promote::promote;
pub(crate) use self::repair::{Change, mend, repair, replace};
pub(crate) use self::scale::{configure, limit, scale, switch};
pub(crate) use self::status::status;
pub(crate) use self::up::{UpOptions, up};

/// Names resolve again as they should.
pub(crate) fn restore_names(dir: &Path) -> Result<()> {
    let deployment = Deployment::require(dir)?;
    names::write(&deployment, &deployment.plan()?)
}

/// An absolute path: what is written down must mean the same from everywhere.
fn absolute(dir: &Path) -> Result<PathBuf> {
    std::path::absolute(dir).with_context(|| format!("cannot make {} an absolute path", dir.display()))
}
