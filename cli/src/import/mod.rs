//! `topowatch import`: a first topology from what other programs know already.
//!
//! Each reader is pure: documents in, a draft out. A file that cannot be read at all is an error with its place; a part
//! of one that cannot be carried over is a note.

mod compose;
mod gatus;
mod kubernetes;
mod nginx;
mod otel;
mod prometheus;
mod references;
mod tree;
mod uptime_kuma;

use std::io::Read as _;

use anyhow::Result;
use topology::diagnostic::{Diagnostic, FileId, Place, Severity, Source};
use topology::document::{self, Node};

use crate::args::{Format, ImportArgs};
use crate::draft::{Draft, Where, finish, report, shortened};
use crate::exit::{Exit, fail};
use crate::report::Report;

/// Bytes of one file at most: a cluster of thousands of objects as JSON.
const MAX_BYTES: u64 = 64 << 20;

/// What the command line says about reading.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// The host at which published ports are asked; none: each service under its own name.
    pub(crate) host: Option<String>,
    /// The platform's name, where it is not to be guessed.
    pub(crate) name: Option<String>,
}

/// A file that was read.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
    /// Its documents; none for a language of its own.
    pub(crate) documents: Vec<Node>,
}

/// The files of one import, by the numbers that places carry.
pub(crate) struct Files(pub(crate) Vec<File>);

impl Files {
    /// The place for a note.
    pub(crate) fn at(&self, place: Place) -> Option<Where> {
        let file = self.0.get(place.file.0 as usize)?;
        Some(Where { file: file.path.clone(), line: place.line, column: place.column })
    }

    /// `docker-compose.yml:12`.
    pub(crate) fn short(&self, place: Place) -> String {
        let path = self.0.get(place.file.0 as usize).map_or("", |file| file.path.as_str());
        format!("{}:{}", path.rsplit('/').next().unwrap_or(path), place.line)
    }

    /// Every document of every file.
    pub(crate) fn documents(&self) -> impl Iterator<Item = &Node> {
        self.0.iter().flat_map(|file| &file.documents)
    }
}

pub(crate) fn run(args: &ImportArgs) -> Result<Exit> {
    let mut sources = Vec::new();
    for path in &args.files {
        let bytes = read(path).map_err(|why| {
            fail(
                Exit::Red,
                format!("{} cannot be read: {why}; name the file, or `-` for standard input", path.display()),
            )
        })?;
        let shown =
            if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() };
        sources.push((shown, bytes));
    }
    let wanted = Wanted { host: args.host.clone(), name: args.name.clone() };
    let draft = match draft(args.format, sources, &wanted) {
        Ok(draft) => draft,
        Err(report) => {
            report.print();
            return Err(fail(Exit::Red, "nothing was imported"));
        }
    };
    report::hand_out(&finish::finish(draft), args.output.as_deref(), args.force, args.json)
}

fn read(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let reader: Box<dyn std::io::Read> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path)?)
    };
    reader.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(std::io::Error::other(format!("it has more than {} MiB", MAX_BYTES >> 20)));
    }
    Ok(bytes)
}

/// What the files say, as a draft.
///
/// # Errors
/// What makes one of them unreadable.
pub(crate) fn draft(
    format: Format,
    sources: Vec<(String, Vec<u8>)>,
    wanted: &Wanted,
) -> Result<Draft, Box<Report>> {
    let mut files = Files(Vec::new());
    let mut diagnostics: Vec<Diagnostic> = Vec::new();
    for (i, (path, bytes)) in sources.into_iter().enumerate() {
        let file = FileId(u16::try_from(i).unwrap_or(u16::MAX));
        let bytes = tree::without_surrogates(bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let documents = match format {
            Format::Nginx => match std::str::from_utf8(&bytes) {
                Ok(_) => Ok(Vec::new()),
                // The YAML reader says it with its place.
                Err(_) => document::read(bytes, file),
            },
            _ => document::read(bytes, file),
        };
        let documents = documents.unwrap_or_else(|diagnostic| {
            diagnostics.push(diagnostic);
            Vec::new()
        });
        files.0.push(File { path, text, documents });
    }
    let mut draft = Draft::default();
    if diagnostics.is_empty() {
        let read = match format {
            Format::Compose => compose::read(&files, wanted, &mut draft),
            Format::Kubernetes => kubernetes::read(&files, wanted, &mut draft),
            Format::Nginx => nginx::read(&files, wanted, &mut draft),
            Format::Prometheus => prometheus::read(&files, wanted, &mut draft),
            Format::Gatus => gatus::read(&files, wanted, &mut draft),
            Format::UptimeKuma => uptime_kuma::read(&files, wanted, &mut draft),
            Format::Otel => otel::read(&files, wanted, &mut draft),
        };
        if let Err(diagnostic) = read {
            diagnostics.push(diagnostic);
        }
    }
    if !diagnostics.is_empty() {
        let sources = files.0.into_iter().map(|file| Source { path: file.path, text: file.text }).collect();
        return Err(Box::new(Report { diagnostics, sources, files: Vec::new(), globs: Vec::new() }));
    }
    if let Some(name) = &wanted.name {
        draft.name.clone_from(name);
    } else if draft.name.is_empty() {
        "platform".clone_into(&mut draft.name);
    }
    let names: Vec<String> = files.0.iter().map(|file| file.path.clone()).collect();
    draft.heading.splice(
        0..0,
        [
            format!("Made by `topowatch import {}` of {}.", format.word(), names.join(", ")),
            "Read it as a first draft: names, strengths and lanes are yours to mend. docs/topology.md has every key.".to_owned(),
        ],
    );
    Ok(draft)
}

/// A file that is none of the kind: what it lacks, at a place.
pub(crate) fn wrong(place: Place, message: impl Into<String>, help: impl Into<String>) -> Diagnostic {
    Diagnostic {
        place,
        severity: Severity::Error,
        message: shortened(&message.into()),
        help: Some(help.into()),
    }
}

#[cfg(test)]
mod tests;
