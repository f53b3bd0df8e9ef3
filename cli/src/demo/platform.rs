//! The platform, through its own program.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::exit::{Exit, fail};

/// The program's name.
const PROGRAM: &str = "ordering-platform";

/// The platform in one directory.
pub(super) struct Platform {
    program: PathBuf,
    dir: PathBuf,
}

impl Platform {
    /// The platform of `dir`, by the program that lies beside this one.
    pub(super) fn new(dir: &Path) -> Result<Self> {
        let own = std::env::current_exe().context("cannot tell where this program lies")?;
        let program = own.with_file_name(PROGRAM);
        if !program.is_file() {
            return Err(fail(
                Exit::Failed,
                format!("{} is missing: `make build` builds both", program.display()),
            ));
        }
        Ok(Self { program, dir: dir.to_owned() })
    }

    /// Where the program lies.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// A command of the program, in a process group of its own: a Ctrl-C in the terminal must reach the
    /// demo alone, which then stops things in order.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).arg("--dir").arg(&self.dir).stdin(Stdio::null()).process_group(0);
        command
    }

    /// Stops what an earlier demo in this directory may have left (it was killed together with its guard).
    pub(super) async fn clear_leftovers(&self) -> Result<()> {
        if self.dir.join("state.json").exists() { self.down().await } else { Ok(()) }
    }

    /// Leaves a process behind that waits for the end of this one and then stops the platform, so that
    /// even SIGKILL leaves nothing. It is the caller's to end when it is no longer needed.
    pub(super) fn set_guard(&self) -> Result<Child> {
        let log = File::create(self.dir.join("guard.log")).context("cannot write the guard's log")?;
        let own = std::process::id().to_string();
        self.command(&["down", "--when-gone", &own])
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))
    }

    /// Starts everything; its gateways send their access log to `access_log`.
    pub(super) async fn up(&self, scale: &str, base_port: Option<&str>, access_log: &str) -> Result<()> {
        let mut args = vec!["up", "--scale", scale, "--access-log-to", access_log];
        if let Some(base_port) = base_port {
            args.extend(["--base-port", base_port]);
        }
        let status = self
            .command(&args)
            // Dropped half-way (the demo is being stopped): it is killed, and `down` finds what it started.
            .kill_on_drop(true)
            .status()
            .await
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        if !status.success() {
            return Err(fail(
                Exit::Failed,
                format!("the platform did not come up ({status}); its logs are in {}", self.dir.display()),
            ));
        }
        Ok(())
    }

    /// Stops everything.
    pub(super) async fn down(&self) -> Result<()> {
        let output = self.command(&["down"]).stdout(Stdio::null()).stderr(Stdio::piped()).output().await?;
        if !output.status.success() {
            bail!("the platform was not stopped cleanly: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// The main process of an instance, from state.json.
    pub(super) fn pid_of(&self, instance: &str) -> Option<u64> {
        let text = std::fs::read_to_string(self.dir.join("state.json")).ok()?;
        let state: Value = serde_json::from_str(&text).ok()?;
        let components = state["components"].as_object()?;
        components.values().filter_map(Value::as_array).flatten().find(|one| one["name"] == instance)?["pid"]
            .as_u64()
    }
}
