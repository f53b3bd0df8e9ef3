//! Levels as they were, and when they changed.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use serde_json::from_str;
use sqlx::Row as _;
use sqlx::any::AnyRow;
use topology::level::{Health, Level};
use topology::text::Text;

use super::{History, HistoryError, SPAN_SLACK_MS, Window, timestamp};
use crate::remember::SAID_AGAIN_EVERY;
use crate::store::{LevelDetail, health_of, level_of};

/// Levels are said again every six hours; a locked database may hold the writer up for some more.
const LOOK_BACK_MS: i64 = SAID_AGAIN_EVERY.as_millis() as i64 + 15 * 60_000;
/// Changes read for one question, at most.
const MAX_CHANGES: i64 = 300_000;

/// A node's level at some moment.
#[derive(Clone, Debug, PartialEq)]
pub struct PastLevel {
    /// The level with its kind of yellow.
    pub health: Health,
    /// Of a component: from its own instances only.
    pub own: Health,
    /// Its own level was bad, and this one's doing.
    pub explained_by: Option<String>,
    /// Of a component: the dependencies that carried what it inherited.
    pub inherited_from: Vec<String>,
    /// Since when.
    pub since: Timestamp,
    /// What was wrong; empty when nothing was.
    pub words: Text,
    /// The same in a word.
    pub short: Text,
    /// Held at its worst level.
    pub flapping: bool,
}

impl PastLevel {
    /// True when it was red by its own doing: neither inherited nor another's doing.
    pub fn is_red_itself(&self) -> bool {
        self.own == Health::Red && self.explained_by.is_none()
    }
}

/// The levels of all nodes at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PastLevels {
    /// The monitor was watching then. Without that every level is unknown.
    pub watched: bool,
    /// By name; who is not in it was not seen.
    pub nodes: BTreeMap<String, PastLevel>,
}

/// A change of level.
#[derive(Clone, Debug, PartialEq)]
pub struct PastChange {
    /// Component or instance.
    pub node: String,
    /// When.
    pub at: Timestamp,
    /// From then on.
    pub level: PastLevel,
}

impl History {
    /// The levels of all nodes at a moment.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn levels_at(&self, at: Timestamp) -> Result<PastLevels, HistoryError> {
        let at = at.as_millisecond();
        self.timed(async {
            let span = sqlx::query(
                "SELECT start_ms, end_ms FROM watched WHERE start_ms <= $1 ORDER BY start_ms DESC LIMIT 1",
            )
            .bind(at)
            .fetch_optional(&self.pool)
            .await?;
            let Some(span) = span else { return Ok(PastLevels::default()) };
            let (start, end): (i64, i64) = (span.try_get(0)?, span.try_get(1)?);
            if at > end + SPAN_SLACK_MS {
                return Ok(PastLevels::default());
            }
            let from = start.max(at - LOOK_BACK_MS);
            let mut rows = sqlx::query(
                "SELECT node, at_ms, level, words, detail FROM level_changes \
                 WHERE at_ms >= $1 AND at_ms <= $2 ORDER BY at_ms LIMIT $3",
            )
            .bind(from)
            .bind(at)
            .bind(MAX_CHANGES)
            .fetch(&self.pool);
            let mut nodes = BTreeMap::new();
            while let Some(row) = rows.try_next().await? {
                let change = change(&row)?;
                nodes.insert(change.node, change.level);
            }
            Ok(PastLevels { watched: true, nodes })
        })
        .await
    }

    /// What changed in `window`, oldest first, of all nodes or of one; the oldest `limit` of them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn changes(
        &self,
        window: Window,
        node: Option<&str>,
        limit: u32,
    ) -> Result<Vec<PastChange>, HistoryError> {
        self.timed(async {
            let query = match node {
                Some(_) => {
                    "SELECT node, at_ms, level, words, detail FROM level_changes \
                     WHERE at_ms >= $1 AND at_ms < $2 AND again = 0 AND node = $4 ORDER BY at_ms LIMIT $3"
                }
                None => {
                    "SELECT node, at_ms, level, words, detail FROM level_changes \
                     WHERE at_ms >= $1 AND at_ms < $2 AND again = 0 ORDER BY at_ms LIMIT $3"
                }
            };
            let mut query = sqlx::query(query).bind(window.from).bind(window.to).bind(i64::from(limit));
            if let Some(node) = node {
                query = query.bind(node.to_owned());
            }
            query.fetch_all(&self.pool).await?.iter().map(change).collect()
        })
        .await
    }

    /// All that was said of the levels of `nodes` (of all, when there are none) from so long before `window` that
    /// the level at its beginning is among it.
    pub(super) async fn said(
        &self,
        window: Window,
        nodes: &[&str],
    ) -> Result<BTreeMap<String, Vec<PastChange>>, HistoryError> {
        let from = window.from - LOOK_BACK_MS;
        let mut said: BTreeMap<String, Vec<PastChange>> = BTreeMap::new();
        if nodes.is_empty() {
            let mut rows = sqlx::query(
                "SELECT node, at_ms, level, words, detail FROM level_changes \
                 WHERE at_ms >= $1 AND at_ms < $2 ORDER BY at_ms LIMIT $3",
            )
            .bind(from)
            .bind(window.to)
            .bind(MAX_CHANGES)
            .fetch(&self.pool);
            while let Some(row) = rows.try_next().await? {
                let change = change(&row)?;
                said.entry(change.node.clone()).or_default().push(change);
            }
            return Ok(said);
        }
        for node in nodes {
            let rows = sqlx::query(
                "SELECT node, at_ms, level, words, detail FROM level_changes \
                 WHERE node = $1 AND at_ms >= $2 AND at_ms < $3 ORDER BY at_ms LIMIT $4",
            )
            .bind(*node)
            .bind(from)
            .bind(window.to)
            .bind(MAX_CHANGES)
            .fetch_all(&self.pool)
            .await?;
            let changes: Result<Vec<PastChange>, HistoryError> = rows.iter().map(change).collect();
            said.insert((*node).to_owned(), changes?);
        }
        Ok(said)
    }
}

fn change(row: &AnyRow) -> Result<PastChange, HistoryError> {
    let at_ms: i64 = row.try_get(1)?;
    let (level, words, detail): (&str, &str, &str) = (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
    // Rows of earlier versions have no detail.
    let detail: LevelDetail = from_str(detail).unwrap_or_default();
    let plain = match level_of(level) {
        Level::Green => Health::Green,
        Level::Yellow => Health::Impaired,
        Level::Red => Health::Red,
        Level::Unknown => Health::Unknown,
        Level::Paused => Health::Paused,
    };
    let known = |word: &str| if word.is_empty() { plain } else { health_of(word) };
    let level = PastLevel {
        health: known(&detail.health),
        own: known(&detail.own),
        explained_by: detail.explained_by,
        inherited_from: detail.inherited_from,
        since: timestamp(if detail.since_ms == 0 { at_ms } else { detail.since_ms }),
        words: Text::new(words, detail.zh),
        short: Text::new(detail.short.0, detail.short.1),
        flapping: detail.flapping,
    };
    Ok(PastChange { node: row.try_get(0)?, at: timestamp(at_ms), level })
}
