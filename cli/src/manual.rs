//! `topowatch completions` and `topowatch man`: made of the command line itself, so that they cannot disagree with it.

use std::path::Path;

use anyhow::{Context as _, Result};
use clap::{Command, CommandFactory as _};

use crate::args::{Cli, CompletionsArgs, ManArgs};
use crate::exit::Exit;
use crate::output;

pub(crate) fn completions(args: &CompletionsArgs) -> Result<Exit> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "topowatch", &mut text);
    output::line(String::from_utf8(text).context("the completions are no text")?.trim_end());
    Ok(Exit::Good)
}

pub(crate) fn man(args: &ManArgs) -> Result<Exit> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let Some(dir) = &args.dir else {
        output::line(page(&command)?.trim_end());
        return Ok(Exit::Good);
    };
    std::fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    let pages = write_all(&command, "topowatch", dir)?;
    output::line(&format!("{pages} pages in {}", dir.display()));
    Ok(Exit::Good)
}

/// Writes the page of a command and those of all below it; how many there were.
fn write_all(command: &Command, name: &str, dir: &Path) -> Result<usize> {
    let path = dir.join(format!("{name}.1"));
    std::fs::write(&path, page(command)?).with_context(|| format!("{} cannot be written", path.display()))?;
    let mut pages = 1;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        pages += write_all(below, &format!("{name}-{}", below.get_name()), dir)?;
    }
    Ok(pages)
}

fn page(command: &Command) -> Result<String> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text).context("a manual page cannot be made")?;
    String::from_utf8(text).context("a manual page is no text")
}

#[cfg(test)]
mod tests;
