//! The loop that owns everything: takes what is due, starts probes, folds their answers, publishes boards.
//!
//! One task owns the state. Probe tasks only look and report; none waits for another, and a panic in one
//! costs its own answer.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use probes::Prober;
use probes::observation::Observation;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use topology::level::{Health, Level};
use topology::model::{Address, Component, Model, NodeId, Probe};
use topology::text::Text;

use crate::board::{Board, FileTrouble, MonitorState};
use crate::clock::Clock;
use crate::control::{Command, Control};
use crate::engine::{Engine, JobId, NewId};
use crate::incidents::{Change, What};
use crate::journal::Journal;
use crate::reload::{Moves, Origin};
use crate::schedule::{Due, Schedule, after};
use crate::store::{Batch, LevelChange, Restored};
use crate::watch::{BoardPublisher, BoardWatch, board_channel};

/// Looks under way at once, at most. Each takes a socket and little else.
const MAX_CONCURRENT: usize = 1024;
/// A board at least this often, so that figures and ages are fresh.
const PUBLISH_EVERY: Duration = Duration::from_millis(500);
/// The first look at everything is spread over this.
const FIRST_ROUND: Duration = Duration::from_millis(800);
/// Rates are over this window.
const RATE_WINDOW: Duration = Duration::from_secs(10);
/// Answers folded before a board is due all the same.
const MAX_BATCH: usize = 512;

/// Whoever can look at an instance. The real one is [`Prober`]; tests bring their own.
pub trait Looker: Send + Sync + 'static {
    /// One look, inside the probe's timeout.
    fn look<'a>(
        &'a self,
        probe: &'a Probe,
        address: &'a Address,
        instance: &'a str,
    ) -> Pin<Box<dyn Future<Output = Observation> + Send + 'a>>;
}

impl Looker for Prober {
    fn look<'a>(
        &'a self,
        probe: &'a Probe,
        address: &'a Address,
        instance: &'a str,
    ) -> Pin<Box<dyn Future<Output = Observation> + Send + 'a>> {
        Box::pin(self.look(probe, address, instance))
    }
}

/// A collector that is ready to run.
pub struct Collector {
    engine: Engine,
    clock: Clock,
    looker: Arc<dyn Looker>,
    publisher: BoardPublisher,
    journal: Option<Journal>,
    control: Control,
    commands: mpsc::Receiver<Command>,
    file: FileState,
}

/// How it stands with the topology file.
struct FileState {
    read_at: Timestamp,
    trouble: Option<Arc<FileTrouble>>,
}

impl Collector {
    /// A collector for `model`, and the reading side of its boards. `kept` is what a database kept, `journal`
    /// the way to it.
    pub fn new(
        model: Arc<Model>,
        looker: Arc<dyn Looker>,
        clock: Clock,
        new_id: NewId,
        kept: Restored,
        journal: Option<Journal>,
    ) -> (Self, BoardWatch) {
        // A sequence that goes on rising over a restart, so that a page never takes an old board for a new one.
        let first = u64::try_from(clock.now().as_millisecond()).unwrap_or(0);
        let mut engine = Engine::new(model, clock.now(), first, new_id);
        engine.restore(kept, clock.now());
        let file = FileState { read_at: clock.now(), trouble: None };
        let monitor = MonitorState { file_read_at: Some(file.read_at), ..MonitorState::default() };
        let (board, _) = engine.board(clock.now(), monitor);
        let (publisher, watch) = board_channel(board);
        let (control, commands) = Control::channel();
        (Self { engine, clock, looker, publisher, journal, control, commands, file }, watch)
    }

    /// How others ask something of it.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Runs until `shutdown`; looks under way are then dropped.
    pub async fn run(self, shutdown: CancellationToken) {
        let now = self.clock.instant();
        let schedule = Schedule::new(self.engine.jobs().len(), now, FIRST_ROUND);
        let mut running = Running {
            in_flight: vec![Vec::new(); self.engine.jobs().len()],
            collector: self,
            schedule,
            tasks: JoinSet::new(),
            who: HashMap::new(),
            permits: Arc::new(Semaphore::new(MAX_CONCURRENT)),
            looks: 0,
            starts: VecDeque::new(),
            late: VecDeque::new(),
            publish_at: now + PUBLISH_EVERY,
            changed: false,
            told: HashMap::new(),
            batch: Batch::default(),
            replies: Vec::new(),
        };
        loop {
            let wake =
                running.schedule.next().map_or(running.publish_at, |next| next.min(running.publish_at));
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(done) = running.tasks.join_next_with_id() => running.fold_ready(done),
                Some(command) = running.collector.commands.recv() => running.obey(command),
                () = sleep_until(wake) => running.start_due(),
            }
            running.publish_if_due();
        }
        running.tasks.shutdown().await;
    }
}

struct Done {
    started: Instant,
    at: Instant,
    observation: Observation,
}

type Joined = Result<(Id, Done), tokio::task::JoinError>;

struct Running {
    collector: Collector,
    schedule: Schedule,
    tasks: JoinSet<Done>,
    /// Which look of which job a task is.
    who: HashMap<Id, (JobId, u64)>,
    /// The looks under way, by job.
    in_flight: Vec<Vec<u64>>,
    permits: Arc<Semaphore>,
    looks: u64,
    /// When looks started, within [`RATE_WINDOW`].
    starts: VecDeque<Instant>,
    /// How late regular looks started, within [`RATE_WINDOW`].
    late: VecDeque<(Instant, Duration)>,
    publish_at: Instant,
    changed: bool,
    /// The level of each node that the journal has last.
    told: HashMap<NodeId, Level>,
    /// What goes to the journal with the next board.
    batch: Batch,
    /// Answers that wait for the board which shows what was asked for.
    replies: Vec<Box<dyn FnOnce() + Send>>,
}

impl Running {
    fn obey(&mut self, command: Command) {
        let now = self.collector.clock.now();
        match command {
            Command::Reload(model, reply) => {
                let moves = self.collector.engine.reload(model, now);
                self.follow(&moves);
                self.collector.file = FileState { read_at: now, trouble: None };
                self.answer(reply, moves.report);
            }
            Command::Trouble(trouble, reply) => {
                self.collector.file.trouble = Some(Arc::new(trouble));
                self.answer(reply, ());
            }
            Command::Change(note, reply) => {
                let new = self.collector.engine.note_change(note.clone(), now);
                if new {
                    self.batch.noted(note);
                }
                self.answer(reply, new);
            }
            // Whoever asked may be gone by now, here and above.
            Command::Record(reply) => drop(reply.send(self.collector.engine.recording(now))),
        }
    }

    /// Answers once the next board is out.
    fn answer<T: Send + 'static>(&mut self, reply: oneshot::Sender<T>, answer: T) {
        self.changed = true;
        self.replies.push(Box::new(move || drop(reply.send(answer))));
    }

    /// Gives everything that goes by a number its new one. Looks under way of nodes that are gone, or that are
    /// asked something else, end by themselves and are not heard.
    fn follow(&mut self, moves: &Moves) {
        let mut same: HashMap<JobId, JobId> = HashMap::new();
        let mut fresh = Vec::new();
        for (new, origin) in moves.jobs.iter().enumerate() {
            match origin {
                Origin::Same(old) => drop(same.insert(*old, new)),
                Origin::Changed(_) | Origin::New => fresh.push(new),
            }
        }
        self.schedule.renumber(|job| same.get(&job).copied());
        self.schedule.spread(fresh, self.collector.clock.instant(), FIRST_ROUND);
        let mut in_flight = vec![Vec::new(); moves.jobs.len()];
        for (old, looks) in self.in_flight.drain(..).enumerate() {
            if let Some(new) = same.get(&old) {
                in_flight[*new] = looks;
            }
        }
        self.in_flight = in_flight;
        self.who =
            self.who.drain().filter_map(|(id, (job, look))| Some((id, (*same.get(&job)?, look)))).collect();
        self.told =
            self.told.drain().filter_map(|(node, level)| Some((*moves.nodes.get(&node)?, level))).collect();
        for name in &moves.report.removed {
            self.batch.forget(name.clone());
        }
    }

    fn start_due(&mut self) {
        let now = self.collector.clock.instant();
        while let Some((due_at, job, due)) = self.schedule.take(now) {
            match due {
                Due::Regular => {
                    let interval = self.collector.engine.interval(job);
                    self.schedule.add(job, after(due_at, interval, now), Due::Regular);
                    self.late.push_back((now, now - due_at));
                    if self.in_flight[job].len() < 2 {
                        self.start(job, now);
                    }
                }
                Due::Again if self.in_flight[job].is_empty() => self.start(job, now),
                // The answer is late: a second, independent look, so that a hang is confirmed after one and
                // a half timeouts.
                Due::Half(look) if self.in_flight[job] == [look] => self.start(job, now),
                Due::Again | Due::Half(_) => {}
            }
        }
    }

    fn start(&mut self, job: JobId, now: Instant) {
        let engine = &self.collector.engine;
        let one = engine.jobs()[job].clone();
        let instance = engine.model().instance(one.instance);
        let (name, address) = (instance.name.clone(), instance.address.clone());
        let timeout = one.probe.timeout;
        let (looker, permits, clock) =
            (Arc::clone(&self.collector.looker), Arc::clone(&self.permits), self.collector.clock);
        self.looks += 1;
        let look = self.looks;
        let task = self.tasks.spawn(async move {
            // Waiting for a turn is not the target's time. The semaphore is never closed.
            let _permit = permits.acquire_owned().await;
            let started = clock.instant();
            let observation = looker.look(&one.probe, &address, &name).await;
            Done { started, at: clock.instant(), observation }
        });
        self.who.insert(task.id(), (job, look));
        self.in_flight[job].push(look);
        self.starts.push_back(now);
        if self.in_flight[job].len() == 1 {
            self.schedule.add(job, now + timeout / 2, Due::Half(look));
        }
    }

    /// Folds one answer, and all others that are ready.
    fn fold_ready(&mut self, first: Joined) {
        self.fold(first);
        for _ in 0..MAX_BATCH {
            let Some(next) = self.tasks.try_join_next_with_id() else { break };
            self.fold(next);
        }
    }

    fn fold(&mut self, joined: Joined) {
        let (id, done) = match joined {
            Ok((id, done)) => (id, Some(done)),
            Err(error) => {
                if error.is_panic() {
                    tracing::error!(%error, "a probe panicked; its node will be unknown if that goes on");
                }
                (error.id(), None)
            }
        };
        let Some((job, look)) = self.who.remove(&id) else { return };
        self.in_flight[job].retain(|other| *other != look);
        let Some(done) = done else { return };
        let clock = self.collector.clock;
        let followup =
            self.collector.engine.fold(job, clock.at(done.started), clock.at(done.at), done.observation);
        self.changed |= followup.changed;
        for (job, delay) in followup.again {
            self.schedule.add(job, clock.instant() + delay, Due::Again);
        }
    }

    fn publish_if_due(&mut self) {
        let now = self.collector.clock.instant();
        if !self.changed && now < self.publish_at {
            return;
        }
        self.changed = false;
        self.publish_at = now + PUBLISH_EVERY;
        let old = |at: &Instant| now.saturating_duration_since(*at) > RATE_WINDOW;
        while self.starts.front().is_some_and(old) {
            self.starts.pop_front();
        }
        while self.late.front().is_some_and(|(at, _)| old(at)) {
            self.late.pop_front();
        }
        let late = self.late.iter().map(|(_, late)| *late).max().unwrap_or_default();
        let engine = &mut self.collector.engine;
        let longest = engine.model().components.iter().map(Component::interval).max().unwrap_or_default();
        let monitor = MonitorState {
            // The scheduler itself is late by more than an interval: this monitor has lost its processor.
            blind: late > longest,
            late,
            probes_per_second: self.starts.len() as f64 / RATE_WINDOW.as_secs_f64(),
            seen: 0,
            storage: self.collector.journal.as_ref().and_then(Journal::trouble),
            file_read_at: Some(self.collector.file.read_at),
            file_trouble: self.collector.file.trouble.clone(),
        };
        let at = self.collector.clock.now();
        engine.expire(at);
        let (board, changes) = engine.board(at, monitor);
        for change in &changes {
            log(engine.model(), change);
        }
        self.keep(&board, &changes);
        self.collector.publisher.publish(board);
        for reply in self.replies.drain(..) {
            reply();
        }
    }

    /// Hands what is new to the journal.
    fn keep(&mut self, board: &Board, changes: &[Change]) {
        let confirmed = self.collector.engine.take_confirmed();
        let mut batch = std::mem::take(&mut self.batch);
        let Some(journal) = &mut self.collector.journal else { return };
        for (instance, probe, record) in confirmed {
            batch.confirmed(instance, probe, record);
        }
        for (node, health, since, words) in nodes(board) {
            if self.told.insert(node, health.level()) == Some(health.level()) {
                continue;
            }
            let name = board.model.node_name(node).to_owned();
            let level = health.level().as_str().to_owned();
            batch.level(LevelChange { node: name, at: board.at, level, words: words.en.clone() }, since);
        }
        for change in changes {
            if let Err(error) = batch.incident(&board.model, change, board.at) {
                tracing::error!(%error, "an incident cannot be put into words");
            }
        }
        journal.add(batch);
    }
}

/// Every node with its level, its since and its words.
fn nodes(board: &Board) -> impl Iterator<Item = (NodeId, Health, Timestamp, &Text)> {
    let components = board.model.component_ids().map(|id| {
        let state = board.component(id);
        (NodeId::Component(id), state.health, state.since, &state.words)
    });
    let instances = board.model.instance_ids().map(|id| {
        let state = board.instance(id);
        (NodeId::Instance(id), state.health, state.since, &state.words)
    });
    // What nobody has seen yet is no change.
    components
        .chain(instances)
        .filter(|(_, health, ..)| *health != Health::Unknown || board.monitor.seen == board.instances.len())
}

fn log(model: &Model, change: &Change) {
    let what = match change.what {
        What::Opened => "opened",
        What::Updated => "updated",
        What::Resolved => "resolved",
    };
    let incident = &change.incident;
    let roots: Vec<String> = incident.verdict.roots.iter().map(|root| root.culprit.name(model)).collect();
    tracing::info!(incident.id = %incident.id, incident.roots = ?roots, "incident {what}: {}", incident.title.en);
}
