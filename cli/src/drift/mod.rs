//! `topowatch drift`: does the file still say what is there?

mod compare;

use std::net::{IpAddr, ToSocketAddrs as _};

use anyhow::Result;

use self::compare::{Drift, compare};
use crate::args::DriftArgs;
use crate::discover;
use crate::exit::{Exit, fail};
use crate::load;
use crate::output;

pub(crate) async fn run(args: &DriftArgs) -> Result<Exit> {
    let model = load::load_without_secrets(&args.config, &args.overlays).map_err(|report| {
        report.print();
        fail(Exit::Red, format!("{} is broken; nothing was compared", args.config.display()))
    })?;
    let seen = if args.discovered.is_empty() {
        discover::here(args.length, None).await
    } else {
        discover::read(&args.discovered)?
    };
    for host in seen.hosts.iter().filter(|host| !host.complete) {
        output::note(&format!(
            "{}: not every process could be looked at: run it as root",
            output::plain(&host.name)
        ));
    }
    let drift = compare(&model, &seen, &addresses);
    if args.json {
        output::line(&serde_json::to_string_pretty(&drift)?);
    } else {
        tell(&drift);
    }
    Ok(if drift.found { Exit::Failed } else { Exit::Good })
}

/// The addresses of a name; none when it has none here.
fn addresses(host: &str) -> Vec<IpAddr> {
    (host, 0).to_socket_addrs().map(|all| all.map(|at| at.ip()).collect()).unwrap_or_default()
}

fn tell(drift: &Drift) {
    let (edges, instances) = (&drift.dependencies, &drift.instances);
    let not_watched = |n: usize| if n == 0 { String::new() } else { format!(", {n} not looked at") };
    output::line(&format!(
        "{} of {} dependencies and {} of {} instances of the file were seen{}",
        edges.seen,
        edges.declared,
        instances.seen,
        instances.declared,
        not_watched(edges.not_watched + instances.not_watched)
    ));
    let mut told = false;
    let mut section = |title: &str, lines: Vec<String>| {
        if lines.is_empty() {
            return;
        }
        told = true;
        output::line("");
        output::line(&output::bold(title));
        for line in lines {
            output::line(&format!("  {}", output::plain(&line)));
        }
    };
    section(
        "The file lacks:",
        edges
            .lacking
            .iter()
            .map(|edge| format!("+ {} -> {}   {}", edge.from, edge.on, edge.words))
            .chain(instances.lacking.iter().map(|at| format!("+ {} at {}", at.name, at.address)))
            .collect(),
    );
    section(
        "The file has, and nothing of it was seen:",
        edges
            .not_seen
            .iter()
            .map(|edge| format!("- {} -> {}   {}", edge.from, edge.on, edge.words))
            .chain(
                instances
                    .not_seen
                    .iter()
                    .map(|at| format!("- {} at {}: nothing listens there", at.name, at.address)),
            )
            .collect(),
    );
    if !edges.not_seen.is_empty() {
        output::line("");
        output::line("A dependency that is used seldom needs a longer look: --for 5m");
    }
    if !edges.carried.is_empty() {
        output::line("");
        let all: Vec<String> = edges
            .carried
            .iter()
            .map(|edge| format!("{} -> {} is {}", edge.from, edge.on, edge.words))
            .collect();
        output::line(&format!("By way of others: {}", output::plain(&all.join("; "))));
    }
    if !drift.unrelated.is_empty() {
        output::line("");
        let all: Vec<&str> = drift.unrelated.iter().take(20).map(String::as_str).collect();
        output::line(&format!(
            "Also here, and connected with nothing in the file: {}",
            output::plain(&all.join(", "))
        ));
    }
    if !told {
        output::line("The file says what is there.");
    }
}
