//! A topology file from disk to model.

use std::path::Path;

use topology::diagnostic::{Diagnostic, MAX_REPORTED, Place, Severity};
use topology::model::Model;

use crate::environment::{Around, Placeholders};
use crate::output;

/// Reads and checks the file; what cannot even be read is a diagnostic like all others.
pub(crate) fn load(file: &Path) -> Result<(Model, Vec<Diagnostic>), Vec<Diagnostic>> {
    topology::read(&text(file)?, &probes::specs(), &Around::file(file))
}

/// The same for a question about the file alone: a secret or variable that is missing here does not matter.
pub(crate) fn load_without_secrets(file: &Path) -> Result<Model, Vec<Diagnostic>> {
    let text = text(file)?;
    let mut around = Placeholders::file(file);
    loop {
        let diagnostics = match topology::read(&text, &probes::specs(), &around) {
            Ok((model, _)) => return Ok(model),
            Err(diagnostics) => diagnostics,
        };
        let wrong = diagnostics.iter().filter(|d| d.severity == Severity::Error);
        let lines = wrong.filter_map(|d| text.lines().nth((d.place.line as usize).checked_sub(1)?));
        if !around.try_others(lines) {
            return Err(diagnostics);
        }
    }
}

fn text(file: &Path) -> Result<String, Vec<Diagnostic>> {
    let at = |line, column, message: String, help: Option<&str>| {
        vec![Diagnostic {
            place: Place { line, column },
            severity: Severity::Error,
            message,
            help: help.map(str::to_owned),
        }]
    };
    let bytes = std::fs::read(file).map_err(|error| {
        let help = (error.kind() == std::io::ErrorKind::NotFound)
            .then_some("name the file: `topowatch check FILE`, `topowatch serve -c FILE`");
        at(1, 1, format!("the file cannot be read: {error}"), help)
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.split(|b| *b == b'\n').count();
        let column = good.iter().rev().take_while(|b| **b != b'\n').count() + 1;
        at(line as u32, column as u32, "this is not UTF-8".to_owned(), Some("save the file as UTF-8"))
    })
}

/// Prints diagnostics for a person; to standard error.
pub(crate) fn report(file: &Path, diagnostics: &[Diagnostic]) {
    let name = file.display().to_string();
    for diagnostic in diagnostics.iter().take(MAX_REPORTED) {
        output::note(&diagnostic.line(&name).to_string());
        if let Some(help) = &diagnostic.help {
            output::note(&format!("  help: {help}"));
        }
    }
    if diagnostics.len() > MAX_REPORTED {
        output::note(&format!("… and {} more", diagnostics.len() - MAX_REPORTED));
    }
}
