//! Service graphs: Jaeger's and Zipkin's dependencies, Tempo's and the collector's service graph as Prometheus gives it,
//! Grafana's node graph. They know who calls whom, and no addresses.

use topology::diagnostic::Diagnostic;
use topology::document::Node;

use super::tree::{at, entries, items, text, text_at};
use super::{Files, Wanted, wrong};
use crate::draft::{Component, Draft, Probe, Setting, Strength, known, slug};

/// A caller and whom it calls.
struct Edge {
    from: String,
    to: String,
    calls: Option<String>,
}

/// Reads every edge of every file.
pub(super) fn read(files: &Files, _: &Wanted, draft: &mut Draft) -> Result<(), Diagnostic> {
    let mut edges = Vec::new();
    for document in files.documents() {
        collect(document, &mut edges);
    }
    if let (true, Some(first)) = (edges.is_empty(), files.documents().next()) {
        let help = "Jaeger: /api/dependencies?endTs=…; Tempo: a query of traces_service_graph_request_total; Zipkin: /api/v2/dependencies";
        return Err(wrong(first.place, "there is no edge of a service graph in this", help));
    }
    for edge in &edges {
        for name in [&edge.from, &edge.to] {
            if draft.get(&slug(name)).is_none() {
                draft.components.push(component(name));
            }
        }
        let because =
            edge.calls.as_ref().map_or_else(|| "calls".to_owned(), |calls| format!("{calls} calls"));
        if let Some(from) = draft.get(&slug(&edge.from)) {
            from.needs(&slug(&edge.to), Strength::Required, because);
        }
    }
    draft.note(
        None,
        "addresses",
        "a service graph knows none: each service's own name and a usual port stand for it; mend them",
    );
    draft
        .heading
        .push("Addresses and probes are guessed by the services' names: mend them first.".to_owned());
    Ok(())
}

fn collect(node: &Node, edges: &mut Vec<Edge>) {
    let pairs = [
        ("parent", "child", "callCount"),
        ("source", "target", "mainStat"),
        ("from", "to", "calls"),
        ("client", "server", "calls"),
    ];
    // Jaeger and Zipkin, bare or under `data`; Grafana under `edges`.
    let lists =
        [Some(node), node.get("data"), node.get("edges"), node.get("dependencies"), node.get("links")];
    for one in lists.into_iter().flat_map(items) {
        let found = pairs.iter().find_map(|(from, to, calls)| {
            Some((text_at(one, from)?, text_at(one, to)?, text_at(one, calls)))
        });
        edges.extend(found.map(|(from, to, calls)| Edge { from, to, calls }));
    }
    for one in items(at(node, &["data", "result"])) {
        let Some(labels) = one.get("metric") else { continue };
        let pair = text_at(labels, "client").zip(text_at(labels, "server"));
        edges.extend(pair.map(|(from, to)| Edge { from, to, calls: None }));
    }
    // An older form: { service: [called, …] }.
    for (key, called) in entries(node.get("graph")) {
        edges.extend(items(Some(called)).iter().filter_map(text).map(|to| Edge {
            from: key.name.clone(),
            to,
            calls: None,
        }));
    }
    edges.retain(|edge| edge.from != edge.to && edge.from != "user" && edge.from != "unknown");
}

fn component(name: &str) -> Component {
    let name = slug(name);
    let server = known::by_part(&name);
    let host: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    let (port, probe) = server.map_or_else(
        || (80, Probe::of("http").with("path", Setting::Text("/".to_owned()))),
        |server| (server.port, server.probe()),
    );
    let mut component = Component::at(name, format!("{host}:{port}"), probe);
    if let Some(server) = server {
        component.tier = Some(server.tier.to_owned());
    }
    component.comments.push("Address and probe are guessed.".to_owned());
    component
}
