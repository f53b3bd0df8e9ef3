//! The command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

mod examples;
mod first;

pub(crate) use first::{
    CompletionsArgs, DiscoverArgs, DriftArgs, Format, ImportArgs, InitArgs, ManArgs, McpArgs, TopArgs,
};

/// Watches a platform from outside: every node on one page, the root cause named.
#[derive(Debug, Parser)]
#[command(name = "topowatch", version, about, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  topowatch import compose docker-compose.yml -o topology.yaml
  topowatch check                      is topology.yaml good?
  topowatch serve                      watch it: http://127.0.0.1:8440
  topowatch health && deploy           exit 0 green, 1 yellow, 2 red, 3 unknown or no answer
  topowatch health order-db --wait green --timeout 5m
  topowatch health --once              the same without a server: looks at everything itself
  topowatch probe redis://10.0.0.1:6379
  topowatch why                        what is really broken, and why we say so
  topowatch change order-service \"release 1.2\"
  topowatch silence order-db --for 2h --why \"moving it\"
  topowatch ack                        I take the worst open incident on
  topowatch alert test ops             does my receiver work?
  topowatch record -o outage.json.gz   the last minutes, to be replayed
  topowatch impact order-db            what breaks if it breaks
  topowatch spof --fail-on red         has the platform a single point of failure?

Exit status: 0 green or done, 1 yellow or failed, 2 red or a broken file, 3 unknown or no answer,
64 a command line that makes no sense.";

const SERVER_TOKEN: &str = "Whoever changes something (reload, change, silence, ack) must have the token in this file; \
                            else TOPOWATCH_TOKEN, and without either only this machine may";
const CLIENT_TOKEN: &str = "The file with the server's token; else TOPOWATCH_TOKEN";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Watch what the topology names, and serve the page, the API and the metrics
    Serve(ServeArgs),
    /// Say whether a topology file is good: every mistake, with its place
    Check(CheckArgs),
    /// The level of the platform or of one node, from a running server
    Health(HealthArgs),
    /// What is really broken, why we say so, and what it breaks
    Why(WhyArgs),
    /// The verdict for recorded cases, offline
    Replay(ReplayArgs),
    /// Read the topology file of a running server again: all of it, or nothing when it is broken
    Reload(ReloadArgs),
    /// Tell a running server that something was changed: an incident that follows says so
    Change(ChangeArgs),
    /// Hold the messages about nodes back for a while, pause them, list or end that
    Silence(SilenceArgs),
    /// Take an open incident on: nobody else is called for it, unless it gets worse
    Ack(AckArgs),
    /// Try the receivers of the file
    Alert(AlertArgs),
    /// Write the last minutes of a running server to a file, for `topowatch replay`
    Record(RecordArgs),
    /// What breaks if a node breaks, and what stays up; from the file, without a server
    Impact(ImpactArgs),
    /// The single points of failure of the file, worst first
    Spof(SpofArgs),
    /// What was promised, what was kept, and what is left of the error budget
    Objectives(ObjectivesArgs),
    /// Who may read and who may operate
    Token(TokenArgs),
    /// Look at one node or address now, from here, and say what each step took
    Probe(ProbeArgs),
    /// Print the JSON Schema of topology files, for editors
    Schema(SchemaArgs),
    /// Write a first topology by hand: asks, or takes flags
    Init(InitArgs),
    /// Write a first topology of what compose, Kubernetes, nginx, Prometheus and others know
    Import(ImportArgs),
    /// What runs on this host and what it talks to, as a topology
    Discover(DiscoverArgs),
    /// What a topology file lacks, or has too many, against what is discovered
    Drift(DriftArgs),
    /// The board, live in the terminal
    Top(TopArgs),
    /// A read-only server of the Model Context Protocol, for assistants
    Mcp(McpArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Print or write manual pages
    Man(ManArgs),
    /// Start the ordering platform with its monitor, in the foreground
    Demo(DemoArgs),
}

#[derive(Debug, Args)]
#[command(after_help = examples::SERVE)]
pub(crate) struct ServeArgs {
    /// The topology file
    #[arg(short = 'c', long = "config", default_value = "topology.yaml", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Lay this file over the topology, for one environment; may be given several times
    #[arg(long = "overlay", value_name = "FILE")]
    pub(crate) overlays: Vec<PathBuf>,
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8440", value_name = "ADDRESS:PORT")]
    pub(crate) listen: SocketAddr,
    /// Where history and incidents are kept; a file that is missing is made
    #[arg(
        long,
        env = "TOPOWATCH_DATABASE",
        hide_env_values = true,
        default_value = "sqlite://topowatch.db",
        value_name = "URL"
    )]
    pub(crate) database: String,
    /// Where gateways send their access logs by syslog over UDP (the probe kind `access_log`)
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) access_log: Option<SocketAddr>,
    #[arg(long, value_name = "FILE", help = SERVER_TOKEN)]
    pub(crate) token_file: Option<PathBuf>,
    /// Pages and API need a token, too (`topowatch token add`)
    #[arg(long)]
    pub(crate) private: bool,
    /// Bytes that history may take, in MB; the finest signals go first
    #[arg(long, default_value_t = 500, value_name = "MB", value_parser = clap::value_parser!(u64).range(20..))]
    pub(crate) history_budget: u64,
    /// How the log on standard error is written
    #[arg(long, value_enum, default_value_t = LogFormat::Auto, value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
    /// A dead man's switch: asked while the monitor's scheduler, verdict and storage all go on
    #[arg(long, env = "TOPOWATCH_HEARTBEAT_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) heartbeat_url: Option<String>,
    /// Seconds from one heartbeat to the next
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) heartbeat_every: u64,
    /// Stop when the process that started this one ends
    #[arg(long, hide = true)]
    pub(crate) stop_with_parent: bool,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON elsewhere
    Auto,
    /// One line a message, for people
    Text,
    /// One JSON object a line, for machines
    Json,
}

#[derive(Debug, Args)]
#[command(after_help = examples::OBJECTIVES)]
pub(crate) struct ObjectivesArgs {
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = examples::TOKEN)]
pub(crate) struct TokenArgs {
    /// The database of the server
    #[arg(
        long,
        env = "TOPOWATCH_DATABASE",
        hide_env_values = true,
        default_value = "sqlite://topowatch.db",
        value_name = "URL",
        global = true
    )]
    pub(crate) database: String,
    #[command(subcommand)]
    pub(crate) command: TokenCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token; it is shown once
    Add {
        /// Whose it is: `ci`, `wall`, `ana`
        name: String,
        /// What it may
        #[arg(long, default_value = "read", value_parser = ["read", "operate"])]
        role: String,
        /// When it ends: `90d`, `12h`
        #[arg(long, value_name = "DURATION")]
        expires: Option<String>,
    },
    /// All tokens, without their secrets
    List {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a token, and end its sessions
    Remove {
        /// Whose it is
        name: String,
    },
}

#[derive(Debug, Args)]
#[command(after_help = examples::CHECK)]
pub(crate) struct CheckArgs {
    /// The topology file
    #[arg(value_name = "FILE", conflicts_with = "config")]
    file: Option<PathBuf>,
    /// The topology file, named as `serve` names it [default: topology.yaml]
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Lay this file over the topology, for one environment; may be given several times
    #[arg(long = "overlay", value_name = "FILE")]
    pub(crate) overlays: Vec<PathBuf>,
    /// Print the findings as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl CheckArgs {
    /// The file to check.
    pub(crate) fn file(&self) -> &Path {
        self.file.as_deref().or(self.config.as_deref()).unwrap_or(Path::new("topology.yaml"))
    }
}

#[derive(Debug, Args)]
#[command(after_help = SCHEMA_EXAMPLES)]
pub(crate) struct SchemaArgs {
    /// The schema of overlays: nothing is required, and null removes
    #[arg(long)]
    pub(crate) overlay: bool,
    /// The schema of what the generic webhook is sent
    #[arg(long, conflicts_with = "overlay")]
    pub(crate) webhook: bool,
}

const SCHEMA_EXAMPLES: &str = "\
Examples:
  topowatch schema > topology.schema.json
  topowatch schema --overlay > overlay.schema.json
Write it beside the file, and name it in the first line of topology.yaml:
  topowatch schema > topology.schema.json
  # yaml-language-server: $schema=./topology.schema.json";

#[derive(Debug, Args)]
#[command(after_help = SILENCE_EXAMPLES)]
pub(crate) struct SilenceArgs {
    /// Components, instances, labels as zone=a, incidents by their id; `*` is everything. `list` and `end ID`
    /// show and end them
    #[arg(value_name = "NODE", required = true)]
    pub(crate) nodes: Vec<String>,
    /// How long
    #[arg(long = "for", value_name = "TIME", default_value = "1h")]
    pub(crate) lasts: String,
    /// From when on, as 2026-12-01T22:00:00+08:00; now, unless given
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// What for
    #[arg(long, value_name = "TEXT")]
    pub(crate) why: Option<String>,
    /// Who says so [default: $USER]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
    /// Pause the nodes: they are shown as being worked at, and count for nothing
    #[arg(long)]
    pub(crate) maintenance: bool,
    #[arg(long, value_name = "FILE", help = CLIENT_TOKEN)]
    pub(crate) token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) server: Server,
}

const SILENCE_EXAMPLES: &str = "\
Examples:
  topowatch silence order-db --for 2h --why \"moving it\"
  topowatch silence zone=b --maintenance --for 30m
  topowatch silence list               also the windows of the file, with their next three occurrences
  topowatch silence end 0193…
A silence holds messages back. What happens is recorded, and whoever was told of an incident is told of its end.";

#[derive(Debug, Args)]
#[command(after_help = examples::ACK)]
pub(crate) struct AckArgs {
    /// The incident [default: the worst, then oldest open one]
    #[arg(value_name = "INCIDENT")]
    pub(crate) incident: Option<String>,
    /// What you are going to do
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
    /// Who takes it on [default: $USER]
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
    /// Let it go again
    #[arg(long)]
    pub(crate) undo: bool,
    #[arg(long, value_name = "FILE", help = CLIENT_TOKEN)]
    pub(crate) token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = examples::ALERT)]
pub(crate) struct AlertArgs {
    #[command(subcommand)]
    pub(crate) command: AlertCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AlertCommand {
    /// Send a receiver a message marked as a test, now and from here; needs no server
    Test(AlertTestArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AlertTestArgs {
    /// A receiver of the file
    #[arg(value_name = "RECEIVER")]
    pub(crate) receiver: String,
    /// The topology file
    #[arg(short = 'c', long = "config", default_value = "topology.yaml", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Lay this file over the topology, for one environment; may be given several times
    #[arg(long = "overlay", value_name = "FILE")]
    pub(crate) overlays: Vec<PathBuf>,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Server {
    /// The server to ask
    #[arg(long, env = "TOPOWATCH_URL", default_value = "http://127.0.0.1:8440", value_name = "URL")]
    pub(crate) url: String,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = examples::HEALTH)]
pub(crate) struct HealthArgs {
    /// A component or an instance; a prefix will do while it is unambiguous
    #[arg(value_name = "NODE")]
    pub(crate) node: Option<String>,
    /// Wait until it has this level
    #[arg(long, value_name = "LEVEL", value_parser = ["green", "yellow", "red", "unknown"])]
    pub(crate) wait: Option<String>,
    /// How long to wait
    #[arg(long, default_value = "60s", value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Answer as a Nagios plug-in does: a status line with performance data
    #[arg(long, conflicts_with = "json")]
    pub(crate) nagios: bool,
    /// Probe everything once from here and answer, without a server
    #[arg(long)]
    pub(crate) once: bool,
    /// The topology file for --once
    #[arg(
        short = 'c',
        long = "config",
        default_value = "topology.yaml",
        value_name = "FILE",
        requires = "once"
    )]
    pub(crate) config: PathBuf,
    /// Lay this file over the topology, for one environment; may be given several times
    #[arg(long = "overlay", value_name = "FILE", requires = "once")]
    pub(crate) overlays: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = PROBE_EXAMPLES)]
pub(crate) struct ProbeArgs {
    /// A node of the topology file, or a URL
    #[arg(value_name = "TARGET", required_unless_present = "grants")]
    pub(crate) target: Option<String>,
    /// Print the least privileges that a kind's account needs, and look at nothing
    #[arg(long, value_name = "KIND", conflicts_with = "target")]
    pub(crate) grants: Option<String>,
    /// The topology file, for a node's name
    #[arg(short = 'c', long = "config", default_value = "topology.yaml", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Lay this file over the topology, for one environment; may be given several times
    #[arg(long = "overlay", value_name = "FILE")]
    pub(crate) overlays: Vec<PathBuf>,
    /// How long one look may take (for a URL)
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const PROBE_EXAMPLES: &str = "\
Examples:
  topowatch probe order-db-1
  topowatch probe redis://10.0.0.1:6379 --json
  topowatch probe --grants postgres
A URL is one of
  http://HOST:PORT/PATH   https://…   ws://HOST:PORT/PATH   wss://…   nginx://HOST:PORT/PATH
  tcp://HOST:PORT   tls://HOST:PORT   icmp://HOST   dns://SERVER/NAME   memcached://HOST:PORT
  redis://[USER[:PASSWORD]@]HOST:PORT   rediss://…   (the second s: under TLS)
  postgres://USER[:PASSWORD]@HOST:PORT/DATABASE   mysql://USER[:PASSWORD]@HOST:PORT/DATABASE
  amqp://USER[:PASSWORD]@HOST:PORT/VHOST   amqps://…   rabbitmq://USER[:PASSWORD]@HOST:PORT/VHOST
A password on the command line can be read by everybody on this machine: leave it out and set
TOPOWATCH_PASSWORD instead.

Exit status: 0 answered well, 1 yellow, 2 red.";

#[derive(Debug, Args)]
#[command(after_help = examples::WHY)]
pub(crate) struct WhyArgs {
    /// A node or an incident; without it the worst, then oldest, open incident
    #[arg(value_name = "NODE|INCIDENT")]
    pub(crate) subject: Option<String>,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = examples::REPLAY)]
pub(crate) struct ReplayArgs {
    /// What `topowatch record` wrote, plain or gzipped
    #[arg(value_name = "CASE", required = true)]
    pub(crate) cases: Vec<PathBuf>,
    /// Print the answer as JSON; of several cases one a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = examples::RELOAD)]
pub(crate) struct ReloadArgs {
    #[arg(long, value_name = "FILE", help = CLIENT_TOKEN)]
    pub(crate) token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = examples::CHANGE)]
pub(crate) struct ChangeArgs {
    /// A component, an instance, or a label such as version=1.2
    #[arg(value_name = "NODE")]
    pub(crate) node: String,
    /// What was changed
    #[arg(value_name = "WHAT")]
    pub(crate) what: String,
    /// When, as 2026-11-24T12:00:00Z; now when it is left out
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// Who did it; else $USER
    #[arg(long, value_name = "WHO")]
    pub(crate) by: Option<String>,
    /// Where to read more
    #[arg(long, value_name = "URL")]
    pub(crate) link: Option<String>,
    #[arg(long, value_name = "FILE", help = CLIENT_TOKEN)]
    pub(crate) token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = examples::RECORD)]
pub(crate) struct RecordArgs {
    /// An incident that is or was; without it the worst open one, else the latest
    #[arg(value_name = "INCIDENT")]
    pub(crate) incident: Option<String>,
    /// The file, zipped when it ends in .gz; `-` is standard output [default: case-INCIDENT.json.gz]
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// How far back; the server remembers 15 minutes
    #[arg(long = "for", default_value = "15m", value_name = "DURATION", value_parser = duration)]
    pub(crate) length: Duration,
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = examples::IMPACT)]
pub(crate) struct ImpactArgs {
    /// A component, an instance (a prefix will do while it is unambiguous), or a label as host=h7
    #[arg(value_name = "NODE|LABEL")]
    pub(crate) target: String,
    /// The topology file; its secrets are not needed
    #[arg(short = 'c', long = "config", default_value = "topology.yaml", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Lay this file over the topology, for one environment; may be given several times
    #[arg(long = "overlay", value_name = "FILE")]
    pub(crate) overlays: Vec<PathBuf>,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = examples::SPOF)]
pub(crate) struct SpofArgs {
    /// The topology file; its secrets are not needed
    #[arg(short = 'c', long = "config", default_value = "topology.yaml", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Lay this file over the topology, for one environment; may be given several times
    #[arg(long = "overlay", value_name = "FILE")]
    pub(crate) overlays: Vec<PathBuf>,
    /// Exit 2 when there is a red one; with `yellow` also 1 when there are only yellow ones
    #[arg(long, value_name = "LEVEL", value_parser = ["red", "yellow"])]
    pub(crate) fail_on: Option<String>,
    /// Print the answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = examples::DEMO)]
pub(crate) struct DemoArgs {
    /// Where everything of the demo lies
    #[arg(long, env = "DEMO_DIR", default_value = ".demo", value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// The monitor's port
    #[arg(long, env = "DEMO_PORT", default_value_t = DEMO_PORT, value_name = "PORT")]
    pub(crate) port: u16,
    /// How much of the platform
    #[arg(long, env = "DEMO_SCALE", default_value = "small", value_name = "SCALE")]
    pub(crate) scale: String,
    /// Tell this webhook of incidents
    #[arg(long, env = "DEMO_WEBHOOK", hide_env_values = true, value_name = "URL")]
    pub(crate) webhook: Option<String>,
    /// Stop everything when the process that started the demo ends
    #[arg(long, hide = true)]
    pub(crate) stop_with_parent: bool,
}

/// The port that the demo, the server and the queries agree on.
pub(crate) const DEMO_PORT: u16 = 8440;

fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration =
        text.parse().map_err(|_| format!("`{text}` is no duration: write it as 30s, 5m or 1m30s"))?;
    Duration::try_from(span).map_err(|_| "a duration is not negative".to_owned())
}
