//! Where a finished draft goes, and what is told of it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::Note;
use super::finish::Finished;
use crate::exit::{Exit, fail};
use crate::output;

/// What was done, as scripts read it.
#[derive(Serialize)]
struct Told<'a> {
    name: &'a str,
    /// The file that was written; none when it went to standard output.
    file: Option<String>,
    components: Vec<Brief<'a>>,
    dependencies: usize,
    /// Variables that hold what was not copied.
    variables: Vec<String>,
    notes: &'a [Note],
}

#[derive(Serialize)]
struct Brief<'a> {
    name: &'a str,
    instances: usize,
    probes: Vec<&'a str>,
    depends_on: Vec<&'a str>,
}

/// Writes the file to `target`, or to standard output, and the report to standard error.
pub(crate) fn hand_out(finished: &Finished, target: Option<&Path>, force: bool, json: bool) -> Result<Exit> {
    let empty = finished.draft.components.is_empty();
    match target {
        _ if empty => {}
        Some(path) => save(path, &finished.text, force)?,
        None => output::line(finished.text.trim_end()),
    }
    if json {
        output::note(&serde_json::to_string_pretty(&told(finished, target))?);
    } else {
        tell(finished, target);
    }
    if empty {
        return Err(fail(Exit::Failed, "nothing was found that could be watched; nothing was written"));
    }
    Ok(Exit::Good)
}

fn told<'a>(finished: &'a Finished, target: Option<&Path>) -> Told<'a> {
    let draft = &finished.draft;
    Told {
        name: &draft.name,
        file: target.map(|path| path.display().to_string()),
        components: draft
            .components
            .iter()
            .map(|component| Brief {
                name: &component.name,
                instances: component.instances.len(),
                probes: component.probes.iter().map(|probe| probe.kind).collect(),
                depends_on: component.depends_on.iter().map(|d| d.on.as_str()).collect(),
            })
            .collect(),
        dependencies: draft.components.iter().map(|c| c.depends_on.len()).sum(),
        variables: draft.variables().into_iter().collect(),
        notes: &draft.notes,
    }
}

fn tell(finished: &Finished, target: Option<&Path>) {
    let draft = &finished.draft;
    let instances: usize = draft.components.iter().map(|c| c.instances.len()).sum();
    let edges: usize = draft.components.iter().map(|c| c.depends_on.len()).sum();
    output::note(&output::bold(&format!(
        "{}, {}, {}",
        output::count(draft.components.len(), "component", "components"),
        output::count(instances, "instance", "instances"),
        output::count(edges, "dependency", "dependencies"),
    )));
    if !draft.notes.is_empty() {
        output::note("");
        output::note(&output::bold("To look at, and what could not be carried over:"));
    }
    for note in &draft.notes {
        let place = note.place.as_ref().map_or_else(String::new, |place| {
            format!("{}:{}:{}: ", output::plain(&place.file), place.line, place.column)
        });
        output::note(&format!("  {place}{}: {}", output::plain(&note.what), output::plain(&note.why)));
    }
    let variables = draft.variables();
    if !variables.is_empty() {
        output::note("");
        output::note(&output::bold("Not copied; set these for the monitor:"));
        for name in variables {
            output::note(&format!("  {name}"));
        }
    }
    if !draft.components.is_empty() {
        let name = target.map_or_else(|| "topology.yaml".to_owned(), |path| path.display().to_string());
        output::note("");
        output::note(&format!("Next: topowatch check {name} && topowatch serve -c {name}"));
    }
}

/// Writes `text` to a new file; over an old one only by `force`.
pub(crate) fn save(path: &Path, text: &str, force: bool) -> Result<()> {
    let shown = path.display();
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let mut file = match options.open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let help = "give another name, or `--force` to write over it";
            return Err(fail(
                Exit::Failed,
                format!("{shown} is there already, and was left as it is: {help}"),
            ));
        }
        other => other.with_context(|| format!("{shown} cannot be written"))?,
    };
    file.write_all(text.as_bytes()).with_context(|| format!("{shown} cannot be written"))
}
