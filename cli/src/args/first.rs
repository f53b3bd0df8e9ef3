//! The command line of what comes before a topology: import, discover, drift, init; and of the tools around.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{Server, duration};

/// What can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Compose files: services, ports, health checks, dependencies, addresses in their environment
    Compose,
    /// Manifests, or what `kubectl get … -o json` prints
    #[value(alias = "k8s")]
    Kubernetes,
    /// nginx.conf: upstreams, and who passes to whom
    Nginx,
    /// prometheus.yml, blackbox.yml, files of targets
    Prometheus,
    /// Gatus: endpoints with conditions
    Gatus,
    /// A backup of Uptime Kuma
    UptimeKuma,
    /// Service graphs of Jaeger, Zipkin, Tempo, Grafana: dependencies
    #[value(alias = "jaeger")]
    Otel,
}

impl Format {
    /// The word on the command line.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Compose => "compose",
            Self::Kubernetes => "kubernetes",
            Self::Nginx => "nginx",
            Self::Prometheus => "prometheus",
            Self::Gatus => "gatus",
            Self::UptimeKuma => "uptime-kuma",
            Self::Otel => "otel",
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = IMPORT_EXAMPLES)]
pub(crate) struct ImportArgs {
    /// Whose files they are
    #[arg(value_name = "FORMAT")]
    pub(crate) format: Format,
    /// The files, read as one; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Write the topology here; standard output unless given
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long, requires = "output")]
    pub(crate) force: bool,
    /// The platform's name
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The host at which published ports are asked (compose), or where nginx runs
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// Print the report as JSON; it goes to standard error, since the file has standard output
    #[arg(long)]
    pub(crate) json: bool,
}

const IMPORT_EXAMPLES: &str = "\
Examples:
  topowatch import compose docker-compose.yml -o topology.yaml
  topowatch import compose docker-compose.yml --host 127.0.0.1 > topology.yaml
  kubectl get deploy,sts,ds,svc,ingress,cm -A -o json | topowatch import kubernetes -
  nginx -T | topowatch import nginx - --host 10.0.0.1
  topowatch import prometheus prometheus.yml blackbox.yml targets/*.json
  topowatch import otel dependencies.json
What is written passes `topowatch check`. Passwords and tokens are never copied: ${env:NAME:-} stands for each.

Exit status: 0 written, 1 nothing to watch was found or the output is there already, 2 a broken file.";

#[derive(Debug, Args)]
#[command(after_help = DISCOVER_EXAMPLES)]
pub(crate) struct DiscoverArgs {
    /// Watch for this long: short connections are seen only while they last
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) length: Option<Duration>,
    /// Join what was discovered on several hosts, and look at nothing here
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["length", "greet"])]
    pub(crate) merge: Vec<PathBuf>,
    /// Connect to what is not known by its name, and read how it greets
    #[arg(long)]
    pub(crate) greet: bool,
    /// Name this host; its own name unless given
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// Write here; standard output unless given
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long, requires = "output")]
    pub(crate) force: bool,
    /// What was seen as JSON, for `--merge` and `topowatch drift`, instead of a topology
    #[arg(long)]
    pub(crate) json: bool,
}

const DISCOVER_EXAMPLES: &str = "\
Examples:
  sudo topowatch discover --for 30s -o topology.yaml     what runs here, and what it talks to
  sudo topowatch discover --for 30s --json > web1.json   on each of several hosts
  topowatch discover --merge web1.json db1.json -o topology.yaml
Reads /proc only and sends nothing; --greet alone makes connections. As root it sees every process and the networks
of containers; else only this user's. Connections of topowatch itself are left out.

Exit status: 0 written, 1 nothing was found or the output is there already, 2 a broken file.";

#[derive(Debug, Args)]
#[command(after_help = DRIFT_EXAMPLES)]
pub(crate) struct DriftArgs {
    /// What `topowatch discover --json` wrote, of one host or several; this host is looked at unless given
    #[arg(value_name = "DISCOVERED")]
    pub(crate) discovered: Vec<PathBuf>,
    /// The topology file; its secrets are not needed
    #[arg(short = 'c', long = "config", default_value = "topology.yaml", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Lay this file over the topology, for one environment; may be given several times
    #[arg(long = "overlay", value_name = "FILE")]
    pub(crate) overlays: Vec<PathBuf>,
    /// Watch this host for so long
    #[arg(long = "for", default_value = "10s", value_name = "DURATION", value_parser = duration)]
    pub(crate) length: Duration,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const DRIFT_EXAMPLES: &str = "\
Examples:
  sudo topowatch drift --for 30s
  topowatch drift -c topology.yaml web1.json db1.json
Says what the file lacks (a dependency or an instance that was seen), and what it has too many (one that was not,
although its host was looked at). What nobody looked at is counted apart, and is no drift.

Exit status: 0 the file says what is there, 1 it does not, 2 a broken file.";

#[derive(Debug, Args)]
#[command(after_help = INIT_EXAMPLES)]
pub(crate) struct InitArgs {
    /// The file to write
    #[arg(value_name = "FILE", default_value = "topology.yaml")]
    pub(crate) file: PathBuf,
    /// The platform's name; asked for on a terminal
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// A component as NAME=URL, such as web=http://10.0.0.1:8080/health; may be given several times
    #[arg(long = "node", value_name = "NAME=URL")]
    pub(crate) nodes: Vec<String>,
    /// A dependency as FROM:ON, such as web:db, or FROM:ON:optional (async); may be given several times
    #[arg(long = "edge", value_name = "FROM:ON")]
    pub(crate) edges: Vec<String>,
    /// Write over a file that is there
    #[arg(long)]
    pub(crate) force: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const INIT_EXAMPLES: &str = "\
Examples:
  topowatch init                       asks, and writes topology.yaml
  topowatch init --name shop --node web=http://10.0.0.1:8080/health --node db=postgres://10.0.0.5/shop --edge web:db
From what is there already: topowatch import compose|kubernetes|nginx|…, topowatch discover.

Exit status: 0 written, 1 the file is there already, 64 an URL that no probe asks.";

#[derive(Debug, Args)]
#[command(after_help = TOP_EXAMPLES)]
pub(crate) struct TopArgs {
    /// Show only what has this in its name
    #[arg(value_name = "FILTER")]
    pub(crate) filter: Option<String>,
    /// Print once and end, as it does anyway where the output is no terminal
    #[arg(long)]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) server: Server,
}

const TOP_EXAMPLES: &str = "\
Examples:
  topowatch top                        the board, live: q ends, / filters, arrows and PgDn move, ? helps
  topowatch top redis
  topowatch top --once | head
Exit status: that of `topowatch health` for `--once`, else 0; 3 no answer from the server.";

#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// Of which shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  topowatch completions bash > /etc/bash_completion.d/topowatch
  topowatch completions zsh > \"${fpath[1]}/_topowatch\"
  topowatch completions fish > ~/.config/fish/completions/topowatch.fish";

#[derive(Debug, Args)]
#[command(after_help = MAN_EXAMPLES)]
pub(crate) struct ManArgs {
    /// Write a page for each command here; without it the page of topowatch goes to standard output
    #[arg(value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

const MAN_EXAMPLES: &str = "\
Examples:
  topowatch man | man -l -
  topowatch man /usr/local/share/man/man1";

#[derive(Debug, Args)]
#[command(after_help = MCP_EXAMPLES)]
pub(crate) struct McpArgs {
    /// The server to ask
    #[arg(long, env = "TOPOWATCH_URL", default_value = "http://127.0.0.1:8440", value_name = "URL")]
    pub(crate) url: String,
    #[arg(long, value_name = "FILE", help = super::CLIENT_TOKEN)]
    pub(crate) token_file: Option<PathBuf>,
}

const MCP_EXAMPLES: &str = "\
A server of the Model Context Protocol on standard input and output, for assistants. It reads only: the tools health,
why, node, impact, incidents and history. For a client that reads such a file:
  { \"mcpServers\": { \"topowatch\": { \"command\": \"topowatch\", \"args\": [\"mcp\", \"--url\", \"http://127.0.0.1:8440\"] } } }";
