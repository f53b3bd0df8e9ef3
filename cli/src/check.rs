//! `topowatch check`.

use anyhow::Result;
use serde::Serialize;
use topology::model::Model;

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
                "{name}{files} is good: {}, {}, {}{also}",
                output::count(model.components.len(), "component", "components"),
                output::count(model.instances.len(), "instance", "instances"),
                output::count(model.dependencies.len(), "dependency", "dependencies"),
            ));
            tell_windows(model);
        }
        Err(report) => {
            let errors = report.errors();
            let word = if errors == 1 { "error" } else { "errors" };
            output::note(&format!("{name}{files} is broken: {errors} {word}"));
        }
    }
    Ok(exit)
}

/// Each maintenance window with its next three occurrences, by the clocks of its zone: whether a pattern means what
/// its writer meant is best seen so.
fn tell_windows(model: &Model) {
    let windows = collector::silence::windows(model, collector::clock::now());
    for (window, maintenance) in windows.iter().zip(&model.alerting.maintenance) {
        output::line(&format!("maintenance {}:", output::plain(&window.name)));
        let here = |at: jiff::Timestamp| at.to_zoned_datetime(maintenance.window.zone.clone());
        for span in window.current.iter().chain(&window.next) {
            let (from, until) = (here(span.from), here(span.until));
            let now = if window.current == Some(*span) { " (now)" } else { "" };
            output::line(&format!(
                "  {} to {}{now}",
                from.strftime("%a %Y-%m-%d %H:%M %:z"),
                until.strftime("%a %Y-%m-%d %H:%M %:z")
            ));
        }
        if window.current.is_none() && window.next.is_empty() {
            output::line("  never again: it lies in the past");
        }
    }
}
