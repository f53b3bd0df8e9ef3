//! For the tests of this crate: an engine that is shown a world.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use probes::observation::Observation;
use topology::fault::FaultKind;
use topology::level::Level;

use crate::announce::Event;
use crate::board::{Board, MonitorState};
use crate::endings::is_ending;
use crate::engine::{Engine, Followup, JobId, NewId};
use crate::incident::IncidentState;
use crate::incidents::{Change, What};
use crate::names::Names;
use crate::reload::Moves;
use crate::store::{ConfirmedRecord, Restored, carry_over};
use crate::testkit;

pub(crate) const PLATFORM: &str = "
    gateway x2 -> miniapp
    miniapp x4 -> member, order
    member x2 -> member-db
    order x2 -> order-db
    member-db tcp
    order-db tcp
";

/// An engine that is shown a world: every probe answers well, but for the instances that are broken.
pub(crate) struct Play {
    pub(crate) engine: Engine,
    pub(crate) now: Timestamp,
    pub(crate) broken: BTreeMap<String, Observation>,
    pub(crate) history: Vec<Change>,
    pub(crate) board: Board,
    new_id: NewId,
    /// What a database would have kept of confirmed states.
    confirmed: BTreeMap<(String, String), ConfirmedRecord>,
}

impl Play {
    pub(crate) fn new(lines: &str) -> Self {
        Self::of(testkit::model(lines))
    }

    /// The same of a whole file.
    pub(crate) fn of(model: topology::model::Model) -> Self {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let ids = std::sync::atomic::AtomicUsize::new(1);
        let new_id: NewId =
            Arc::new(move |_| format!("incident-{}", ids.fetch_add(1, std::sync::atomic::Ordering::Relaxed)));
        let mut engine = Engine::new(Arc::new(model), now, 0, Arc::clone(&new_id));
        let (board, _) = engine.board(now, MonitorState::default());
        let (broken, confirmed) = (BTreeMap::new(), BTreeMap::new());
        let mut play = Self { engine, now, broken, history: Vec::new(), board, new_id, confirmed };
        play.rounds(2);
        play
    }

    /// One look at everything, three seconds later, as often as told; a board after each round.
    pub(crate) fn rounds(&mut self, n: usize) {
        for _ in 0..n {
            self.now += jiff::SignedDuration::from_secs(3);
            for job in 0..self.engine.jobs.len() {
                self.look(job, 0);
            }
            self.publish();
        }
    }

    pub(crate) fn look(&mut self, job: JobId, late_ms: i64) -> Followup {
        let at = self.now + jiff::SignedDuration::from_millis(late_ms);
        let name = &self.engine.model.instance(self.engine.jobs[job].instance).name;
        let observation = self.broken.get(name).cloned().unwrap_or_else(|| testkit::answer(&[]));
        self.engine.fold(job, at, at, observation)
    }

    pub(crate) fn publish(&mut self) {
        self.engine.expire(self.now);
        let (board, changes) = self.engine.board(self.now, MonitorState::default());
        self.board = board;
        self.history.extend(changes);
    }

    /// The process dies and comes back with what the database kept.
    pub(crate) fn restart(&mut self) {
        for (instance, probe, record) in self.engine.take_confirmed() {
            self.confirmed.insert((instance, probe), record);
        }
        let mut latest: BTreeMap<&str, &Change> = BTreeMap::new();
        for change in &self.history {
            latest.insert(&change.incident.id, change);
        }
        let open = latest.values().filter(|change| {
            change.incident.state == IncidentState::Open || is_ending(&change.incident, &change.told)
        });
        let names = Names::of(&self.engine.model);
        // By way of the rows, as a database would.
        let kept = open.map(|c| carry_over(&self.engine.model, &names, &c.incident, &c.told)).collect();
        let restored = Restored {
            open: kept,
            confirmed: self.confirmed.iter().map(|((i, p), r)| (i.clone(), p.clone(), r.clone())).collect(),
            silences: self.engine.silences.list().to_vec(),
            ..Restored::default()
        };
        let model = Arc::clone(&self.engine.model);
        self.engine = Engine::new(model, self.now, self.board.sequence + 1, Arc::clone(&self.new_id));
        self.engine.restore(restored, self.now);
    }

    /// The events that `receiver` was told, by incident, in their order.
    pub(crate) fn told_to(&self, receiver: &str) -> BTreeMap<String, Vec<Event>> {
        let mut told: BTreeMap<String, Vec<Event>> = BTreeMap::new();
        for change in &self.history {
            for message in change.messages.iter().filter(|message| message.receiver == receiver) {
                told.entry(change.incident.id.clone()).or_default().push(message.event);
            }
        }
        told
    }

    pub(crate) fn break_it(&mut self, name: &str, observation: Observation) {
        self.broken.insert(name.to_owned(), observation);
    }

    pub(crate) fn kill_member_db(&mut self) {
        self.break_it("member-db-1", testkit::fault(FaultKind::Refused, "connection refused"));
        for i in 1..=2 {
            self.break_it(&format!("member-{i}"), testkit::blames("member-db"));
        }
        for i in 1..=4 {
            self.break_it(&format!("miniapp-{i}"), testkit::blames("member"));
        }
        for i in 1..=2 {
            self.break_it(&format!("gateway-{i}"), testkit::blames("miniapp"));
        }
    }

    pub(crate) fn level(&self, name: &str) -> Level {
        self.board.component(self.board.model.component_by_name(name).unwrap()).health.level()
    }

    pub(crate) fn roots(&self) -> Vec<String> {
        self.board.roots().iter().map(|(_, root)| root.culprit.name(&self.board.model)).collect()
    }

    /// What receivers are told.
    pub(crate) fn messages(&self) -> Vec<&'static str> {
        let messages = self.history.iter().flat_map(|change| &change.messages);
        messages.map(|message| message.event.as_str()).collect()
    }

    pub(crate) fn told(&self) -> Vec<&'static str> {
        let word = |change: &Change| match change.what {
            What::Opened => "opened",
            What::Updated => "updated",
            What::Subsumed => "subsumed",
            What::Resolved => "resolved",
        };
        self.history.iter().map(word).collect()
    }

    /// Another topology, and a board of it at once.
    pub(crate) fn reload(&mut self, lines: &str) -> Moves {
        let moves = self.engine.reload(Arc::new(testkit::model(lines)), self.now);
        self.publish();
        moves
    }

    /// The lines of an incident's timeline.
    pub(crate) fn timeline(incident: &crate::incident::Incident) -> Vec<String> {
        incident.timeline.iter().map(|entry| entry.what.en.clone()).collect()
    }
}
