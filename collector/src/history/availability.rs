//! For how much of a stretch of time a node served, whose fault it was when it did not, and how much of it was seen.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use topology::level::Health;

use super::levels::{PastChange, PastLevel};
use super::{History, HistoryError, Window, timestamp};

/// How long a node was how, within a window. Time that nobody saw is in none of the parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// Green.
    pub green: Duration,
    /// Yellow, either kind.
    pub yellow: Duration,
    /// Red by its own doing.
    pub red_own: Duration,
    /// Red by another's doing.
    pub red_inherited: Duration,
    /// In maintenance: counted neither way.
    pub paused: Duration,
}

impl Stretch {
    /// Time that counts: seen, and not in maintenance.
    pub fn known(&self) -> Duration {
        self.green + self.yellow + self.red()
    }

    /// Red, by whomever.
    pub fn red(&self) -> Duration {
        self.red_own + self.red_inherited
    }

    /// Share of the known time in which it was not red; none when nothing is known.
    pub fn availability(&self) -> Option<f64> {
        let known = self.known().as_secs_f64();
        (known > 0.0).then(|| 1.0 - self.red().as_secs_f64() / known)
    }
}

/// A node's time within a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Availability {
    /// Component or instance.
    pub node: String,
    /// Its parts.
    pub time: Stretch,
    /// Share of the window that was seen (maintenance included): beside every figure, since what was not seen is
    /// no evidence.
    pub coverage: f64,
    /// Times it went red.
    pub outages: u32,
}

/// A level and how long it stood, within a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// From when on.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// The level.
    pub level: PastLevel,
}

impl History {
    /// How the levels of `node` went on within `window`, oldest first. Time that nobody watched is in no piece.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn course(&self, node: &str, window: Window) -> Result<Vec<Piece>, HistoryError> {
        let spans = self.watched(window).await?;
        let starts = self.starts(window).await?;
        let said = self.timed(self.said(window, &[node])).await?;
        let changes = said.get(node).map_or(&[][..], Vec::as_slice);
        let piece = |(from, to, change): (i64, i64, &PastChange)| Piece {
            from: timestamp(from),
            to: timestamp(to),
            level: change.level.clone(),
        };
        Ok(pieces(changes, &spans, &starts).into_iter().map(piece).collect())
    }

    /// The time of `nodes` within `window`; of all nodes, when none is named.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn availability(
        &self,
        window: Window,
        nodes: &[&str],
    ) -> Result<Vec<Availability>, HistoryError> {
        let spans = self.watched(window).await?;
        // The spans as they began: what was said before one began says nothing in it.
        let starts = self.starts(window).await?;
        let said = self.timed(self.said(window, nodes)).await?;
        Ok(said.into_iter().map(|(node, changes)| tally(node, &changes, &spans, &starts, window)).collect())
    }

    /// When each span that reaches into `window` began in truth.
    async fn starts(&self, window: Window) -> Result<BTreeMap<i64, i64>, HistoryError> {
        use sqlx::Row as _;
        self.timed(async {
            let rows = sqlx::query(
                "SELECT start_ms FROM watched WHERE start_ms < $1 AND end_ms > $2 ORDER BY start_ms",
            )
            .bind(window.to)
            .bind(window.from)
            .fetch_all(&self.pool)
            .await?;
            let mut starts = BTreeMap::new();
            for row in rows {
                let start: i64 = row.try_get(0)?;
                starts.insert(start.max(window.from), start);
            }
            Ok(starts)
        })
        .await
    }
}

/// What was said last, from when to when, within the spans.
fn pieces<'c>(
    changes: &'c [PastChange],
    spans: &[Window],
    starts: &BTreeMap<i64, i64>,
) -> Vec<(i64, i64, &'c PastChange)> {
    let mut pieces = Vec::new();
    for span in spans {
        let began = starts.get(&span.from).copied().unwrap_or(span.from);
        let first = changes.partition_point(|change| change.at.as_millisecond() < began);
        let mut now: Option<&PastChange> = None;
        let mut from = span.from;
        for change in &changes[first..] {
            let at = change.at.as_millisecond();
            if at >= span.to {
                break;
            }
            if at > from {
                pieces.extend(now.map(|now| (from, at, now)));
                from = at;
            }
            now = Some(change);
        }
        if from < span.to {
            pieces.extend(now.map(|now| (from, span.to, now)));
        }
    }
    pieces
}

/// Adds up what was said within the spans.
pub(super) fn tally(
    node: String,
    changes: &[PastChange],
    spans: &[Window],
    starts: &BTreeMap<i64, i64>,
    window: Window,
) -> Availability {
    let mut time = Stretch::default();
    let mut seen = Duration::ZERO;
    let mut outages = 0;
    let mut was_red = false;
    for (from, to, change) in pieces(changes, spans, starts) {
        let health = change.level.health;
        let part = match health {
            Health::Green => &mut time.green,
            Health::AtRisk | Health::Impaired => &mut time.yellow,
            Health::Red if change.level.is_red_itself() => &mut time.red_own,
            Health::Red => &mut time.red_inherited,
            Health::Paused => &mut time.paused,
            Health::Unknown => continue,
        };
        let length = Duration::from_millis((to - from).unsigned_abs());
        *part += length;
        seen += length;
        // What was red when the window began went red before.
        let red = health == Health::Red;
        if red && !was_red && change.at.as_millisecond() >= window.from {
            outages += 1;
        }
        was_red = red;
    }
    let whole = window.length().as_secs_f64().max(f64::MIN_POSITIVE);
    Availability { node, time, coverage: (seen.as_secs_f64() / whole).min(1.0), outages }
}
