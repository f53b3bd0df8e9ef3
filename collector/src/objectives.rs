//! What was promised and what was kept: availability over a window, the error budget and how fast it burns. Pure, but
//! for the task that asks history once in a while.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use topology::model::{Model, Objective};

use crate::clock::Clock;
use crate::control::Control;
use crate::history::{Availability, History, HistoryError, Stretch, Window};
use crate::watch::BoardWatch;

/// How fast budgets burn is worked out this often.
const EVERY: Duration = Duration::from_secs(10);
/// Their whole windows are looked at once in so many times.
const WHOLE_EVERY: u32 = 3;
/// Failures in a row after which nobody knows any more what burns.
const FAILURES: u32 = 3;

/// A budget burns when it burns this fast over both windows: over the long one, so that a blip calls nobody, and over
/// the short one, so that it is over soon after the trouble is. The two pairs that call somebody in Google's SRE
/// workbook, chapter 5, table 5-8: 2 % of a 30 days' budget in an hour, 5 % in six.
pub const BURN: [Burn; 2] = [
    Burn { long: Duration::from_hours(1), short: Duration::from_mins(5), rate: 14.4 },
    Burn { long: Duration::from_hours(6), short: Duration::from_mins(30), rate: 6.0 },
];

/// Two windows, and the rate from which on they call somebody.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burn {
    /// The window that says how much.
    pub long: Duration,
    /// The window that says that it goes on.
    pub short: Duration,
    /// As a multiple of the rate that just uses the budget up.
    pub rate: f64,
}

/// How it stands with one objective.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectiveState {
    /// The component.
    pub component: String,
    /// What is promised: share of the time in which it is not red.
    pub target: f64,
    /// Over how long.
    pub window: Duration,
    /// What was seen of it.
    pub time: Stretch,
    /// Share of the window that was seen.
    pub coverage: f64,
    /// Times it went red.
    pub outages: u32,
    /// Over the long and the short window of each of [`BURN`], as a multiple of the rate that just uses the budget up;
    /// none where nothing was seen.
    pub burn: [[Option<f64>; 2]; 2],
}

impl ObjectiveState {
    /// Works it out: `long` over the objective's window, `burns` over those of [`BURN`].
    pub fn of(
        component: &str,
        objective: &Objective,
        long: &Availability,
        burns: [[&Availability; 2]; 2],
    ) -> Self {
        let budget = 1.0 - objective.availability;
        let rate = |found: &Availability| found.time.availability().map(|share| (1.0 - share) / budget);
        let burn = burns.map(|pair| pair.map(rate));
        Self {
            component: component.to_owned(),
            target: objective.availability,
            window: objective.window,
            time: long.time,
            coverage: long.coverage,
            outages: long.outages,
            burn,
        }
    }

    /// True when its budget burns so fast, over both windows of a pair, that somebody is to be called.
    pub fn is_burning(&self) -> bool {
        let fast = |rate: &Option<f64>, least: f64| rate.is_some_and(|rate| rate >= least);
        self.burn.iter().zip(BURN).any(|(pair, burn)| pair.iter().all(|rate| fast(rate, burn.rate)))
    }

    /// Share of the known time in which it was not red.
    pub fn availability(&self) -> Option<f64> {
        self.time.availability()
    }

    /// The same, if what others did to it is left out.
    pub fn own_availability(&self) -> Option<f64> {
        let known = self.time.known().as_secs_f64();
        (known > 0.0).then(|| 1.0 - self.time.red_own.as_secs_f64() / known)
    }

    /// How long it may be red within the whole window.
    pub fn allowed(&self) -> Duration {
        self.window.mul_f64(1.0 - self.target)
    }

    /// Share of the budget that is left; below zero when more was used than there is. Time that nobody saw uses none:
    /// `coverage` tells how much that is.
    pub fn budget_left(&self) -> f64 {
        1.0 - self.time.red().as_secs_f64() / self.allowed().as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// The objectives as last worked out; clone it freely.
#[derive(Clone, Debug, Default)]
pub struct Objectives {
    current: Arc<ArcSwap<Vec<ObjectiveState>>>,
}

impl Objectives {
    /// Those that were worked out elsewhere, and stay so.
    pub fn fixed(states: Vec<ObjectiveState>) -> Self {
        Self { current: Arc::new(ArcSwap::from_pointee(states)) }
    }

    /// As they are now; the file's order.
    pub fn current(&self) -> Arc<Vec<ObjectiveState>> {
        self.current.load_full()
    }

    /// Works them out until `shutdown`, and tells the collector what burns. While the database is in trouble the last
    /// ones stand; when it stays so, nobody knows what burns.
    pub async fn run(
        self,
        history: History,
        boards: BoardWatch,
        control: Control,
        clock: Clock,
        shutdown: CancellationToken,
    ) {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut whole, mut failed) = (Whole::default(), 0);
        for round in 0.. {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = tick.tick() => {}
            }
            let model = Arc::clone(&boards.current().model);
            if round % WHOLE_EVERY == 0 || !whole.is_of(&model) {
                match Whole::of(&history, &model, clock.now()).await {
                    Ok(found) => whole = found,
                    Err(error) => tracing::warn!(%error, "the objectives stay as they were"),
                }
            }
            let burning = match work_out(&history, &model, &whole, clock.now()).await {
                Ok(states) => {
                    failed = 0;
                    let burning = states.iter().filter(|state| state.is_burning());
                    let burning = burning.map(|state| state.component.clone()).collect();
                    self.current.store(Arc::new(states));
                    Some(burning)
                }
                Err(error) => {
                    failed += 1;
                    tracing::warn!(%error, "how fast budgets burn is not known now");
                    if failed < FAILURES {
                        continue;
                    }
                    None
                }
            };
            if control.burning(burning).await.is_err() {
                return;
            }
        }
    }
}

/// What was seen of the objectives over their own windows.
#[derive(Debug, Default)]
pub struct Whole {
    model: Option<Arc<Model>>,
    seen: Vec<Availability>,
}

impl Whole {
    fn is_of(&self, model: &Arc<Model>) -> bool {
        self.model.as_ref().is_some_and(|known| Arc::ptr_eq(known, model))
    }

    /// Asks for it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn of(history: &History, model: &Arc<Model>, now: Timestamp) -> Result<Self, HistoryError> {
        let mut seen = Vec::with_capacity(model.objectives.len());
        for objective in &model.objectives {
            let name = &model.component(objective.component).name;
            seen.push(availability(history, name, objective.window, now).await?);
        }
        Ok(Self { model: Some(Arc::clone(model)), seen })
    }
}

async fn availability(
    history: &History,
    component: &str,
    length: Duration,
    now: Timestamp,
) -> Result<Availability, HistoryError> {
    let found = history.availability(Window::last(length, now), &[component]).await?.pop();
    Ok(found.unwrap_or_else(|| Availability {
        node: component.to_owned(),
        time: Stretch::default(),
        coverage: 0.0,
        outages: 0,
    }))
}

/// All objectives of `model` at `now`; `whole` is what was seen of their windows.
///
/// # Errors
/// When the database does not answer.
pub async fn work_out(
    history: &History,
    model: &Model,
    whole: &Whole,
    now: Timestamp,
) -> Result<Vec<ObjectiveState>, HistoryError> {
    let mut states = Vec::with_capacity(model.objectives.len());
    for (objective, long) in model.objectives.iter().zip(&whole.seen) {
        let name = model.component(objective.component).name.as_str();
        let of = async |length: Duration| availability(history, name, length, now).await;
        let [fast, slow] = BURN;
        let fast = (of(fast.long).await?, of(fast.short).await?);
        let slow = (of(slow.long).await?, of(slow.short).await?);
        states.push(ObjectiveState::of(name, objective, long, [[&fast.0, &fast.1], [&slow.0, &slow.1]]));
    }
    Ok(states)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(green: u64, own: u64, inherited: u64, coverage: f64) -> Availability {
        let time = Stretch {
            green: Duration::from_secs(green),
            red_own: Duration::from_secs(own),
            red_inherited: Duration::from_secs(inherited),
            ..Stretch::default()
        };
        Availability { node: "gateway".to_owned(), time, coverage, outages: 1 }
    }

    fn objective() -> Objective {
        Objective {
            component: topology::model::ComponentId(0),
            availability: 0.999,
            window: Duration::from_secs(100_000),
        }
    }

    #[test]
    fn the_budget_is_of_the_window_and_the_availability_of_what_was_seen() {
        let long = seen(49_950, 20, 30, 0.5);
        let state = ObjectiveState::of(
            "gateway",
            &objective(),
            &long,
            [[&seen(3_600, 0, 0, 1.0); 2], [&seen(0, 0, 0, 0.0); 2]],
        );
        assert_eq!(state.allowed(), Duration::from_secs(100));
        assert!((state.availability().unwrap() - 0.999).abs() < 1e-12);
        assert!((state.own_availability().unwrap() - 0.9996).abs() < 1e-12);
        assert!((state.budget_left() - 0.5).abs() < 1e-9);
        assert_eq!(state.burn, [[Some(0.0); 2], [None; 2]]);
        assert!(!state.is_burning());
    }

    #[test]
    fn a_budget_that_is_used_up_goes_below_zero_and_burns() {
        let long = seen(99_700, 300, 0, 1.0);
        let state = ObjectiveState::of(
            "gateway",
            &objective(),
            &long,
            [[&seen(3_564, 36, 0, 1.0); 2], [&seen(21_564, 36, 0, 1.0); 2]],
        );
        assert!((state.budget_left() + 2.0).abs() < 1e-9);
        assert!((state.burn[0][0].unwrap() - 10.0).abs() < 1e-9, "{:?}", state.burn);
    }

    #[test]
    fn somebody_is_called_when_both_windows_of_a_pair_burn_fast() {
        let burns = |fast: [Option<f64>; 2], slow: [Option<f64>; 2]| {
            let none = seen(1, 0, 0, 1.0);
            let state = ObjectiveState::of("gateway", &objective(), &none, [[&none; 2]; 2]);
            ObjectiveState { burn: [fast, slow], ..state }.is_burning()
        };
        let calm = [Some(0.0), Some(0.0)];
        assert!(burns([Some(14.4), Some(20.0)], calm) && burns(calm, [Some(6.0), Some(6.0)]));
        // A blip that is too short for the long window; and one that is over.
        assert!(!burns([Some(1.0), Some(100.0)], calm) && !burns([Some(20.0), Some(0.0)], calm));
        assert!(!burns([Some(14.3), Some(14.3)], [Some(5.9), Some(9.0)]));
        assert!(!burns([None, None], [Some(7.0), None]));
    }
}
