//! The engine: observations in, boards out. No async and no clock of its own: time is an argument, so that
//! every rule can be tried without waiting.

mod step;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use probes::observation::{Observation, Outcome, Witness};
use topology::fault::{Fault, FaultKind};
use topology::graph::Graph;
use topology::level::Health;
use topology::model::{Confirm, InstanceId, Model, NodeId, Probe, Threshold};

use crate::beside::Beside;
use crate::changes::{ChangeNote, Changes};
use crate::confirm::{Look, Step, Tracker, patience};
use crate::curves::{Curves, Outages, is_of_curve};
use crate::incident::{Acknowledgement, Incident};
use crate::incidents::Incidents;
use crate::judge::{Judged, judge};
use crate::names::Names;
use crate::outlook::{Past, over_time};
use crate::recent::{Interned, Now, Recent, said_well};
use crate::sentence;
use crate::sight::{Sight, is_of_sight};
use crate::signs;
use crate::silence::{Silence, Silences, Upkeep};
use crate::store::{ConfirmedRecord, Restored};
use crate::usual::Usual;

/// How soon a suspicion is looked at again.
pub const SECOND_LOOK: Duration = Duration::from_millis(100);
/// Neighbours looked at at once after a confirmed red, at most.
const MAX_NEIGHBOURS: usize = 200;
/// So many calls of [`Engine::expire`] sweep the past of all jobs once.
const SWEEPS: usize = 60;
/// Accused who are asked at once, at most.
const MOST_ACCUSED: usize = 16;
/// Sight is judged over at least this many probes.
const MIN_SIGHT: usize = 3;

/// One probe of one instance: what is scheduled.
#[derive(Clone, Debug)]
pub struct Job {
    /// Of whom.
    pub instance: InstanceId,
    /// What is asked.
    pub probe: Arc<Probe>,
}

/// Index of a job.
pub type JobId = usize;

/// What is known through one job.
#[derive(Debug)]
pub(crate) struct JobState {
    pub(crate) tracker: Tracker,
    pub(crate) latest: Option<Latest>,
    /// What the last unhealthy look said of others. While that level stands these are its reasons, also when
    /// a first good answer has come since.
    pub(crate) blame: Vec<Witness>,
    /// Its last minutes.
    pub(crate) recent: Recent,
    /// What is normal for it.
    pub(crate) usual: Usual,
}

impl JobState {
    /// Nothing known yet.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            tracker: Tracker::new(now),
            latest: None,
            blame: Vec::new(),
            recent: Recent::default(),
            usual: Usual::default(),
        }
    }

    /// The witnesses that go with the confirmed level.
    pub(crate) fn witnesses(&self) -> &[Witness] {
        if self.tracker.confirmed.health.is_unhealthy() {
            &self.blame
        } else {
            self.latest.as_ref().map_or(&[], |latest| &latest.witnesses)
        }
    }
}

/// The latest observation of a job.
#[derive(Debug)]
pub(crate) struct Latest {
    pub(crate) at: Timestamp,
    pub(crate) started: Timestamp,
    pub(crate) took: Duration,
    pub(crate) signals: Arc<BTreeMap<String, f64>>,
    pub(crate) role: Option<&'static str>,
    pub(crate) witnesses: Vec<Witness>,
    pub(crate) sight: bool,
}

/// What is to be done after an observation.
#[derive(Debug, Default)]
pub struct Followup {
    /// Jobs to look at again, and how soon.
    pub again: Vec<(JobId, Duration)>,
    /// Jobs that are asked at once because of what happened beside them, the most telling first.
    pub asked: Vec<JobId>,
    /// Jobs that are asked as a new user would, before those: somebody who is newly unhealthy blames their instances.
    pub accused: Vec<JobId>,
    /// A confirmed level changed: a new board is due at once.
    pub changed: bool,
}

/// Makes an incident's id at the time it is opened.
pub type NewId = Arc<dyn Fn(Timestamp) -> String + Send + Sync>;

/// The owner of all state.
pub struct Engine {
    pub(crate) model: Arc<Model>,
    pub(crate) graph: Arc<Graph>,
    pub(crate) names: Names,
    pub(crate) jobs: Vec<Job>,
    pub(crate) states: Vec<JobState>,
    /// The jobs of each instance.
    pub(crate) jobs_of: Vec<Vec<JobId>>,
    pub(crate) incidents: Incidents,
    /// The monitor's own sight.
    pub(crate) sight: Sight,
    /// The business curves, and their own incidents.
    pub(crate) curves: Curves,
    pub(crate) outages: Outages,
    /// Since when each instance and component has the level it shows.
    pub(crate) instance_since: Vec<(Health, Timestamp)>,
    pub(crate) component_since: Vec<(Health, Timestamp)>,
    /// Levels and since of components before a restart, until they are known again.
    pub(crate) kept_since: BTreeMap<String, (String, Timestamp)>,
    /// Jobs whose confirmed state has changed since it was last asked for.
    pub(crate) newly_confirmed: BTreeSet<JobId>,
    /// What was changed out there lately.
    pub(crate) changes: Changes,
    /// What people say is to be kept quiet.
    pub(crate) silences: Silences,
    /// Who is being worked at.
    pub(crate) upkeep: Upkeep,
    /// The components whose error budget burns, by history; none when nobody knows.
    pub(crate) burning: Option<BTreeSet<String>>,
    /// The names in what is kept of the recent past.
    pub(crate) interned: Interned,
    /// Nobody was unhealthy when the last board was made.
    calm: bool,
    /// The job whose past was swept last.
    swept: JobId,
    new_id: NewId,
    sequence: u64,
    local_errors: u64,
}

impl Engine {
    /// An engine that knows nothing yet. `new_id` makes incident ids.
    pub fn new(model: Arc<Model>, now: Timestamp, first_sequence: u64, new_id: NewId) -> Self {
        let graph = Arc::new(Graph::new(&model));
        let (jobs, jobs_of) = jobs_of(&model);
        let states = jobs.iter().map(|_| JobState::new(now)).collect();
        let instance_since = vec![(Health::Unknown, now); model.instances.len()];
        let component_since = vec![(Health::Unknown, now); model.components.len()];
        Self {
            names: Names::of(&model),
            sight: Sight::default(),
            curves: Curves::new(&model, now),
            outages: Outages::new(now),
            model,
            graph,
            jobs,
            states,
            jobs_of,
            incidents: Incidents::default(),
            instance_since,
            component_since,
            kept_since: BTreeMap::new(),
            newly_confirmed: BTreeSet::new(),
            changes: Changes::default(),
            silences: Silences::default(),
            upkeep: Upkeep::default(),
            burning: None,
            interned: Interned::default(),
            calm: true,
            swept: 0,
            new_id,
            sequence: first_sequence,
            local_errors: 0,
        }
    }

    /// Goes on at `now` from what a database kept.
    pub fn restore(&mut self, restored: Restored, now: Timestamp) {
        self.changes = Changes::restore(restored.changes, now);
        self.silences = Silences::restore(restored.silences);
        let (of_sight, open): (Vec<_>, Vec<_>) =
            restored.open.into_iter().partition(|kept| is_of_sight(&kept.told));
        let (of_curves, open): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|kept| is_of_curve(&kept.told).is_some());
        self.sight.restore(of_sight);
        self.outages.restore(of_curves);
        self.incidents = Incidents::restore(open, restored.resolved);
        self.curves.restore(&self.model, &restored.curves, now);
        for node in restored.nodes {
            if let Ok(since) = Timestamp::from_millisecond(node.since_ms) {
                self.kept_since.insert(node.name, (node.level, since));
            }
        }
        let kept: BTreeMap<(String, String), _> = restored
            .confirmed
            .into_iter()
            .map(|(instance, probe, record)| ((instance, probe), record))
            .collect();
        for (job, state) in self.jobs.iter().zip(&mut self.states) {
            let name = self.model.instance(job.instance).name.clone();
            if let Some(record) = kept.get(&(name, job.probe.kind.name.to_owned())) {
                state.tracker.go_on_from(record.back());
            }
        }
    }

    /// The jobs whose confirmed state has changed since the last call, as they are kept over a restart.
    pub fn take_confirmed(&mut self) -> Vec<(String, String, ConfirmedRecord)> {
        std::mem::take(&mut self.newly_confirmed)
            .into_iter()
            .map(|job| {
                let instance = self.model.instance(self.jobs[job].instance).name.clone();
                let probe = self.jobs[job].probe.kind.name.to_owned();
                (instance, probe, ConfirmedRecord::of(&self.states[job].tracker))
            })
            .collect()
    }

    /// Takes a value of a curve, or why there is none; false when there is no such curve.
    pub fn take_curve(&mut self, name: &str, at: Timestamp, value: Result<f64, String>) -> bool {
        self.curves.take(&self.model, name, at, value)
    }

    /// Notes that something was changed out there; false when that is known already.
    pub fn note_change(&mut self, note: ChangeNote, now: Timestamp) -> bool {
        self.changes.add(note, now)
    }

    /// Keeps something quiet; false when there are too many such wishes.
    pub fn silence(&mut self, silence: Silence) -> bool {
        self.upkeep.changed();
        self.silences.add(silence)
    }

    /// Ends a silence or a maintenance, and gives it back as it is then.
    pub fn end_silence(&mut self, id: &str, now: Timestamp) -> Option<Silence> {
        self.upkeep.changed();
        self.silences.end(id, now)
    }

    /// Somebody takes an open incident on, or lets it go again.
    pub fn acknowledge(&mut self, id: &str, by: Option<Acknowledgement>, now: Timestamp) -> Option<Incident> {
        if let Some(beside) = self.beside(id) {
            return Some(beside.acknowledge(by, now));
        }
        self.incidents.acknowledge(id, by, now)
    }

    /// Somebody says something of an open incident; the incident as it is then.
    pub fn note(&mut self, id: &str, by: &str, words: &str, now: Timestamp) -> Option<Incident> {
        let said = sentence::said_by(by, words);
        if let Some(beside) = self.beside(id) {
            return Some(beside.say(said, now));
        }
        self.incidents.note(id, said, now)
    }

    /// The open incident with this id that no node makes.
    fn beside(&mut self, id: &str) -> Option<&mut Beside> {
        match self.sight.find(id) {
            Some(blind) => Some(blind),
            None => self.outages.find(id),
        }
    }

    /// The file in force.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// All jobs.
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// Failures of the monitor's own host so far.
    pub fn local_errors(&self) -> u64 {
        self.local_errors
    }

    /// The interval now in force for a job.
    pub fn interval(&self, job: JobId) -> Duration {
        self.states[job].tracker.interval(self.jobs[job].probe.interval)
    }

    /// Folds one observation in.
    pub fn fold(
        &mut self,
        job: JobId,
        started: Timestamp,
        at: Timestamp,
        mut observation: Observation,
    ) -> Followup {
        let mut followup = Followup::default();
        self.name_witnessed(&mut observation.witnesses);
        let Some(judged) = judge(&self.jobs[job].probe, &observation) else {
            self.local_errors += 1;
            return followup;
        };
        let judged = match &observation.outcome {
            Outcome::Answer(answer) => self.over_time(job, judged, &answer.signals, at),
            _ => judged,
        };
        let instance = self.jobs[job].instance;
        let was = self.own(instance).0;
        let confirm = self.confirm(instance);
        let interval = self.interval(job);
        let second =
            if judged.may_be_of_a_moment() { patience(interval).max(SECOND_LOOK) } else { SECOND_LOOK };
        let state = &mut self.states[job];
        let none = BTreeMap::new();
        let signals = match &observation.outcome {
            Outcome::Answer(answer) => &answer.signals,
            _ => &none,
        };
        let look = Now { at, took: observation.took, judged: &judged, witnesses: &observation.witnesses };
        state.recent.push(look, signals, |name| self.names.node(name).is_some(), &mut self.interned);
        if judged.health.is_unhealthy() {
            state.blame.clone_from(&observation.witnesses);
        }
        if state.latest.as_ref().is_none_or(|latest| latest.started <= started) {
            state.latest = Some(latest(started, at, observation));
        }
        let step = state.tracker.fold(Look { started, at, judged }, confirm, interval);
        let well = state.tracker.health() == Health::Green && !state.tracker.suspected();
        let (names, probe) = (&self.interned, &self.jobs[job].probe);
        state.usual.renew(&state.recent, at, (well, self.calm), |name| {
            names.name(name).is_some_and(|name| signs::wanted(probe, name))
        });
        match step {
            Step::Same => {}
            Step::Suspected if state.tracker.waits_for_more() => {}
            Step::Suspected => followup.again.push((job, second)),
            Step::Changed => {
                followup.changed = true;
                self.newly_confirmed.insert(job);
                let now = self.own(instance).0;
                // On a confirmed red, and on every recovery, the neighbours are asked at once: the verdict
                // stands on fresh answers, and what a cause had broken turns green by itself.
                let recovered = was.is_unhealthy() && !now.is_unhealthy();
                if was != now && (now == Health::Red || was == Health::Red || recovered) {
                    followup.asked = self.neighbours(instance);
                }
                if was != now && now.is_unhealthy() {
                    followup.accused = self.accused(job);
                }
            }
        }
        followup
    }

    /// Gives those their names that a witness knows by their address only.
    fn name_witnessed(&self, witnesses: &mut [Witness]) {
        for witness in witnesses.iter_mut().filter(|witness| self.names.node(&witness.on).is_none()) {
            if let Some(instance) = self.names.address(&witness.on) {
                witness.on.clone_from(&self.model.instance(instance).name);
            }
        }
    }

    /// What the past adds to what a look says.
    fn over_time(
        &self,
        job: JobId,
        judged: Judged,
        signals: &BTreeMap<String, f64>,
        now: Timestamp,
    ) -> Judged {
        let state = &self.states[job];
        let points = |signal: &str| {
            let name = self.interned.find(signal);
            name.map(|name| state.recent.values(name, now)).unwrap_or_default()
        };
        let normal = |threshold: &Threshold| {
            let name = self.interned.find(&threshold.signal)?;
            Some((threshold.times?, *state.usual.signal(name)?))
        };
        let past = Past { points: &points, normal: &normal, confirmed: &state.tracker.confirmed };
        over_time(judged, &self.jobs[job].probe, |signal| signals.get(signal).copied(), &past)
    }

    /// True when it is confirmed that the target accepts and does not answer.
    pub(crate) fn known_to_hang(&self, job: JobId) -> bool {
        self.states[job].tracker.confirmed.fault.as_ref().is_some_and(|fault| fault.kind == FaultKind::Hung)
    }

    fn confirm(&self, instance: InstanceId) -> Confirm {
        self.model.component(self.model.instance(instance).component).confirm
    }

    /// The jobs of everything that stands beside `instance`: its component, what that needs, and all that
    /// need it, at whatever distance. Those that are unhealthy come first, every one of them: what it broke
    /// turns green as soon as it can. Of the others so many.
    fn neighbours(&self, instance: InstanceId) -> Vec<JobId> {
        let component = self.model.instance(instance).component;
        let mut components = BTreeSet::from([component]);
        components.extend(self.graph.needs(component).into_iter().map(|e| self.graph.dependency(e).to));
        let mut work = vec![component];
        while let Some(id) = work.pop() {
            for edge in self.graph.needed_by(id) {
                let from = self.graph.dependency(edge).from;
                if components.insert(from) {
                    work.push(from);
                }
            }
        }
        // What shares its host or its zone may share its trouble.
        let near = |other: InstanceId| {
            let (own, other) = (self.model.instance(instance), self.model.instance(other));
            let same = |label| own.labels.get(label).is_some_and(|v| other.labels.get(label) == Some(v));
            own.address.host == other.address.host || same("host") || same("zone")
        };
        let beside = |i: &InstanceId| {
            *i != instance && (components.contains(&self.model.instance(*i).component) || near(*i))
        };
        let (bad, well): (Vec<InstanceId>, Vec<InstanceId>) =
            self.model.instance_ids().filter(beside).partition(|i| self.own(*i).0.is_unhealthy());
        let jobs =
            |ids: Vec<InstanceId>| ids.into_iter().flat_map(|i| self.jobs_of[i.index()].iter().copied());
        jobs(bad).chain(jobs(well).take(MAX_NEIGHBOURS)).collect()
    }

    /// The jobs of those whom `job` blames. What costs a server too much to be asked at each look (a message through a
    /// broker, a login) is asked then: it may be all that shows the trouble. Of a component of many that is each one's
    /// own doing, and nobody is asked.
    fn accused(&self, job: JobId) -> Vec<JobId> {
        let bad = self.states[job].witnesses().iter().filter(|witness| said_well(witness) == Some(false));
        let instances = bad.filter_map(|witness| self.names.node(&witness.on)).flat_map(|node| match node {
            NodeId::Instance(id) => vec![id],
            NodeId::Component(id) => self.model.component(id).instance_ids().collect(),
        });
        let jobs: Vec<JobId> = instances.flat_map(|id| self.jobs_of[id.index()].iter().copied()).collect();
        if jobs.len() > MOST_ACCUSED { Vec::new() } else { jobs }
    }

    /// Lets levels go that nobody has renewed; true when one went.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        let mut any = false;
        self.changes.prune(now);
        self.silences.prune(now);
        for (job, state) in self.jobs.iter().zip(&mut self.states) {
            let interval = state.tracker.interval(job.probe.interval);
            any |= state.tracker.expire(now, interval);
        }
        // A look prunes what came before it. Who is not looked at is swept in turn: all of them every time would
        // touch more memory than all looks do.
        for _ in 0..self.states.len().div_ceil(SWEEPS) {
            self.swept = (self.swept + 1) % self.states.len();
            if let Some(state) = self.states.get_mut(self.swept) {
                state.recent.prune(now);
            }
        }
        any
    }

    /// The own level of an instance and the job that makes it: the worst of its probes.
    pub(crate) fn own(&self, instance: InstanceId) -> (Health, Option<JobId>) {
        let mut worst: (Health, Option<JobId>) = (Health::Green, None);
        let mut unseen = false;
        for &job in &self.jobs_of[instance.index()] {
            let health = self.states[job].tracker.health();
            unseen |= health == Health::Unknown;
            if health.severity() > worst.0.severity() {
                worst = (health, Some(job));
            }
        }
        if unseen && worst.1.is_none() { (Health::Unknown, None) } else { worst }
    }

    /// The tracker that makes an instance's level, if it is unhealthy.
    pub(crate) fn judged(&self, instance: InstanceId) -> Judged {
        match self.own(instance) {
            (_, Some(job)) => self.states[job].tracker.told(),
            (Health::Unknown, None) => Judged::unknown(),
            (_, None) => Judged::green(),
        }
    }

    /// The role last seen, else the label.
    pub(crate) fn role(&self, instance: InstanceId) -> Option<&'static str> {
        let seen =
            self.jobs_of[instance.index()].iter().find_map(|job| self.states[*job].latest.as_ref()?.role);
        seen.or_else(|| match self.model.instance(instance).labels.get("role").map(String::as_str) {
            Some("primary") => Some("primary"),
            Some("replica") => Some("replica"),
            _ => None,
        })
    }
}

/// The jobs of a topology, and those of each instance.
pub(crate) fn jobs_of(model: &Model) -> (Vec<Job>, Vec<Vec<JobId>>) {
    let mut jobs = Vec::new();
    let mut jobs_of = Vec::with_capacity(model.instances.len());
    for id in model.instance_ids() {
        let component = model.component(model.instance(id).component);
        let first = jobs.len();
        jobs.extend(component.probes.iter().map(|probe| Job { instance: id, probe: Arc::clone(probe) }));
        jobs_of.push((first..jobs.len()).collect());
    }
    (jobs, jobs_of)
}

/// True when the target was reached, whatever it then did: the monitor's own way was open.
fn was_reached(fault: &Fault) -> bool {
    fault.kind.proves_sight() || fault.kind == FaultKind::Hung
}

fn latest(started: Timestamp, at: Timestamp, observation: Observation) -> Latest {
    let sight = match &observation.outcome {
        Outcome::Answer(_) => true,
        Outcome::Fault(fault) => was_reached(fault),
        Outcome::Local(_) => false,
    };
    let (signals, role) = match observation.outcome {
        Outcome::Answer(answer) => (answer.signals, answer.role),
        _ => (BTreeMap::new(), None),
    };
    let signals = Arc::new(signals);
    Latest { at, started, took: observation.took, signals, role, witnesses: observation.witnesses, sight }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
