//! The layers of ARCHITECTURE.md, held against what cargo says: one direction, no circles.

use std::collections::BTreeMap;
use std::process::Command;

use petgraph::algo::toposort;
use petgraph::graph::DiGraph;
use serde_json::Value;

/// Each may need those before it.
const LAYERS: [&str; 5] = ["topology", "probes", "collector", "web", "cli"];

#[test]
fn the_crates_depend_in_one_direction() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let mut graph = DiGraph::<&str, ()>::new();
    let nodes: BTreeMap<&str, _> = packages
        .iter()
        .map(|package| package["name"].as_str().unwrap())
        .map(|name| (name, graph.add_node(name)))
        .collect();
    for package in packages {
        let from = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            if let Some(to) = nodes.get(dependency["name"].as_str().unwrap()) {
                graph.add_edge(nodes[from], *to, ());
            }
        }
    }
    assert!(toposort(&graph, None).is_ok(), "the crates depend in a circle");
    let layer = |name: &str| LAYERS.iter().position(|layer| *layer == name);
    for edge in graph.edge_indices() {
        let (from, to) = graph.edge_endpoints(edge).unwrap();
        let (from, to) = (graph[from], graph[to]);
        // The platform knows nothing of the monitor, and the monitor nothing of it.
        let (Some(above), Some(below)) = (layer(from), layer(to)) else { panic!("{from} needs {to}") };
        assert!(below < above, "{from} needs {to}, which lies above it");
    }
}
