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
use probes::observation::Observation;
use probes::observation::Outcome;
use probes::{Prober, SentinelEnd};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use topology::model::{Address, Model, Probe};

use crate::board::{Board, FileTrouble, MonitorState};
use crate::clock::Clock;
use crate::control::{Command, Control};
use crate::engine::{Engine, JobId, NewId};
use crate::incidents::{Change, What};
use crate::journal::Journal;
use crate::looked::Looked;
use crate::looks::Looks;
use crate::pace::Pace;
use crate::pulse::Part;
use crate::reload::{Moves, Origin};
use crate::remember::Remember;
use crate::schedule::{Due, Schedule, Turn, after, on_phase, phases};
use crate::sentinels::{HINT, Sentinels, most_sentinels};
use crate::store::{Batch, Restored};
use crate::turns::Turns;
use crate::watch::{BoardPublisher, BoardWatch, board_channel};

/// A board at least this often, so that figures and ages are fresh; a level that changes makes one at once. Each touches the
/// state of every instance, most of it from memory: at 3,000 targets ten percent of all that the monitor does.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// The first look at everything is spread over this.
const FIRST_ROUND: Duration = Duration::from_millis(800);
/// Rates are over this window.
const RATE_WINDOW: Duration = Duration::from_secs(10);
/// Whoever was looked at so lately is looked at for a neighbour's sake only when this is over.
const ASKED_PAUSE: Duration = Duration::from_millis(300);
/// Answers folded before a board is due all the same.
const MAX_BATCH: usize = 512;

/// One look under way.
pub type Looking<'a> = Pin<Box<dyn Future<Output = Observation> + Send + 'a>>;
/// An idle connection that stands until it ends.
pub type Standing = Pin<Box<dyn Future<Output = SentinelEnd> + Send>>;

/// Whoever can look at an instance. The real one is [`Prober`]; tests bring their own.
pub trait Looker: Send + Sync + 'static {
    /// One look, inside the probe's timeout.
    fn look<'a>(&'a self, probe: &'a Probe, address: &'a Address, instance: &'a str) -> Looking<'a>;

    /// The same on a connection of its own, also where connections are kept.
    fn look_fresh<'a>(&'a self, probe: &'a Probe, address: &'a Address, instance: &'a str) -> Looking<'a> {
        self.look(probe, address, instance)
    }

    /// Holds an idle connection until it ends.
    fn sentinel(&self, _: Arc<Probe>, _: Address, _: String) -> Standing {
        Box::pin(std::future::ready(SentinelEnd::Unsupported))
    }
}

impl Looker for Prober {
    fn look<'a>(&'a self, probe: &'a Probe, address: &'a Address, instance: &'a str) -> Looking<'a> {
        Box::pin(self.look(probe, address, instance))
    }

    fn look_fresh<'a>(&'a self, probe: &'a Probe, address: &'a Address, instance: &'a str) -> Looking<'a> {
        Box::pin(self.look_fresh(probe, address, instance))
    }

    fn sentinel(&self, probe: Arc<Probe>, address: Address, instance: String) -> Standing {
        let prober = self.clone();
        Box::pin(async move { prober.sentinel(&probe, &address, &instance).await })
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
        let pulse = journal.as_ref().map(Journal::pulse).unwrap_or_default();
        let (control, commands) = Control::channel(pulse);
        (Self { engine, clock, looker, publisher, journal, control, commands, file }, watch)
    }

    /// How others ask something of it.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Runs until `shutdown`; looks under way are then dropped.
    pub async fn run(self, shutdown: CancellationToken) {
        let now = self.clock.instant();
        let jobs = self.engine.jobs().len();
        let mut schedule = Schedule::default();
        schedule.spread(coming_round(&self.engine, 0..jobs), now, FIRST_ROUND);
        let remember = Remember::new(self.clock.now());
        let mut running = Running {
            looks: Looks::new(jobs),
            sentinels: Sentinels::new(jobs, most_sentinels(open_files())),
            turns: Turns::new(hosts(&self.engine)),
            pace: Pace::new(intervals(&self.engine)),
            collector: self,
            schedule,
            tasks: JoinSet::new(),
            starts: VecDeque::new(),
            late: VecDeque::new(),
            waited: VecDeque::new(),
            looked: Looked::default(),
            publish_at: now + PUBLISH_EVERY,
            changed: false,
            remember,
            batch: Batch::default(),
            replies: Vec::new(),
        };
        loop {
            let wake =
                running.schedule.next().map_or(running.publish_at, |next| next.min(running.publish_at));
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(done) = running.tasks.join_next_with_id() => running.fold_ready(done),
                ended = running.sentinels.next() => running.take_hint(ended),
                Some(command) = running.collector.commands.recv() => running.obey(command),
                () = sleep_until(wake) => running.start_due(),
            }
            running.publish_if_due();
        }
        running.tasks.shutdown().await;
        running.sentinels.shutdown().await;
        if let Some(mut journal) = running.collector.journal.take() {
            // What was asked for since the last board is kept as well.
            journal.add(std::mem::take(&mut running.batch));
            journal.close().await;
        }
    }
}

/// The files this process may open.
fn open_files() -> u64 {
    use nix::sys::resource::{Resource, getrlimit};
    // What POSIX grants at least, where it cannot be told.
    getrlimit(Resource::RLIMIT_NOFILE).map_or(256, |(soft, _)| soft)
}

/// The host of each job.
fn hosts(engine: &Engine) -> impl Iterator<Item = &str> {
    engine.jobs().iter().map(|job| engine.model().instance(job.instance).address.host.as_str())
}

fn intervals(engine: &Engine) -> impl Iterator<Item = Duration> {
    engine.jobs().iter().map(|job| job.probe.interval)
}

/// When `jobs` come round.
fn coming_round(engine: &Engine, jobs: impl IntoIterator<Item = JobId>) -> Vec<Turn> {
    let names: Vec<String> = engine
        .jobs()
        .iter()
        .map(|job| format!("{}/{}", engine.model().instance(job.instance).name, job.probe.kind.name))
        .collect();
    let phases = phases(hosts(engine).zip(names.iter().map(String::as_str)));
    jobs.into_iter()
        .map(|job| Turn { job, phase: phases[job], interval: engine.jobs()[job].probe.interval })
        .collect()
}

struct Done {
    started: Instant,
    at: Instant,
    /// How long it waited for its turn.
    waited: Duration,
    observation: Observation,
}

type Joined = Result<(Id, Done), tokio::task::JoinError>;

struct Running {
    collector: Collector,
    schedule: Schedule,
    tasks: JoinSet<Done>,
    looks: Looks,
    sentinels: Sentinels,
    turns: Turns,
    pace: Pace,
    /// When looks started, within [`RATE_WINDOW`].
    starts: VecDeque<Instant>,
    /// How late regular looks were begun, and how long looks waited for their turn, within [`RATE_WINDOW`].
    late: VecDeque<(Instant, Duration)>,
    waited: VecDeque<(Instant, Duration)>,
    looked: Looked,
    publish_at: Instant,
    changed: bool,
    /// What the journal was told last.
    remember: Remember,
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
            Command::Silence(silence, reply) => {
                let taken = self.collector.engine.silence(silence.clone());
                if taken {
                    self.batch.silence(silence);
                }
                self.answer(reply, taken);
            }
            Command::EndSilence(id, reply) => {
                let ended = self.collector.engine.end_silence(&id, now);
                if let Some(silence) = &ended {
                    self.batch.silence(silence.clone());
                }
                self.answer(reply, ended);
            }
            Command::Acknowledge(id, by, reply) => {
                let taken = self.collector.engine.acknowledge(&id, by, now);
                self.answer(reply, taken);
            }
            Command::Note(id, by, words, reply) => {
                let noted = self.collector.engine.note(&id, &by, &words, now);
                self.answer(reply, noted);
            }
            Command::Curve(name, at, value, reply) => {
                let kept = value.as_ref().ok().copied();
                let known = self.collector.engine.take_curve(&name, at, value);
                if let (true, Some(value)) = (known, kept) {
                    self.batch.curve(name, at, value);
                }
                self.answer(reply, known);
            }
            Command::Burning(components) => self.collector.engine.burning = components,
            Command::Audit(entry) => self.batch.audit(entry),
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
        let engine = &self.collector.engine;
        self.schedule.spread(coming_round(engine, fresh), self.collector.clock.instant(), FIRST_ROUND);
        self.looks.follow(moves.jobs.len(), &same);
        self.sentinels.follow(moves.jobs.len(), &same);
        self.turns.follow(hosts(engine));
        self.pace = Pace::new(intervals(engine));
        self.remember.follow(&moves.nodes);
        for name in &moves.report.removed {
            self.batch.forget(name.clone());
        }
    }

    fn start_due(&mut self) {
        let now = self.collector.clock.instant();
        while let Some((due_at, job, due)) = self.schedule.take(now) {
            match due {
                Due::First => {
                    self.late.push_back((now, now - due_at));
                    self.start(job, now, false);
                }
                Due::Regular => {
                    let engine = &self.collector.engine;
                    let every = on_phase(engine.jobs()[job].probe.interval, engine.interval(job));
                    self.schedule.add(job, after(due_at, every, now), Due::Regular);
                    self.late.push_back((now, now - due_at));
                    if self.looks.under_way(job) < 2 {
                        self.start(job, now, false);
                    }
                }
                Due::Again if self.looks.under_way(job) == 0 => self.start(job, now, false),
                // Its turn came round before that of those who are asked for.
                Due::Asked | Due::AskedLater if self.looks.began_since_asked(job) => {
                    let _regular = self.looks.caught_up(job);
                }
                // What is under way began before it was asked for: once more, but not for ever.
                Due::Asked if self.looks.under_way(job) > 0 => {
                    self.schedule.add(job, now + ASKED_PAUSE, Due::AskedLater);
                }
                Due::Asked | Due::AskedLater => {
                    let fresh = self.looks.caught_up(job);
                    if self.looks.under_way(job) == 0 {
                        self.start(job, now, fresh);
                    }
                }
                Due::Hint if self.looks.under_way(job) < 2 => self.start(job, now, true),
                Due::Half(look) => self.half_over(job, look, now),
                Due::Again | Due::Hint => {}
            }
        }
    }

    /// The answer is late: a second, independent look, so that a hang is confirmed after one and a half
    /// timeouts. What is known to hang needs none: every look takes a place in its accept queue.
    fn half_over(&mut self, job: JobId, look: u64, now: Instant) {
        let Some(began) = self.looks.alone(job, look) else { return };
        if self.collector.engine.known_to_hang(job) {
            return;
        }
        // Waiting for a turn is not the target's time.
        let half = self.collector.engine.jobs()[job].probe.timeout / 2;
        let due = began.at().unwrap_or(now) + half;
        if due > now {
            self.schedule.add(job, due, Due::Half(look));
        } else {
            self.start(job, now, true);
        }
    }

    /// An idle connection has ended.
    fn take_hint(&mut self, ended: Result<(Id, SentinelEnd), tokio::task::JoinError>) {
        let now = self.collector.clock.instant();
        if let Some(job) = self.sentinels.ended(ended, now) {
            self.schedule.add(job, now + HINT, Due::Hint);
        }
    }

    fn start(&mut self, job: JobId, now: Instant, fresh: bool) {
        self.collector.control.pulse().beat(Part::Scheduler, self.collector.clock.at(now));
        let engine = &self.collector.engine;
        let one = engine.jobs()[job].clone();
        let instance = engine.model().instance(one.instance);
        let (name, address) = (instance.name.clone(), instance.address.clone());
        let timeout = one.probe.timeout;
        let (looker, turns, clock) =
            (Arc::clone(&self.collector.looker), self.turns.clone(), self.collector.clock);
        let (look, began) = self.looks.next(job, now);
        let task = self.tasks.spawn(async move {
            let _turn = turns.wait(&address.host).await;
            let started = clock.instant();
            began.set(started);
            let observation = if fresh {
                looker.look_fresh(&one.probe, &address, &name).await
            } else {
                looker.look(&one.probe, &address, &name).await
            };
            Done { started, at: clock.instant(), waited: started - now, observation }
        });
        self.looks.is_task(task.id(), job, look);
        self.starts.push_back(now);
        if self.looks.under_way(job) == 1 {
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
        let Some(job) = self.looks.ended(id) else { return };
        let Some(done) = done else { return };
        let clock = self.collector.clock;
        self.waited.push_back((done.at, done.waited));
        let kind = self.collector.engine.jobs()[job].probe.kind.name;
        self.looked.add(kind, done.at - done.started, &done.observation.outcome);
        if self.collector.journal.is_some() {
            let engine = &self.collector.engine;
            let name = &engine.model().instance(engine.jobs()[job].instance).name;
            self.remember.look(name, clock.at(done.at), &done.observation);
        }
        let good = matches!(done.observation.outcome, Outcome::Answer(_));
        self.watch_over(job, good, done.started);
        let followup =
            self.collector.engine.fold(job, clock.at(done.started), clock.at(done.at), done.observation);
        self.changed |= followup.changed;
        let now = clock.instant();
        for (job, delay) in followup.again {
            self.schedule.add(job, now + delay, Due::Again);
        }
        // In a big outage everybody is everybody's neighbour: one look is enough for all who ask.
        let accused = followup.accused.into_iter().map(|job| (job, true));
        for (job, fresh) in accused.chain(followup.asked.into_iter().map(|job| (job, false))) {
            if self.looks.ask(job, now, fresh) {
                let wait = ASKED_PAUSE.saturating_sub(self.looks.since_last(job, now));
                self.schedule.add(job, self.pace.turn(now).max(now + wait), Due::Asked);
            }
        }
    }

    /// After a good look an idle connection may stand beside the probe.
    fn watch_over(&mut self, job: JobId, good: bool, started: Instant) {
        let Collector { engine, looker, clock, .. } = &self.collector;
        self.sentinels.looked(job, good, (started, clock.instant()), || {
            let one = &engine.jobs()[job];
            let instance = engine.model().instance(one.instance);
            looker.sentinel(Arc::clone(&one.probe), instance.address.clone(), instance.name.clone())
        });
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
        for times in [&mut self.late, &mut self.waited] {
            while times.front().is_some_and(|(at, _)| old(at)) {
                times.pop_front();
            }
        }
        let longest_of = |times: &VecDeque<(Instant, Duration)>| {
            times.iter().map(|(_, late)| *late).max().unwrap_or_default()
        };
        let (late, waited) = (longest_of(&self.late), longest_of(&self.waited));
        let engine = &mut self.collector.engine;
        let longest = engine.model().longest_interval();
        let monitor = MonitorState {
            // The scheduler itself is late by more than an interval: this monitor has lost its processor.
            // Waiting for a turn is no blindness: that many targets are hung.
            blind: late > longest,
            late: late.max(waited),
            probes_per_second: self.starts.len() as f64 / RATE_WINDOW.as_secs_f64(),
            seen: 0,
            looked: self.looked.clone(),
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
        let pulse = self.collector.control.pulse();
        pulse.beat(Part::Verdict, board.at);
        if board.instances.is_empty() {
            // Nobody to look at is no standstill.
            pulse.beat(Part::Scheduler, board.at);
        }
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
        for change in changes {
            if let Err(error) = batch.incident(&board.model, change, board.at) {
                tracing::error!(%error, "an incident cannot be put into words");
            }
        }
        self.remember.board(board, &mut batch);
        journal.add(batch);
    }
}

fn log(model: &Model, change: &Change) {
    let what = match change.what {
        What::Opened => "opened",
        What::Updated => "updated",
        What::Subsumed => "subsumed",
        What::Resolved => "resolved",
    };
    let incident = &change.incident;
    let roots: Vec<String> = incident.verdict.roots.iter().map(|root| root.culprit.name(model)).collect();
    tracing::info!(incident.id = %incident.id, incident.roots = ?roots, "incident {what}: {}", incident.title.en);
}
