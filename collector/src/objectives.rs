//! What was promised and what was kept: availability over a window, the error budget and how fast it burns. Pure, but
//! for the task that asks history once in a while.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use topology::model::Objective;

use crate::clock::Clock;
use crate::history::{Availability, History, HistoryError, Stretch, Window};
use crate::watch::BoardWatch;

/// Objectives are worked out this often.
const EVERY: Duration = Duration::from_secs(30);
/// The windows that tell how fast the budget burns: the two of the multi-window alerts of Google's SRE workbook that
/// page somebody.
pub const BURN: [Duration; 2] = [Duration::from_hours(1), Duration::from_hours(6)];

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
    /// The same of [`BURN`], as a multiple of the rate that just uses the budget up; none where nothing was seen.
    pub burn: [Option<f64>; 2],
}

impl ObjectiveState {
    /// Works it out: `long` over the objective's window, `short` over those of [`BURN`].
    pub fn of(
        component: &str,
        objective: &Objective,
        long: &Availability,
        short: [&Availability; 2],
    ) -> Self {
        let budget = 1.0 - objective.availability;
        let burn = short.map(|found| found.time.availability().map(|share| (1.0 - share) / budget));
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
    /// As they are now; the file's order.
    pub fn current(&self) -> Arc<Vec<ObjectiveState>> {
        self.current.load_full()
    }

    /// Works them out until `shutdown`. While the database is in trouble the last ones stand.
    pub async fn run(self, history: History, boards: BoardWatch, clock: Clock, shutdown: CancellationToken) {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = tick.tick() => {}
            }
            let model = Arc::clone(&boards.current().model);
            match work_out(&history, &model, clock.now()).await {
                Ok(states) => self.current.store(Arc::new(states)),
                Err(error) => tracing::warn!(%error, "the objectives stay as they were"),
            }
        }
    }
}

/// All objectives of `model` at `now`.
///
/// # Errors
/// When the database does not answer.
pub async fn work_out(
    history: &History,
    model: &topology::model::Model,
    now: Timestamp,
) -> Result<Vec<ObjectiveState>, HistoryError> {
    let mut states = Vec::with_capacity(model.objectives.len());
    for objective in &model.objectives {
        let name = model.component(objective.component).name.as_str();
        let of = async |length: Duration| -> Result<Availability, HistoryError> {
            let window = Window::last(length, now);
            let found = history.availability(window, &[name]).await?.pop();
            Ok(found.unwrap_or_else(|| Availability {
                node: name.to_owned(),
                time: Stretch::default(),
                coverage: 0.0,
                outages: 0,
            }))
        };
        let long = of(objective.window).await?;
        let (hour, six) = (of(BURN[0]).await?, of(BURN[1]).await?);
        states.push(ObjectiveState::of(name, objective, &long, [&hour, &six]));
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
            [&seen(3_600, 0, 0, 1.0), &seen(0, 0, 0, 0.0)],
        );
        assert_eq!(state.allowed(), Duration::from_secs(100));
        assert!((state.availability().unwrap() - 0.999).abs() < 1e-12);
        assert!((state.own_availability().unwrap() - 0.9996).abs() < 1e-12);
        assert!((state.budget_left() - 0.5).abs() < 1e-9);
        assert_eq!(state.burn, [Some(0.0), None]);
    }

    #[test]
    fn a_budget_that_is_used_up_goes_below_zero_and_burns() {
        let long = seen(99_700, 300, 0, 1.0);
        let state = ObjectiveState::of(
            "gateway",
            &objective(),
            &long,
            [&seen(3_564, 36, 0, 1.0), &seen(21_564, 36, 0, 1.0)],
        );
        assert!((state.budget_left() + 2.0).abs() < 1e-9);
        assert!((state.burn[0].unwrap() - 10.0).abs() < 1e-9, "{:?}", state.burn);
    }
}
