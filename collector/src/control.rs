//! How others ask something of the collector, which alone owns the state: a bounded queue of commands, each
//! answered once a board that shows its effect is out.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use topology::model::Model;

use crate::board::FileTrouble;
use crate::case::Recording;
use crate::changes::ChangeNote;
use crate::history::AuditEntry;
use crate::incident::{Acknowledgement, Incident};
use crate::pulse::Pulse;
use crate::reload::Reloaded;
use crate::silence::Silence;

/// Commands that wait at most; whoever comes later waits for a place.
const QUEUE: usize = 64;

/// What can be asked.
#[derive(Debug)]
pub(crate) enum Command {
    /// Go on with another topology.
    Reload(Arc<Model>, oneshot::Sender<Reloaded>),
    /// The topology file is broken: say so, and go on with what is in force.
    Trouble(FileTrouble, oneshot::Sender<()>),
    /// Something was changed out there; false when that is known already.
    Change(ChangeNote, oneshot::Sender<bool>),
    /// Keep something quiet; false when there are too many such wishes.
    Silence(Silence, oneshot::Sender<bool>),
    /// End a silence or a maintenance.
    EndSilence(String, oneshot::Sender<Option<Silence>>),
    /// Somebody takes an open incident on, or lets it go.
    Acknowledge(String, Option<Acknowledgement>, oneshot::Sender<Option<Incident>>),
    /// Somebody says something of an open incident: its id, who, what.
    Note(String, String, String, oneshot::Sender<Option<Incident>>),
    /// The components whose error budget burns; none when nobody knows.
    Burning(Option<BTreeSet<String>>),
    /// A value of a curve, or why there is none; false when there is no such curve.
    Curve(String, Timestamp, Result<f64, String>, oneshot::Sender<bool>),
    /// A line for the audit log.
    Audit(AuditEntry),
    /// The last minutes, for a recorded case.
    Record(oneshot::Sender<Recording>),
}

/// The collector has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the collector has ended")]
pub struct Gone;

/// The asking side; clone it freely.
#[derive(Clone, Debug)]
pub struct Control {
    commands: mpsc::Sender<Command>,
    pulse: Arc<Pulse>,
}

impl Control {
    pub(crate) fn channel(pulse: Arc<Pulse>) -> (Self, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(QUEUE);
        (Self { commands, pulse }, receiver)
    }

    /// Puts `model` in force. Nodes that stay (the same name in the same component) keep all that is known of
    /// them.
    ///
    /// # Errors
    /// When the collector has ended.
    pub async fn reload(&self, model: Arc<Model>) -> Result<Reloaded, Gone> {
        self.ask(|reply| Command::Reload(model, reply)).await
    }

    /// Shows that the topology file is broken; the next good reload takes that back.
    ///
    /// # Errors
    /// When the collector has ended.
    pub async fn file_trouble(&self, trouble: FileTrouble) -> Result<(), Gone> {
        self.ask(|reply| Command::Trouble(trouble, reply)).await
    }

    /// Notes a change; false when it is known already.
    ///
    /// # Errors
    /// When the collector has ended.
    pub async fn change(&self, note: ChangeNote) -> Result<bool, Gone> {
        self.ask(|reply| Command::Change(note, reply)).await
    }

    /// Keeps something quiet; false when there are too many such wishes.
    ///
    /// # Errors
    /// When the collector has ended.
    pub async fn silence(&self, silence: Silence) -> Result<bool, Gone> {
        self.ask(|reply| Command::Silence(silence, reply)).await
    }

    /// Ends a silence or a maintenance, and gives it back as it is then; none when there is none with this id.
    ///
    /// # Errors
    /// When the collector has ended.
    pub async fn end_silence(&self, id: String) -> Result<Option<Silence>, Gone> {
        self.ask(|reply| Command::EndSilence(id, reply)).await
    }

    /// Somebody takes an open incident on; `None` lets it go. None when there is no open incident with this id.
    ///
    /// # Errors
    /// When the collector has ended.
    pub async fn acknowledge(
        &self,
        id: String,
        by: Option<Acknowledgement>,
    ) -> Result<Option<Incident>, Gone> {
        self.ask(|reply| Command::Acknowledge(id, by, reply)).await
    }

    /// Writes a note into the timeline of an open incident. None when there is no open incident with this id.
    ///
    /// # Errors
    /// When the collector has ended.
    pub async fn note(&self, id: String, by: String, words: String) -> Result<Option<Incident>, Gone> {
        self.ask(|reply| Command::Note(id, by, words, reply)).await
    }

    /// Tells which components' error budgets burn; none when nobody knows.
    ///
    /// # Errors
    /// When the collector has ended.
    pub async fn burning(&self, components: Option<BTreeSet<String>>) -> Result<(), Gone> {
        self.commands.send(Command::Burning(components)).await.map_err(|_| Gone)
    }

    /// Hands over a value of a curve that was true at `at`, or why there is none; false when there is no such curve.
    ///
    /// # Errors
    /// When the collector has ended.
    pub async fn curve(&self, name: String, at: Timestamp, value: Result<f64, String>) -> Result<bool, Gone> {
        self.ask(|reply| Command::Curve(name, at, value, reply)).await
    }

    /// Notes a line for the audit log. It is not waited for: when the collector is behind, or has ended, the log says
    /// it instead.
    pub fn audit(&self, entry: AuditEntry) {
        if let Err(refused) = self.commands.try_send(Command::Audit(entry)) {
            tracing::warn!(?refused, "a line of the audit log could not be kept");
        }
    }

    /// Whether the monitor itself goes on.
    pub fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    /// The last minutes of everything.
    ///
    /// # Errors
    /// When the collector has ended.
    pub async fn record(&self) -> Result<Recording, Gone> {
        self.ask(Command::Record).await
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }
}
