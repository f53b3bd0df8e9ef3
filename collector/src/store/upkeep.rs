//! What the writer does beside writing: rolls signals up by age, lets go what is old or too much, and gives room
//! back to the disk, all in small steps.

use std::collections::BTreeMap;

use sqlx::{AnyConnection, Row as _};

use super::past::{self};
use super::{Store, StoreError};
use crate::history::points::{self, Row};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How long a bucket of each tier is, in milliseconds; tier 0 are single looks.
pub const STEPS: [i64; 4] = [0, MINUTE, 10 * MINUTE, HOUR];
/// How long each tier is kept: looks an hour, minutes a day and a bit, ten minutes a week and a bit, hours a year.
pub const KEPT: [i64; 4] = [HOUR + 10 * MINUTE, DAY + 2 * HOUR, 8 * DAY, 400 * DAY];
/// Changes of level, incidents and the audit log are kept for a year and a bit.
const KEEP_EVENTS: i64 = 400 * DAY;
/// Values of curves: a week to compare with, and another to look at.
const KEEP_CURVES: i64 = 15 * DAY;
/// A bucket is rolled up this long after its end: looks that ended in it are written by then.
const GRACE: i64 = 10_000;
/// Buckets of one tier rolled up in one step.
const BUCKETS_AT_ONCE: usize = 20;
/// Rows let go in one statement.
const ROWS_AT_ONCE: i64 = 5_000;
/// Retention is looked at this often.
const RETENTION_EVERY: i64 = 5 * MINUTE;
/// Pages given back to the disk in one step: 4 MiB.
const VACUUM_PAGES: i64 = 1_024;

/// Bytes that a database may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Of the file, or of the tables in PostgreSQL.
    pub bytes: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: 500 << 20 }
    }
}

/// Where the upkeep stands.
#[derive(Debug, Default)]
pub struct Upkeep {
    budget: Budget,
    /// Up to where each tier is rolled up, once known.
    marks: Option<[i64; 4]>,
    looked_at: i64,
}

impl Upkeep {
    /// Keeps within `budget`.
    pub const fn new(budget: Budget) -> Self {
        Self { budget, marks: None, looked_at: 0 }
    }

    /// One step at `now` (Unix milliseconds): small, so that what is to be written waits little.
    ///
    /// # Errors
    /// When the database fails; nothing is lost by trying later.
    pub async fn step(&mut self, store: &Store, now: i64) -> Result<(), StoreError> {
        self.roll_up(store, now).await?;
        if now - self.looked_at >= RETENTION_EVERY {
            let marks = self.marks.unwrap_or_default();
            store.let_go_of_old(now, marks).await?;
            store.keep_within(self.budget, now, marks).await?;
            store.give_back().await?;
            self.looked_at = now;
        }
        Ok(())
    }

    async fn roll_up(&mut self, store: &Store, now: i64) -> Result<(), StoreError> {
        let mut marks = match self.marks {
            Some(marks) => marks,
            None => store.marks().await?,
        };
        self.marks = None;
        for tier in 1..STEPS.len() {
            let step = STEPS[tier];
            // A tier is made of the one below, as far as that is done.
            let limit = if tier == 1 { now - GRACE } else { marks[tier - 1].min(now) };
            let mut done = 0;
            while done < BUCKETS_AT_ONCE {
                if marks[tier] == 0 {
                    let Some(first) = store.first(tier - 1, 0).await? else { break };
                    marks[tier] = first - first.rem_euclid(step);
                }
                if marks[tier] + step > limit {
                    break;
                }
                let rows = store.roll_up(tier, marks[tier]).await?;
                marks[tier] += step;
                done += 1;
                // Nothing there: over the gap at once.
                if rows == 0 {
                    let next = store.first(tier - 1, marks[tier]).await?.unwrap_or(limit);
                    marks[tier] =
                        marks[tier].max((next - next.rem_euclid(step)).min(limit - limit.rem_euclid(step)));
                }
            }
        }
        self.marks = Some(marks);
        Ok(())
    }
}

impl Store {
    async fn marks(&self) -> Result<[i64; 4], StoreError> {
        let mut marks = [0; 4];
        for row in sqlx::query("SELECT tier, upto_ms FROM series_marks").fetch_all(&self.pool).await? {
            let tier: i64 = row.try_get(0)?;
            if let Some(mark) = usize::try_from(tier).ok().and_then(|tier| marks.get_mut(tier)) {
                *mark = row.try_get(1)?;
            }
        }
        Ok(marks)
    }

    /// The first row of a tier from `from` on.
    async fn first(&self, tier: usize, from: i64) -> Result<Option<i64>, StoreError> {
        let row =
            sqlx::query("SELECT at_ms FROM series WHERE tier = $1 AND at_ms >= $2 ORDER BY at_ms LIMIT 1")
                .bind(number(tier))
                .bind(from)
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Makes the bucket of `tier` that begins at `start` out of the tier below; how many rows it was made of.
    async fn roll_up(&self, tier: usize, start: i64) -> Result<usize, StoreError> {
        let end = start + STEPS[tier];
        let mut tx = self.pool.begin().await?;
        let mut nodes: BTreeMap<i64, Row> = BTreeMap::new();
        let found =
            sqlx::query("SELECT node, body FROM series WHERE tier = $1 AND at_ms >= $2 AND at_ms < $3")
                .bind(number(tier - 1))
                .bind(start)
                .bind(end)
                .fetch_all(&mut *tx)
                .await?;
        let rows = found.len();
        for row in found {
            let sum = nodes.entry(row.try_get(0)?).or_default();
            for (signal, point) in points::read(row.try_get::<&str, _>(1)?) {
                points::add(sum, signal, point);
            }
        }
        // Repeated after a crash between commit and answer, it is made once all the same.
        sqlx::query("DELETE FROM series WHERE tier = $1 AND at_ms = $2")
            .bind(number(tier))
            .bind(start)
            .execute(&mut *tx)
            .await?;
        let made: Vec<(i64, i64, i64, String)> =
            nodes.iter().map(|(node, row)| (number(tier), *node, start, points::write(row))).collect();
        past::insert(&mut tx, &made).await?;
        mark(&mut tx, tier, end).await?;
        tx.commit().await?;
        Ok(rows)
    }

    async fn let_go_of_old(&self, now: i64, marks: [i64; 4]) -> Result<(), StoreError> {
        for (tier, kept) in KEPT.iter().enumerate() {
            self.let_go_of_series(tier, (now - kept).min(rolled_up(tier, marks))).await?;
        }
        let queries = [
            ("DELETE FROM level_changes WHERE at_ms < $1", KEEP_EVENTS),
            ("DELETE FROM watched WHERE end_ms < $1", KEEP_EVENTS),
            ("DELETE FROM incidents WHERE state <> 'open' AND resolved_ms < $1", KEEP_EVENTS),
            ("DELETE FROM outbox WHERE delivered_ms IS NOT NULL AND delivered_ms < $1", KEEP_EVENTS),
            ("DELETE FROM audit WHERE at_ms < $1", KEEP_EVENTS),
            ("DELETE FROM curve_points WHERE at_ms < $1", KEEP_CURVES),
        ];
        for (query, kept) in queries {
            sqlx::query(query).bind(now - kept).execute(&self.pool).await?;
        }
        Ok(())
    }

    /// Lets rows of a tier go that are older than `before`, some at a time, so that nobody waits long.
    async fn let_go_of_series(&self, tier: usize, before: i64) -> Result<(), StoreError> {
        let mut before_now = match self.first(tier, 0).await? {
            Some(first) if first < before => first,
            _ => return Ok(()),
        };
        while before_now < before {
            let row =
                sqlx::query("SELECT at_ms FROM series WHERE tier = $1 ORDER BY at_ms LIMIT 1 OFFSET $2")
                    .bind(number(tier))
                    .bind(ROWS_AT_ONCE)
                    .fetch_optional(&self.pool)
                    .await?;
            let upto = match row {
                Some(row) => row.try_get::<i64, _>(0)?.max(before_now + 1).min(before),
                None => before,
            };
            sqlx::query("DELETE FROM series WHERE tier = $1 AND at_ms < $2")
                .bind(number(tier))
                .bind(upto)
                .execute(&self.pool)
                .await?;
            before_now = upto;
        }
        Ok(())
    }

    /// When it is too much, the finest signals go first, a tenth of what each tier keeps at a time; what was told
    /// and who was red stays longest.
    async fn keep_within(&self, budget: Budget, now: i64, marks: [i64; 4]) -> Result<(), StoreError> {
        for tenth in 1..=9 {
            for (tier, kept) in KEPT.iter().enumerate() {
                if self.size().await? <= budget.bytes {
                    return Ok(());
                }
                let before = now - kept + kept * tenth / 10;
                self.let_go_of_series(tier, before.min(rolled_up(tier, marks))).await?;
            }
        }
        if self.size().await? > budget.bytes {
            tracing::warn!(
                budget = budget.bytes,
                "history takes more than its budget although nearly all signals were let go"
            );
        }
        Ok(())
    }

    /// Bytes in use: pages of the file that are not free, or the tables with their indexes.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn size(&self) -> Result<u64, StoreError> {
        let query = if self.sqlite {
            "SELECT (p.page_count - f.freelist_count) * s.page_size \
             FROM pragma_page_count() p, pragma_freelist_count() f, pragma_page_size() s"
        } else {
            // Living rows at what one takes with its indexes (measured): a table does not shrink when rows go.
            "SELECT CAST(COALESCE(SUM(n_live_tup), 0) * 350 AS BIGINT) FROM pg_stat_user_tables \
             WHERE schemaname = current_schema()"
        };
        let size: i64 = sqlx::query(query).fetch_one(&self.pool).await?.try_get(0)?;
        Ok(size.unsigned_abs())
    }

    /// Gives free pages back to the disk, some at a time. PostgreSQL does that by itself.
    async fn give_back(&self) -> Result<(), StoreError> {
        if self.sqlite {
            let query = format!("PRAGMA incremental_vacuum({VACUUM_PAGES})");
            sqlx::query(sqlx::AssertSqlSafe(query)).execute(&self.pool).await?;
        }
        Ok(())
    }
}

async fn mark(tx: &mut AnyConnection, tier: usize, upto: i64) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO series_marks (tier, upto_ms) VALUES ($1, $2) \
         ON CONFLICT (tier) DO UPDATE SET upto_ms = excluded.upto_ms",
    )
    .bind(number(tier))
    .bind(upto)
    .execute(tx)
    .await?;
    Ok(())
}

/// Up to where the rows of `tier` are in the next coarser one: what is not stays.
fn rolled_up(tier: usize, marks: [i64; 4]) -> i64 {
    marks.get(tier + 1).copied().unwrap_or(i64::MAX)
}

fn number(tier: usize) -> i64 {
    i64::try_from(tier).unwrap_or(i64::MAX)
}
