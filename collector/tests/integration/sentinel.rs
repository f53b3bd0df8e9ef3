//! The idle connection beside the probes, on a real Redis: what its end does, and what it does not do.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use collector::board::Board;
use collector::clock::Clock;
use collector::run::{Collector, Looker, Looking, Standing};
use collector::store::Restored;
use collector::watch::BoardWatch;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use probes::Prober;
use probes::observation::Outcome;
use tokio_util::sync::CancellationToken;
use topology::level::Level;
use topology::model::{Address, Probe};

use crate::scene::read;

/// The real prober, counted.
struct Counted {
    prober: Prober,
    looks: AtomicUsize,
    held: AtomicUsize,
}

impl Looker for Counted {
    fn look<'a>(&'a self, probe: &'a Probe, address: &'a Address, instance: &'a str) -> Looking<'a> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        Looker::look(&self.prober, probe, address, instance)
    }

    fn look_fresh<'a>(&'a self, probe: &'a Probe, address: &'a Address, instance: &'a str) -> Looking<'a> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        Looker::look_fresh(&self.prober, probe, address, instance)
    }

    fn sentinel(&self, probe: Arc<Probe>, address: Address, instance: String) -> Standing {
        self.held.fetch_add(1, Ordering::Relaxed);
        Looker::sentinel(&self.prober, probe, address, instance)
    }
}

/// A Redis that ends with its test.
struct Redis(Child, u16);

impl Redis {
    fn start(options: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]).args(options);
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(), port)
    }

    fn kill(&self) {
        kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGKILL).unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn file(redis: &Redis, interval: &str) -> String {
    format!(
        "components:\n  cache:\n    instances: [\"127.0.0.1:{}\"]\n    interval: {interval}\n    \
         probe: {{ redis: {{}} }}\n",
        redis.1
    )
}

struct Running {
    counted: Arc<Counted>,
    boards: BoardWatch,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn watch(redis: &Redis, interval: &str) -> Self {
        let counted = Arc::new(Counted {
            prober: Prober::new().unwrap(),
            looks: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
        });
        let (collector, boards) = Collector::new(
            Arc::new(read(&file(redis, interval))),
            Arc::clone(&counted) as Arc<dyn Looker>,
            Clock::of_process(),
            collector::new_incident_id(),
            Restored::default(),
            None,
        );
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(collector.run(shutdown.clone()));
        Self { counted, boards, shutdown, task }
    }

    /// The first board of which `what` holds; every board on the way is shown to it.
    async fn until(&mut self, mut what: impl FnMut(&Board) -> bool) {
        while !what(&self.boards.current()) {
            let changed = tokio::time::timeout(Duration::from_mins(1), self.boards.changed());
            changed.await.expect("a board within a minute").expect("the collector runs");
        }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test]
async fn a_killed_server_is_red_long_before_its_next_regular_look() {
    let redis = Redis::start(&["--maxclients", "100"]);
    while tokio::net::TcpStream::connect(("127.0.0.1", redis.1)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The next regular look is ten minutes away, the test's patience is one.
    let mut running = Running::watch(&redis, "10m");
    running.until(|board| board.level == Level::Green).await;
    let counted = Arc::clone(&running.counted);
    while counted.held.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Until it stands, beside the connection that asks: two of a hundred.
    let model = read(&file(&redis, "10m"));
    let (probe, address) = (&model.components[0].probes[0], &model.instances[0].address);
    loop {
        let seen = counted.prober.look(probe, address, "cache-1").await;
        let Outcome::Answer(answer) = seen.outcome else { panic!("{seen:?}") };
        if answer.signals["redis.clients_ratio"] >= 0.02 {
            break;
        }
    }
    let clock = Clock::of_process();
    let began = clock.instant();
    redis.kill();
    running.until(|board| board.level == Level::Red).await;
    eprintln!("killed to confirmed red: {:?}", clock.instant() - began);
    running.stop().await;
}

#[tokio::test]
async fn a_server_that_ends_idle_connections_is_neither_red_nor_hurried() {
    // Redis ends clients that say nothing for a second.
    let redis = Redis::start(&["--timeout", "1"]);
    while tokio::net::TcpStream::connect(("127.0.0.1", redis.1)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let clock = Clock::of_process();
    let began = clock.instant();
    let mut running = Running::watch(&redis, "200ms");
    let counted = Arc::clone(&running.counted);
    running
        .until(|board| {
            assert!(board.level != Level::Red && board.open.is_empty(), "{}", board.sentence.en);
            assert!(!board.instances[0].suspected);
            counted.held.load(Ordering::Relaxed) >= 2
        })
        .await;
    let (looks, seconds) = (counted.looks.load(Ordering::Relaxed), (clock.instant() - began).as_secs_f64());
    eprintln!("{looks} looks in {seconds:.1} s, two idle connections");
    // Five regular ones a second, and one for each connection that ended.
    assert!(looks as f64 <= 5.0 * seconds + 4.0, "{looks} looks in {seconds} s");
    running.stop().await;
}
