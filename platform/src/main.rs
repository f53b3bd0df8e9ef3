//! The ordering platform: one program that starts, mends and stops it, and is its services.

mod accepted;
mod audit;
mod catalog;
mod certificates;
mod cli;
mod clock;
mod dead_letters;
mod deploy;
mod deployment;
mod drill;
mod faults;
mod hammer;
mod listen;
mod load;
mod members;
mod names;
mod output;
mod plan;
mod ports;
mod privileges;
mod process;
mod roles;
mod secrets;
mod servers;
mod sizing;
mod topology_file;
mod warm_up;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use crate::cli::{Cli, Command};
use crate::dead_letters::What;
use crate::deploy::UpOptions;
use crate::deployment::{Assigned, Deployment};
use crate::drill::DrillOptions;
use crate::hammer::HammerOptions;
use crate::listen::ListenOptions;
use crate::load::LoadOptions;
use crate::plan::{DEFAULT_BASE_PORT, Plan};
use crate::sizing::SizingOptions;
use crate::topology_file::Watched;

fn main() -> ExitCode {
    // The HTTP client has no TLS of its own and refuses to start without a provider.
    rustls::crypto::ring::default_provider().install_default().ok();
    match run(Cli::parse().command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output::warn(format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<u8> {
    match command {
        Command::Up { dir, repair: true, .. } | Command::Repair { dir } => wait(deploy::repair(&dir.dir)),
        Command::Up {
            scale,
            dir,
            base_port,
            json,
            poll,
            history,
            rate_limit,
            access_log_to,
            repair: false,
        } => {
            let (base_port, poll) = (base_port.0, poll.0);
            let options = UpOptions { scale, base_port, json, poll, history, rate_limit, access_log_to };
            wait(deploy::up(&dir.dir, options))
        }
        Command::Scale { component, count, dir } => wait(deploy::scale(&dir.dir, &component, count)),
        Command::Switch { service, to, dir } => {
            wait(deploy::switch(&dir.dir, &service, to == cli::Runtime::Vm))
        }
        Command::Promote { shard, force, dir } => wait(deploy::promote(&dir.dir, &shard, force)),
        Command::Limit { rate, dir } => deploy::limit(&dir.dir, rate),
        Command::Status { dir, json } => deploy::status(&dir.dir, json),
        Command::Down { dir, when_gone: None } => wait(deploy::down(&dir.dir)),
        Command::Down { dir, when_gone: Some(pid) } => wait(deploy::down_when_gone(&dir.dir, pid)),
        Command::Load { dir, rate, length, mix, json } => {
            wait(load::load(&dir.dir, LoadOptions { rate, length: length.0, mix, json }))
        }
        Command::Drill { what, dir, seed, rate, each, others, rounds, json } => {
            let (each, others) = (each.0, others.0);
            wait(drill::drill(&dir.dir, DrillOptions { what, seed, rate, each, others, rounds, json }))
        }
        Command::Hammer { what, dir, shards, connections, length } => {
            let options = HammerOptions { what, shards, connections, length: length.0 };
            wait_on_all_cores(hammer::hammer(&dir.dir, options))
        }
        Command::Plan { dir, target, orders_a_day, cores, rate, length, json } => {
            let options = SizingOptions { target, orders_a_day, cores, rate, length: length.0, json };
            wait(sizing::plan(&dir.dir, options))
        }
        Command::Listen { dir, connections, rate, length, json } => {
            let options = ListenOptions { connections, length: length.0, rate, json };
            wait_on_all_cores(listen::listen(&dir.dir, options))
        }
        Command::WarmUp { dir } => wait(warm_up::warm_up(&dir.dir)),
        Command::DeadLetters { dir, requeue, drop, json } => {
            let what = match (requeue, drop) {
                (true, _) => What::Requeue,
                (_, true) => What::Drop,
                _ => What::Show,
            };
            wait(dead_letters::dead_letters(&dir.dir, what, json))
        }
        Command::Audit { dir, wait: longest, json } => wait(audit::audit(&dir.dir, longest.0, json)),
        Command::Break { list: true, json, .. } => faults::list(json),
        Command::Break { fault, dir, length, json, list: false } => {
            wait(faults::inject(&dir.dir, &fault.unwrap_or_default(), length.0, json))
        }
        Command::Topology { dir, scale, secrets_prefix } => {
            // Without a deployment: what `up` would start.
            let (plan, assigned, access_log) = match Deployment::load(&dir.dir)? {
                Some(deployment) => {
                    let access_log = deployment.access_log_to.is_some();
                    (deployment.plan()?, deployment.assigned, access_log)
                }
                None => (Plan::new(scale, DEFAULT_BASE_PORT)?, Assigned::default(), false),
            };
            let watched = Watched { secrets: &secrets_prefix, access_log };
            output::print(&topology_file::render(&plan, &assigned, watched));
            Ok(0)
        }
        Command::Run { instance, dir } => roles::run(&dir.dir, &instance),
        Command::Traffic { dir } => roles::run_traffic(&dir.dir),
    }
}

/// One thread suffices for commands, and with one, an interrupted start has no start going on elsewhere.
fn wait(work: impl Future<Output = Result<u8>>) -> Result<u8> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(work)
}

/// For what makes load of its own.
fn wait_on_all_cores(work: impl Future<Output = Result<u8>>) -> Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(work)
}
