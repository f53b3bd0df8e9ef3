//! `topowatch impact`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};
use topology::diagnostic::did_you_mean;
use topology::graph::Graph;
use topology::impact::{Impact, Target, impact};
use topology::level::Health;
use topology::model::{ComponentId, Model};

use crate::args::ImpactArgs;
use crate::exit::{Exit, fail};
use crate::load;
use crate::output;

/// Names listed in one line at most.
const MAX_NAMES: usize = 12;

pub(crate) fn run(args: &ImpactArgs) -> Result<Exit> {
    let model = read(&args.config, &args.overlays)?;
    let graph = Graph::new(&model);
    let target = target(&model, &args.target)?;
    let impact = impact(&model, &graph, &target);
    if args.json {
        output::line(&serde_json::to_string_pretty(&in_json(&model, &graph, &target, &impact))?);
    } else {
        for line in render(&model, &target, &impact) {
            output::line(&line);
        }
    }
    Ok(Exit::Good)
}

/// The model of a file, without its secrets; a broken file is said as `check` says it.
pub(crate) fn read(file: &Path, overlays: &[PathBuf]) -> Result<Model> {
    load::load_without_secrets(file, overlays).map_err(|report| {
        report.print();
        fail(Exit::Red, format!("{} is broken", file.display()))
    })
}

fn target(model: &Model, name: &str) -> Result<Target> {
    Target::find(model, name).map_err(|candidates| {
        if !candidates.is_empty() {
            let names: Vec<&str> = candidates.iter().take(8).map(String::as_str).collect();
            return fail(Exit::Usage, format!("`{name}` may be any of {}", names.join(", ")));
        }
        let nodes = model.components.iter().map(|component| component.name.clone());
        let nodes = nodes.chain(model.instances.iter().map(|instance| instance.name.clone()));
        let labels = model.instances.iter().flat_map(|instance| &instance.labels);
        let labels = labels.map(|(key, value)| format!("{key}={value}"));
        let known: BTreeSet<String> = if name.contains('=') { labels.collect() } else { nodes.collect() };
        let near = did_you_mean(name, known.iter().map(String::as_str));
        let help = near.map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
        let what = if name.contains('=') { "no instance has the label" } else { "there is no node" };
        fail(Exit::Usage, format!("{what} `{name}`{help}"))
    })
}

fn render(model: &Model, target: &Target, impact: &Impact) -> Vec<String> {
    let name = |id: ComponentId| output::plain(&model.component(id).name);
    let mut lines = vec![output::bold(&format!(
        "If {} breaks ({}):",
        output::plain(&target.name(model)),
        match (target.kind(), impact.broken.len()) {
            ("instance", _) => "one instance".to_owned(),
            (kind, 1) => format!("a {kind} of 1 instance"),
            (kind, n) => format!("a {kind} of {n} instances"),
        }
    ))];
    table(
        &mut lines,
        impact.hurt.iter().map(|one| (one.health, name(one.component), output::plain(&one.because.en))),
    );
    if impact.hurt.is_empty() {
        lines.push("  nobody feels it".to_owned());
    }
    if !impact.instances.is_empty() {
        let names = impact.instances.iter().map(|(id, _)| output::plain(&model.instance(*id).name));
        lines.push(format!("  Instances that lose what only they need: {}", listed(names.collect())));
    }
    lines.push(String::new());
    lines.push(output::bold("Where users come in:"));
    let served = |health: Health| match health {
        Health::Red => "does not serve",
        Health::Impaired => "serves worse",
        Health::AtRisk => "serves, with less in reserve",
        _ => "serves as before",
    };
    table(
        &mut lines,
        impact.entries.iter().map(|(id, health)| (*health, name(*id), served(*health).to_owned())),
    );
    lines.push(String::new());
    let unhurt: Vec<String> = impact.unhurt.iter().map(|id| name(*id)).collect();
    lines.push(if unhurt.is_empty() {
        "Nothing stays as it is.".to_owned()
    } else {
        let word = if unhurt.len() == 1 { "component" } else { "components" };
        format!("Stays up, {} {word}: {}", unhurt.len(), listed(unhurt))
    });
    lines
}

/// Lines of level, name and words, the words below each other.
fn table(lines: &mut Vec<String>, rows: impl Iterator<Item = (Health, String, String)>) {
    let rows: Vec<_> = rows.collect();
    let width = |text: &str| text.chars().count();
    let levels = rows.iter().map(|row| width(row.0.level().as_str())).max().unwrap_or(0);
    let names = rows.iter().map(|row| width(&row.1)).max().unwrap_or(0);
    for (health, name, words) in rows {
        let level = health.level().as_str();
        let (after_level, after_name) = (" ".repeat(levels - width(level)), " ".repeat(names - width(&name)));
        lines.push(format!("  {}{after_level}  {name}{after_name}  {words}", output::level(level)));
    }
}

fn listed(mut names: Vec<String>) -> String {
    let more = names.len().saturating_sub(MAX_NAMES);
    names.truncate(MAX_NAMES);
    let list = names.join(", ");
    if more == 0 { list } else { format!("{list} and {more} more") }
}

fn in_json(model: &Model, graph: &Graph, target: &Target, impact: &Impact) -> Value {
    let mut answer = json!({ "node": target.name(model), "kind": target.kind() });
    if let (Value::Object(answer), Value::Object(rest)) = (&mut answer, consequences(model, graph, impact)) {
        answer.extend(rest);
    }
    answer
}

/// What follows, as scripts read it.
pub(crate) fn consequences(model: &Model, graph: &Graph, impact: &Impact) -> Value {
    let name = |id: ComponentId| model.component(id).name.as_str();
    let affected: Vec<Value> = impact
        .hurt
        .iter()
        .map(|one| {
            let over: Vec<Value> = one
                .over
                .iter()
                .map(|edge| graph.dependency(*edge))
                .map(|d| json!({ "on": name(d.to), "strength": d.strength.as_str() }))
                .collect();
            json!({
                "node": name(one.component), "level": one.health.level().as_str(),
                "kind": one.health.kind().map(topology::level::Kind::as_str),
                "broken": one.broken, "over": over, "because": one.because.en,
            })
        })
        .collect();
    let entries: Vec<Value> = impact
        .entries
        .iter()
        .map(|(id, health)| {
            let serves = *health != Health::Red;
            json!({ "node": name(*id), "level": health.level().as_str(), "serves": serves })
        })
        .collect();
    let instances: Vec<Value> = impact
        .instances
        .iter()
        .map(|(id, health)| json!({ "node": model.instance(*id).name, "level": health.level().as_str() }))
        .collect();
    json!({
        "breaks": impact.broken.iter().map(|id| &model.instance(*id).name).collect::<Vec<_>>(),
        "affected": affected, "instances": instances, "entries": entries,
        "stays_up": impact.unhurt.iter().map(|id| name(*id)).collect::<Vec<_>>(),
    })
}
