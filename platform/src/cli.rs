//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::catalog::Scale;
use crate::load::Mix;
use crate::plan::DEFAULT_BASE_PORT;
use crate::ports::BasePort;

/// A coffee chain's ordering platform in small: real servers, real orders, one directory.
#[derive(Debug, Parser)]
#[command(name = "ordering-platform", version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Dir {
    /// The deployment's directory: state, secrets, logs
    #[arg(long, default_value = ".platform", value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start all of it, detached
    Up {
        #[arg(long, value_enum, default_value = "small")]
        scale: Scale,
        #[command(flatten)]
        dir: Dir,
        /// The first of 100 ports, or `auto` for the first free block
        #[arg(long, default_value_t = BasePortArg(BasePort::At(DEFAULT_BASE_PORT)), value_name = "PORT|auto")]
        base_port: BasePortArg,
        /// How often each store's POS asks for new orders, whether push tells it of any or not
        #[arg(long, default_value = "60s", value_name = "TIME")]
        poll: Time,
        /// Requests a second that the gateways let in, all together; what comes on top gets 429 at once
        #[arg(long, default_value = "2000", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        rate_limit: u32,
        /// Make up past days of the order curve, marked as generated
        #[arg(long)]
        history: bool,
        /// A syslog receiver (UDP) for the access log in JSON, besides its file
        #[arg(long, value_name = "IP:PORT")]
        access_log_to: Option<std::net::SocketAddr>,
        /// Print the state as JSON instead of progress and a table
        #[arg(long)]
        json: bool,
        /// Start again what died, on the same ports and data, and leave the rest alone
        #[arg(long, conflicts_with_all = ["base_port", "scale"])]
        repair: bool,
    },
    /// What runs, with pids; exit status 1 when something does not
    Status {
        #[command(flatten)]
        dir: Dir,
        #[arg(long)]
        json: bool,
    },
    /// Undo faults whose `break` was killed, and start again what died
    Repair {
        #[command(flatten)]
        dir: Dir,
    },
    /// More or fewer instances of a component while it works; nothing is refused meanwhile
    Scale {
        /// miniapp-server, one of the seven services, or a kept VM group such as coupon-service-vm
        component: String,
        count: u8,
        #[command(flatten)]
        dir: Dir,
    },
    /// Move a service's traffic to its kept VM group, or back to its containers
    Switch {
        service: String,
        to: Runtime,
        #[command(flatten)]
        dir: Dir,
    },
    /// Let a shard's replica take its dead primary's place
    Promote {
        /// The shard, order-db-1 to order-db-4
        shard: String,
        /// End the primary first when it is alive; go on without orders that the replica never got
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        dir: Dir,
    },
    /// Change the site-wide rate limit of the gateways while they work
    Limit {
        /// Requests a second, all gateways together
        #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        rate: u32,
        #[command(flatten)]
        dir: Dir,
    },
    /// Customers at a fixed rate, through the gateways: latency by step, availability, orders a second
    Load {
        #[command(flatten)]
        dir: Dir,
        /// Requests a second; they come at this rate however slow the answers are
        #[arg(long, default_value = "50", value_parser = clap::value_parser!(u32).range(1..=100_000))]
        rate: u32,
        #[arg(long = "for", default_value = "60s", value_name = "TIME")]
        length: Time,
        /// Shares of the steps static, browse, order, coupon, refresh
        #[arg(long, default_value_t = Mix::default())]
        mix: Mix,
        #[arg(long)]
        json: bool,
    },
    /// Put the platform's promises to the test under load; exit status 1 when one was not kept
    Drill {
        #[arg(value_enum, default_value = "kills")]
        what: crate::drill::What,
        #[command(flatten)]
        dir: Dir,
        /// Draws the instances
        #[arg(long, default_value = "1")]
        seed: u64,
        /// Requests a second [kills: 200, outages: 60, shard: 40 orders]; for overload the limit of the site,
        /// else 30 % of what the machine does
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        rate: Option<u32>,
        /// The length of each kill or outage
        #[arg(long, default_value = "60s", value_name = "TIME")]
        each: Time,
        /// The same for components without a second instance
        #[arg(long, default_value = "15s", value_name = "TIME")]
        others: Time,
        /// How often shard and overload are tried: the median counts
        #[arg(long, default_value = "3", value_parser = clap::value_parser!(u8).range(1..=50))]
        rounds: u8,
        #[arg(long)]
        json: bool,
    },
    /// As many requests as it takes, each as soon as the last is answered: what a part can do at most
    Hammer {
        #[arg(value_enum)]
        what: crate::hammer::What,
        #[command(flatten)]
        dir: Dir,
        /// Orders go to so many of the four shards
        #[arg(long, default_value = "4", value_parser = clap::value_parser!(u8).range(1..=4))]
        shards: u8,
        #[arg(long, default_value = "32", value_parser = clap::value_parser!(u32).range(1..=1000))]
        connections: u32,
        #[arg(long = "for", default_value = "5s", value_name = "TIME")]
        length: Time,
    },
    /// How many instances the story's load needs, from what each step costs each component here
    Plan {
        #[command(flatten)]
        dir: Dir,
        /// Requests a second at the gateways, at the peak
        #[arg(long, default_value = "100000", value_name = "N")]
        target: u32,
        /// The peak is twenty times the day's mean
        #[arg(long, default_value = "5000000", value_name = "N")]
        orders_a_day: u32,
        /// Cores of the machine that an instance is to have
        #[arg(long, default_value = "4", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
        cores: u32,
        /// Requests a second while measuring
        #[arg(long, default_value = "60", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        rate: u32,
        /// For each step
        #[arg(long = "for", default_value = "8s", value_name = "TIME")]
        length: Time,
        #[arg(long)]
        json: bool,
    },
    /// Many long connections to one push centre, and words for them at a fixed rate
    Listen {
        #[command(flatten)]
        dir: Dir,
        /// Half of them phones, half stores
        #[arg(long, default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=16_000))]
        connections: u32,
        /// Words a second, each for one of them
        #[arg(long, default_value = "200", value_parser = clap::value_parser!(u32).range(1..=100_000))]
        rate: u32,
        #[arg(long = "for", default_value = "10s", value_name = "TIME")]
        length: Time,
        #[arg(long)]
        json: bool,
    },
    /// Walk every product as a client would, so that the caches have it; done every night, too
    WarmUp {
        #[command(flatten)]
        dir: Dir,
    },
    /// Messages that the OMS could not read
    DeadLetters {
        #[command(flatten)]
        dir: Dir,
        /// Back onto the queue of orders, after what made them unreadable was mended
        #[arg(long, conflicts_with = "drop")]
        requeue: bool,
        /// Looked at and not wanted
        #[arg(long)]
        drop: bool,
        #[arg(long)]
        json: bool,
    },
    /// Follow every accepted order to its pickup code; exit status 1 when one is lost or doubled
    Audit {
        #[command(flatten)]
        dir: Dir,
        /// For orders that are still on their way
        #[arg(long, default_value = "90s", value_name = "TIME")]
        wait: Time,
        #[arg(long)]
        json: bool,
    },
    /// Inject one real fault; it is undone at the end, or by Ctrl-C
    Break {
        /// Its name, from `break --list`
        #[arg(required_unless_present = "list")]
        fault: Option<String>,
        #[command(flatten)]
        dir: Dir,
        #[arg(long = "for", default_value = "30s", value_name = "TIME")]
        length: Time,
        /// The faults there are, and what is to blame for each
        #[arg(long)]
        list: bool,
        #[arg(long)]
        json: bool,
    },
    /// Stop all of it; only the logs stay
    Down {
        #[command(flatten)]
        dir: Dir,
        /// Wait until this process is gone, then stop all of it
        #[arg(long, value_name = "PID")]
        when_gone: Option<i32>,
    },
    /// Print the topology: what there is, and what depends on what
    Topology {
        #[command(flatten)]
        dir: Dir,
        /// What `up` would start, where nothing runs
        #[arg(long, value_enum, default_value = "small")]
        scale: Scale,
        /// Where the secrets lie, as seen from the printed file
        #[arg(long, default_value = "secrets", value_name = "PREFIX")]
        secrets_prefix: String,
    },
    /// One of our own processes (started by `up`)
    #[command(hide = true)]
    Run {
        instance: String,
        #[command(flatten)]
        dir: Dir,
    },
    /// The light load (started by `up`)
    #[command(hide = true)]
    Traffic {
        #[command(flatten)]
        dir: Dir,
    },
}

/// Where a service's instances run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Runtime {
    Container,
    Vm,
}

/// `30s`, `2m`, `500ms`; a bare number is seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Duration);

impl std::str::FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let number: u64 = digits.parse().map_err(|_| "a time like 30s, 2m or 500ms".to_owned())?;
        let time = match text.get(digits.len()..).unwrap_or_default() {
            "ms" => Duration::from_millis(number),
            "s" | "" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.saturating_mul(60)),
            unit => return Err(format!("`{unit}` is no unit: write ms, s or m")),
        };
        if time.is_zero() || time > Duration::from_hours(24) {
            return Err("a time from 1ms to one day".to_owned());
        }
        Ok(Self(time))
    }
}

/// Gives the default its words in `--help`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BasePortArg(pub(crate) BasePort);

impl std::str::FromStr for BasePortArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl std::fmt::Display for BasePortArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            BasePort::At(port) => write!(f, "{port}"),
            BasePort::Auto => f.write_str("auto"),
        }
    }
}
