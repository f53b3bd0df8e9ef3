//! "Orders fell, no node is unhealthy": the incident of a curve that left its bounds while every node is green. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use topology::level::Level;
use topology::model::Model;
use topology::text::Text;

use super::{CurveState, judge};
use crate::announce::Told;
use crate::beside::{self, Beside};
use crate::clock::between;
use crate::incident::Incident;
use crate::incidents::{Change, Kept, What};
use crate::silence::Silences;

/// What marks such an incident, before the curve's name.
const MARK: &str = "beside:curve=";
/// Resolved ones that are kept at hand.
const KEEP_RESOLVED: usize = 10;

/// The incidents of curves.
#[derive(Debug)]
pub(crate) struct Outages {
    open: BTreeMap<String, Beside>,
    resolved: Vec<Incident>,
    /// When a node was unhealthy last, or nobody knew: what follows on that is no riddle.
    unwell: Timestamp,
}

/// The curve that an incident is of, if it is of one.
pub(crate) fn is_of_curve(told: &Told) -> Option<&str> {
    beside::mark(told)?.strip_prefix(MARK)
}

impl Outages {
    pub(crate) const fn new(now: Timestamp) -> Self {
        Self { open: BTreeMap::new(), resolved: Vec::new(), unwell: now }
    }

    /// Takes over what a database kept.
    pub(crate) fn restore(&mut self, kept: Vec<Kept>) {
        for kept in kept {
            if let Some(name) = is_of_curve(&kept.told).map(str::to_owned) {
                self.open.insert(name, Beside::back(kept));
            }
        }
    }

    /// The open incident with this id.
    pub(crate) fn find(&mut self, id: &str) -> Option<&mut Beside> {
        self.open.values_mut().find(|outage| outage.incident.id == id)
    }

    pub(crate) fn open(&self) -> impl Iterator<Item = &Incident> {
        self.open.values().map(|outage| &outage.incident)
    }

    pub(crate) fn resolved(&self) -> &[Incident] {
        &self.resolved
    }

    /// One step. `all_green`: nobody is unhealthy, and everybody was seen.
    pub(crate) fn step(
        &mut self,
        (model, silences): (&Model, &Silences),
        curves: &[CurveState],
        all_green: bool,
        now: Timestamp,
        new_id: &dyn Fn(Timestamp) -> String,
    ) -> Vec<Change> {
        if !all_green {
            self.unwell = now;
        }
        let mut changes = Vec::new();
        for state in curves {
            let bad = matches!(state.level, Level::Red | Level::Yellow);
            let riddle = bad && self.is_a_riddle(model, state, now);
            match self.open.get_mut(&state.name) {
                Some(outage) => {
                    let worse = bad && state.level.rank() > outage.incident.level.rank();
                    if worse {
                        outage.incident.level = state.level;
                        outage.incident.title = title(state);
                        outage.note(now, state.words.clone());
                    }
                    let messages = outage.due(model, silences, Duration::ZERO, now);
                    if outage.was_asked() || worse || !messages.is_empty() {
                        changes.push(outage.change(What::Updated, messages));
                    }
                }
                None if riddle => {
                    let incident = incident(state, now, new_id);
                    let mut outage = Beside::open(&format!("curve={}", state.name), incident, now);
                    let messages = outage.due(model, silences, Duration::ZERO, now);
                    changes.push(outage.change(What::Opened, messages));
                    self.open.insert(state.name.clone(), outage);
                }
                None => {}
            }
        }
        // Over is what is seen to be well, and what the file no longer has.
        let over: Vec<String> = self
            .open
            .keys()
            .filter(|name| {
                curves.iter().find(|state| state.name == **name).is_none_or(|s| s.level == Level::Green)
            })
            .cloned()
            .collect();
        for name in over {
            let Some(outage) = self.open.remove(&name) else { continue };
            let back = Text::new("within its bounds again", "已回到正常范围");
            let (incident, change) = outage.end(model, back, now);
            changes.push(change);
            self.resolved.insert(0, incident);
            self.resolved.truncate(KEEP_RESOLVED);
        }
        changes
    }

    /// True when no node explains it: the curve follows what a node had for as long as it is averaged over.
    fn is_a_riddle(&self, model: &Model, state: &CurveState, now: Timestamp) -> bool {
        let curve = model.curves.iter().find(|curve| curve.name == state.name);
        let follows = curve.map_or(Duration::ZERO, |curve| judge::window(curve) + curve.interval * 2);
        between(self.unwell, now) > follows
    }
}

fn title(state: &CurveState) -> Text {
    Text::new(
        format!("{}, no node is unhealthy", state.words.en),
        format!("{}，所有节点均正常", state.words.zh),
    )
}

fn incident(state: &CurveState, now: Timestamp, new_id: &dyn Fn(Timestamp) -> String) -> Incident {
    let advice = Text::new(
        "Look at what is not watched: payment, the app stores, marketing, the way of the customers to us.",
        "请检查未被监控的环节：支付、应用商店、营销活动、顾客到我们的线路。",
    );
    beside::incident(new_id(now), state.level, title(state), advice, now, state.words.clone())
}
