//! `topowatch replay`: the verdict for recorded cases, offline.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use topology::case::{Answer, Named, RecordedCase, replay};

use crate::args::ReplayArgs;
use crate::exit::{Exit, fail};
use crate::output;

/// A case is held in memory as a whole; nothing that is one is larger.
const MAX_BYTES: u64 = 1 << 30;
/// Suspects printed for people behind the roots.
const SHOWN: usize = 5;

pub(crate) fn run(args: &ReplayArgs) -> Result<Exit> {
    for file in &args.cases {
        let case = read(file)?;
        let answer = replay(&case);
        match (args.json, args.cases.len()) {
            (true, 1) => output::line(&serde_json::to_string_pretty(&document(&answer))?),
            // Several: one object a line, so that each can be read as soon as it is there.
            (true, _) => output::line(&serde_json::to_string(&document(&answer))?),
            (false, _) => print(&answer),
        }
    }
    Ok(Exit::Good)
}

fn read(file: &Path) -> Result<RecordedCase> {
    let name = file.display();
    let open = std::fs::File::open(file).with_context(|| format!("{name} cannot be read"))?;
    let mut bytes = Vec::new();
    open.take(MAX_BYTES).read_to_end(&mut bytes).with_context(|| format!("{name} cannot be read"))?;
    // By the magic number, so that a file may be called anything.
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&bytes[..])
            .take(MAX_BYTES)
            .read_to_end(&mut plain)
            .with_context(|| format!("{name} is not whole: the gzip in it ends early"))?;
        bytes = plain;
    }
    RecordedCase::from_json(&bytes).map_err(|error| {
        fail(
            Exit::Red,
            format!(
                "{name}:{}:{}: this is no recorded case: {error}\n  `topowatch record` writes one; docs/verdict.md has the format",
                error.line(),
                error.column()
            ),
        )
    })
}

fn document(answer: &Answer) -> Value {
    let list = |list: &[Named]| -> Vec<Value> {
        list.iter()
            .map(|one| {
                let evidence: Vec<Value> = one
                    .evidence
                    .iter()
                    .map(|(kind, text)| json!({ "kind": kind, "text": text.en, "text_zh": text.zh }))
                    .collect();
                json!({
                    "node": one.node, "kind": one.kind, "confidence": one.confidence, "evidence": evidence,
                })
            })
            .collect()
    };
    json!({ "name": answer.name, "roots": list(&answer.roots), "suspects": list(&answer.suspects) })
}

fn print(answer: &Answer) {
    output::line(&output::bold(&output::plain(&answer.name)));
    if answer.roots.is_empty() {
        output::line("  no root cause: nothing lasting was out of order");
    }
    for root in &answer.roots {
        output::line("");
        output::line(&format!(
            "{} {}  ({}, confidence {:.0} %)",
            output::bold("Root cause:"),
            output::bold(&output::plain(&root.node)),
            root.kind,
            root.confidence * 100.0
        ));
        for (_, text) in &root.evidence {
            output::line(&format!("  - {}", output::plain(&text.en)));
        }
    }
    let others: Vec<String> = answer
        .suspects
        .iter()
        .skip(answer.roots.len())
        .take(SHOWN)
        .map(|one| output::plain(&one.node))
        .collect();
    if !others.is_empty() {
        output::line("");
        output::line(&format!("Looked at and set aside: {}", others.join(", ")));
    }
}
