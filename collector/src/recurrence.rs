//! Whether an outage is the return of one that was over a moment ago: then it is told when it stays so. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use topology::model::{ComponentId, Model, Policy};
use topology::verdict::{Culprit, Verdict};

use crate::clock::between;
use crate::confirm::FLAP_QUIET;

/// No interval is so long that what was told before this matters.
const LONGEST_MEMORY: Duration = Duration::from_hours(1);

/// What an outage is of: a component, and of one that holds its data in shards the shard. Another copy that breaks
/// where forty flap is no news; another shard that breaks is other data that nobody reaches.
pub(crate) type Part<'m> = (ComponentId, Option<&'m str>);

/// What the roots of a verdict are parts of.
pub(crate) fn parts<'m>(model: &'m Model, verdict: &Verdict) -> BTreeSet<Part<'m>> {
    let mut parts = BTreeSet::new();
    for root in &verdict.roots {
        let Some(id) = root.culprit.component(model) else { continue };
        let component = model.component(id);
        if component.policy != Policy::Shards {
            parts.insert((id, None));
        } else if let Culprit::Instance(instance) = root.culprit {
            parts.insert((id, Some(model.instance(instance).shard())));
        } else {
            parts.extend(
                component.instance_ids().map(|instance| (id, Some(model.instance(instance).shard()))),
            );
        }
    }
    parts
}

/// What breaks again within the span that releases a flapping instance must stay so for as long before it is told.
pub(crate) fn hold(model: &Model, verdict: &Verdict) -> Duration {
    let of = |(id, _): &Part<'_>| model.component(*id).interval() * FLAP_QUIET;
    parts(model, verdict).iter().map(of).max().unwrap_or_default()
}

/// The outages that were over lately, and that somebody had been told of.
#[derive(Debug, Default)]
pub(crate) struct Lately {
    over: Vec<(Timestamp, Verdict)>,
}

impl Lately {
    /// One more is over.
    pub(crate) fn keep(&mut self, verdict: &Verdict, now: Timestamp) {
        self.over.retain(|(at, _)| between(*at, now) <= LONGEST_MEMORY);
        self.over.push((now, verdict.clone()));
    }

    /// True when one of the parts of `verdict` was part of an outage that was over a moment ago.
    pub(crate) fn had(&self, model: &Model, verdict: &Verdict, now: Timestamp) -> bool {
        let (wanted, quiet) = (parts(model, verdict), hold(model, verdict));
        self.over
            .iter()
            .any(|(at, over)| between(*at, now) <= quiet && !wanted.is_disjoint(&parts(model, over)))
    }

    /// Forgets all: in another topology the parts are others.
    pub(crate) fn clear(&mut self) {
        self.over.clear();
    }
}
