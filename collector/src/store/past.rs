//! Writing what was: looks with their signals, and when the monitor was watching at all.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use jiff::Timestamp;
use sqlx::{Any, AnyConnection, AnyPool, QueryBuilder, Row as _};
use topology::model::Model;

use super::StoreError;
use crate::history::AuditEntry;
use crate::history::points::{self, Point, Row};

/// Looks held while the database is away, at most; then the oldest go.
const MAX_HELD_LOOKS: usize = 200_000;
/// Values of curves held meanwhile.
const MAX_HELD_POINTS: usize = 100_000;
/// Lines of the audit log held meanwhile.
const MAX_HELD_LINES: usize = 10_000;
/// Values of one curve read back after a restart, at most.
const MAX_RESTORED: i64 = 200_000;
/// Signals kept of one look.
const MAX_SIGNALS: usize = 64;
/// Rows in one statement: four values each, far below what either database takes.
const ROWS_AT_ONCE: usize = 200;
/// Names of nodes and signals, at most: a target that invents signals does not fill the database.
const MAX_NAMES: usize = 50_000;

/// One look at an instance, as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct LookRow {
    /// The instance.
    pub node: String,
    /// When it was answered.
    pub at: Timestamp,
    /// What it measured, in base units.
    pub signals: Vec<(String, f64)>,
}

/// What a batch holds of the past.
#[derive(Debug, Default)]
pub(crate) struct Past {
    pub(crate) looks: Vec<LookRow>,
    /// The monitor was watching from here to there; several when there was a gap.
    pub(crate) watched: BTreeMap<i64, i64>,
    pub(crate) curves: Vec<(String, i64, f64)>,
    pub(crate) audit: Vec<AuditEntry>,
}

impl Past {
    pub(crate) fn is_empty(&self) -> bool {
        self.looks.is_empty() && self.watched.is_empty() && self.curves.is_empty() && self.audit.is_empty()
    }

    pub(crate) fn append(&mut self, later: Self) {
        self.looks.extend(later.looks);
        let surplus = self.looks.len().saturating_sub(MAX_HELD_LOOKS);
        self.looks.drain(..surplus);
        self.watched.extend(later.watched);
        self.curves.extend(later.curves);
        self.curves.drain(..self.curves.len().saturating_sub(MAX_HELD_POINTS));
        self.audit.extend(later.audit);
        // The first ones stay: whoever floods it does not push out what came before.
        self.audit.truncate(MAX_HELD_LINES);
    }

    /// The newest moment in it.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.watched.values().copied().max()
    }
}

/// The numbers of names, as far as they were met.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    known: HashMap<String, i64>,
    loaded: bool,
}

impl Numbers {
    /// The number of `name`, given now if it has none; none when there are too many names.
    pub(crate) async fn of(&mut self, tx: &mut AnyConnection, name: &str) -> Result<Option<i64>, StoreError> {
        if !self.loaded {
            for row in sqlx::query("SELECT id, name FROM series_names").fetch_all(&mut *tx).await? {
                self.known.insert(row.try_get(1)?, row.try_get(0)?);
            }
            self.loaded = true;
        }
        if let Some(number) = self.known.get(name) {
            return Ok(Some(*number));
        }
        if self.known.len() >= MAX_NAMES {
            return Ok(None);
        }
        let number = self.known.values().max().copied().unwrap_or(0) + 1;
        sqlx::query("INSERT INTO series_names (id, name) VALUES ($1, $2)")
            .bind(number)
            .bind(name)
            .execute(&mut *tx)
            .await?;
        self.known.insert(name.to_owned(), number);
        Ok(Some(number))
    }
}

/// Writes looks, and how far the monitor has been watching.
pub(super) async fn write(
    tx: &mut AnyConnection,
    past: &Past,
    numbers: &mut Numbers,
) -> Result<(), StoreError> {
    for (start, end) in &past.watched {
        sqlx::query(
            "INSERT INTO watched (start_ms, end_ms) VALUES ($1, $2) \
             ON CONFLICT (start_ms) DO UPDATE SET end_ms = excluded.end_ms",
        )
        .bind(*start)
        .bind(*end)
        .execute(&mut *tx)
        .await?;
    }
    for (curve, at, value) in &past.curves {
        sqlx::query(
            "INSERT INTO curve_points (curve, at_ms, value) VALUES ($1, $2, $3) \
             ON CONFLICT (curve, at_ms) DO UPDATE SET value = excluded.value",
        )
        .bind(curve.as_str())
        .bind(*at)
        .bind(value.to_string())
        .execute(&mut *tx)
        .await?;
    }
    super::access::write_audit(tx, &past.audit).await?;
    let mut rows = Vec::with_capacity(past.looks.len());
    for look in &past.looks {
        let Some(node) = numbers.of(tx, &look.node).await? else { continue };
        let mut row = Row::new();
        for (signal, value) in look.signals.iter().take(MAX_SIGNALS).filter(|(_, value)| value.is_finite()) {
            if let Some(signal) = numbers.of(tx, signal).await? {
                points::add(&mut row, signal, Point::of(*value));
            }
        }
        rows.push((0, node, look.at.as_millisecond(), points::write(&row)));
    }
    insert(tx, &rows).await
}

/// Adds rows `(tier, node, at_ms, body)`.
pub(super) async fn insert(
    tx: &mut AnyConnection,
    rows: &[(i64, i64, i64, String)],
) -> Result<(), StoreError> {
    for part in rows.chunks(ROWS_AT_ONCE) {
        let mut query: QueryBuilder<Any> =
            QueryBuilder::new("INSERT INTO series (tier, node, at_ms, body) VALUES ");
        // Numbered by hand: the builder's own placeholders are those of one database.
        let mut text = String::new();
        for i in 0..part.len() {
            let n = i * 4;
            let comma = if i == 0 { "" } else { ", " };
            let _done = write!(text, "{comma}(${}, ${}, ${}, ${})", n + 1, n + 2, n + 3, n + 4);
        }
        query.push(text);
        let mut statement = query.build();
        for (tier, node, at, body) in part {
            statement = statement.bind(*tier).bind(*node).bind(*at).bind(body.as_str());
        }
        statement.execute(&mut *tx).await?;
    }
    Ok(())
}

/// The values of the curves of `model`, the newest of each, oldest first.
pub(super) async fn curves(
    pool: &AnyPool,
    model: &Model,
) -> Result<Vec<(String, Timestamp, f64)>, StoreError> {
    let mut all = Vec::new();
    for curve in &model.curves {
        let query = "SELECT at_ms, value FROM curve_points WHERE curve = $1 ORDER BY at_ms DESC LIMIT $2";
        let rows = sqlx::query(query).bind(curve.name.as_str()).bind(MAX_RESTORED).fetch_all(pool).await?;
        for row in rows.iter().rev() {
            let at = Timestamp::from_millisecond(row.try_get(0)?);
            if let (Ok(at), Ok(value)) = (at, row.try_get::<&str, _>(1)?.parse()) {
                all.push((curve.name.clone(), at, value));
            }
        }
    }
    Ok(all)
}
