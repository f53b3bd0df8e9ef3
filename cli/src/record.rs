//! `topowatch record`: the last minutes of a running monitor as a recorded case.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::args::RecordArgs;
use crate::client::Client;
use crate::exit::Exit;
use crate::output;

/// A recording of thousands of instances takes its time.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) async fn run(args: &RecordArgs) -> Result<Exit> {
    let client = Client::new(&args.server.url)?;
    let mut path = format!("/api/v1/record?for={}s", args.length.as_secs().max(1));
    if let Some(incident) = &args.incident {
        path.extend([
            "&incident=".to_owned(),
            url::form_urlencoded::byte_serialize(incident.as_bytes()).collect(),
        ]);
    }
    let (status, case) = client.fetch(&path, PATIENCE).await?;
    if status != 200 {
        return Err(client.refused(status, &case));
    }
    let file = args.output.clone().unwrap_or_else(|| default_name(&case));
    if file == Path::new("-") {
        output::line(&serde_json::to_string(&case)?);
        return Ok(Exit::Good);
    }
    write(&file, &case).with_context(|| format!("{} cannot be written", file.display()))?;
    let count = |key: &str| case[key].as_array().map_or(0, Vec::len);
    let nodes = case["graph"]["nodes"].as_array().map_or(0, Vec::len);
    if args.server.json {
        let told = json!({
            "file": file.display().to_string(), "incident": case["incident_id"], "nodes": nodes,
            "observations": count("observations"), "series": count("series"), "witnesses": count("witnesses"),
            "changes": count("changes"),
        });
        output::line(&serde_json::to_string_pretty(&told)?);
    } else {
        let about = case["incident_id"].as_str().map_or_else(
            || "no incident in that time".to_owned(),
            |id| format!("incident {}", output::plain(id)),
        );
        output::line(&format!(
            "{}: {} observations of {nodes} nodes, {about}",
            file.display(),
            count("observations")
        ));
    }
    Ok(Exit::Good)
}

/// By the incident, else by the time.
fn default_name(case: &Value) -> PathBuf {
    let about = case["incident_id"].as_str().or(case["epoch"].as_str()).unwrap_or("case");
    let plain: String = about.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(60).collect();
    PathBuf::from(format!("case-{plain}.json.gz"))
}

/// Whole or not at all: a file of this name is a good one.
fn write(file: &Path, case: &Value) -> Result<()> {
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = write_part(&part, file.extension().is_some_and(|end| end == "gz"), case)
        .and_then(|()| Ok(std::fs::rename(&part, file)?));
    if written.is_err() {
        // Perhaps it was never made.
        drop(std::fs::remove_file(&part));
    }
    written
}

fn write_part(part: &Path, zipped: bool, case: &Value) -> Result<()> {
    let file = io::BufWriter::new(File::create(part)?);
    let mut file = if zipped {
        let mut zip = GzEncoder::new(file, Compression::default());
        serde_json::to_writer(&mut zip, case)?;
        zip.finish()?
    } else {
        let mut file = file;
        serde_json::to_writer(&mut file, case)?;
        file
    };
    file.flush()?;
    Ok(())
}
