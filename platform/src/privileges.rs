//! Who runs what. Started by root, nothing of the platform keeps root's rights: the servers refuse them,
//! and our own processes need none.

use anyhow::{Context as _, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Uid, User, setgid, setgroups, setuid};

/// The unprivileged user that servers run as when root starts them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Nothing to change for an ordinary user.
pub(crate) fn unprivileged() -> Result<Option<Account>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let nobody = User::from_name("nobody")
        .context("cannot look up the user nobody")?
        .context("there is no user nobody on this machine: the servers do not run as root")?;
    Ok(Some(Account { uid: nobody.uid.as_raw(), gid: nobody.gid.as_raw() }))
}

/// Gives up root's rights for good. Call it while there is one thread: they are the process's, not a thread's.
pub(crate) fn drop_privileges() -> Result<()> {
    if let Some(account) = unprivileged()? {
        setgroups(&[]).context("cannot leave root's groups")?;
        setgid(Gid::from_raw(account.gid)).context("cannot change the group")?;
        setuid(Uid::from_raw(account.uid)).context("cannot change the user")?;
    }
    Ok(())
}

/// As many open files as this process may have: ten thousand connections need more than the usual thousand.
/// Where that is not allowed, the usual number has to do.
pub(crate) fn raise_open_files() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        setrlimit(Resource::RLIMIT_NOFILE, most, most).ok();
    }
}
