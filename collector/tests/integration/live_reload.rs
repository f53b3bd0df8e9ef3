//! A running collector and another topology: looks under way, and what readers see.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use collector::board::{Board, FileTrouble};
use collector::clock::Clock;
use collector::control::Control;
use collector::run::{Collector, Looker};
use collector::store::Restored;
use collector::watch::BoardWatch;
use probes::observation::{Answer, Observation, Outcome};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use topology::fault::{Fault, FaultKind};
use topology::level::Level;
use topology::model::{Address, Model, Probe};

use crate::scene::read;

/// Answers well at once, but for the host `slow`: there it refuses, once it is let go.
#[derive(Default)]
struct Gate {
    looks: Mutex<HashMap<String, usize>>,
    open: Notify,
    passed: Notify,
}

impl Gate {
    fn looks(&self, instance: &str) -> usize {
        self.looks.lock().unwrap().get(instance).copied().unwrap_or_default()
    }
}

impl Looker for Gate {
    fn look<'a>(
        &'a self,
        _: &'a Probe,
        address: &'a Address,
        instance: &'a str,
    ) -> Pin<Box<dyn Future<Output = Observation> + Send + 'a>> {
        *self.looks.lock().unwrap().entry(instance.to_owned()).or_default() += 1;
        Box::pin(async move {
            let outcome = if address.host == "slow" {
                self.open.notified().await;
                self.passed.notify_one();
                Outcome::Fault(Fault::new(FaultKind::Refused, "tcp", "refused"))
            } else {
                Outcome::Answer(Answer::default())
            };
            let took = Duration::from_millis(1);
            Observation::of(took, outcome)
        })
    }
}

fn model(nodes: &[(&str, &str)]) -> Arc<Model> {
    use std::fmt::Write as _;
    let mut text = String::from("defaults: { interval: 200ms, timeout: 100ms }\ncomponents:\n");
    for (name, host) in nodes {
        writeln!(text, "  {name}: {{ instances: [\"{host}:1\"], probe: {{ tcp: {{}} }} }}").unwrap();
    }
    Arc::new(read(&text))
}

struct Running {
    gate: Arc<Gate>,
    boards: BoardWatch,
    control: Control,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(nodes: &[(&str, &str)]) -> Self {
        let gate = Arc::new(Gate::default());
        let (collector, boards) = Collector::new(
            model(nodes),
            Arc::clone(&gate) as Arc<dyn Looker>,
            Clock::of_process(),
            collector::new_incident_id(),
            Restored::default(),
            None,
        );
        let (control, shutdown) = (collector.control(), CancellationToken::new());
        let task = tokio::spawn(collector.run(shutdown.clone()));
        Self { gate, boards, control, shutdown, task }
    }

    async fn until(&mut self, what: impl Fn(&Board) -> bool) -> Arc<Board> {
        loop {
            let board = self.boards.current();
            if what(&board) {
                return board;
            }
            let changed = tokio::time::timeout(Duration::from_mins(1), self.boards.changed());
            changed.await.expect("a board within a minute").expect("the collector runs");
        }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

fn level(board: &Board, name: &str) -> Option<Level> {
    board.model.component_by_name(name).map(|id| board.component(id).health.level())
}

#[tokio::test]
async fn a_look_under_way_at_a_node_that_is_gone_or_moved_is_not_heard() {
    let mut running = Running::start(&[("gone", "slow"), ("moved", "slow"), ("stays", "fast")]);
    running.until(|board| level(board, "stays") == Some(Level::Green)).await;
    while running.gate.looks("moved-1") < 2 || running.gate.looks("gone-1") < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The numbers shift: what was `gone` is now `stays`.
    let report = running.control.reload(model(&[("stays", "fast"), ("moved", "fast")])).await.unwrap();
    assert_eq!(
        (report.removed.as_slice(), report.changed.as_slice()),
        (&["gone".to_owned(), "gone-1".to_owned()][..], &["moved-1".to_owned()][..])
    );
    // Out before the answer: no reader of the new topology meets an old number.
    assert_eq!(running.boards.current().model.components.len(), 2);
    let waiting = running.gate.looks("moved-1") + running.gate.looks("gone-1");
    for _ in 0..4.min(waiting) {
        running.gate.open.notify_one();
        running.gate.passed.notified().await;
    }
    let board = running.until(|board| level(board, "moved") == Some(Level::Green)).await;
    assert_eq!(level(&board, "stays"), Some(Level::Green));
    assert!(board.open.is_empty() && board.resolved.is_empty());
    assert!(board.instances.iter().all(|instance| instance.fault.is_none() && !instance.suspected));
    running.stop().await;
}

#[tokio::test]
async fn reloads_at_once_are_taken_one_after_another_and_the_last_one_stands() {
    let mut running = Running::start(&[("a", "fast")]);
    running.until(|board| level(board, "a") == Some(Level::Green)).await;
    let trouble = FileTrouble::new(
        collector::clock::now(),
        "topology.yaml".to_owned(),
        (1..30).map(|line| format!("{line}")).collect(),
    );
    running.control.file_trouble(trouble).await.unwrap();
    let shown = running.boards.current().monitor.file_trouble.clone().unwrap();
    assert_eq!((shown.lines.len(), shown.more), (10, 19));
    let (b, c) = (model(&[("a", "fast"), ("b", "fast")]), model(&[("a", "fast"), ("c", "fast")]));
    let (one, two) = (running.control.clone(), running.control.clone());
    let (first, second) = tokio::join!(one.reload(b), two.reload(c));
    assert_eq!((first.unwrap().kept, second.unwrap().kept), (1, 1));
    let board = running.until(|board| level(board, "c") == Some(Level::Green)).await;
    assert_eq!((level(&board, "a"), level(&board, "b")), (Some(Level::Green), None));
    assert!(board.monitor.file_trouble.is_none() && board.monitor.file_read_at.is_some());
    let control = running.control.clone();
    running.stop().await;
    assert!(control.record().await.is_err());
}

#[tokio::test]
async fn what_stays_is_looked_at_in_its_own_time() {
    let mut running = Running::start(&[("a", "fast")]);
    running.until(|board| level(board, "a") == Some(Level::Green)).await;
    let clock = Clock::of_process();
    let (before, began) = (running.gate.looks("a-1"), clock.instant());
    // Many reloads in a row: each would bring a look of its own if the timers began anew.
    for n in 0..50 {
        let host = format!("fast-{n}");
        running.control.reload(model(&[("a", "fast"), ("b", &host)])).await.unwrap();
    }
    let looks = running.gate.looks("a-1") - before;
    // However long that took: one look an interval, none caught up.
    let intervals = (clock.instant() - began).as_millis() / 200;
    assert!(looks as u128 <= intervals + 2, "{looks} looks in {intervals} intervals");
    running.until(|board| level(board, "b") == Some(Level::Green)).await;
    running.stop().await;
}
