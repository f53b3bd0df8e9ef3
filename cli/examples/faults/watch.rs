//! What the board says while something is broken.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::baseline::{self, Named};
use crate::board::{Board, Suspect};
use crate::stage::Stage;

/// How often the board is asked.
const EVERY: Duration = Duration::from_millis(100);

/// What was seen of one fault.
#[derive(Debug)]
pub(crate) struct Seen {
    /// From the fault to the first confirmed trouble on the board.
    pub(crate) trouble: Option<Duration>,
    /// From the fault to the moment from which on the verdict was right to the end.
    pub(crate) right: Option<Duration>,
    /// The roots in the end.
    pub(crate) roots: Vec<Suspect>,
    /// Each verdict on the way there, and when it came.
    pub(crate) verdicts: Vec<(Duration, Vec<String>)>,
    /// The one named first in the end.
    pub(crate) first: Option<String>,
    /// The incident that is open in the end.
    pub(crate) incident: Option<String>,
    /// What the simpler rules say in the end.
    pub(crate) baselines: [Vec<Named>; 3],
}

/// Whether these roots are the truth and nothing else.
pub(crate) fn is_exact(roots: &[Suspect], truth: &[Vec<String>]) -> bool {
    let named: Vec<Named> = roots.iter().map(|root| Named::from([root.node.clone()])).collect();
    baseline::judge(&named, truth).1
}

/// Watches until a verdict has stood unchanged for `stand`, right or wrong, or for `patience` when there is none.
pub(crate) async fn watch(
    stage: &Stage,
    began: Instant,
    stand: Duration,
    patience: Duration,
    truth: &[Vec<String>],
) -> Result<Seen> {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let (mut trouble, mut right, mut first_bad) = (None, None, None);
    let mut verdicts: Vec<(Duration, Vec<String>)> = Vec::new();
    loop {
        ticks.tick().await;
        let board: Board = stage.board().await?;
        let now = began.elapsed();
        if board.is_unwell() {
            trouble = trouble.or(Some(now));
        }
        if first_bad.is_none() {
            let bad = board.instances.iter().find(|one| one.level == "red" || one.level == "yellow");
            first_bad = bad.map(|one| one.name.clone());
        }
        let roots = board.roots();
        right = if is_exact(&roots, truth) && trouble.is_some() { right.or(Some(now)) } else { None };
        let mut names: Vec<String> = roots.iter().map(|root| root.node.clone()).collect();
        names.sort();
        if verdicts.last().is_none_or(|(_, stood)| *stood != names) {
            verdicts.push((now, names));
        }
        let stood = verdicts.last().is_some_and(|(since, names)| !names.is_empty() && now >= *since + stand);
        if stood || now >= patience {
            return Ok(Seen {
                trouble,
                right,
                first: board.first_suspect().map(|suspect| suspect.node),
                incident: board.incidents.first().map(|incident| incident.id.clone()),
                baselines: baseline::all(&board, first_bad.as_deref()),
                roots,
                verdicts,
            });
        }
    }
}
