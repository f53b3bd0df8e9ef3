//! `topowatch schema`.

use anyhow::Result;

use crate::args::SchemaArgs;
use crate::exit::Exit;
use crate::output;

/// What the generic webhook is sent.
const WEBHOOK: &str = include_str!("../../docs/webhook.schema.json");

pub(crate) fn run(args: &SchemaArgs) -> Result<Exit> {
    if args.webhook {
        output::line(WEBHOOK.trim_end());
        return Ok(Exit::Good);
    }
    let schema = topology::schema::json_schema(&probes::specs(), args.overlay);
    output::line(&serde_json::to_string_pretty(&schema)?);
    Ok(Exit::Good)
}
