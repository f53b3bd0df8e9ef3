//! `audit`: every accepted order followed to the end. Accepted is what a client was told so, and also what
//! stands in a shard although its client heard nothing.

mod follow;
mod read;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use self::follow::{Finding, Judgement};
use self::read::Books;
use crate::clock;
use crate::deployment::Deployment;
use crate::output::say;

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Ready later than this after it was accepted is late.
const LATE: Duration = Duration::from_secs(30);
/// Of each kind, this many are shown.
const SHOWN: usize = 5;

/// What an audit came to, in numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) orders: usize,
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
    /// Until the last order that was on its way had arrived.
    pub(crate) waited: Duration,
}

impl Outcome {
    pub(crate) fn is_clean(self) -> bool {
        self.lost == 0 && self.doubled == 0
    }
}

/// Exit status 0 when nothing is lost and nothing doubled.
pub(crate) async fn audit(dir: &Path, wait: Duration, as_json: bool) -> Result<u8> {
    let (judgement, waited) = judge(dir, wait).await?;
    if as_json {
        say(serde_json::to_string_pretty(&to_json(&judgement, waited))?);
    } else {
        say(text(&judgement));
    }
    Ok(u8::from(!judgement.waiting.is_empty() || !judgement.doubled.is_empty()))
}

/// The same for whoever tells it in its own words.
pub(crate) async fn follow(dir: &Path, wait: Duration) -> Result<Outcome> {
    let (judgement, waited) = judge(dir, wait).await?;
    let Judgement { orders, waiting, doubled, .. } = judgement;
    Ok(Outcome { orders, lost: waiting.len(), doubled: doubled.len(), waited })
}

async fn judge(dir: &Path, wait: Duration) -> Result<(Judgement, Duration)> {
    let books = Books::new(Deployment::require(dir)?)?;
    let began = clock::now();
    let mut orders = None;
    let judgement = loop {
        let is_over = clock::now() - began >= wait;
        match books.read().await {
            Ok(facts) => {
                let orders = orders.get_or_insert_with(|| facts.orders());
                let judgement = facts.judge(orders, LATE.as_millis() as i64);
                if judgement.waiting.is_empty() || is_over {
                    break judgement;
                }
            }
            // Whatever cannot be read now may be readable in a moment.
            Err(error) if is_over => return Err(error),
            Err(_) => {}
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    Ok((judgement, clock::now() - began))
}

fn text(judgement: &Judgement) -> String {
    let Judgement { orders, waiting, doubled, late } = judgement;
    let mut text = format!(
        "{orders} orders: {} lost, {} doubled, {} late (ready more than {} s after they were accepted)",
        waiting.len(),
        doubled.len(),
        late.len(),
        LATE.as_secs()
    );
    for (kind, list) in [("lost", waiting), ("doubled", doubled), ("late", late)] {
        for Finding { id, words } in list.iter().take(SHOWN) {
            let id = if *id == 0 { String::new() } else { format!("{id} ") };
            write!(text, "\n{kind:>8}: {id}{words}").ok();
        }
        if list.len() > SHOWN {
            write!(text, "\n{kind:>8}: and {} more", list.len() - SHOWN).ok();
        }
    }
    text
}

fn to_json(judgement: &Judgement, waited: Duration) -> Value {
    let first = |list: &[Finding]| -> Vec<Value> {
        list.iter().take(SHOWN).map(|found| json!({ "id": found.id, "words": found.words })).collect()
    };
    json!({
        "orders": judgement.orders,
        "lost": judgement.waiting.len(), "doubled": judgement.doubled.len(), "late": judgement.late.len(),
        "late_after_s": LATE.as_secs(), "waited_s": waited.as_secs_f64(),
        "first_lost": first(&judgement.waiting),
        "first_doubled": first(&judgement.doubled),
        "first_late": first(&judgement.late),
    })
}
