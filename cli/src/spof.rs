//! `topowatch spof`.

use anyhow::Result;
use serde_json::{Value, json};
use topology::graph::Graph;
use topology::level::Level;
use topology::model::Model;
use topology::spof::{self, Spof, SpofKind};

use crate::args::SpofArgs;
use crate::exit::Exit;
use crate::impact::{consequences, read};
use crate::output;

pub(crate) fn run(args: &SpofArgs) -> Result<Exit> {
    let model = read(&args.config, &args.overlays)?;
    let graph = Graph::new(&model);
    let found = spof::find(&model, &graph);
    if args.json {
        output::line(&serde_json::to_string_pretty(&in_json(&model, &graph, &found))?);
    } else {
        for line in render(&model, &found) {
            output::line(&line);
        }
    }
    let worst = found.first().map_or(Level::Green, |spof| spof.level);
    Ok(match args.fail_on.as_deref() {
        Some("yellow") => worst.into(),
        Some(_) if worst == Level::Red => Exit::Red,
        _ => Exit::Good,
    })
}

fn render(model: &Model, found: &[Spof]) -> Vec<String> {
    let name = output::plain(&model.name);
    if found.is_empty() {
        return vec![format!("{name} has no single point of failure that its file shows.")];
    }
    let count = |level| found.iter().filter(|spof| spof.level == level).count();
    let (red, yellow) = (count(Level::Red), count(Level::Yellow));
    let points = |n: usize| if n == 1 { "point" } else { "points" };
    let mut lines = vec![output::bold(&match (red, yellow) {
        (0, _) => format!("{name}: {yellow} weak {}, none of which cuts users off", points(yellow)),
        (_, 0) => format!("{name}: {red} single {} of failure", points(red)),
        _ => {
            format!("{name}: {red} single {} of failure, {yellow} more weak {}", points(red), points(yellow))
        }
    })];
    for spof in found {
        lines.push(String::new());
        let what = output::bold(&output::plain(&spof.what.en));
        lines.push(format!("{}  {what}", output::level(spof.level.as_str())));
        let which = match spof.kind {
            SpofKind::OneLoss | SpofKind::SingleCopy => "one breaks",
            SpofKind::OnEveryWay => "all of it breaks",
            _ => "it breaks",
        };
        lines.push(format!("  if {which}: {}", output::plain(&spof.why.en)));
        lines.push(format!("  what to do: {}", output::plain(&spof.advice.en)));
    }
    lines
}

fn in_json(model: &Model, graph: &Graph, found: &[Spof]) -> Value {
    let one = |spof: &Spof| {
        let components: Vec<&str> =
            spof.components.iter().map(|id| model.component(*id).name.as_str()).collect();
        json!({
            "node": spof.name, "kind": spof.kind.as_str(), "level": spof.level.as_str(),
            "components": components, "what": spof.what.en, "why": spof.why.en, "advice": spof.advice.en,
            "impact": consequences(model, graph, &spof.impact),
        })
    };
    let worst = found.first().map_or(Level::Green, |spof| spof.level);
    json!({ "name": model.name, "level": worst.as_str(), "points": found.iter().map(one).collect::<Vec<_>>() })
}
