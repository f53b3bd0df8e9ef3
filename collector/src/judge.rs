//! One observation against its thresholds: the level of a single look. Pure.

use probes::observation::{Answer, Observation, Outcome};
use topology::fault::{Fault, FaultKind, Reason};
use topology::kind::{Bad, show_value};
use topology::level::Health;
use topology::model::{Probe, Threshold};
use topology::text::Text;

/// What one look says of its instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Its level.
    pub health: Health,
    /// The fault, when there was no good answer.
    pub fault: Option<Fault>,
    /// The signal past its threshold, when one made the level.
    pub signal: Option<String>,
    /// What is wrong, on one line; empty when nothing is.
    pub words: Text,
    /// The same in a word or two, for a card.
    pub short: Text,
}

impl Judged {
    /// Nothing wrong.
    pub fn green() -> Self {
        Self::plain(Health::Green)
    }

    /// Not looked at yet, or not for too long.
    pub fn unknown() -> Self {
        Self::plain(Health::Unknown)
    }

    /// True when it is bad by the target's own answer, which may be about a moment: a value past its threshold, or an
    /// answer that says so. A lost packet makes it (it costs 200 ms on Linux, more than many allow themselves for a
    /// question behind), and many answer with a copy for a second, so a look at once hears the same thing twice.
    pub fn may_be_of_a_moment(&self) -> bool {
        let answered_badly = self.fault.as_ref().is_some_and(|fault| fault.kind == FaultKind::BadAnswer);
        self.health.is_unhealthy() && (self.signal.is_some() || answered_badly)
    }

    fn plain(health: Health) -> Self {
        Self { health, fault: None, signal: None, words: Text::default(), short: Text::default() }
    }
}

/// Judges `observation`; `None` when it says nothing of the target (the monitor's own host failed).
pub fn judge(probe: &Probe, observation: &Observation) -> Option<Judged> {
    match &observation.outcome {
        Outcome::Local(_) => None,
        Outcome::Fault(fault) => Some(of_fault(fault)),
        Outcome::Answer(answer) => Some(of_answer(probe, answer)),
    }
}

/// A fault is red, but for those that only shut the monitor out: its users may be served well.
fn of_fault(fault: &Fault) -> Judged {
    let monitor_only = fault.kind == FaultKind::Auth || fault.reason.is_some_and(Reason::only_the_monitor);
    let health = if monitor_only { Health::AtRisk } else { Health::Red };
    let kind = fault.kind;
    // A status says more than "bad answer".
    let status = fault
        .words
        .split([':', ' '])
        .next()
        .filter(|w| w.len() == 3 && w.bytes().all(|b| b.is_ascii_digit()));
    let short = match (kind, status) {
        (FaultKind::BadAnswer, Some(status)) => Text::same(status),
        _ => Text::new(kind.short(), kind.short_zh()),
    };
    let words = if fault.words.is_empty() {
        Text::new(kind.short(), kind.short_zh())
    } else {
        Text::new(
            format!("{}: {}", kind.short(), fault.words),
            format!("{}：{}", kind.short_zh(), fault.words),
        )
    };
    Judged { health, fault: Some(fault.clone()), signal: None, words, short }
}

fn of_answer(probe: &Probe, answer: &Answer) -> Judged {
    let mut worst = match &answer.reported {
        Some((health, words)) => Judged {
            health: *health,
            fault: None,
            signal: None,
            words: Text::new(format!("says of itself: {words}"), format!("自述：{words}")),
            short: Text::new("warns", "告警"),
        },
        None => Judged::green(),
    };
    for threshold in &probe.thresholds {
        let Some(value) = answer.signals.get(&threshold.signal).copied() else { continue };
        let Some((health, limit)) = reached(threshold, value) else { continue };
        if health.severity() > worst.health.severity() {
            worst = past(threshold, value, limit, health);
        }
    }
    worst
}

/// The level that `value` makes, and the limit it has reached.
fn reached(threshold: &Threshold, value: f64) -> Option<(Health, f64)> {
    let hit = |limit: Option<f64>| limit.filter(|limit| threshold.bad.reached(value, *limit));
    if let Some(limit) = hit(threshold.red) {
        return Some((Health::Red, limit));
    }
    hit(threshold.yellow).map(|limit| (threshold.effect.into(), limit))
}

fn past(threshold: &Threshold, value: f64, limit: f64, health: Health) -> Judged {
    let name = spoken(&threshold.signal);
    let (value, limit) = (show_value(value, threshold.unit), show_value(limit, threshold.unit));
    let level = health.level();
    let (than, than_zh) = match threshold.bad {
        Bad::Above => ("from", "起"),
        Bad::Below => ("at", "及以下"),
    };
    let zh_level = if health == Health::Red { "红" } else { "黄" };
    Judged {
        health,
        fault: None,
        signal: Some(threshold.signal.clone()),
        words: Text::new(
            format!("{name} {value}: {level} {than} {limit}"),
            format!("{name} {value}：{limit} {than_zh}为{zh_level}"),
        ),
        short: Text::same(format!("{name} {value}")),
    }
}

/// A signal's name as one says it: `redis.memory_used_ratio` is "memory used".
pub fn spoken(signal: &str) -> String {
    let (name, label) = signal.split_once('[').map_or((signal, None), |(n, l)| (n, l.strip_suffix(']')));
    let name = name.split_once('.').map_or(name, |(_, rest)| rest);
    let name = ["_seconds", "_bytes", "_ratio", "_total", "_ok"]
        .iter()
        .find_map(|unit| name.strip_suffix(unit))
        .unwrap_or(name);
    let name = name.replace('_', " ");
    label.map_or(name.clone(), |label| format!("{name} {label}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{self, answer, fault};

    #[test]
    fn a_fault_is_red_and_a_refused_login_is_yellow() {
        let model = testkit::model("web");
        let probe = &model.components[0].probes[0];
        let red = judge(probe, &fault(FaultKind::Hung, "connected, no answer in 1.5 s")).unwrap();
        assert_eq!((red.health, red.short.en.as_str()), (Health::Red, "hung"));
        assert_eq!(red.words.en, "hung: connected, no answer in 1.5 s");
        assert_eq!(judge(probe, &fault(FaultKind::Auth, "")).unwrap().health, Health::AtRisk);
        let limited = Fault::new(FaultKind::BadAnswer, "handshake", "full").because(Reason::AccountLimit);
        assert_eq!(of_fault(&limited).health, Health::AtRisk);
    }

    #[test]
    fn a_status_is_the_short_word() {
        assert_eq!(of_fault(&Fault::new(FaultKind::BadAnswer, "ask", "503: member-db fail")).short.en, "503");
    }

    #[test]
    fn the_worst_signal_makes_the_level_and_its_number_is_said() {
        let model = testkit::model("web");
        let probe = &model.components[0].probes[0];
        let slow = judge(probe, &answer(&[("http.latency_seconds", 0.4)])).unwrap();
        assert_eq!(
            (slow.health, slow.words.en.as_str()),
            (Health::Impaired, "latency 400 ms: yellow from 300 ms")
        );
        assert_eq!(judge(probe, &answer(&[("http.latency_seconds", 2.0)])).unwrap().health, Health::Red);
        assert_eq!(judge(probe, &answer(&[("http.latency_seconds", 0.01)])).unwrap(), Judged::green());
    }

    #[test]
    fn the_monitor_s_own_trouble_says_nothing_of_the_target() {
        let model = testkit::model("web");
        assert_eq!(judge(&model.components[0].probes[0], &testkit::local()), None);
    }
}
