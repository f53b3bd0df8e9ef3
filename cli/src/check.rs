//! `topowatch check`.

use anyhow::Result;
use serde::Serialize;
use topology::diagnostic::{Diagnostic, Severity};

use crate::args::CheckArgs;
use crate::exit::Exit;
use crate::load;
use crate::output;

/// A finding, as scripts read it.
#[derive(Serialize)]
struct Finding<'a> {
    file: &'a str,
    line: u32,
    column: u32,
    severity: &'static str,
    message: &'a str,
    help: Option<&'a str>,
}

pub(crate) fn run(args: &CheckArgs) -> Result<Exit> {
    let name = args.file.display().to_string();
    let loaded = load::load(&args.file);
    let diagnostics: &[Diagnostic] = match &loaded {
        Ok((_, warnings)) => warnings,
        Err(diagnostics) => diagnostics,
    };
    if args.json {
        let findings: Vec<Finding<'_>> = diagnostics
            .iter()
            .map(|d| Finding {
                file: &name,
                line: d.place.line,
                column: d.place.column,
                severity: d.severity.as_str(),
                message: &d.message,
                help: d.help.as_deref(),
            })
            .collect();
        output::line(&serde_json::to_string_pretty(&findings)?);
    } else {
        load::report(&args.file, diagnostics);
    }
    Ok(match &loaded {
        Ok((model, warnings)) => {
            if !args.json {
                let also = match warnings.len() {
                    0 => String::new(),
                    1 => ", 1 warning".to_owned(),
                    n => format!(", {n} warnings"),
                };
                output::line(&format!(
                    "{name} is good: {} components, {} instances, {} dependencies{also}",
                    model.components.len(),
                    model.instances.len(),
                    model.dependencies.len()
                ));
            }
            Exit::Good
        }
        Err(diagnostics) => {
            if !args.json {
                let errors = diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
                let word = if errors == 1 { "error" } else { "errors" };
                output::note(&format!("{name} is broken: {errors} {word}"));
            }
            Exit::Red
        }
    })
}
