//! `heartbeat`: the instance reports by itself, and silence is the fault: a dead man's switch.
//!
//! Nothing is asked here: what was heard last is judged at every look.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use topology::fault::{Fault, FaultKind, Reason, clean_words};
use topology::kind::{Bad, KindSpec, LabelledSpec, OptionForm, OptionSpec, SignalSpec};
use topology::level::Health;
use topology::model::Probe;

use crate::clock::now;
use crate::look::{Look, Stop, seconds};
use crate::observation::{Answer, Observation, Outcome};
use crate::spec::{COUNT, SECONDS};

/// The shortest time of grace.
const LEAST_GRACE: Duration = Duration::from_secs(5);
/// Where the file does not say.
const EVERY: Duration = Duration::from_mins(1);

pub(crate) static SPEC: KindSpec = KindSpec {
    name: "heartbeat",
    summary: "Waits for the instance's own reports (POST /api/v1/heartbeat/INSTANCE): silence is the fault. \
              Its time is the monitor's, never the sender's.",
    options: &[
        OptionSpec {
            name: "every",
            form: OptionForm::Duration,
            default: Some("60s"),
            help: "How often it reports.",
        },
        OptionSpec {
            name: "grace",
            form: OptionForm::Duration,
            default: None,
            help: "How late a report may be; half of every where it is not set, 5 s at least.",
        },
        OptionSpec {
            name: "token",
            form: OptionForm::Secret,
            default: None,
            help: "The token that its reports carry, best written ${env:NAME}.",
        },
    ],
    signals: &[SignalSpec {
        name: "heartbeat.age_seconds",
        key: "age",
        help: "Since the last report. No default: half of the grace gone is yellow, all of it is the fault.",
        ..SECONDS
    }],
    labelled: Some(&LabelledSpec {
        key: "signals",
        options: &[],
        signals: &[
            SignalSpec {
                name: "heartbeat.value",
                key: "above",
                help: "A number that the instance reports under this name, bad when it is high. No default.",
                ..COUNT
            },
            SignalSpec {
                name: "heartbeat.value",
                key: "below",
                bad: Bad::Below,
                help: "The same, bad when it is low.",
                ..COUNT
            },
        ],
    }),
    passive: true,
    ..KindSpec::EMPTY
};

/// What an instance says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Its own level; `None` for a bare "alive".
    pub status: Option<Status>,
    /// Its words.
    pub message: String,
    /// Its numbers, in base units, by names of its own.
    pub signals: BTreeMap<String, f64>,
}

/// The words of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All is well.
    Ok,
    /// Something is not: yellow.
    Warn,
    /// It does not work: red.
    Fail,
}

impl Status {
    /// The status called `word`.
    pub fn from_word(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "ok" | "pass" | "up" => Some(Self::Ok),
            "warn" => Some(Self::Warn),
            "fail" | "down" => Some(Self::Fail),
            _ => None,
        }
    }
}

/// What is known when a heartbeat is judged. All times are the monitor's own.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'r> {
    /// The last report, and when it came.
    pub last: Option<(Instant, &'r Report)>,
    /// Since when reports could be heard without a gap: the listener's start, or the end of a jump of the
    /// clock (the machine slept).
    pub listening_since: Instant,
    /// Now.
    pub now: Instant,
}

/// How long after a report the next one is due, and how late it may be.
pub fn expected(probe: &Probe) -> (Duration, Duration) {
    let every = probe.duration("every").unwrap_or(EVERY);
    (every, probe.duration("grace").unwrap_or_else(|| (every / 2).max(LEAST_GRACE)))
}

/// What the reports, or their absence, say.
pub fn judge(probe: &Probe, heard: &Heard<'_>) -> Observation {
    let (every, grace) = expected(probe);
    let waited = heard.now.saturating_duration_since(heard.listening_since);
    let outcome = match heard.last {
        None if waited < every + grace => unknown("waiting for the first report"),
        None => unknown("never heard from; waiting for the first report"),
        Some((at, report)) => {
            let age = heard.now.saturating_duration_since(at);
            if age < every + grace {
                Outcome::Answer(answer(age, every, grace, report))
            } else if waited < every + grace {
                // It may have reported while nobody could listen.
                unknown("the monitor did not listen for a while; waiting for the next report")
            } else {
                let words = format!("no report for {}, expected every {}", seconds(age), seconds(every));
                let fault = Fault::new(FaultKind::Unreachable, "ask", &words);
                Outcome::Fault(fault.because(Reason::NoHeartbeat))
            }
        }
    };
    Observation::of(Duration::ZERO, outcome)
}

fn unknown(words: &str) -> Outcome {
    Outcome::Answer(Answer { reported: Some((Health::Unknown, words.to_owned())), ..Answer::default() })
}

fn answer(age: Duration, every: Duration, grace: Duration, report: &Report) -> Answer {
    let mut answer = Answer::default();
    answer.signals.insert("heartbeat.age_seconds".to_owned(), age.as_secs_f64());
    for (name, value) in report.signals.iter().filter(|(_, value)| value.is_finite()) {
        answer.signals.insert(format!("heartbeat.value[{}]", clean_words(name)), *value);
    }
    let own = match report.status {
        None | Some(Status::Ok) => None,
        Some(Status::Warn) => Some(Health::AtRisk),
        Some(Status::Fail) => Some(Health::Red),
    };
    let late = (age >= every + grace / 2).then(|| format!("the report is late: {} old", seconds(age)));
    answer.reported = match (own, late) {
        (Some(health), _) => {
            let words = if report.message.is_empty() { "reports trouble" } else { &report.message };
            Some((health, clean_words(words)))
        }
        (None, Some(late)) => Some((Health::AtRisk, late)),
        (None, None) => None,
    };
    if own.is_none() && !report.message.is_empty() {
        answer.notes.push(clean_words(&report.message));
    }
    answer
}

/// There is nothing to ask: what was reported is judged.
#[expect(clippy::unused_async, reason = "the shape of every kind's probe")]
pub(crate) async fn probe(look: &mut Look<'_>) -> Result<(), Stop> {
    let probe = look.probe;
    let judged = look.shared.ears.heartbeat(now(), look.instance, |heard| judge(probe, heard));
    let Some(observation) = judged else {
        let words = "it reports by itself; nothing can be asked".to_owned();
        look.answer.reported = Some((Health::Unknown, words));
        return Ok(());
    };
    match observation.outcome {
        Outcome::Answer(answer) => look.answer = answer,
        Outcome::Fault(fault) => return Err(fault.into()),
        Outcome::Local(why) => return Err(Stop::Local(why)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe() -> Probe {
        Probe {
            kind: &SPEC,
            interval: EVERY,
            timeout: Duration::from_secs(1),
            options: [("every", topology::model::OptionValue::Duration(EVERY))].into(),
            thresholds: Vec::new(),
            labels: Vec::new(),
            entries: Vec::new(),
        }
    }

    fn seen(age: Option<u64>, listening: u64, report: &Report) -> String {
        let start = now();
        let now = start + Duration::from_secs(10_000);
        let heard = Heard {
            last: age.map(|age| (start + Duration::from_secs(10_000 - age), report)),
            listening_since: start + Duration::from_secs(10_000 - listening),
            now,
        };
        match judge(&probe(), &heard).outcome {
            Outcome::Fault(fault) => format!("{} {}", fault.kind, fault.reason.map_or("-", Reason::as_str)),
            Outcome::Answer(answer) => match answer.reported {
                Some((health, words)) => format!("{health:?}: {words}"),
                None => "green".to_owned(),
            },
            Outcome::Local(why) => why,
        }
    }

    #[test]
    fn silence_is_the_fault_and_only_after_a_fair_wait() {
        let alive = Report::default();
        assert_eq!(seen(Some(30), 5000, &alive), "green");
        assert_eq!(seen(Some(80), 5000, &alive), "AtRisk: the report is late: 80.0 s old");
        assert_eq!(seen(Some(90), 5000, &alive), "unreachable no_heartbeat");
        assert_eq!(seen(None, 10, &alive), "Unknown: waiting for the first report");
        assert_eq!(seen(None, 9000, &alive), "Unknown: never heard from; waiting for the first report");
        // The monitor slept for an hour and has just woken up.
        let woken = "Unknown: the monitor did not listen for a while; waiting for the next report";
        assert_eq!(seen(Some(3600), 20, &alive), woken);
        assert_eq!(seen(Some(3600), 90, &alive), "unreachable no_heartbeat");
    }

    #[test]
    fn its_own_word_counts() {
        let report = |status, message: &str| Report {
            status: Some(status),
            message: message.to_owned(),
            signals: BTreeMap::from([("queue".to_owned(), 7.0), ("nonsense".to_owned(), f64::NAN)]),
        };
        assert_eq!(seen(Some(1), 5000, &report(Status::Fail, "disk \u{1b}[31mfull")), "Red: disk [31mfull");
        assert_eq!(seen(Some(1), 5000, &report(Status::Warn, "")), "AtRisk: reports trouble");
        assert_eq!(seen(Some(1), 5000, &report(Status::Ok, "fine")), "green");
    }
}
