//! `topowatch discover`: what runs on this host and what it talks to, from /proc.

mod assemble;
mod greet;
mod group;
mod processes;
pub(crate) mod seen;
mod sockets;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use self::processes::Proc;
use self::seen::Seen;
use self::watch::Watch;
use crate::args::DiscoverArgs;
use crate::draft::{finish, report};
use crate::exit::{Exit, fail};
use crate::output;

/// Bytes of one file of `--json` at most.
const MAX_BYTES: u64 = 64 << 20;

/// The format of `--json`.
const VERSION: u32 = 1;

pub(crate) async fn run(args: &DiscoverArgs) -> Result<Exit> {
    let seen = if args.merge.is_empty() {
        let mut seen = here(args.length.unwrap_or_default(), args.host.clone()).await;
        if args.greet {
            greet::greet(&mut seen).await;
        }
        seen
    } else {
        read(&args.merge)?
    };
    if args.json {
        let text = serde_json::to_string_pretty(&seen)?;
        match &args.output {
            Some(path) => report::save(path, &format!("{text}\n"), args.force)?,
            None => output::line(&text),
        }
        return Ok(Exit::Good);
    }
    report::hand_out(&finish::finish(assemble::assemble(&seen)), args.output.as_deref(), args.force, false)
}

/// Watches this host.
pub(crate) async fn here(length: Duration, name: Option<String>) -> Seen {
    let mut watch = Watch::new(Proc::new("/proc"));
    watch.run(length).await;
    Seen { version: VERSION, hosts: vec![watch.into_host(name, length)] }
}

/// What was seen on several hosts. One that was looked at twice is taken as the later file says.
pub(crate) fn read(files: &[PathBuf]) -> Result<Seen> {
    let mut all = Seen { version: VERSION, hosts: Vec::new() };
    for path in files {
        for host in one(path)?.hosts {
            all.hosts.retain(|known| known.name != host.name);
            all.hosts.push(host);
        }
    }
    Ok(all)
}

fn one(path: &Path) -> Result<Seen> {
    use std::io::Read as _;
    let shown = path.display();
    let mut text = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut text))
        .map_err(|error| fail(Exit::Red, format!("{shown} cannot be read: {error}")))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(fail(Exit::Red, format!("{shown} has more than {} MiB", MAX_BYTES >> 20)));
    }
    let seen: Seen = serde_json::from_slice(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let help = "it is what `topowatch discover --json` writes";
        fail(Exit::Red, format!("{shown}:{line}:{column}: {error}; {help}"))
    })?;
    if seen.version != VERSION {
        return Err(fail(
            Exit::Red,
            format!("{shown}: version {} is of another topowatch: write it anew", seen.version),
        ));
    }
    Ok(seen)
}
