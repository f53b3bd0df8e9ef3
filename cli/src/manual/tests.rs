//! docs/cli.md is the command line itself, and every command shows how it is used.

use std::fmt::Write as _;

use super::*;
use crate::exit::TABLE;

fn built() -> Command {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    command
}

fn commands(of: &Command) -> impl Iterator<Item = &Command> {
    of.get_subcommands().filter(|below| !below.is_hide_set())
}

#[test]
fn every_command_has_examples_and_the_readme_has_every_command() {
    let readme = include_str!("../../../README.md");
    for command in commands(&built()) {
        let name = command.get_name();
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains("Example") || name == "mcp", "{name} has no examples");
        assert!(
            help.contains(&format!("topowatch {name}")) || name == "mcp",
            "{name} has no example of its own"
        );
        assert!(readme.contains(&format!("`topowatch {name}")), "{name} is not in README.md");
    }
}

#[test]
fn docs_tell_the_command_line_as_it_is() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let made = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(made == text, "docs/cli.md is old: UPDATE_DOCS=1 cargo test -p cli --bin topowatch manual");
    assert!(
        include_str!("../../../docs/exit-codes.md").contains(&statuses()),
        "docs/exit-codes.md has another table:\n{}",
        statuses()
    );
}

fn statuses() -> String {
    let mut out = "| status | `health`, `top`, `probe`, `spof --fail-on` | `check` | `drift` | others |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for (exit, words) in TABLE {
        writeln!(out, "| {} | {} |", exit.status(), words.join(" | ")).unwrap();
    }
    out.replace("|  |", "| |").replace("|  |", "| |")
}

fn document() -> String {
    let mut out = "# The command line\n\nMade of the program's own help by a test. `topowatch man | man -l -` shows the same; \
                   `topowatch completions bash` completes it.\n\n## Exit status\n\n"
        .to_owned();
    out.push_str(&statuses());
    out.push_str("\nColour only on a terminal, and never with `NO_COLOR`. `--json` on every query.\n");
    for command in commands(&built()) {
        describe(&mut out, command, "topowatch");
    }
    out
}

fn describe(out: &mut String, command: &Command, before: &str) {
    let name = format!("{before} {}", command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    writeln!(out, "\n## `{name}`\n\n{about}.\n").unwrap();
    let arguments: Vec<_> = command
        .get_arguments()
        .filter(|a| !a.is_hide_set() && !matches!(a.get_id().as_str(), "help" | "version"))
        .collect();
    if !arguments.is_empty() {
        out.push_str("| argument | what it is | default |\n| --- | --- | --- |\n");
    }
    for argument in arguments {
        let values: Vec<String> =
            argument.get_value_names().into_iter().flatten().map(|v| format!(" {v}")).collect();
        let takes = argument.get_action().takes_values();
        let value = if takes { values.concat() } else { String::new() };
        let shown = match (argument.get_short(), argument.get_long()) {
            (Some(short), Some(long)) => format!("-{short}, --{long}{value}"),
            (None, Some(long)) => format!("--{long}{value}"),
            _ => value.trim().to_owned(),
        };
        let mut help =
            argument.get_help().map(|help| help.to_string().replace('|', "\\|")).unwrap_or_default();
        let possible: Vec<String> =
            argument.get_possible_values().iter().map(|v| format!("`{}`", v.get_name())).collect();
        if takes && !possible.is_empty() {
            write!(help, ": {}", possible.join(", ")).unwrap();
        }
        if let Some(variable) = argument.get_env() {
            write!(help, " (`{}`)", variable.to_string_lossy()).unwrap();
        }
        let default: Vec<String> = argument
            .get_default_values()
            .iter()
            .filter(|_| takes)
            .map(|d| format!("`{}`", d.to_string_lossy()))
            .collect();
        writeln!(out, "| `{}` | {help} | {} |", shown.replace('|', "\\|"), default.join(", ")).unwrap();
    }
    if let Some(examples) = command.get_after_help() {
        writeln!(out, "\n```text\n{}\n```", examples.to_string().trim_end()).unwrap();
    }
    for below in commands(command) {
        describe(out, below, &name);
    }
}
