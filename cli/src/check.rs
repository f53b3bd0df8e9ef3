//! `topowatch check`.

use anyhow::Result;
use serde::Serialize;

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
    let loaded = load::load(args.file(), &args.overlays);
    let report = match &loaded {
        Ok((_, report)) | Err(report) => report,
    };
    let exit = if loaded.is_ok() { Exit::Good } else { Exit::Red };
    if args.json {
        let findings: Vec<Finding<'_>> = report
            .diagnostics
            .iter()
            .map(|d| Finding {
                file: report.path(d),
                line: d.place.line,
                column: d.place.column,
                severity: d.severity.as_str(),
                message: &d.message,
                help: d.help.as_deref(),
            })
            .collect();
        output::line(&serde_json::to_string_pretty(&findings)?);
        return Ok(exit);
    }
    report.print();
    let name = args.file().display();
    let files = match report.sources.len() {
        0 | 1 => String::new(),
        n => format!(" (of {n} files)"),
    };
    match &loaded {
        Ok((model, report)) => {
            let also = match report.diagnostics.len() {
                0 => String::new(),
                1 => ", 1 warning".to_owned(),
                n => format!(", {n} warnings"),
            };
            output::line(&format!(
                "{name}{files} is good: {} components, {} instances, {} dependencies{also}",
                model.components.len(),
                model.instances.len(),
                model.dependencies.len()
            ));
        }
        Err(report) => {
            let errors = report.errors();
            let word = if errors == 1 { "error" } else { "errors" };
            output::note(&format!("{name}{files} is broken: {errors} {word}"));
        }
    }
    Ok(exit)
}
