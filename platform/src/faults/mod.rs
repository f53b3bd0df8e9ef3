//! `break`: one real fault, for a time. It is undone at the end, and by Ctrl-C.

mod at_work;
mod inject;
mod journal;
mod list;
mod servers;
mod undo;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub(crate) use self::inject::Injected;
pub(crate) use self::journal::BREAKS;
use self::journal::Journal;
use self::list::{FAULTS, Fault};
use crate::catalog::Scale;
use crate::clock;
use crate::deployment::Deployment;
use crate::output::say;
use crate::plan::{DEFAULT_BASE_PORT, Plan};
use crate::roles::cancel_on_signal;

pub(crate) fn list(as_json: bool) -> Result<u8> {
    if as_json {
        let plan = Plan::new(Scale::Small, DEFAULT_BASE_PORT)?;
        let all: Vec<Value> = FAULTS.iter().map(|fault| describe(fault, &plan)).collect();
        say(serde_json::to_string_pretty(&all)?);
    } else {
        for fault in FAULTS {
            say(format!("{:<28} {}", fault.name, fault.what));
            say(format!("{:<28} to blame: {}", "", fault.roots.join(" or ")));
        }
    }
    Ok(0)
}

fn describe(fault: &Fault, plan: &Plan) -> Value {
    json!({
        "fault": fault.name, "what": fault.what, "expected_root": fault.roots,
        "instances": fault.breakage.instances(plan),
    })
}

fn find(name: &str) -> Result<&'static Fault> {
    FAULTS.iter().find(|fault| fault.name == name).with_context(|| {
        let names: Vec<&str> = FAULTS.iter().map(|fault| fault.name).collect();
        format!("no fault is called {name}; there are {}", names.join(", "))
    })
}

/// Breaks it. Whoever does undoes it, too.
pub(crate) async fn begin(dir: &Path, name: &str) -> Result<Injected> {
    let (fault, dir) = (find(name)?, std::path::absolute(dir)?);
    let deployment = Deployment::require(&dir)?;
    let mut injected = Injected::new(&dir, name)?;
    if let Err(error) = injected.inject(&deployment, fault).await {
        injected.undo().await.context("and undoing what was broken failed, too")?;
        return Err(error);
    }
    Ok(injected)
}

pub(crate) async fn inject(dir: &Path, name: &str, length: Duration, as_json: bool) -> Result<u8> {
    let stop = CancellationToken::new();
    cancel_on_signal(&stop)?;
    let mut injected = begin(dir, name).await?;
    let began = clock::now();
    tell(find(name)?, &Deployment::require(dir)?.plan()?, &injected.broken, length, as_json);
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(length) => {}
    }
    let lasted = clock::now() - began;
    injected.undo().await.with_context(|| {
        format!("{name} is not undone: try `ordering-platform repair --dir {}`", dir.display())
    })?;
    if as_json {
        say(json!({ "fault": name, "undone": true, "lasted_s": lasted.as_secs_f64() }));
    } else {
        say(format!("undone after {:.0} s", lasted.as_secs_f64()));
    }
    Ok(0)
}

fn tell(fault: &Fault, plan: &Plan, broken: &[Value], length: Duration, as_json: bool) {
    if as_json {
        let mut told = describe(fault, plan);
        if let Some(object) = told.as_object_mut() {
            object.insert("broken".to_owned(), broken.into());
            object.insert("for_s".to_owned(), length.as_secs_f64().into());
        }
        say(told);
        return;
    }
    say(format!("{}: {}", fault.name, fault.what));
    for one in broken {
        say(format!("  {} at {} {} (processes {})", one["name"], one["address"], one["how"], one["pids"])
            .replace('"', ""));
    }
    say(format!("to blame: {}", fault.roots.join(" or ")));
    say(format!("undone in {} s, or by Ctrl-C", length.as_secs()));
}

/// Undoes faults whose command was killed before it could. What was undone, by name.
pub(crate) async fn clear_up(dir: &Path) -> Result<Vec<String>> {
    let dir = std::path::absolute(dir)?;
    let mut undone = Vec::new();
    for journal in Journal::left(&dir)? {
        inject::undo(&dir, &journal).await.with_context(|| format!("{} is not undone", journal.fault))?;
        undone.push(journal.fault);
    }
    Ok(undone)
}
