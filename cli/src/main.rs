//! topowatch: watches a platform from outside, and names what is really broken.

mod ack;
mod alert;
mod args;
mod change;
mod check;
mod client;
mod demo;
mod discover;
mod draft;
mod drift;
mod environment;
mod exit;
mod follow;
mod health;
mod impact;
mod import;
mod init;
mod load;
mod manual;
mod mcp;
mod meaning;
mod nagios;
mod objectives;
mod once;
mod output;
mod probe;
mod record;
mod reload;
mod replay;
mod report;
mod schema;
mod scrub;
mod serve;
mod silence;
mod spof;
mod token;
mod tokens;
mod top;
mod watched;
mod why;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::exit::Exit;

// Thousands of looks a second allocate and free on two threads, and hold little: with the C library's allocator they
// cost a tenth more CPU, and what a start needs for a moment is never given back. `make bench` shows both.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers; all else is a usage error, which must not look like red (2).
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Good };
            output::ignore_closed_pipe(error.print());
            return code.into();
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::error(&format!("the runtime cannot start: {error}"));
            return Exit::Failed.into();
        }
    };
    let result = match cli.command {
        Command::Serve(args) => runtime.block_on(serve::run(args)),
        Command::Check(args) => check::run(&args),
        Command::Health(args) => runtime.block_on(health::run(&args)),
        Command::Why(args) => runtime.block_on(why::run(&args)),
        Command::Replay(args) => replay::run(&args),
        Command::Reload(args) => runtime.block_on(reload::run(&args)),
        Command::Change(args) => runtime.block_on(change::run(&args)),
        Command::Silence(args) => runtime.block_on(silence::run(&args)),
        Command::Ack(args) => runtime.block_on(ack::run(&args)),
        Command::Alert(args) => runtime.block_on(alert::run(&args)),
        Command::Record(args) => runtime.block_on(record::run(&args)),
        Command::Impact(args) => impact::run(&args),
        Command::Spof(args) => spof::run(&args),
        Command::Probe(args) => runtime.block_on(probe::run(&args)),
        Command::Schema(args) => schema::run(&args),
        Command::Token(args) => runtime.block_on(tokens::run(&args)),
        Command::Objectives(args) => runtime.block_on(objectives::run(&args)),
        Command::Init(args) => init::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Discover(args) => runtime.block_on(discover::run(&args)),
        Command::Drift(args) => runtime.block_on(drift::run(&args)),
        Command::Top(args) => runtime.block_on(top::run(&args)),
        Command::Mcp(args) => runtime.block_on(mcp::run(&args)),
        Command::Completions(args) => manual::completions(&args),
        Command::Man(args) => manual::man(&args),
        Command::Demo(args) => runtime.block_on(demo::run(args)),
    };
    // Blocking name lookups must not hold the exit up.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::error(&format!("{error:#}"));
            error.downcast_ref::<exit::Code>().map_or(Exit::Failed, |code| code.0).into()
        }
    }
}
