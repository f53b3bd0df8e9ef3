//! Serves boards made by hand, to look at the wall and to try it in a browser without a platform:
//! `cargo run -p web --example wall [STATE] [PORT] [--frozen] [--quick]`.
//!
//! The states are those of `tests/fixture`; besides them `all` (every state on its own port, from the given
//! one up), `play` (one state after another), `big` (some sixty components), `huge` (5,000 instances),
//! `groups` (over a hundred components) and a path to a topology.yaml (with probes without options).
//!
//! With `--frozen` the clock stands still, so that two pictures of a state are the same. With `--quick` changes
//! are sent as fast as they are taken. A single state listens to lines on its standard input:
//!
//! - `show STATE`: another board, of the same topology;
//! - `flip INSTANCE`: makes an instance red, or green again; answers with the time of the change in
//!   milliseconds since 1970;
//! - `storm N`: N boards, one after another, each with another instance red;
//! - `every RED`: all instances red (`every red`) or green (`every green`) at once;
//! - `tick`: the same board with fresh figures.

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use std::sync::Arc;
use std::time::Duration;

use collector::board::Board;
use collector::history::History;
use collector::watch::{BoardPublisher, board_channel};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use topology::fault::{Fault, FaultKind};
use topology::level::{Health, Level};
use topology::model::NodeId;

#[expect(clippy::disallowed_methods, reason = "the one clock of this example")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// The moment of the pictures: 24 November 2026, 12:11:03.6 UTC.
const FROZEN: i64 = 1_795_522_263_600;

fn frozen() -> Timestamp {
    Timestamp::from_millisecond(FROZEN).unwrap_or_default()
}

fn board(state: &str, at: Timestamp) -> Board {
    let mut board = plain(state, at);
    board.curves = Arc::new(vec![fixture::curve(&board)]);
    board
}

fn plain(state: &str, at: Timestamp) -> Board {
    match state {
        "big" => fixture::green(fixture::model(&fixture::sixty()), at),
        "big-down" => fixture::big_down(at),
        "huge" => fixture::green(fixture::model(&fixture::huge()), at),
        "groups" => fixture::groups_down(at),
        file if std::path::Path::new(file).is_file() => {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            fixture::green(fixture::model(&text), at)
        }
        other => fixture::board(other, at),
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let (flags, words): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|word| word.starts_with("--"));
    let has = |flag: &str| flags.iter().any(|other| other == flag);
    let clock = if has("--frozen") { frozen } else { now };
    let state = words.first().map_or("all", String::as_str);
    let first: u16 = words.get(1).and_then(|port| port.parse().ok()).unwrap_or(8450);
    let states: Vec<&str> = if state == "all" {
        fixture::STATES.into_iter().chain(["big", "big-down", "huge", "groups", "play"]).collect()
    } else {
        vec![state]
    };
    let alone = states.len() == 1 && state != "play";
    let shutdown = CancellationToken::new();
    let mut servers = tokio::task::JoinSet::new();
    let mut pasts = Vec::new();
    for (state, port) in states.into_iter().zip(first..) {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        say(&format!("http://{}/  {state}", listener.local_addr()?));
        let (publisher, watch) = board_channel(board(if state == "play" { "green" } else { state }, clock()));
        let mut served = web::WebState::new(watch.clone(), clock);
        served.zone = jiff::tz::TimeZone::UTC;
        if state != "starting" {
            served.known_since = clock() - jiff::SignedDuration::from_hours(30);
        }
        if alone && fixture::STATES.contains(&state) && state != "starting" {
            let dir = tempfile::tempdir()?;
            served.history = Some(History::of(&fixture::past::of(&watch.current(), dir.path()).await));
            pasts.push(dir);
        }
        if has("--quick") {
            served.pace = Duration::from_millis(1);
        }
        let desk = Desk { shown: watch.current(), publisher, clock, state: state.to_owned() };
        let stop = shutdown.clone();
        servers.spawn(async move {
            let work = async move { if alone { desk.listen().await } else { desk.play().await } };
            tokio::select! {
                result = web::serve(listener, served, stop) => result,
                () = work => Ok(()),
            }
        });
    }
    tokio::select! {
        _ = tokio::signal::ctrl_c() => shutdown.cancel(),
        _ = servers.join_next() => {}
    }
    Ok(())
}

#[allow(clippy::print_stdout, reason = "this is what it answers")]
fn say(line: &str) {
    println!("{line}");
}

/// The lines of the standard input, read by a thread that may wait for ever.
fn lines() -> tokio::sync::mpsc::Receiver<String> {
    let (sender, receiver) = tokio::sync::mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

struct Desk {
    publisher: BoardPublisher,
    shown: Arc<Board>,
    clock: fn() -> Timestamp,
    state: String,
}

impl Desk {
    /// A board of the same topology, later than the one shown.
    fn next(&self, state: &str) -> Board {
        let mut next = board(state, (self.clock)());
        next.model = Arc::clone(&self.shown.model);
        next.sequence = self.shown.sequence + 1;
        next
    }

    fn publish(&mut self, board: Board) {
        let shown = board.clone();
        self.publisher.publish(board);
        self.shown = Arc::new(shown);
    }

    /// A new board every second, so that figures and the newest data are as fresh as in life.
    async fn play(mut self) {
        for i in 1_u64.. {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let state = if self.state == "play" {
                ["green", "member-db", "two-roots", "green", "hung"][(i / 6 % 5) as usize]
            } else {
                &self.state
            };
            let next = self.next(state);
            self.publish(next);
        }
    }

    async fn listen(mut self) {
        let mut lines = lines();
        while let Some(line) = lines.recv().await {
            let (command, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match command {
                "show" => {
                    let next = self.next(rest);
                    self.publish(next);
                }
                "flip" => self.flip(rest),
                "storm" => self.storm(rest.parse().unwrap_or(0)).await,
                "every" => {
                    let health = if rest == "red" { Health::Red } else { Health::Green };
                    let mut next = Board::clone(&self.shown);
                    next.sequence += 1;
                    for instance in &mut next.instances {
                        instance.health = health;
                    }
                    self.publish(next);
                }
                "tick" => {
                    let state = self.state.clone();
                    let next = self.next(&state);
                    self.publish(next);
                }
                other => say(&format!("unknown: {other}")),
            }
            say(&format!("{}", now().as_millisecond()));
        }
        // The end of the input is no end of the server: it may have been started without one.
        std::future::pending::<()>().await;
    }

    fn flip(&mut self, name: &str) {
        let Some(NodeId::Instance(id)) = self.shown.model.find(name).ok() else {
            say(&format!("there is no instance {name}"));
            return;
        };
        let mut next = Board::clone(&self.shown);
        next.sequence += 1;
        let bad = next.instance(id).health == Health::Green;
        let component = next.model.instance(id).component.index();
        if bad {
            let fault = Fault::new(FaultKind::Hung, "ask", "connected, no answer in 1.5 s");
            fixture::hurt(&mut next, id, Health::Red, fault, ("hung", "挂起"), 0);
        } else {
            next.instances[id.index()].health = Health::Green;
        }
        let state = &mut next.components[component];
        state.health = if bad { Health::AtRisk } else { Health::Green };
        state.own = state.health;
        next.level = if bad { Level::Yellow } else { Level::Green };
        self.publish(next);
    }

    async fn storm(&mut self, boards: usize) {
        let count = self.shown.instances.len();
        for i in 0..boards {
            let mut next = Board::clone(&self.shown);
            next.sequence += 1;
            next.at = (self.clock)();
            for (j, instance) in next.instances.iter_mut().enumerate() {
                instance.health = if j == i % count { Health::Red } else { Health::Green };
            }
            self.publish(next);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
