//! Serves boards made by hand, to look at the wall: `cargo run -p web --example wall [STATE] [PORT]`.
//!
//! With the state `all` every state has its own port, from the given one up; `big` is a platform of some
//! sixty components; a path to a topology.yaml (with probes without options) shows that one; `play` goes from one state to the next every few seconds.

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use std::time::Duration;

use collector::board::Board;
use collector::watch::board_channel;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[expect(clippy::disallowed_methods, reason = "the one clock of this example")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn board(state: &str) -> Board {
    match state {
        "big" => fixture::green(fixture::model(&fixture::sixty()), now()),
        file if std::path::Path::new(file).is_file() => {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            fixture::green(fixture::model(&text), now())
        }
        other => fixture::board(other, now()),
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let state = args.next().unwrap_or_else(|| "all".to_owned());
    let first: u16 = args.next().and_then(|port| port.parse().ok()).unwrap_or(8450);
    let states: Vec<&str> = if state == "all" {
        fixture::STATES.into_iter().chain(["big", "play"]).collect()
    } else {
        vec![&state]
    };
    let shutdown = CancellationToken::new();
    let mut servers = tokio::task::JoinSet::new();
    for (state, port) in states.into_iter().zip(first..) {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        #[allow(clippy::print_stdout)]
        {
            println!("http://127.0.0.1:{port}/  {state}");
        }
        servers.spawn(show(state.to_owned(), listener, shutdown.clone()));
    }
    tokio::signal::ctrl_c().await?;
    shutdown.cancel();
    servers.join_all().await.into_iter().collect()
}

/// A new board every second, so that figures and the newest data are as fresh as in life.
async fn show(state: String, listener: TcpListener, shutdown: CancellationToken) -> std::io::Result<()> {
    let play = state == "play";
    let first = if play { "green" } else { state.as_str() };
    let start = now();
    let (publisher, watch) = board_channel(board(first));
    let model = watch.current().model.clone();
    let ticker = tokio::spawn(async move {
        for i in 1_u64.. {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let shown = if play {
                ["green", "member-db", "two-roots", "green", "hung"][(i / 6 % 5) as usize]
            } else {
                &state
            };
            let mut next = board(shown);
            next.model = model.clone();
            next.sequence += i;
            if !play && state != "starting" {
                // Time passes for what is open and for what is unseen.
                let passed = now().duration_since(start);
                for state in
                    next.components.iter_mut().filter(|c| c.health == topology::level::Health::Unknown)
                {
                    state.since -= passed;
                }
            }
            publisher.publish(next);
        }
    });
    let result = web::serve(listener, web::WebState::new(watch, now), shutdown).await;
    ticker.abort();
    result
}
