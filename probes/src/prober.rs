//! The way in: one look at one instance.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once, Weak};
use std::time::Instant;

use futures_util::FutureExt;
use tokio::sync::Semaphore;
use topology::fault::{Fault, FaultKind};
use topology::model::{Address, Probe};

use crate::clock::now;
use crate::dial::Names;
use crate::ears::{Ears, LineCounts, PULSE, Told, Unheard};
use crate::lag::Lag;
use crate::look::{CLOSE, Look, Stop, seconds, slept};
use crate::memory::Memory;
use crate::observation::{Observation, Outcome};
use crate::registry;
use crate::relay::Relays;
use crate::tls_session::TlsConfigs;

/// Plug-ins at once: each is a process, often a shell with more of them.
const PLUGINS: usize = 8;

/// Why no prober could be made.
#[derive(Debug)]
pub enum ProberError {
    /// The TLS library refused its own defaults.
    Tls(String),
}

impl std::fmt::Display for ProberError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tls(why) => write!(f, "cannot set up TLS: {why}"),
        }
    }
}

impl std::error::Error for ProberError {}

/// Looks at instances; cheap to clone.
#[derive(Clone)]
pub struct Prober {
    pub(crate) shared: Arc<Shared>,
}

/// What all looks share.
pub(crate) struct Shared {
    /// The bounded resolver.
    pub(crate) names: Names,
    /// Prepared TLS settings.
    pub(crate) tls: TlsConfigs,
    /// What is kept between looks.
    pub(crate) memory: Memory,
    /// What comes by itself.
    pub(crate) ears: Ears,
    /// Plug-ins that may run at once.
    pub(crate) plugins: Semaphore,
    /// Connections lent to clients that take none.
    pub(crate) relays: Relays,
    /// How long this process was kept from working.
    pub(crate) lag: Lag,
    /// Somebody sees to that.
    watched: Once,
    /// Tells this monitor's marks from another one's.
    pub(crate) monitor: String,
    looks: AtomicU64,
}

impl Shared {
    /// A word that no other look has used.
    pub(crate) fn nonce(&self) -> String {
        format!("{}-{}", self.monitor, self.looks.fetch_add(1, Ordering::Relaxed))
    }

    /// A small number that differs from look to look.
    pub(crate) fn number(&self) -> u16 {
        self.looks.fetch_add(1, Ordering::Relaxed) as u16
    }
}

impl Prober {
    /// Sets up what all looks share, and the process-wide crypto provider where there is none.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn new() -> Result<Self, ProberError> {
        // An error means that one is installed already: as good.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
        let monitor = format!("{random:016x}");
        Ok(Self {
            shared: Arc::new(Shared {
                names: Names::new(),
                tls: TlsConfigs::default(),
                memory: Memory::default(),
                ears: Ears::default(),
                plugins: Semaphore::new(PLUGINS),
                relays: Relays::default(),
                lag: Lag::default(),
                watched: Once::new(),
                monitor,
                looks: AtomicU64::new(0),
            }),
        })
    }

    /// Takes heartbeats for as long as the future lives: only then is silence one.
    pub async fn listen(&self) {
        let mut pulse = tokio::time::interval(PULSE);
        loop {
            pulse.tick().await;
            self.shared.ears.pulse(now());
        }
    }

    /// Takes the report of an instance.
    ///
    /// # Errors
    /// When it comes too soon after others, or after a newer one.
    pub fn report(&self, instance: &str, told: Told) -> Result<(), Unheard> {
        self.shared.ears.report(now(), instance, told)
    }

    /// How the access logs' lines fare.
    pub fn access_log_lines(&self) -> LineCounts {
        self.shared.ears.lines()
    }

    /// One look, inside `probe.timeout` in all. Never panics, never waits longer than the timeout and
    /// 50 ms to close.
    pub async fn look(&self, probe: &Probe, address: &Address, instance: &str) -> Observation {
        self.look_on(probe, address, instance, false).await
    }

    /// The same on a connection of its own, also where connections are kept: a second look, or the first one
    /// after a level changed.
    pub async fn look_fresh(&self, probe: &Probe, address: &Address, instance: &str) -> Observation {
        self.look_on(probe, address, instance, true).await
    }

    async fn look_on(&self, probe: &Probe, address: &Address, instance: &str, fresh: bool) -> Observation {
        // Waiting for a turn is not the target's time: the look begins after it. The semaphore is never closed.
        let _turn = match probe.kind.name {
            "exec" => self.shared.plugins.acquire().await.ok(),
            _ => None,
        };
        self.shared.watched.call_once(|| {
            let first = self.shared.lag.awake(now());
            drop(tokio::spawn(watch_lag(Arc::downgrade(&self.shared), first)));
        });
        let mut look = Look::new(probe, address, instance, &self.shared);
        look.fresh = fresh;
        let ended = match registry::find(probe.kind.name) {
            Some(kind) => {
                // The probes keep the deadline themselves; this holds if one forgets, or a library panics.
                let limit = look.deadline() + CLOSE;
                let work = AssertUnwindSafe((kind.probe)(&mut look)).catch_unwind();
                match tokio::time::timeout_at(limit.into(), work).await {
                    Ok(Ok(ended)) => ended,
                    Ok(Err(_panic)) => Err(Stop::Local(format!("the {} probe failed", kind.spec.name))),
                    Err(_) => Err(overdue(&look)),
                }
            }
            None => Err(Stop::Local(format!("no probe of the kind {}", probe.kind.name))),
        };
        let took = look.took();
        let mut measured = BTreeMap::new();
        let outcome = match ended {
            Ok(()) => {
                look.put("probe.total_seconds", took.as_secs_f64());
                Outcome::Answer(look.answer)
            }
            Err(Stop::Fault(fault)) => {
                measured = look.answer.signals;
                Outcome::Fault(fault)
            }
            Err(Stop::Local(why)) => Outcome::Local(why),
        };
        tracing::trace!(instance, kind = probe.kind.name, ?took, "looked");
        Observation { took, stages: look.stages, outcome, measured, witnesses: look.witnesses }
    }
}

/// Wants to wake again and again, and keeps how late it did, for as long as somebody looks.
async fn watch_lag(shared: Weak<Shared>, mut due: Instant) {
    loop {
        tokio::time::sleep_until(due.into()).await;
        let Some(shared) = shared.upgrade() else { return };
        due = shared.lag.awake(now());
    }
}

/// A probe that ran past its deadline: the last stage begun is the one that hung.
fn overdue(look: &Look<'_>) -> Stop {
    let late = look.elapsed().saturating_sub(look.probe.timeout + CLOSE);
    if let Some(stop) = slept(late) {
        return stop;
    }
    let stage = look.stages.last().map_or("ask", |stage| stage.name);
    Fault::new(FaultKind::Hung, stage, &format!("no answer in {}", seconds(look.elapsed()))).into()
}
