//! `topowatch schema`.

use anyhow::Result;

use crate::args::SchemaArgs;
use crate::exit::Exit;
use crate::output;

pub(crate) fn run(args: &SchemaArgs) -> Result<Exit> {
    let schema = topology::schema::json_schema(&probes::specs(), args.overlay);
    output::line(&serde_json::to_string_pretty(&schema)?);
    Ok(Exit::Good)
}
