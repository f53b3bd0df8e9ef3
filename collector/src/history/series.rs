//! A node's signals over time, at the resolution that fits.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Row as _};

use super::points::{self, Point};
use super::{History, HistoryError, Window, timestamp};
use crate::store::upkeep::{KEPT, STEPS};

/// Rows read for one question, at most.
const MAX_ROWS: i64 = 50_000;
/// Between two looks, about: what tier 0 has as its step.
const LOOK_MS: i64 = 3_000;

/// Signals of one node within a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// How long each point is.
    pub step: Duration,
    /// By signal, oldest first: when the point begins, and what it is. Where nothing was seen there is none.
    pub signals: BTreeMap<String, Vec<(Timestamp, Point)>>,
}

impl History {
    /// The signals of `node` within `window`, in about `points` points each; `now` tells which resolutions are still
    /// there.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn series(
        &self,
        node: &str,
        window: Window,
        points: u32,
        now: Timestamp,
    ) -> Result<Series, HistoryError> {
        self.series_of(&[node], window, points, now).await
    }

    /// The same of several nodes together: a point holds the values of all of them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn series_of(
        &self,
        nodes: &[&str],
        window: Window,
        points: u32,
        now: Timestamp,
    ) -> Result<Series, HistoryError> {
        let length = (window.to - window.from).max(1);
        let wanted = (length / i64::from(points.max(1))).max(LOOK_MS);
        let age = now.as_millisecond() - window.from;
        // The coarsest tier that is fine enough, unless the window begins before its rows do.
        let fitting = (0..STEPS.len()).rev().find(|tier| STEPS[*tier] <= wanted).unwrap_or(0);
        let tier = (fitting..STEPS.len()).find(|tier| age <= KEPT[*tier]).unwrap_or(STEPS.len() - 1);
        let step = wanted.max(STEPS[tier]);
        let step = if STEPS[tier] > 0 { step.div_euclid(STEPS[tier]) * STEPS[tier] } else { step };
        self.timed(self.collect(nodes, window, tier, step)).await
    }

    async fn collect(
        &self,
        nodes: &[&str],
        window: Window,
        tier: usize,
        step: i64,
    ) -> Result<Series, HistoryError> {
        let step_out = Duration::from_millis(step.unsigned_abs());
        let mut numbers: Vec<i64> = Vec::with_capacity(nodes.len());
        for node in nodes {
            let number = sqlx::query("SELECT id FROM series_names WHERE name = $1")
                .bind(*node)
                .fetch_optional(&self.pool)
                .await?;
            if let Some(number) = number {
                numbers.push(number.try_get(0)?);
            }
        }
        if numbers.is_empty() {
            return Ok(Series { step: step_out, signals: BTreeMap::new() });
        }
        // Numbers of this program's own, written out: the two databases agree on no way to bind a list.
        let among: Vec<String> = numbers.iter().map(i64::to_string).collect();
        let question = format!(
            "SELECT at_ms, body FROM series WHERE node IN ({}) AND tier = $1 AND at_ms >= $2 AND at_ms < $3 \
             ORDER BY at_ms LIMIT $4",
            among.join(", ")
        );
        let mut marks = [i64::MAX, 0, 0, 0];
        for row in sqlx::query("SELECT tier, upto_ms FROM series_marks").fetch_all(&self.pool).await? {
            let tier: i64 = row.try_get(0)?;
            if let Some(mark) = usize::try_from(tier).ok().and_then(|tier| marks.get_mut(tier)) {
                *mark = row.try_get(1)?;
            }
        }
        let mut found: BTreeMap<i64, BTreeMap<i64, Point>> = BTreeMap::new();
        // The bucket in which the window begins belongs to it.
        let mut from = window.from - window.from.rem_euclid(STEPS[tier].max(1));
        // What a tier does not have yet, the finer ones have.
        for tier in (0..=tier).rev() {
            let to = window.to.min(marks[tier]);
            if to <= from {
                continue;
            }
            let rows = sqlx::query(AssertSqlSafe(question.clone()))
                .bind(i64::try_from(tier).unwrap_or(0))
                .bind(from)
                .bind(to)
                .bind(MAX_ROWS)
                .fetch_all(&self.pool)
                .await?;
            for row in rows {
                let at: i64 = row.try_get(0)?;
                let bucket = at - at.rem_euclid(step);
                for (signal, point) in points::read(row.try_get::<&str, _>(1)?) {
                    let buckets = found.entry(signal).or_default();
                    buckets.entry(bucket).and_modify(|sum| *sum = sum.with(point)).or_insert(point);
                }
            }
            from = to;
        }
        let mut signals = BTreeMap::new();
        for (signal, buckets) in found {
            let name = sqlx::query("SELECT name FROM series_names WHERE id = $1")
                .bind(signal)
                .fetch_optional(&self.pool)
                .await?;
            let Some(name) = name else { continue };
            let points = buckets.into_iter().map(|(at, point)| (timestamp(at), point)).collect();
            signals.insert(name.try_get(0)?, points);
        }
        Ok(Series { step: step_out, signals })
    }
}
