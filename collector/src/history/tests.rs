//! Rolled up, kept within bounds, and asked for again.

use super::*;
use crate::store::upkeep::{Budget, STEPS, Upkeep};
use crate::store::{Batch, LookRow};

const START: i64 = 1_700_000_000_000 - 1_700_000_000_000 % 3_600_000;

fn at(ms: i64) -> Timestamp {
    timestamp(START + ms)
}

async fn database(dir: &tempfile::TempDir) -> Store {
    Store::open(&format!("sqlite://{}", dir.path().join("past.db").display())).await.unwrap()
}

/// A look at `db-1` every three seconds in `range` (seconds), whose latency is the second's number.
async fn looks(store: &Store, range: std::ops::Range<i64>) {
    let mut batch = Batch::default();
    for second in range.step_by(3) {
        batch.look(LookRow {
            node: "db-1".to_owned(),
            at: at(second * 1_000),
            signals: vec![("latency_seconds".to_owned(), second as f64)],
        });
    }
    store.write(&batch).await.unwrap();
}

async fn roll_up(store: &Store, upkeep: &mut Upkeep, now: i64) {
    for _ in 0..20 {
        upkeep.step(store, START + now).await.unwrap();
    }
}

async fn rows(store: &Store, tier: i64) -> i64 {
    let query = "SELECT COUNT(*) FROM series WHERE tier = $1";
    sqlx::query(query).bind(tier).fetch_one(store.pool()).await.unwrap().try_get(0).unwrap()
}

#[tokio::test]
async fn signals_are_rolled_up_by_age_and_keep_their_extremes() {
    let dir = tempfile::tempdir().unwrap();
    let store = database(&dir).await;
    looks(&store, 0..7_200).await;
    roll_up(&store, &mut Upkeep::default(), 7_260_000).await;
    assert_eq!((rows(&store, 1).await, rows(&store, 2).await, rows(&store, 3).await), (120, 12, 2));
    let history = History::of(&store);
    let window = Window::new(at(0), at(7_200_000)).unwrap();
    let series = history.series("db-1", window, 2, at(7_260_000)).await.unwrap();
    let hours = &series.signals["latency_seconds"];
    assert_eq!(series.step, Duration::from_hours(1));
    assert_eq!(hours[1].0, at(3_600_000));
    let Point { count, min, mean, max } = hours[1].1;
    assert_eq!((count, min, max), (1200, 3600.0, 7197.0));
    assert!((mean - 5398.5).abs() < 0.5, "{mean}");
}

#[tokio::test]
async fn a_restart_in_the_middle_of_a_bucket_loses_nothing_and_doubles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = database(&dir).await;
    looks(&store, 0..330).await;
    roll_up(&store, &mut Upkeep::default(), 331_000).await;
    drop(store);
    let store = database(&dir).await;
    looks(&store, 330..660).await;
    roll_up(&store, &mut Upkeep::default(), 680_000).await;
    let series = History::of(&store)
        .series("db-1", Window::new(at(0), at(660_000)).unwrap(), 11, at(680_000))
        .await
        .unwrap();
    let counts: Vec<u64> = series.signals["latency_seconds"].iter().map(|(_, point)| point.count).collect();
    assert_eq!(counts, [20; 11]);
    assert_eq!(rows(&store, 2).await, 1);
}

#[tokio::test]
async fn what_a_coarse_tier_has_not_yet_comes_from_the_finer_ones() {
    let dir = tempfile::tempdir().unwrap();
    let store = database(&dir).await;
    looks(&store, 0..5_000).await;
    roll_up(&store, &mut Upkeep::default(), 5_000_000).await;
    let window = Window::new(at(0), at(5_000_000)).unwrap();
    let series = History::of(&store).series("db-1", window, 8, at(5_000_000)).await.unwrap();
    let total: u64 = series.signals["latency_seconds"].iter().map(|(_, point)| point.count).sum();
    assert_eq!((series.step, total), (Duration::from_mins(10), 1667));
}

#[tokio::test]
async fn a_gap_of_months_is_stepped_over() {
    let dir = tempfile::tempdir().unwrap();
    let store = database(&dir).await;
    let mut upkeep = Upkeep::default();
    looks(&store, 0..600).await;
    roll_up(&store, &mut upkeep, 700_000).await;
    let later = 90 * 86_400;
    looks(&store, later..later + 600).await;
    roll_up(&store, &mut upkeep, (later + 700) * 1_000).await;
    assert_eq!(rows(&store, 1).await, 20 - 10, "the old minutes are gone, the new ones are there");
    assert_eq!(rows(&store, 2).await, 1);
}

#[tokio::test]
async fn lesson_18_history_has_an_age_and_a_size() {
    let dir = tempfile::tempdir().unwrap();
    let store = database(&dir).await;
    let mut batch = Batch::default();
    for second in (0..3_600).step_by(3) {
        for node in 0..20 {
            batch.look(LookRow {
                node: format!("db-{node}"),
                at: at(second * 1_000),
                signals: vec![("latency_seconds".to_owned(), second as f64)],
            });
        }
    }
    store.write(&batch).await.unwrap();
    let budget = Budget { bytes: store.size().await.unwrap() / 2 };
    let mut upkeep = Upkeep::new(budget);
    for step in 0..4 {
        roll_up(&store, &mut upkeep, 3_600_000 + step * 300_000).await;
    }
    assert!(store.size().await.unwrap() <= budget.bytes);
    assert!(rows(&store, 0).await > 1_000, "no more is let go than is needed");
    // By age: a day later the single looks are gone, the hours are there, and the disk has its room back.
    let before = std::fs::metadata(dir.path().join("past.db")).unwrap().len();
    for step in 0..10 {
        roll_up(&store, &mut upkeep, 2 * 86_400_000 + step * 300_000).await;
    }
    assert_eq!((rows(&store, 0).await, rows(&store, 3).await), (0, 20));
    let query = "PRAGMA wal_checkpoint(TRUNCATE)";
    sqlx::query(query).execute(store.pool()).await.unwrap();
    let after = std::fs::metadata(dir.path().join("past.db")).unwrap().len();
    assert!(after < before / 2, "{before} -> {after}");
}

#[tokio::test]
async fn a_window_that_ends_before_it_begins_is_refused() {
    assert!(matches!(Window::new(at(5), at(5)), Err(HistoryError::Window)));
    assert_eq!(STEPS.len(), 4);
}

#[tokio::test]
async fn a_node_that_nobody_knows_has_no_series() {
    let dir = tempfile::tempdir().unwrap();
    let store = database(&dir).await;
    let window = Window::new(at(0), at(1_000)).unwrap();
    let series = History::of(&store).series("nobody", window, 10, at(1_000)).await.unwrap();
    assert!(series.signals.is_empty());
}
