//! What came of the requests.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::histogram::Histogram;
use super::mix::{STEPS, Step};

/// Kinds of failure told apart. The rest are counted together.
const KINDS: usize = 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Well,
    /// At the rate limit, at once.
    Refused,
    Failed(String),
    /// Not sent: too many were under way.
    Shed,
}

#[derive(Clone, Debug, Default)]
struct StepTally {
    well: u64,
    refused: u64,
    failed: u64,
    shed: u64,
    /// Of good answers. How long the others take is told apart: a quick failure would make it look better.
    latency: Histogram,
    failures: Histogram,
}

/// What the CDN said of its answers.
#[derive(Clone, Debug, Default)]
struct Edge {
    answers: u64,
    /// From its own cache, fresh or stale: no server was asked.
    hits: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    steps: [StepTally; STEPS.len()],
    failures: BTreeMap<String, u64>,
    accepted: u64,
    /// How long a refusal takes. Apart from the others: it would make them look fast.
    refusals: Histogram,
    edge: Edge,
    again: u64,
}

impl Tally {
    /// A request went to another gateway because its connection was closed under it.
    pub(super) fn ask_again(&mut self) {
        self.again += 1;
    }

    /// The CDN's word on one answer.
    pub(super) fn edge(&mut self, word: &str) {
        self.edge.answers += 1;
        self.edge.hits += u64::from(matches!(word, "HIT" | "STALE" | "UPDATING" | "REVALIDATED"));
    }

    fn hit_ratio(&self) -> f64 {
        self.edge.hits as f64 / self.edge.answers.max(1) as f64
    }

    pub(super) fn add(&mut self, step: Step, outcome: Outcome, latency: Duration) {
        let Some(index) = STEPS.iter().position(|other| *other == step) else { return };
        let Some(tally) = self.steps.get_mut(index) else { return };
        match outcome {
            Outcome::Well => tally.well += 1,
            Outcome::Refused => {
                tally.refused += 1;
                self.refusals.add(latency);
                return;
            }
            Outcome::Shed => {
                tally.shed += 1;
                return;
            }
            Outcome::Failed(words) => {
                tally.failed += 1;
                let kind = format!("{}: {words}", step.word());
                let kind = if self.failures.len() < KINDS || self.failures.contains_key(&kind) {
                    kind
                } else {
                    "others".to_owned()
                };
                *self.failures.entry(kind).or_default() += 1;
                tally.failures.add(latency);
                return;
            }
        }
        tally.latency.add(latency);
    }

    pub(super) fn accept(&mut self) {
        self.accepted += 1;
    }

    fn sum(&self, count: impl Fn(&StepTally) -> u64) -> u64 {
        self.steps.iter().map(count).sum()
    }

    /// Answers that were what was asked for.
    pub(crate) fn well(&self) -> u64 {
        self.sum(|step| step.well)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.sum(|step| step.failed)
    }

    pub(crate) fn refused(&self) -> u64 {
        self.sum(|step| step.refused)
    }

    pub(crate) fn shed(&self) -> u64 {
        self.sum(|step| step.shed)
    }

    /// Whatever got an answer, or none in time.
    pub(crate) fn sent(&self) -> u64 {
        self.well() + self.failed() + self.refused()
    }

    /// Orders that customers were told are accepted.
    pub(crate) fn orders(&self) -> u64 {
        self.accepted
    }

    pub(crate) fn asked_again(&self) -> u64 {
        self.again
    }

    /// Kinds of failure, and how many of each.
    pub(crate) fn failures(&self) -> &BTreeMap<String, u64> {
        &self.failures
    }

    /// Of what was sent and not refused at the limit: how much was answered well?
    pub(crate) fn availability(&self) -> f64 {
        share(self.well(), self.failed())
    }

    /// The same for each step that was taken.
    pub(crate) fn by_step(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let taken = STEPS.iter().zip(&self.steps).filter(|(_, tally)| tally.well + tally.failed > 0);
        taken.map(|(step, tally)| (step.word(), share(tally.well, tally.failed)))
    }

    /// Of the good answers of all steps.
    pub(crate) fn latency(&self) -> Histogram {
        let mut all = Histogram::default();
        for step in &self.steps {
            all.merge(&step.latency);
        }
        all
    }

    pub(crate) fn slowest_failure(&self) -> Duration {
        self.steps.iter().map(|step| step.failures.max()).max().unwrap_or_default()
    }

    /// How long refusals at the limit took.
    pub(crate) fn refusals(&self) -> &Histogram {
        &self.refusals
    }

    pub(super) fn progress(&self, ran: Duration, under_way: usize) -> String {
        format!(
            "{:>5.0} s  {} well, {} failed, {} refused, {} shed, {under_way} under way; {} orders accepted",
            ran.as_secs_f64(),
            self.sum(|step| step.well),
            self.sum(|step| step.failed),
            self.sum(|step| step.refused),
            self.sum(|step| step.shed),
            self.accepted
        )
    }

    pub(crate) fn to_json(&self, ran: Duration) -> Value {
        let ms = |time: Duration| (time.as_secs_f64() * 1e5).round() / 1e2;
        let steps: BTreeMap<&str, Value> = STEPS
            .iter()
            .zip(&self.steps)
            .map(|(step, tally)| {
                let value = json!({
                    "well": tally.well, "refused": tally.refused, "failed": tally.failed, "shed": tally.shed,
                    "p50_ms": ms(tally.latency.quantile(0.5)), "p90_ms": ms(tally.latency.quantile(0.9)),
                    "p99_ms": ms(tally.latency.quantile(0.99)), "max_ms": ms(tally.latency.max()),
                    "failed_p99_ms": ms(tally.failures.quantile(0.99)), "failed_max_ms": ms(tally.failures.max()),
                });
                (step.word(), value)
            })
            .collect();
        json!({
            "seconds": ran.as_secs_f64(),
            "well": self.sum(|step| step.well), "failed": self.sum(|step| step.failed),
            "refused": self.sum(|step| step.refused), "shed_by_the_client": self.sum(|step| step.shed),
            "availability": self.availability(),
            "orders_accepted": self.accepted,
            "orders_accepted_per_second": self.accepted as f64 / ran.as_secs_f64().max(0.001),
            "refused_p50_ms": ms(self.refusals.quantile(0.5)), "refused_p95_ms": ms(self.refusals.quantile(0.95)),
            "asked_again": self.again,
            "cdn_answers": self.edge.answers, "cdn_hit_ratio": self.hit_ratio(),
            "steps": steps, "failures": self.failures,
        })
    }

    pub(super) fn table(&self, ran: Duration) -> String {
        let seconds = ran.as_secs_f64().max(0.001);
        let sent = self.sent();
        let mut text = format!(
            "{seconds:.0} s: {sent} requests sent ({:.1}/s), {:.3} % available; {} refused at the limit, {} shed by the client\n\
             {} orders accepted ({:.1}/s)\n\n",
            sent as f64 / seconds,
            self.availability() * 100.0,
            self.sum(|step| step.refused),
            self.sum(|step| step.shed),
            self.accepted,
            self.accepted as f64 / seconds
        );
        writeln!(
            text,
            "{:<9}{:>8}{:>8}{:>9}{:>7}{:>10}{:>10}{:>10}{:>10}",
            "step", "well", "failed", "refused", "shed", "p50", "p90", "p99", "max"
        )
        .ok();
        let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
        for (step, tally) in STEPS.iter().zip(&self.steps) {
            let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|share| ms(tally.latency.quantile(share)));
            let max = ms(tally.latency.max());
            writeln!(
                text,
                "{:<9}{:>8}{:>8}{:>9}{:>7}{p50:>10}{p90:>10}{p99:>10}{max:>10}",
                step.word(),
                tally.well,
                tally.failed,
                tally.refused,
                tally.shed
            )
            .ok();
        }
        if self.sum(|step| step.refused) > 0 {
            let [p50, p95] = [0.5, 0.95].map(|share| ms(self.refusals.quantile(share)));
            writeln!(text, "refused within {p50} (p50), {p95} (p95)").ok();
        }
        if self.again > 0 {
            writeln!(text, "{} asked again: their connection was closed under them", self.again).ok();
        }
        if self.edge.answers > 0 {
            let (share, all) = (self.hit_ratio() * 100.0, self.edge.answers);
            writeln!(text, "the CDN answered {share:.1} % of {all} itself").ok();
        }
        for (kind, count) in &self.failures {
            writeln!(text, "{count:>8} x {kind}").ok();
        }
        text.truncate(text.trim_end().len());
        text
    }
}

fn share(well: u64, failed: u64) -> f64 {
    if well + failed == 0 { 1.0 } else { well as f64 / (well + failed) as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shed_requests_are_counted_and_are_not_the_platforms_failure() {
        let mut tally = Tally::default();
        tally.add(Step::Browse, Outcome::Well, Duration::from_millis(3));
        tally.add(Step::Browse, Outcome::Shed, Duration::ZERO);
        tally.add(Step::Order, Outcome::Failed("503 order-db-2".to_owned()), Duration::from_millis(9));
        let value = tally.to_json(Duration::from_secs(1));
        assert_eq!(value["shed_by_the_client"], 1);
        assert_eq!(value["availability"], 0.5);
        assert_eq!(value["failures"]["order: 503 order-db-2"], 1);
        assert!(tally.table(Duration::from_secs(1)).contains("1 shed by the client"));
    }
}
