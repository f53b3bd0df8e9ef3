//! `status`: what runs, as a table or for programs.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::absolute;
use crate::deployment::{Deployment, State};
use crate::output::say;
use crate::process::{self, Life};

/// Exit status 1 when something that should run does not.
pub(crate) fn status(dir: &Path, as_json: bool) -> Result<u8> {
    let dir = absolute(dir)?;
    Deployment::require(&dir)?;
    let state = State::load(&dir)?.unwrap_or_default();
    if as_json {
        say(serde_json::to_string_pretty(&to_json(&state))?);
    } else {
        say(table(&state));
    }
    let all_alive = state.running().all(|running| running.process().life() == Life::Alive);
    Ok(u8::from(!all_alive))
}

fn to_json(state: &State) -> serde_json::Value {
    let instances: Vec<_> = state
        .components
        .iter()
        .flat_map(|(component, list)| list.iter().map(move |running| (component, running)))
        .map(|(component, running)| {
            json!({
                "component": component,
                "name": running.name,
                "address": running.address,
                "pid": running.pid,
                "pids": process::family(running.pid).iter().map(|process| process.pid).collect::<Vec<_>>(),
                "state": running.process().life().word(),
            })
        })
        .collect();
    let helpers: Vec<_> = state
        .helpers
        .iter()
        .map(|helper| json!({ "name": helper.name, "pid": helper.pid, "state": helper.process().life().word() }))
        .collect();
    json!({ "name": state.name, "dir": state.dir, "base_port": state.base_port, "instances": instances, "helpers": helpers })
}

/// One line an instance, in the order of the platform's own table.
pub(super) fn table(state: &State) -> String {
    let mut text = format!("{:<24} {:<20} {:>8}  {}\n", "instance", "address", "pid", "state");
    let listed =
        crate::catalog::COMPONENTS.iter().filter_map(|component| state.components.get(component.name));
    for running in listed.flatten() {
        let life = running.process().life().word();
        writeln!(text, "{:<24} {:<20} {:>8}  {life}", running.name, running.address, running.pid).ok();
    }
    for helper in &state.helpers {
        let life = helper.process().life().word();
        writeln!(text, "{:<24} {:<20} {:>8}  {life}", helper.name, "-", helper.pid).ok();
    }
    text.truncate(text.trim_end().len());
    text
}
