//! One line of the matrix: what was expected, what was said, and how soon.

use std::time::Duration;

use serde_json::{Value, json};

use crate::baseline::{self, NAMES, Named};
use crate::matrix::Entry;
use crate::messages::{Message, by_incident, is_one_outage};
use crate::watch::Seen;

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) entry: Entry,
    pub(crate) seen: Seen,
    pub(crate) top1: bool,
    pub(crate) exact: bool,
    /// For each of [`NAMES`]: the first, and all of them, are right.
    pub(crate) baselines: [(bool, bool); 3],
    /// From the repair to a green board; `None` when that was not reached.
    pub(crate) recovered: Option<Duration>,
    pub(crate) messages: Vec<Message>,
    pub(crate) recorded: bool,
}

impl Row {
    pub(crate) fn new(
        entry: &Entry,
        seen: Seen,
        recovered: Option<Duration>,
        messages: Vec<Message>,
        recorded: bool,
    ) -> Self {
        let roots: Vec<Named> = seen.roots.iter().map(|root| Named::from([root.node.clone()])).collect();
        let (_, exact) = baseline::judge(&roots, &entry.truth);
        let first: Vec<Named> = seen.first.iter().map(|name| Named::from([name.clone()])).collect();
        let (top1, _) = baseline::judge(&first, &entry.truth);
        let baselines = seen.baselines.each_ref().map(|roots| baseline::judge(roots, &entry.truth));
        Self { entry: entry.clone(), seen, top1, exact, baselines, recovered, messages, recorded }
    }

    /// An edge was the cause, and an edge was named.
    pub(crate) fn edge_named(&self) -> bool {
        self.seen.roots.iter().any(|root| {
            root.node.contains(" -> ") && self.entry.truth.iter().any(|names| names.contains(&root.node))
        })
    }

    /// No message beyond open, updates, and one end.
    pub(crate) fn quiet(&self) -> bool {
        by_incident(&self.messages).values().all(|events| is_one_outage(events))
    }

    pub(crate) fn events(&self) -> String {
        let lists: Vec<String> =
            by_incident(&self.messages).values().map(|events| events.join(", ")).collect();
        lists.join("; ")
    }

    pub(crate) fn verdict(&self) -> String {
        let roots: Vec<String> = self
            .seen
            .roots
            .iter()
            .map(|root| match root.confidence {
                Some(confidence) => format!("{} {:.0} %", root.node, confidence * 100.0),
                None => format!("{} (shown)", root.node),
            })
            .collect();
        if roots.is_empty() { "nobody".to_owned() } else { roots.join(", ") }
    }

    pub(crate) fn expected(&self) -> String {
        let first = |names: &Vec<String>| names.first().cloned().unwrap_or_default();
        self.entry.truth.iter().map(first).collect::<Vec<_>>().join(", ")
    }

    /// Progress on a terminal.
    pub(crate) fn line(&self) -> String {
        let mark = if self.exact {
            "right"
        } else if self.top1 {
            "first"
        } else {
            "WRONG"
        };
        let quiet = if self.quiet() { "" } else { ", TOO MANY MESSAGES" };
        format!(
            "{mark} {:<44} {} (trouble {}, right {}, green {}; {}{quiet})",
            self.entry.name(),
            self.verdict(),
            seconds(self.seen.trouble),
            seconds(self.seen.right),
            seconds(self.recovered),
            self.events(),
        )
    }

    pub(crate) fn to_json(&self) -> Value {
        let names = |roots: &[Named]| roots.iter().map(|names| json!(names)).collect::<Vec<_>>();
        let baselines: serde_json::Map<String, Value> = NAMES
            .iter()
            .zip(self.seen.baselines.iter().zip(self.baselines))
            .map(|(name, (roots, (top1, exact)))| {
                ((*name).to_owned(), json!({ "roots": names(roots), "top1": top1, "exact": exact }))
            })
            .collect();
        let roots = self.seen.roots.iter().map(|r| json!({ "node": r.node, "confidence": r.confidence }));
        let time = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        let verdicts = self.seen.verdicts.iter().map(|(at, roots)| json!([at.as_secs_f64(), roots]));
        json!({
            "fault": self.entry.name(), "what": self.entry.what, "expected_root": self.entry.truth,
            "verdict": roots.collect::<Vec<_>>(), "verdicts": verdicts.collect::<Vec<_>>(), "top1": self.top1, "exact": self.exact,
            "is_edge": self.entry.is_edge(), "edge_named": self.edge_named(),
            "trouble_s": time(self.seen.trouble), "right_s": time(self.seen.right),
            "green_s": time(self.recovered), "messages": self.messages.len(), "events": self.events(),
            "quiet": self.quiet(), "recorded": self.recorded, "baselines": baselines,
        })
    }
}

/// `4.2 s`, or a dash.
pub(crate) fn seconds(time: Option<Duration>) -> String {
    time.map_or_else(|| "–".to_owned(), |time| format!("{:.1} s", time.as_secs_f64()))
}
