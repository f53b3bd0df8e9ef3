//! The commands that start, show, mend and stop a deployment.

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

pub(crate) use self::down::{down, down_when_gone};
pub(crate) use self::promote::promote;
pub(crate) use self::repair::{Change, mend, repair, replace};
pub(crate) use self::scale::{limit, scale, switch};
pub(crate) use self::status::status;
pub(crate) use self::up::{UpOptions, up};

/// An absolute path: what is written down must mean the same from everywhere.
fn absolute(dir: &Path) -> Result<PathBuf> {
    std::path::absolute(dir).with_context(|| format!("cannot make {} an absolute path", dir.display()))
}
