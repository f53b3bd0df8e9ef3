//! A topology from disk to model: the one way in which every command reads it.

use std::path::{Path, PathBuf};

use topology::diagnostic::{Diagnostic, FileId, Place, Severity, Source};
use topology::model::{Component, Model};
use topology::{Environment, Reading};

use crate::environment::{Around, Placeholders};
use crate::report::Report;

/// Reads and checks the file with its overlays; what cannot even be read is a diagnostic like all others. The
/// report has the warnings, and the files that make the topology, also when it is broken.
pub(crate) fn load(file: &Path, overlays: &[PathBuf]) -> Result<(Model, Report), Report> {
    let around = Around::default();
    let reading = read(file, overlays, &around);
    let mut files: Vec<PathBuf> = reading.sources.iter().map(|source| PathBuf::from(&source.path)).collect();
    files.extend(around.into_secrets());
    let (model, report) = answer(reading, files)?;
    only_ours(model, report)
}

/// What a topology runs, it runs with the monitor's rights: whoever may write its files may have anything run. So a
/// file with `exec` belongs to the monitor's people alone.
fn only_ours(model: Model, mut report: Report) -> Result<(Model, Report), Report> {
    use std::os::unix::fs::PermissionsExt;
    let runs = |component: &Component| component.probes.iter().any(|probe| probe.kind.name == "exec");
    if !model.components.iter().any(runs) {
        return Ok((model, report));
    }
    let mode = |source: &Source| std::fs::metadata(&source.path).map_or(0, |meta| meta.permissions().mode());
    for (i, source) in report.sources.iter().enumerate() {
        let (severity, who, letter) = match mode(source) {
            mode if mode & 0o002 != 0 => (Severity::Error, "everybody", 'o'),
            mode if mode & 0o020 != 0 => (Severity::Warning, "its group", 'g'),
            _ => continue,
        };
        report.diagnostics.push(Diagnostic {
            place: Place { file: FileId(u16::try_from(i).unwrap_or(u16::MAX)), line: 1, column: 1 },
            severity,
            message: format!("the topology runs programs (`exec`), and {who} may write this file"),
            help: Some(format!("chmod {letter}-w {}", source.path)),
        });
    }
    if report.errors() > 0 { Err(report) } else { Ok((model, report)) }
}

/// The same for a question about the file alone: a secret or variable that is missing here does not matter.
pub(crate) fn load_without_secrets(file: &Path, overlays: &[PathBuf]) -> Result<Model, Report> {
    let mut around = Placeholders::default();
    let mut best: Option<Report> = None;
    loop {
        let report = match answer(read(file, overlays, &around), Vec::new()) {
            Ok((model, _)) => return Ok(model),
            Err(report) => report,
        };
        let wrong = report.diagnostics.iter().filter(|d| d.severity == Severity::Error);
        let lines = wrong.filter_map(|d| report.sources.get(d.place.file.0 as usize)?.line(d.place.line));
        let changed = around.try_others(lines);
        // A placeholder that does not fit where it stands is no mistake of the file.
        let best_yet = match best.take() {
            Some(before) if before.errors() <= report.errors() => before,
            _ => report,
        };
        if !changed {
            return Err(best_yet);
        }
        best = Some(best_yet);
    }
}

fn read(file: &Path, overlays: &[PathBuf], environment: &dyn Environment) -> Reading {
    let overlays: Vec<String> = overlays.iter().map(|path| path.display().to_string()).collect();
    topology::read_files(&file.display().to_string(), &overlays, &probes::specs(), environment)
}

fn answer(reading: Reading, files: Vec<PathBuf>) -> Result<(Model, Report), Report> {
    let report =
        Report { diagnostics: reading.diagnostics, sources: reading.sources, files, globs: reading.globs };
    match reading.model {
        Some(model) => Ok((model, report)),
        None => Err(report),
    }
}
